"""Calls that are not affine, of which something is known all the same."""

from __future__ import annotations

from .traits import Traits

OTHERS: dict[str, Traits] = {
    **dict.fromkeys("to _to_copy type_as float double half bfloat16".split(), Traits(casts=True)),
    "lift_fresh": Traits(copies=True),
    **dict.fromkeys(("numpy_T", "mT"), Traits(bijective=True)),
    **dict.fromkeys(("relu", "leaky_relu"), Traits(unit=True)),
    **{f"max_pool{n}d": Traits(largest=True) for n in (1, 2, 3)},
    "sym_size": Traits(idle=True),
    **dict.fromkeys(
        (
            *"exp exp2 expm1 special_expm1 special_exp2 log log2 log10 log1p special_log1p logit special_logit".split(),
            *"reciprocal rsqrt pow float_power tan cosh sinh atanh arctanh erfinv special_erfinv".split(),
            *"lgamma digamma xlogy special_xlogy logaddexp logcumsumexp cumprod prod true_divide divide".split(),
        ),
        Traits(poles=True),
    ),
    **dict.fromkeys("sigmoid tanh erf atan arctan sign softmax _softmax".split(), Traits(tame=True)),
    **dict.fromkeys(
        "isnan isinf isfinite isposinf isneginf nan_to_num nansum nanmean nanmedian nanquantile".split(),
        Traits(guards=True),
    ),
}
