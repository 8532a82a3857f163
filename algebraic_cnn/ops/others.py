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
}
