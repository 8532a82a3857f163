"""What a call does to the numbers that it is given, before and beside the arithmetic that its name promises.

    working_dtype    in which a call computes
    operand          the number that torch's kernel uses in the place of a constant or a Python number
    taken            the same for a call of a network
    holds            whether every number of one dtype is one of another, so that a promotion changes nothing
    swamps           whether an added constant rounds on purpose what it is added to
    out_of_range     what becomes of numbers that leave the range of a dtype when they are rounded to it
    READS_BITS       calls that see more of a value than its number: the sign of a zero, its bits, its strides

A call is affine over the rational numbers only if what torch does *before* it computes changes no number that depends
on the input; what it does to constants is done here, once, for every ring.

Rounding on purpose.  fl(x + c) keeps no bit of x below u |c|, u the unit roundoff.  The trick (x + 1.5 2^23) - 1.5 2^23
of float32 rounds x to an integer: equal to x over the rationals, another function in floats.  So an added constant with
u |c| >= 2^-5 makes a call that is not affine, and is kept as it was.  Then a sum that counts as affine is rounded by
less than 2^-5 on account of its constant, so that no such sum rounds to integers, nor to their 32nd parts; and
constants that are met in practice stay below: 2^19 in float32, 2^48 in float64, 64 in float16, 8 in bfloat16.  A mask
of -1e9 is beyond, and rightly so: it is added in order to lose what was there.  The bias of a contraction and the shift
of a BatchNorm, b - mean w / sqrt(var + eps), are such constants as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..ir.graph import Call, Graph, Ref
from ..rings.ring import UNIT_ROUNDOFF as _BY_NAME

#: u of every floating dtype: half the distance from 1 to the next number.
UNIT_ROUNDOFF: dict[torch.dtype, float] = {getattr(torch, name): u for name, u in _BY_NAME.items()}

#: Sums with a constant beyond 2^-5 / u round on purpose.
_PURPOSE = 2.0**-5

#: Calls that work entry by entry, so that torch rounds their constants to the dtype in which they compute.
_SUMS = ("add", "sub", "rsub")
_PRODUCTS = ("mul", "div")
_JOINS = ("cat", "concat", "stack")
_PADS = ("constant_pad_nd", "pad")

_ADDED = ("addmm", "baddbmm", "addmv", "addbmm")
_NORMS = ("batch_norm", "_native_batch_norm_legit_no_training")
#: Calls that add a bias to each channel of what they compute.
_SHIFTED = (
    *"linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution".split(),
    *(*_ADDED, *_NORMS),
)

#: Arguments that are numbers of the network where they are Python numbers, rather than lengths or axes.
_SCALARS = ("self", "other", "alpha", "beta", "value")

#: Constants that say where, not how much.
_PLACES = ("index", "indices", "repeats")

_ON_PURPOSE = "it adds a number so large that the sum is rounded on purpose"

#: Why a call with a constant of NaN or infinity, such as a mask of -inf, or with a divisor of 0, is not affine.
NOT_FINITE = "one of its constants, or the reciprocal of its divisor, is not finite"

#: What a call reads that depends on how its argument lies in memory.
STRIDES = "its strides"

#: What a call reads that tells -0.0 from 0.0.
SIGN_OF_ZERO = "the sign of a zero"

#: Calls whose result depends on more than the numbers that they are given, and on what.  Two networks that give such a
#: call equal numbers may still differ: x and x + 0 give -0.0 and 0.0, and a map that was rewritten has other strides.
READS_BITS: dict[str, str] = {
    **dict.fromkeys("atan2 arctan2 copysign signbit reciprocal rsqrt nextafter".split(), SIGN_OF_ZERO),
    **dict.fromkeys("div true_divide divide floor_divide fmod remainder pow".split(), SIGN_OF_ZERO),
    **dict.fromkeys("view_as_complex view_as_real view frexp bitwise_and bitwise_or bitwise_xor".split(), "its bits"),
    **dict.fromkeys("as_strided set_ stride is_contiguous storage_offset".split(), STRIDES),
}


#: The argument of which such a call reads it, where it is not all of them.
_READ_OF = {
    **dict.fromkeys("div true_divide divide floor_divide fmod remainder copysign".split(), "other"),
    "pow": "self",
}


def read_bits_of(call: Call) -> Any:
    """The arguments of which a call reads more than the numbers."""
    return call.bound().get(_READ_OF.get(call.op, ""), call.args)


def reads_bits(call: Call, dependent: frozenset[str]) -> str:
    """What a call that is not affine reads beside numbers, in words; "" if it reads numbers alone.

    A division reads the sign of zero in its divisor only, a power only where the exponent may be negative, a view reads
    bits only where it changes the dtype.

    Args:
        call: of a network.
        dependent: names of the values that depend on the network's input.
    """
    a = call.bound()
    if call.op == "view" and not a.get("dtype"):
        return ""
    exponent = a.get("exponent")
    if call.op == "pow" and isinstance(exponent, int | float) and exponent >= 0:
        return ""
    if call.op in ("div", "true_divide", "divide"):
        divisor = a.get("other")
        return READS_BITS["div"] if isinstance(divisor, Ref) and divisor.name in dependent else ""
    return READS_BITS.get(call.op, "")


def working_dtype(call: Call, graph: Graph) -> torch.dtype:
    """The dtype of a call's result, in which it computes; the network's own where that is not known."""
    floating = call.dtype is not None and call.dtype.is_floating_point
    return call.dtype if floating and call.dtype is not None else graph.dtype


def operand(op: str, constant: Any, dtype: torch.dtype) -> Any:
    """The number that torch's kernels compute with in the place of a constant.

    Sums, pads and concatenations round it to the dtype of the call.  Products and quotients do so too, but for a single
    number in float16 and bfloat16: their kernels compute in float32.  Other calls take Python numbers likewise, and
    tensors as they are.

    Args:
        op: the call's name.
        constant: a tensor or a Python number.
        dtype: in which the call computes.

    Returns:
        A tensor of numbers.

    >>> operand("mul", 0.1, torch.bfloat16).item(), operand("add", 0.1, torch.bfloat16).item()
    (0.10000000149011612, 0.10009765625)
    """
    exact = torch.float64 if isinstance(constant, float) else None
    tensor = constant if isinstance(constant, Tensor) else torch.tensor(constant, dtype=exact)
    rounding = op in (*_SUMS, *_PRODUCTS, *_JOINS, *_PADS)
    if tensor.dtype == dtype or (tensor is constant and not rounding):
        return tensor
    wide = not rounding or (op in _PRODUCTS and tensor.numel() == 1)
    return tensor.to(torch.promote_types(dtype, torch.float32) if wide else dtype)


def taken(call: Call, constant: Any, graph: Graph) -> Tensor:
    """The number that a call computes with in the place of a constant of a network.

    A call that no model made has no dtype; its constants are elements of whatever ring they were computed in, and are
    taken as they are.

    Args:
        call: of the network.
        constant: a tensor or a Python number.
        graph: the network.
    """
    if call.dtype is None and isinstance(constant, Tensor):
        return constant
    return operand(call.op, constant, working_dtype(call, graph))


def is_scalar(name: str, value: Any) -> bool:
    """Whether an argument of that name is a Python number of the network, rather than a length or an axis."""
    return name in _SCALARS and isinstance(value, bool | int | float)


def is_place(name: str) -> bool:
    """Whether a constant in that argument says where entries come from, so that it is no number of the network."""
    return name in _PLACES


def holds(dtype: torch.dtype, other: torch.dtype) -> bool:
    """Whether every number of ``other`` is a number of ``dtype``.

    >>> holds(torch.float32, torch.int16), holds(torch.float32, torch.int32), holds(torch.float16, torch.bfloat16)
    (True, False, False)
    """
    if dtype == other or other == torch.bool:
        return True
    if not dtype.is_floating_point or other.is_complex:
        return False
    if other.is_floating_point:
        wide, narrow = torch.finfo(dtype), torch.finfo(other)
        return wide.eps <= narrow.eps and wide.max >= narrow.max and wide.tiny <= narrow.tiny
    bounds = torch.iinfo(other)
    return max(-bounds.min, bounds.max) <= 1 / UNIT_ROUNDOFF[dtype]


def swamps(constant: Any, dtype: torch.dtype) -> bool:
    """Whether a sum with this constant is rounded on purpose: u |c| >= 2^-5 for an entry c, or c is not finite.

    >>> swamps(1.5 * 2**23, torch.float32), swamps(1.5 * 2**23, torch.float64), swamps(float("-inf"), torch.float64)
    (True, False, True)
    """
    tensor = operand("add", constant, dtype)
    if tensor.numel() == 0:
        return False
    return not float(tensor.detach().double().abs().max()) * UNIT_ROUNDOFF[dtype] < _PURPOSE  # so that NaN is one


def disturbance(call: Call, graph: Graph, dependent: frozenset[str]) -> str:
    """Why the constants of a call that its rule knows to be affine make it another function in floats; "" if not."""
    if call.dtype is None or call.op not in (*_SUMS, *_PRODUCTS, *_JOINS, *_PADS, *_SHIFTED):
        return ""
    dtype, a = working_dtype(call, graph), call.bound()
    if call.op in _SHIFTED:
        return _ON_PURPOSE if any(swamps(shift, dtype) for shift in _shifts(call, graph) if _finite(shift)) else ""
    for name, constant in _constants(call, graph, dependent):
        numbers = operand(call.op, constant, dtype)
        if not bool(numbers.isfinite().all()):
            return NOT_FINITE
        if call.op in _SUMS and name in ("self", "other"):
            scaled = name == ("self" if call.op == "rsub" else "other")
            if swamps(numbers.double() * (a.get("alpha", 1) if scaled else 1), dtype):
                return _ON_PURPOSE
        if call.op == "div" and name == "other" and not bool(numbers.all()):
            return NOT_FINITE
    return ""


def _shifts(call: Call, graph: Graph) -> Iterator[Tensor]:
    """What a contraction or a BatchNorm adds to each channel, where it is constant."""
    a = {name: graph.constants.get(leaf.name) for name, leaf in call.bound().items() if isinstance(leaf, Ref)}
    bias = a.get("self" if call.op in _ADDED else "bias")
    mean, variance, weight = (a.get(name) for name in ("running_mean", "running_var", "weight"))
    if call.op in _NORMS and mean is not None and variance is not None:
        scale = (variance.double() + call.bound()["eps"]).rsqrt() * (1 if weight is None else weight.double())
        yield (0 if bias is None else bias.double()) - mean.double() * scale
    elif bias is not None:
        yield bias * call.bound().get("beta", 1)


def _finite(numbers: Tensor) -> bool:
    return bool(numbers.isfinite().all())


def _constants(call: Call, graph: Graph, dependent: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The constants of a call by the names of their arguments; of one that is computed, the numbers in that call."""
    made = None
    for name, value in call.bound().items():
        for leaf in pytree.tree_leaves(value):
            if is_scalar(name, leaf):
                yield name, leaf
            elif isinstance(leaf, Ref) and leaf.name in graph.constants:
                yield name, graph.constants[leaf.name]
            elif isinstance(leaf, Ref) and leaf.name not in dependent:
                made = made or {other.name: other for other in graph.calls}
                yield from ((name, number) for number in _within(leaf.name, made, graph))


def _within(name: str, made: dict[str, Call], graph: Graph) -> Iterator[Any]:
    """The numbers in the calls that make a constant whose shape depends on a free size."""
    waiting, seen = [name], set()
    while waiting:
        found = made.get(waiting.pop())
        if found is None or found.name in seen:
            continue
        seen.add(found.name)
        for argument, value in found.bound().items():
            for leaf in pytree.tree_leaves(value):
                if isinstance(leaf, float) or is_scalar(argument.removeprefix("fill_"), leaf):
                    yield leaf
                elif isinstance(leaf, Ref) and leaf.name in graph.constants:
                    yield graph.constants[leaf.name]
                elif isinstance(leaf, Ref):
                    waiting.append(leaf.name)


def out_of_range(numbers: Tensor, dtype: torch.dtype) -> str:
    """What becomes of numbers that leave the range of a dtype when they are rounded to it, in words; "" if none does.

    >>> out_of_range(torch.tensor([1e5, 1e-9, 1.0]).double(), torch.float16)
    '1 of 3 numbers is beyond float16 and becomes infinite, 1 is below it and becomes 0'
    >>> out_of_range(torch.tensor([1e5]).double(), torch.float32)
    ''
    """
    values, name = numbers.detach().double(), str(dtype).removeprefix("torch.")
    rounded = values.to(dtype)
    huge = int((~rounded.isfinite()).sum())
    gone = int(((rounded == 0) & (values != 0)).sum())
    of = f"{huge or gone} of {values.numel()} numbers {'is' if (huge or gone) == 1 else 'are'}"
    ends = "becomes" if (huge or gone) == 1 else "become"
    if not huge:
        return f"{of} below {name} and {ends} 0" if gone else ""
    also = f", {gone} {'is' if gone == 1 else 'are'} below it and {'becomes' if gone == 1 else 'become'} 0"
    return f"{of} beyond {name} and {ends} infinite{also if gone else ''}"
