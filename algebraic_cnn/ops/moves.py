"""Calls that move, drop and repeat entries: views, permutations, selections, joins.

evaluate    torch's own kernel: it rounds nothing
piece       a reshape or a permutation as a move; a slice at one size
layer       the selection matrix that the call is: what it does to the numbers 1 .. n
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, reduce
from itertools import accumulate
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..algebra.assembly import Combination
from ..algebra.operators.blocks import pointwise
from ..algebra.operators.operator import channelwise
from ..algebra.operators.rules import windows
from ..algebra.stencils.pieces import Atom, Form, Move, Offset, Piece, identity
from ..ir.graph import Call, Ref
from ..toeplitz.selection import NOTHING
from . import imaging
from .op import Apart, Arguments, Join, Op, Sample, along, always, kernel, never, not_if, regrouped
from .reading import Reading, float64
from .source import Source


def _unmoved(source: Source, call: Call, a: Arguments) -> Piece | None:
    """A call that returns its argument, up to axes of length 1 after the channels."""
    x = next(value for value in a.values() if source.varies(value))
    before, after = source.shape(x), call.shape
    if before == after and before[1:].count(None) == 0:
        return identity(before)
    flat = all(n == 1 for n in (*before[2:], *after[2:])) and before[:2] == after[:2]
    if not flat:
        return None
    c, axes = before[1] or 1, max(len(before) - 2, len(after) - 2)
    blocks = pointwise(c, c, c, axes, lambda ring: ring.embed(np.ones(c)))
    return Atom(Form(blocks, (1,) * axes, False, Offset.NONE), before, after, call=call)


def _regroup(source: Source, call: Call, a: Arguments) -> Piece | None:
    """A reshape of the axes after the batch."""
    x = a.get("self")
    return Move(source.shape(x), call.shape, None, call) if isinstance(x, Ref) and source.varies(x) else None


def _reshaped(source: Source, call: Call, a: Arguments) -> Piece | None:
    return _unmoved(source, call, a) or _regroup(source, call, a)


def _permuted(source: Source, call: Call, a: Arguments) -> Piece | None:
    """A permutation of the axes after the batch."""
    rank = len(call.shape)
    if call.op == "permute":
        order = tuple(dim % rank for dim in a["dims"])
    else:
        swapped = {a[one] % rank: a[other] % rank for one, other in (("dim0", "dim1"), ("dim1", "dim0"))}
        order = tuple(swapped.get(axis, axis) for axis in range(rank))
    return None if order[0] else Move(source.shape(a["self"]), call.shape, order, call)


def _slice(source: Source, call: Call, a: Arguments) -> Piece | None:
    """Every s-th position, or a range of channels; at one size an end that is counted from the other is a number."""
    shape, axis = source.shape(a["self"]), a["dim"] % len(call.shape)
    start, step = a["start"] or 0, a["step"]
    if shape == call.shape and (start, step) == (0, 1) and (axis or a["end"] in (None, sys.maxsize)):
        return identity(shape)
    if axis == 0 or not isinstance(start, int) or len(shape) < 3:
        return None
    n, sizes = shape[axis] or 1, tuple(n or 1 for n in shape[2:])
    start = min(max(start + n if start < 0 else start, 0), n)
    if axis > 1:
        axes = [windows(1) for _ in sizes]
        last = start + step * ((call.shape[axis] or 1) - 1)
        axes[axis - 2] = windows(1, step, (-start, last + 1 - n))
        blocks = channelwise(shape[1] or 1, axes).blocks
    else:
        chosen = np.arange(n)[start:][::step][: call.shape[1]]
        blocks = pointwise(n, len(chosen), 1, len(sizes), lambda ring: ring.embed(np.eye(n)[chosen]))
    return Atom(Form(blocks, sizes, False, Offset.NONE), shape, call.shape, call=call)


def moved(reading: Reading, call: Call, a: Arguments, dtype: torch.dtype = torch.float64, chooses: bool = False) -> Any:
    """The call on the numbers 1 .. n of all entries of its values, 0 for constants: where each output comes from.

    Args:
        reading: the network.
        call: the call.
        a: its arguments, values of the recursion among them.
        dtype: of the numbers.
        chooses: whether its constants say which entries.
    """
    values = [leaf for leaf in pytree.tree_leaves(a) if isinstance(leaf, Combination)]
    *starts, count = accumulate((value.size for value in values), initial=0)
    first = iter(starts)
    if count * reading.batch >= 1 / torch.finfo(dtype).eps:
        raise reading.refusal(call, f"{count} entries cannot be numbered in {dtype}")

    def numbered(leaf: Any) -> Any:
        if isinstance(leaf, Combination):
            samples = torch.arange(reading.batch, dtype=dtype).reshape(-1, *[1] * len(leaf.shape)) * count
            return samples + 1 + next(first) + torch.arange(leaf.size).reshape(1, *leaf.shape)
        return torch.zeros_like(leaf, dtype=dtype) if isinstance(leaf, Tensor) and not chooses else leaf

    def constant(leaf: Any) -> Any:
        if isinstance(leaf, Combination):
            return torch.zeros(reading.batch, *leaf.shape, dtype=torch.float64)
        return reading.numbers(call, leaf).double() if isinstance(leaf, Tensor) and not chooses else leaf

    padding = {"value": reading.numbers(call, a["value"] or 0).item()} if "value" in a else {}
    numbers = call.target(**pytree.tree_map(numbered, {**a, **({"value": 0} if padding else {})}))
    added = call.target(**pytree.tree_map(constant, {**a, **padding}))
    if isinstance(numbers, Tensor):
        return _gathered(reading, call, values, starts, numbers, added)
    return [_gathered(reading, call, values, starts, *pair) for pair in zip(numbers, added, strict=True)]


def _gathered(
    reading: Reading, call: Call, values: list[Combination], starts: list[int], numbers: Tensor, added: Tensor
) -> Combination:
    """What a move did to numbered values, and the constants that it put between them."""
    work, count = reading.assembly, sum(value.size for value in values)
    source, samples = numbers[0].reshape(-1).long() - 1, torch.arange(len(numbers)).reshape(-1, 1)
    expected = torch.where(source == NOTHING, 0, source + 1 + count * samples)
    if len(numbers) != reading.batch or not numbers.reshape(len(numbers), -1).double().equal(expected.double()):
        raise reading.refusal(call, "it moves entries from one sample of a batch to another")
    terms = []
    for value, start in zip(values, starts, strict=True):
        own = torch.where((source >= start) & (source < start + value.size), source - start, NOTHING)
        terms.append(work.mapped(value, reading.selection(own.numpy(), value.size), tuple(numbers.shape[1:])))
    total = reduce(work.sum, terms)
    if not added.any():
        return total
    return work.layer(total, total.shape, sp.eye_array(total.size, format="csr"), b=float64(added[0]).reshape(-1))


def _joined(source: Source, call: Call, a: Arguments) -> Join | None:
    axis, rank = a["dim"] % len(call.shape), len(call.shape)
    if axis not in (1, rank - 1) or not all(source.varies(value) for value in a["tensors"]):
        return None
    return Join("cat", [(value.name, identity(source.shape(value))) for value in a["tensors"]], axis)


def _move(
    apart: Apart = never,
    piece: Callable[..., Piece | None] | None = None,
    *,
    evaluate: Callable[..., Any] = kernel,
    chooses: bool = False,
    **more: Any,
) -> Op:
    layer = partial(moved, chooses=True) if chooses else moved
    return Op(evaluate, ("self", "input"), exact=True, piece=piece, layer=layer, apart=apart, **more)


_view = partial(_move, view=True)
_shape = partial(_view, bijective=True)
_regrouping = partial(_shape, ordered=True)
_COPY: dict[str, Any] = {"copies": True, "ordered": True}

OPS: dict[str, Op] = {
    **dict.fromkeys(("clone", "lift_fresh_copy"), _move(always, operator=imaging.same, **_COPY)),
    **dict.fromkeys(("contiguous", "alias"), _view(always, operator=imaging.same, **_COPY)),
    # autograd would stop there, the network does not
    "detach": _view(always, evaluate=lambda site: site["self"], operator=imaging.same, detaches=True, **_COPY),
    "view": _regrouping(regrouped, _reshaped, operator=imaging.same, accepts=not_if("dtype", "it reinterprets bits")),
    "_unsafe_view": _regrouping(regrouped, _reshaped, operator=imaging.same),
    "reshape": _regrouping(regrouped, _reshaped, operator=imaging.same, called=""),
    "flatten": _regrouping(regrouped, _reshaped, operator=imaging.same, overload="using_ints"),
    "unflatten": _regrouping(regrouped, _regroup),
    "squeeze": _regrouping(along("dim"), _reshaped),
    "unsqueeze": _regrouping(lambda a, given, y: a["dim"] % (len(given) + 1) != 0, _reshaped),
    "permute": _shape(lambda a, given, y: a["dims"][0] == 0, _permuted, called=""),
    "transpose": _shape(along("dim0", "dim1"), _permuted),
    "swapaxes": _shape(along("axis0", "axis1")),
    **dict.fromkeys(("t", "movedim"), _shape()),
    **dict.fromkeys(("tril", "triu"), _move()),
    "slice": _view(along("dim"), _slice, operator=imaging.sliced, overload="Tensor", called=""),
    **dict.fromkeys(("select", "narrow", "unbind"), _view(along("dim"))),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _view(along("dim"), operator=imaging.parts)),
    "index_select": _move(along("dim"), repeats=True, chooses=True),
    **dict.fromkeys(("flip", "roll", "rot90"), _move(along("dims"), bijective=True)),
    "diagonal": _view(along("dim1", "dim2")),
    "expand": _view(piece=_unmoved, repeats=True),
    **dict.fromkeys(("repeat", "tile"), _move(repeats=True)),
    **dict.fromkeys(("repeat_interleave", "index"), _move(repeats=True, chooses=True)),
    **dict.fromkeys(
        ("cat", "concat"),
        Op(
            kernel,
            ("tensors",),
            operator=imaging.joined,
            layer=moved,
            joins=_joined,
            apart=lambda a, given, y: a["dim"] % len(given) != 0,
        ),
    ),
    "stack": Op(kernel, ("tensors",), layer=moved, apart=lambda a, given, y: a["dim"] % (len(given) + 1) != 0),
}

_aten = torch.ops.aten
_IMAGE = (4, 6, 6)
SAMPLES: dict[str, Sample] = {
    "view": (lambda x: x.view(x.shape[0], -1), _IMAGE, ()),
    "_unsafe_view": (lambda x: _aten._unsafe_view(x, [x.shape[0], 24, 6]), _IMAGE, ()),
    "reshape": (lambda x: x.transpose(1, 3).reshape(x.shape[0], 36, 4), _IMAGE, ()),
    "flatten": (lambda x: x.flatten(1), _IMAGE, ()),
    "permute": (lambda x: x.permute(0, 2, 3, 1), _IMAGE, ()),
    "transpose": (lambda x: x.transpose(1, 2), _IMAGE, ()),
    "t": (lambda x: x.t().t(), (5,), ()),
    "squeeze": (lambda x: x.squeeze(1), (1, 5), ()),
    "unsqueeze": (lambda x: x.unsqueeze(2), _IMAGE, ()),
    "expand": (lambda x: x[:, :1].expand(-1, 3, -1, -1), _IMAGE, ()),
    "contiguous": (lambda x: x.transpose(1, 2).contiguous(), _IMAGE, ()),
    "clone": (lambda x: x.clone(), _IMAGE, ()),
    "alias": (lambda x: _aten.alias(x), _IMAGE, ()),
    "detach": (lambda x: _aten.detach(x), _IMAGE, ()),
    "detach in part": (lambda x: x + 2 * x.detach(), _IMAGE, ()),
    "lift_fresh_copy": (lambda x: _aten.lift_fresh_copy(x), _IMAGE, ()),
    "select": (lambda x: x[:, 2], _IMAGE, ()),
    "slice": (lambda x: x[:, 1:, ::2], _IMAGE, ()),
    "index_select": (lambda x: x.index_select(1, torch.tensor([3, 0, 3])), _IMAGE, ()),
    "narrow": (lambda x: x.narrow(2, 1, 3), _IMAGE, ()),
    "split": (lambda x: x.split(3, 1)[1], _IMAGE, ()),
    "split_with_sizes": (lambda x: _aten.split_with_sizes(x, [1, 3], 1)[1], _IMAGE, ()),
    "chunk": (lambda x: x.chunk(2, 1)[1], _IMAGE, ()),
    "unbind": (lambda x: x.unbind(1)[3], _IMAGE, ()),
    "flip": (lambda x: x.flip(1, 3), _IMAGE, ()),
    "roll": (lambda x: x.roll(2, 3), _IMAGE, ()),
    "rot90": (lambda x: x.rot90(1, (2, 3)), _IMAGE, ()),
    "diagonal": (lambda x: x.diagonal(1, 2, 3), _IMAGE, ()),
    "movedim": (lambda x: x.movedim(1, 3), _IMAGE, ()),
    "swapaxes": (lambda x: x.swapaxes(1, 2), _IMAGE, ()),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), _IMAGE, ()),
    "unflatten": (lambda x: x.unflatten(1, (2, 2)), _IMAGE, ()),
    "index": (lambda x: x[:, torch.tensor([3, 0, 0])], _IMAGE, ()),
    "tril": (lambda x: x.tril(1), _IMAGE, ()),
    "triu": (lambda x: x.triu(-1), _IMAGE, ()),
    "tile": (lambda x: x.tile(1, 1, 2, 1), _IMAGE, ()),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 3), _IMAGE, ()),
    "cat": (lambda x, c: torch.cat([x, c.expand(x.shape[0], -1, -1, -1), 2 * x], 1), _IMAGE, [(1, 2, 6, 6)]),
    "concat": (lambda x: _aten.concat([x, x], 2), _IMAGE, ()),
    "stack": (lambda x: torch.stack([x, 3 * x], 2), _IMAGE, ()),
}
