"""In-place calls as functional ones, where nothing else can see the memory that they overwrite.

twin       the functional call of the same name: relu for relu_
fresh      a value whose memory its own call allocated, and of which no view was taken
alone      a view of such memory, after the last reader of every other name for it
sharing    a call returns memory of an argument; some do and their schema does not say so
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram

from ..errors import TraceError
from .graph import Call, Ref, Submodule, mapped
from .refusal import line_in

#: Calls whose results share no memory with their arguments.
ALLOCATING = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution linear addmm mm bmm matmul "
    "batch_norm layer_norm group_norm instance_norm native_layer_norm add sub rsub mul div neg cat stack mean sum "
    "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d upsample_nearest1d upsample_nearest2d upsample_bilinear2d softmax relu relu6 hardtanh elu "
    "leaky_relu silu gelu mish sigmoid hardsigmoid hardswish tanh softplus clamp exp sqrt rsqrt pow addcmul "
    "lift_fresh_copy".split()
)


#: Calls in place whose functional twins have the dtype of what is overwritten, if all that they are given has it.
_WRITING = ALLOCATING | frozenset(
    "copy fill zero masked_fill index_put index_copy index_add lerp floor ceil round abs sign tril triu addcdiv "
    "scatter scatter_add detach".split()
)


def functional(
    calls: Sequence[Call], outputs: Sequence[Any], owned: Sequence[str], given: Mapping[str, torch.dtype]
) -> tuple[list[Call], tuple[Any, ...], dict[str, Ref]] | None:
    """The calls with twins for the in-place ones; None if that is not surely right.

    A value that is overwritten must be fresh or alone: then every later reader of its memory reads it by its name.

    Args:
        calls: in order of execution.
        outputs: of the program.
        owned: names of inputs whose memory is seen by these names alone.
        given: the dtypes of all inputs and constants.

    Returns:
        The calls, the outputs by their new names, and the last value of every input that was overwritten.
    """
    fresh, current = set(owned), dict[str, str]()
    dtypes: dict[str, torch.dtype | None] = dict(given)

    def renamed(leaf: Any) -> Any:
        return Ref(current.get(leaf.name, leaf.name)) if isinstance(leaf, Ref) else leaf

    pure, alone = [], _alone(calls, outputs)
    for call in calls:
        if any(map(_hides_writes, call.parts())):
            return None
        args, kwargs = mapped(renamed, (call.args, dict(call.kwargs)))
        call = replace(call, args=args, kwargs=kwargs)
        if is_identity(call.op, call.args):
            current[call.name] = call.args[0].name
            continue
        if mutates(call.target):
            twin, target = _twin(call), call.args[0]
            if twin is None or not isinstance(target, Ref) or _casts(call, dtypes):
                return None
            if target.name not in fresh and call.name not in alone:
                return None
            if call.op == "detach_" and target.name in owned:
                return None  # it writes no number, so nothing of what is given has a new value
            original = call.args[0].name
            current |= {name: call.name for name, now in current.items() if now == original} | {original: call.name}
            call = replace(call, op=call.op.removesuffix("_"), target=twin)
            fresh.add(call.name)
        elif call.op in ALLOCATING:
            fresh.add(call.name)
        elif call.op != "sym_size":
            fresh.difference_update(call.refs())
        dtypes[call.name] = call.dtype
        pure.append(call)
    written = {name: Ref(current[name]) for name in owned if name in current}
    return pure, tuple(renamed(out) for out in outputs), written


#: What a program works out from lengths of axes.
_OF_SIZES = frozenset(f"operator.{name}" for name in ("add", "sub", "mul", "floordiv", "mod"))


def _alone(calls: Sequence[Call], outputs: Sequence[Any]) -> set[str]:
    """Calls that overwrite the last name by which anybody reads memory that calls of this program allocated."""
    last = {name: place for place, call in enumerate(calls) for name in call.refs()}
    last |= {out.name: len(calls) for out in outputs if isinstance(out, Ref)}
    names: dict[str, set[str]] = {}
    found, sizes = set(), set[str]()
    for place, call in enumerate(calls):
        if mutates(call.target) and isinstance(call.args[0], Ref):
            written = call.args[0].name
            others = names.get(written, set()) - {written}
            if written in names and all(last.get(name, -1) < place for name in others):
                found.add(call.name)
            names.pop(written, None)  # what is overwritten once more is fresh then, or no business of ours
        elif call.op in ALLOCATING:
            names[call.name] = {call.name}
        elif call.op == "sym_size" or (call.op in _OF_SIZES and all(name in sizes for name in call.refs())):
            sizes.add(call.name)  # a number has no memory
        elif all(name in names or name in sizes for name in call.refs()):
            group = set().union({call.name}, *(names.get(name, ()) for name in call.refs()))
            names |= dict.fromkeys(group, group)
        else:
            for name in call.refs():
                _forget(names, name)
    return found


def _forget(names: dict[str, set[str]], name: str) -> None:
    """What shares memory with a value is not known any more."""
    for other in names.pop(name, set()):
        names.pop(other, None)


def _hides_writes(part: Submodule) -> bool:
    """Whether a part of the model that a call runs overwrites anything."""
    return any(mutates(node.target) for module in part.module.modules() if isinstance(module, torch.fx.GraphModule)
               for node in module.graph.nodes)  # fmt: skip


def _casts(call: Call, dtypes: Mapping[str, torch.dtype | None]) -> bool:
    """Whether the functional twin could have another dtype than what is overwritten."""
    own = call.dtype
    same = (own, torch.bool, torch.int64) if own is not None and own.is_floating_point else (own, torch.bool)
    return call.op != "copy_" and any(dtypes.get(name) not in (*same, None) for name in call.refs())


#: Calls that may return the memory of an argument, though nothing in their schema says so: torch itself then loses what
#: is written there.
_SHARING = frozenset("broadcast_tensors meshgrid type_as sum_to_size einsum".split())


def require_sharing_said(program: ExportedProgram) -> None:
    """Refuse a program that overwrites memory which a call shares without saying so.

    Raises:
        TraceError: names the call.
    """
    shared: dict[torch.fx.Node, set[torch.fx.Node]] = {}
    written: list[torch.fx.Node] = []
    for node in program.graph.nodes:
        group = {node}
        schema = getattr(node.target, "_schema", None)
        says = schema is not None and any(result.alias_info is not None for result in schema.returns)
        if says or node.target is operator.getitem or _shares(node):
            group = group.union(*(shared[each] for each in node.all_input_nodes))
        shared |= dict.fromkeys(group, group)
        written += [node.args[0]] if mutates(node.target) and isinstance(node.args[0], torch.fx.Node) else []
    for node in program.graph.nodes:
        if _shares(node) and any(node in shared[each] for each in written):
            what = f"what {node.target.overloadpacket.__name__} returns may be memory that is overwritten"
            where = line_in(node.meta.get("stack_trace") or "") or node.name
            raise TraceError(what, expected="a clone of it", where=where)


def _shares(node: torch.fx.Node) -> bool:
    """Whether a call may: a product of two factors has memory of its own."""
    if not isinstance(node.target, OpOverload) or node.target.overloadpacket.__name__ not in _SHARING:
        return False
    return node.target.overloadpacket.__name__ != "einsum" or len(node.all_input_nodes) < 2


def is_identity(op: str, args: Sequence[Any]) -> bool:
    """Whether a call is a dropout in evaluation mode."""
    return op.removesuffix("_") in ("dropout", "feature_dropout") and len(args) == 3 and args[2] is False


def mutates(target: Any) -> bool:
    """Whether a call of this overload overwrites one of its arguments."""
    schema = getattr(target, "_schema", None)
    return schema is not None and schema.is_mutable


def _twin(call: Call) -> Any:
    """The functional overload with the same arguments, which overwrites nothing; None if there is none."""
    schema = call.target._schema  # pyright: ignore[reportFunctionMemberAccess]
    written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    packet = None if "::" in call.op else getattr(torch.ops.aten, call.op.removesuffix("_"), None)
    twin = getattr(packet, schema.overload_name or "default", None)
    if call.op.removesuffix("_") not in _WRITING:
        return None
    same = twin is not None and [a.name for a in twin._schema.arguments] == [a.name for a in schema.arguments]
    return twin if same and call.op.endswith("_") and written == [schema.arguments[0].name] else None
