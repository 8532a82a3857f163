"""One form for a call that torch lets one write in many ways, so that equal calls are equal values.

    CanonicalCall   what a call is, but for the numbers that it is given: name, arguments, shapes and dtypes
    canonical_call  call -> CanonicalCall, and the names of the values that it is given, in their order there
    commutes        whether the two values that a call is given may change places

    defaults     spelled out; one number for all axes becomes one for each; a stride of nothing is the kernel
    axes         counted from the front; the axes of a reduction in order, all of them where none is named
    numbers      0 and 0.0 are one number where the call computes with floats
    names        relu, relu6, hardtanh, clamp_min: clamp; lt: gt of the other; the calls of a decomposition: the call

Nothing is left out: what this file does not know of an argument stays as it is, and then differs if it differs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg
from torch.utils import _pytree as pytree

from .graph import Call, Graph, Ref, Submodule
from .nodes import pointwise

#: Calls with two values of which it does not matter which comes first.
_COMMUTATIVE = frozenset(
    "add mul maximum minimum fmax fmin eq ne logical_and logical_or logical_xor bitwise_and bitwise_or "
    "bitwise_xor hypot".split()
)

#: Calls that take the axes ``dim`` together, so that their order does not matter, and all of them where none is named.
_REDUCTIONS = frozenset("sum mean amax amin any all var std var_mean std_mean logsumexp prod".split())

_ONE = ("number", "1")

_AXES = frozenset("dim dims dim0 dim1 axis axis0 axis1 start_dim end_dim source destination dim1 dim2".split())

#: Arguments that say how torch is to work, and nothing of what comes out.
_MANNERS = frozenset("memory_format inplace copy non_blocking pin_memory".split())


@dataclass(frozen=True)
class CanonicalCall:
    """What a call is, but for the numbers that it is given.

    Attributes:
        op: name, with its namespace unless that is torch's own.
        arguments: (name, value) in the order of names; ``Given(i)`` where the i-th value goes.
        given: (dtype, shape) of every value that it is given; the network's own dtype is "own".
        result: likewise of what it returns.
    """

    op: str
    arguments: tuple[tuple[str, Any], ...]
    given: tuple[Any, ...]
    result: Any


@dataclass(frozen=True)
class Given:
    """The place of the i-th value that a call is given."""

    index: int


def canonical_call(call: Call, graph: Graph, values: Mapping[str, Any]) -> tuple[CanonicalCall, list[str]]:
    """The form of a call, and the names of the values that it is given.

    Args:
        call: a call of the graph.
        graph: for its constants and its own dtype.
        values: every value of the graph that is no constant, without its numbers: shape and dtype are read.

    >>> from algebraic_cnn.ir.trace import trace
    >>> graphs = [trace(layer.eval(), torch.zeros(1, 2)) for layer in (torch.nn.ReLU6(), torch.nn.Hardtanh(0, 6))]
    >>> meta = torch.zeros(1, 2, device="meta")
    >>> values = [{name: meta for name in (*g.inputs, g.calls[0].name)} for g in graphs]
    >>> first, second = (canonical_call(g.calls[0], g, known) for g, known in zip(graphs, values))
    >>> first[0] == second[0], first[0].op
    (True, 'clamp')
    """
    op, arguments = _renamed(call, _spelled(call, graph, values), graph)
    names: list[str] = []
    written = []
    for name, value in sorted(arguments.items()):
        leaves, spec = pytree.tree_flatten(value)
        seen = [_leaf(leaf, call, graph, values, names) for leaf in leaves]
        written.append((name, (str(spec), *seen) if leaves != [value] else seen[0]))
    given = tuple(_kind(values[name], graph.dtype) for name in names)
    result = pytree.tree_map(lambda leaf: _kind(leaf, graph.dtype), values[call.name])
    return CanonicalCall(op, tuple(written), given, _hashable(result)), names


def commutes(form: CanonicalCall) -> bool:
    """Whether the two values that a call is given may change places: they are its only tensors, and alike."""
    named = dict(form.arguments)
    return form.op in _COMMUTATIVE and len(form.given) == 2 and named.get("alpha", _ONE) in (_ONE, ("number", "1.0"))


def _spelled(call: Call, graph: Graph, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument by name, defaults filled in, axes counted from the front, one number for each axis."""
    arguments = call.bound()
    schema = getattr(call.target, "_schema", None)
    if schema is None:
        return arguments
    rank = _rank(arguments, values) + (call.op in ("unsqueeze", "stack"))
    known = [graph.constants.get(name, values.get(name)) for name in call.refs()]
    floats = any(isinstance(x, Tensor) and x.is_floating_point() for x in known)
    for argument in schema.arguments:
        name, value = argument.name, arguments.get(argument.name)
        if name in _MANNERS:
            arguments.pop(name, None)
        elif name in _AXES and rank:
            arguments[name] = pytree.tree_map(lambda axis: axis % rank if _is_int(axis) else axis, value)
        elif isinstance(value, int) and _is_int(value) and _takes_floats(argument, floats):
            arguments[name] = float(value) if float(value) == value else value
        elif isinstance(value, list | tuple) and len(value) == 1 and argument.N and argument.N > 1:
            arguments[name] = list(value) * argument.N
    if "stride" in arguments and "kernel_size" in arguments and not arguments["stride"]:
        arguments["stride"] = arguments["kernel_size"]
    if call.op in _REDUCTIONS:
        _reduce(arguments, rank)
    query = known[0] if known else None
    if call.op == "scaled_dot_product_attention" and arguments["scale"] is None and isinstance(query, Tensor):
        arguments["scale"] = 1.0 / math.sqrt(query.shape[-1])
    return {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}


def _takes_floats(argument: Any, floats: bool) -> bool:
    """Whether torch takes a number for a float: always, or in a call on floats."""
    return "float" in str(argument.type) or (floats and "number" in str(argument.type))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _rank(arguments: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    first = next((leaf for leaf in pytree.tree_leaves(list(arguments.values())) if isinstance(leaf, Ref)), None)
    return getattr(values.get(first.name), "ndim", 0) if first is not None else 0


def _reduce(arguments: dict[str, Any], rank: int) -> None:
    """The axes of a reduction: a list in order, all where none is named; Bessel's correction as a number."""
    named: Any = arguments.get("dim")
    axes: list[Any] = [named] if _is_int(named) else list(named or [])
    arguments["dim"] = sorted(axes) if axes else list(range(rank))
    arguments.setdefault("keepdim", False)
    if "unbiased" in arguments:
        arguments["correction"] = int(arguments.pop("unbiased"))
    if "correction" in arguments:
        arguments["correction"] = 1 if arguments["correction"] is None else arguments["correction"]


Arguments = dict[str, Any]


def _clamp(low: str | float | None, high: str | float | None) -> Callable[[Arguments], Arguments]:
    """Between two numbers: those of the arguments of that name, or the numbers themselves."""

    def rewritten(arguments: Arguments) -> Arguments:
        ends = (arguments[end] if isinstance(end, str) else end for end in (low, high))
        return {"self": arguments["self"], **dict(zip(("min", "max"), ends, strict=True))}

    return rewritten


def _swapped(arguments: Arguments) -> Arguments:
    return {"self": arguments["other"], "other": arguments["self"]}


def _softmax(arguments: Arguments) -> Arguments:
    return {"self": arguments["self"], "dim": arguments["dim"], "dtype": arguments.get("dtype")}


def _as_it_is(arguments: Arguments) -> Arguments:
    return arguments


_OTHER_NAMES: dict[str, tuple[str, Callable[[Arguments], Arguments]]] = {
    "relu": ("clamp", _clamp(0.0, None)),
    "relu6": ("clamp", _clamp(0.0, 6.0)),
    "hardtanh": ("clamp", _clamp("min_val", "max_val")),
    "clamp_min": ("clamp", _clamp("min", None)),
    "clamp_max": ("clamp", _clamp(None, "max")),
    "lt": ("gt", _swapped),
    "le": ("ge", _swapped),
    "special_expit": ("sigmoid", _as_it_is),
    "absolute": ("abs", _as_it_is),
    "max_pool2d_with_indices": ("max_pool2d", _as_it_is),
    "max_pool3d_with_indices": ("max_pool3d", _as_it_is),
    **dict.fromkeys(("_softmax", "softmax"), ("softmax", _softmax)),
    **dict.fromkeys(("_log_softmax", "log_softmax"), ("log_softmax", _softmax)),
}


def _renamed(call: Call, arguments: Arguments, graph: Graph) -> tuple[str, Arguments]:
    if call.op in _COMMUTATIVE and arguments.get("alpha", 1) == 1 and _given(arguments.get("other"), graph):
        return call.op, arguments if _given(arguments["self"], graph) else {**arguments, **_swapped(arguments)}
    if call.op not in _OTHER_NAMES or (call.op in ("lt", "le") and not isinstance(arguments["other"], Ref)):
        return call.op, arguments
    if arguments.get("half_to_float"):
        return call.op, arguments
    name, rewritten = _OTHER_NAMES[call.op]
    return name, rewritten(arguments)


def _given(value: Any, graph: Graph) -> bool:
    return isinstance(value, Ref) and value.name not in graph.constants


def _leaf(leaf: Any, call: Call, graph: Graph, values: Mapping[str, Any], names: list[str]) -> Any:
    """What stands in an argument: a place for a value, the numbers of a constant, a number, or itself."""
    if isinstance(leaf, Ref) and leaf.name in graph.constants:
        return _numbers(graph.constants[leaf.name], call, graph.dtype)
    if isinstance(leaf, Ref):
        names.append(leaf.name)
        return Given(len(names) - 1)
    size = getattr(leaf, "expression", None)
    if size is not None:
        return "size", size, repr(leaf)
    if isinstance(leaf, Submodule):
        return "program", digest_of(leaf.module)
    if isinstance(leaf, int | float) and not isinstance(leaf, bool):
        return "number", repr(leaf)
    return type(leaf).__name__, repr(leaf)


def _numbers(constant: Any, call: Call, own: torch.dtype) -> Any:
    """A constant by its dtype, shape and bits; axes of length 1 in front do not matter to a call entry by entry."""
    if not isinstance(constant, Tensor):
        return type(constant).__name__, repr(constant)
    shape = list(constant.shape)
    while pointwise(call) and shape[:1] == [1]:
        del shape[0]
    return "tensor", _dtype(constant.dtype, own), tuple(shape), bits(constant)


def bits(constant: Tensor) -> str:
    """SHA-256 of the numbers of a tensor, floats as float64: equal for equal numbers in any precision."""
    x = constant.detach().cpu()
    x = x.double() if x.is_floating_point() else x
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()


def _kind(value: Any, own: torch.dtype) -> Any:
    """What is known of a value without its numbers."""
    if isinstance(value, Tensor):
        return _dtype(value.dtype, own), tuple(int(n) for n in value.shape)
    return type(value).__name__, repr(value)


def _dtype(dtype: torch.dtype, own: torch.dtype) -> str:
    return "own" if dtype == own else str(dtype)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def digest_of(module: fx.GraphModule) -> str:
    """SHA-256 of a program inside a call: its calls by position, and its numbers."""
    digest = hashlib.sha256()
    for line in _lines(module):
        digest.update(line.encode())
    return digest.hexdigest()


def _lines(module: fx.GraphModule) -> Iterator[str]:
    places = {node: f"%{i}" for i, node in enumerate(module.graph.nodes)}
    for node in module.graph.nodes:
        held = _attribute(module, node.target) if node.op == "get_attr" else None
        if isinstance(held, fx.GraphModule):
            yield f"program {digest_of(held)};"
        elif isinstance(held, Tensor):
            yield f"tensor {held.dtype} {tuple(held.shape)} {bits(held)};"
        else:
            target = name_of(node.target) if node.op == "call_function" else node.op
            arguments = map_arg((node.args, node.kwargs), lambda inner: places[inner])
            yield f"{target} {arguments};"


def name_of(target: Any) -> str:
    """A name that is the same in every process."""
    return str(target) if hasattr(target, "_schema") else f"{target.__module__}.{target.__name__}"


def _attribute(module: Any, path: Any) -> Any:
    for name in str(path).split("."):
        module = getattr(module, name)
    return module
