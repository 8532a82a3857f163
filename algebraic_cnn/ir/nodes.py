"""The nodes of a program as calls.

    calls_of    program -> its calls, in order of execution
    op_of       the name of a call
    pointwise   whether a call is one of every entry by itself
    refs        what stands in a node's place, with ``Ref`` for nodes and ``Submodule`` for parts of the model

``view`` is spelled as ``reshape``: how a value lies in memory is no part of a network.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from ..errors import TraceError
from .batch_sizes import Sizes
from .dynamic_shapes import fixed
from .graph import Call, Ref, Rows, Size, Submodule
from .refusal import line_in

_ATEN = torch.ops.aten
_AS_RESHAPE = (_ATEN.view.default, _ATEN._unsafe_view.default)


def calls_of(program: ExportedProgram) -> list[Call]:
    """The calls of a program.

    Raises:
        TraceError: if a call reads a value as it lies in memory, where that is not row by row; names its line.
    """
    sizes = Sizes(program)
    parts = {
        node.name: Submodule(_reshaped(program.graph_module.get_submodule(str(node.target))))
        for node in program.graph.nodes
        if node.op == "get_attr"
    }
    return [call for node in program.graph.nodes if node.op == "call_function" for call in _calls(node, sizes, parts)]


def _calls(node: fx.Node, sizes: Sizes, parts: dict[str, Submodule]) -> Iterator[Call]:
    call = _call(node, sizes, parts)
    if node.target is _ATEN.as_strided.default:
        given = cast("fx.Node", node.args[0])
        if not given.meta["val"].is_contiguous():
            what = "as_strided reads a value that does not lie row by row in memory"
            raise TraceError(what, expected="x.contiguous() before it", where=call.where)
        name, target = f"{node.name}_given", _ATEN.contiguous.default
        yield Call(name, "contiguous", target, call.args[:1], {}, shape_of(given), call.where, call.module, call.dtype)
        call = call.renamed({given.name: Ref(name)})
    yield call


#: Where Dynamo says that the module is which it compiles; a path inside it follows, in torch 2.8 by way of `_PART`.
_SELF = "L['self']"
_PART = re.compile(r"\._modules\['([^']*)'\]")


def _call(node: fx.Node, sizes: Sizes, parts: dict[str, Submodule]) -> Call:
    modules = list((node.meta.get("nn_module_stack") or {}).values())
    path = _PART.sub(r".\1", modules[-1][0].removeprefix(_SELF)).removeprefix(".") if modules else ""
    target = _ATEN.reshape.default if node.target in _AS_RESHAPE else node.target
    return Call(
        name=node.name,
        op=op_of(target),
        target=cast("Any", target),
        args=tuple(refs(argument, parts) for argument in node.args),
        kwargs={key: refs(value, parts) for key, value in node.kwargs.items()},
        shape=shape_of(node),
        where=line_in(node.meta.get("stack_trace") or "") or _place(path),
        module="" if path.startswith("_empty_nn_module_stack") else path,
        dtype=getattr(node.meta.get("val"), "dtype", None),
        size=sizes.text(node.meta.get("val")),
        counted=_is_counted(node, sizes),
    )


#: Calls that make a tensor of nothing but its lengths, which say nothing of its entries.
_SHAPED = ("zeros", "ones", "empty", "full")


def _is_counted(node: fx.Node, sizes: Sizes) -> bool:
    """Whether the size of the batch enters the numbers of a call: not where it says how long or where something is."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not isinstance(node.meta.get("val"), Tensor | list | tuple):
        return False
    made = not any("Tensor" in str(a.type) for a in schema.arguments) and op_of(node.target) not in _SHAPED
    named = dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | node.kwargs
    numbers = [named.get(a.name) for a in schema.arguments if made or "int" not in str(a.type)]
    leaves = pytree.tree_leaves(numbers)
    return any(isinstance(leaf, fx.Node) and sizes.counts(leaf.meta.get("val")) for leaf in leaves)


def _place(path: str) -> str:
    """Of a call that none but torch's own code makes, so that no line of the model stands for it."""
    return f"module {path!r}" if path and not path.startswith("_empty") else "a line that torch.export did not record"


def op_of(target: Any) -> str:
    """The name of a call; ``mylib::neg`` is not the ``neg`` of ATen."""
    namespace = getattr(target, "namespace", "")
    packet = getattr(target, "overloadpacket", target)
    if not namespace:
        return f"{target.__module__.lstrip('_')}.{target.__name__}"
    return packet.__name__ if namespace == "aten" else f"{namespace}::{packet.__name__}"


#: Calls entry by entry of which torch before 2.13 does not say that they are.
_POINTWISE = frozenset("celu elu hardsigmoid hardtanh ldexp leaky_relu selu".split())


def pointwise(call: Call) -> bool:
    """Whether an entry of what a call gives depends on the entries in its place alone, as torch says of it."""
    return torch.Tag.pointwise in getattr(call.target, "tags", ()) or call.op in _POINTWISE


def refs(value: Any, parts: dict[str, Submodule]) -> Any:
    """A value of a node, with references for the nodes in it."""
    if isinstance(value, fx.Node):
        return parts[value.name] if value.name in parts else Ref(value.name)
    if isinstance(value, list | tuple):
        kind = type(value) if type(value) in (list, tuple) else list
        return kind(refs(item, parts) for item in value)
    return value


def shape_of(node: fx.Node) -> Size:
    """The shape of a node's value, None on free axes, ``Rows`` on a first one that is not the batch."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return ()
    sizes = tuple(map(fixed, value.shape))
    return sizes if sizes[:1] != (None,) else (Rows.drawn(value.shape[0]), *sizes[1:])


def _reshaped(part: Any) -> Any:
    """A part of the model in which ``view`` is ``reshape`` as well."""
    part = copy.deepcopy(part)
    for module in part.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            if node.target in _AS_RESHAPE:
                node.target = _ATEN.reshape.default
        if isinstance(module, fx.GraphModule):
            module.recompile()
    return part
