"""Memory that is overwritten before anybody reads it.

filled     memory that torch leaves as it finds it, with numbers that no network can mistake for its own
uncopied   copies into what is overwritten as casts, expansions and clones, which have derivatives
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from .graph import Call, Graph, Ref, Size, needed
from .inplace import ALLOCATING

#: Where a slice ends that has no end.
_END = 2**62

_FULL: dict[str, Any] = {
    "empty": torch.ops.aten.full.default,
    "new_empty": torch.ops.aten.new_full.default,
    "empty_like": torch.ops.aten.full_like.default,
}


def filled(call: Call) -> Call:
    """The call, with NaN where torch would leave memory as it finds it; in whole numbers, with the least one.

    A network that reads it before it writes there is no function; one that does not is the same one.

    >>> target = torch.ops.aten.empty.memory_format
    >>> filled(Call("x", "empty", target, ([2],), {}, (2,), "", "", torch.float32)).target([2], math.nan)
    tensor([nan, nan])
    """
    if call.op not in _FULL or call.dtype is None:
        return call
    sizes = 2 if call.op == "new_empty" else 1
    target, known = _FULL[call.op], {name for name in call.kwargs if name not in ("memory_format", "layout")}
    kwargs = {name: call.kwargs[name] for name in known} | {"dtype": call.dtype}
    args = (*call.args[:sizes], _unlikely(call.dtype))
    return replace(call, op=call.op.replace("empty", "full"), target=target, args=args, kwargs=kwargs)


def _unlikely(dtype: torch.dtype) -> Any:
    if dtype.is_floating_point or dtype.is_complex:
        return math.nan
    return False if dtype == torch.bool else torch.iinfo(dtype).min


def uncopied(graph: Graph) -> Graph:
    """The same network without ``copy(self, src)``: src in the dtype and shape of self, in memory of its own.

    aten::copy has no derivative, and that of a slice that is the whole keeps what nobody reads.

    >>> from algebraic_cnn.ir.trace import trace
    >>> class Wide(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.new_zeros(x.shape, dtype=torch.float64).copy_(x)
    >>> [call.op for call in trace(Wide().eval(), torch.zeros(1, 2)).calls]
    ['to']
    """
    shapes, dtypes, made = graph.shapes(), graph.dtypes(), {call.name: call for call in graph.calls}
    same: dict[str, Ref] = {}
    calls: list[Call] = []
    for call in (each.renamed(same) for each in graph.calls):
        if not _covers(call, shapes):
            calls.append(call)
            continue
        over, source = call.refs()
        casts, alike = dtypes.get(source) != call.dtype, shapes[source] == shapes[over]
        if alike and not casts and source in made and made[source].op in (*ALLOCATING, "clone"):
            same[call.name] = Ref(source)
            continue
        calls += _steps(call, over, source, casts=casts, alike=alike)
        made[call.name] = calls[-1]
    outputs = tuple(same.get(out.name, out) if isinstance(out, Ref) else out for out in graph.outputs)
    kept, used = needed(calls, [out.name for out in outputs if isinstance(out, Ref)])
    return replace(
        graph,
        calls=kept,
        outputs=outputs,
        constants={name: value for name, value in graph.constants.items() if name in used},
        paths={name: path for name, path in graph.paths.items() if name in used},
        parameters={name: trained for name, trained in graph.parameters.items() if name in used},
    )


def _covers(call: Call, shapes: Mapping[str, Size]) -> bool:
    """Whether a call gives its second value in the place of the whole of its first."""
    names = list(call.refs())
    if len(names) != 2 or call.op not in ("copy", "slice_scatter"):
        return False
    if call.op == "copy":
        return True
    a, shape = call.bound(), shapes[names[0]]
    length, end = shape[a["dim"]], _END if a["end"] is None else a["end"]
    whole = end >= _END or (length is not None and end >= length)
    return shape == shapes[names[1]] and not a["start"] and a["step"] == 1 and whole


def _steps(copy: Call, over: str, source: str, *, casts: bool, alike: bool) -> Iterator[Call]:
    """A copy as an expansion to the shape of what is overwritten and a cast, or a clone where none is needed."""
    aten, copy = torch.ops.aten, replace(copy, kwargs={})
    if not alike:
        name = f"{copy.name}_expanded"
        yield replace(copy, name=name, op="expand_as", target=aten.expand_as.default, args=(Ref(source), Ref(over)))
        source = name
    if casts:
        yield replace(copy, op="to", target=aten.to.dtype, args=(Ref(source), copy.dtype))
    else:
        yield replace(copy, op="clone", target=aten.clone.default, args=(Ref(source),))
