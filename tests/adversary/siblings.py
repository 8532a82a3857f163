"""Calls that take the same arguments as another and are another function.

SIBLINGS    the names in ATen that can stand in the place of one
elsewhere   a call of the same name and schema in another namespace, which returns half of what torch does
"""

from __future__ import annotations

from typing import Any

import torch

_FAMILIES = """
relu relu6 sigmoid tanh silu selu hardswish hardsigmoid gelu mish leaky_relu elu celu softplus abs neg square exp log1p\
 expm1 sin cos floor ceil round trunc sign sgn erf sqrt rsqrt reciprocal log_sigmoid isfinite isnan logical_not
add sub rsub mul div maximum minimum fmax fmin atan2 hypot copysign remainder fmod floor_divide pow
amax amin sum mean logsumexp
max_pool1d avg_pool1d
max_pool2d avg_pool2d
adaptive_max_pool2d adaptive_avg_pool2d
softmax log_softmax
cumsum cumprod logcumsumexp cummax
argmax argmin
gt ge lt le eq ne
max min
tril triu
reflection_pad2d replication_pad2d
any all
std var
logical_and logical_or logical_xor bitwise_and bitwise_or
upsample_bilinear2d upsample_bicubic2d upsample_nearest2d
lstm_cell gru_cell
rnn_tanh_cell rnn_relu_cell
rnn_tanh rnn_relu
real imag
prod sum norm
clamp_min clamp_max
scatter scatter_add
reshape view
flip roll
ones_like zeros_like
sort msort
topk kthvalue
"""

SIBLINGS: dict[str, set[str]] = {}
for _family in map(str.split, _FAMILIES.strip().splitlines()):
    for _name in _family:
        SIBLINGS.setdefault(_name, set()).update(set(_family) - {_name})

_LIBRARY = torch.library.Library("adversary", "FRAGMENT")
_DEFINED: dict[str, Any] = {}


def elsewhere(target: Any) -> Any:
    """The call of the same name in the namespace ``adversary``; None where it writes, returns a view or no tensor."""
    schema = getattr(target, "_schema", None)
    if schema is None or schema.is_mutable or not str(schema).startswith("aten::"):
        return None
    returned = [str(each.type) for each in schema.returns]
    if returned != ["Tensor"] or any(a.alias_info is not None for a in (*schema.arguments, *schema.returns)):
        return None
    name = str(schema)
    if name not in _DEFINED:
        _DEFINED[name] = _defined(target, name)
    return _DEFINED[name]


def _defined(target: Any, schema: str) -> Any:
    def half(*args: Any, **kwargs: Any) -> torch.Tensor:
        found = target(*args, **kwargs)
        return (found * 0.5).to(found.dtype) if found.dtype != torch.bool else ~found

    text = schema.replace("aten::", "", 1)
    try:
        _LIBRARY.define(text)
    except RuntimeError:  # a few schemas of ATen cannot be written down as text again
        return None
    name = text.split("(")[0]
    _LIBRARY.impl(name, half, "CompositeExplicitAutograd")
    torch.library.register_fake(f"adversary::{name}", lambda *a, **k: torch.empty_like(target(*a, **k)), lib=_LIBRARY)
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.adversary, packet), overload or "default")
