"""A network as a small frozen graph of calls.

Graph       inputs, calls in order of execution, constants (parameters and buffers), outputs
Call        one ATen call: its op, its arguments, the shape of its result, where in the model it stands
Ref         the value of an input, of a constant or of an earlier call, by name
Rows        a first axis that grows with the batch but is not as long
Submodule   a part of the model that a call runs as it sees fit: a branch, the body of a loop
needed      the calls that some values need
free batch  the first axis is symbolic: the graph runs on any batch size
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..errors import NotAffineError, ShapeError
from .image_sizes import ImageSizes, Size


def unused(hint: str, taken: Container[str]) -> str:
    """The hint, or the hint with the least number that makes it a name that is not taken.

    >>> unused("conv", {"conv", "conv_2"})
    'conv_3'
    """
    name, count = hint, 1
    while name in taken:
        count += 1
        name = f"{hint}_{count}"
    return name


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """A value with a function applied to every leaf, as torch's ``tree_map`` does it; much faster on plain arguments.

    >>> mapped(str, ((1, [2]), {"key": None}))
    (('1', ['2']), {'key': 'None'})
    """
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([mapped(function, part) for part in value])
    if kind is dict:
        return {key: mapped(function, part) for key, part in value.items()}
    if isinstance(value, tuple | list | dict):
        return pytree.tree_map(function, value)
    return function(value)


def leaves(value: Any) -> list[Any]:
    """What a value is made of: the leaves of its tuples, lists and mappings, in order."""
    found: list[Any] = []
    mapped(found.append, value)
    return found


@dataclass(frozen=True)
class Ref:
    """The value called ``name``: of an input, a constant or an earlier call."""

    name: str


class Rows(int):
    """The length of a first axis that goes with the batch size N and is not N, such as 16 N or N - 1.

    As an int it is the length for one sample, 1 at least.  It equals another that is alike at two batch sizes, and no
    int.

    Attributes:
        lengths: for batches of two and of three.
        multiple: k where it is known to be k N for every N; else 0.

    >>> Rows.of(32, 48), Rows.of(32, 48) == Rows.of(32, 48), Rows.of(32, 48) == 16
    (Rows.of(32, 48), True, False)
    """

    lengths: tuple[int, int]
    multiple: int

    @classmethod
    def of(cls, two: int, three: int, multiple: int = 0) -> Rows:
        """From the lengths for batches of two and of three, and k where they are k N for every N."""
        rows = cls(max(1, 2 * two - three))
        rows.lengths, rows.multiple = (two, three), multiple
        return rows

    @classmethod
    def drawn(cls, length: Any) -> Rows | None:
        """A free first axis as ``torch.export`` has it: None where it is a symbol itself, as the batch size is."""
        expression = length.node.expr
        two, three = (int(expression.subs(dict.fromkeys(expression.free_symbols, n))) for n in (2, 3))
        factor, rest = expression.as_coeff_Mul()
        multiple = int(factor) if rest.is_Symbol and factor.is_Integer else 0
        return None if expression.is_Symbol else cls.of(two, three, multiple)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and other.lengths == self.lengths

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.lengths)

    def __repr__(self) -> str:
        return f"Rows.of{self.lengths}"


@dataclass(frozen=True, eq=False)
class Submodule:
    """A part of the model that a call runs as it sees fit: a branch of ``torch.cond``, the body of a loop.

    Attributes:
        module: its calls, as ``torch.export`` drew them.
    """

    module: torch.fx.GraphModule


@dataclass(frozen=True, eq=False)
class Call:
    """One ATen call of the model.

    Attributes:
        name: the name of its value.
        op: the ATen name without overload, such as "conv2d" or "add"; with its namespace where that is another one,
            "mylib::add"; "operator.mul" or "torch.sym_max" for arithmetic on sizes.
        target: the callable itself.
        args: positional arguments, with ``Ref`` where an earlier value goes, and ``Submodule``.
        kwargs: keyword arguments, likewise.
        shape: shape of the result, None on symbolic axes, ``Rows`` on a first one that is not as long as the batch;
            () for a size or a tuple of tensors.
        where: file, line and text of the model's source.
        module: dotted path of the module that made the call, "" for the model itself.
        dtype: of the result; None for a size or a tuple, and for calls that no model made.
        size: the result as an expression in the network's free sizes, where it is a size that is not known; "N" is the
            batch size, "n1_2" the length of axis 2 of input 1.
        counted: whether the batch size enters its numbers, and not its shape alone.
    """

    name: str
    op: str
    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: Size
    where: str
    module: str
    dtype: torch.dtype | None = None
    size: str = ""
    counted: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in a file has: torch's calls by name, for they are no data."""
        name = getattr(self.target, "_name", None)
        named = isinstance(self.target, torch._ops.OpOverload) and isinstance(name, str)
        return {**self.__dict__, "target": None if named else self.target, "overload": name if named else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        name = state.pop("overload")
        self.__dict__.update(state)
        if name is not None:
            namespace, _, rest = name.partition("::")
            op, _, overload = rest.partition(".")
            packet = getattr(getattr(torch.ops, namespace), op)
            self.__dict__["target"] = getattr(packet, overload or "default")

    def bound(self) -> dict[str, Any]:
        """Every argument by its name in the ATen schema, defaults filled in."""
        schema = getattr(self.target, "_schema", None)
        if schema is None:
            return {str(index): value for index, value in enumerate(self.args)}
        named = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        named |= dict(zip((a.name for a in schema.arguments), self.args, strict=False))
        return named | dict(self.kwargs)

    def resolved(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments, with the value where a ``Ref`` or a ``Submodule`` stands."""

        def value(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return values[leaf.name]
            return leaf.module if isinstance(leaf, Submodule) else leaf

        return mapped(value, (self.args, dict(self.kwargs)))

    def renamed(self, values: Mapping[str, Any]) -> Call:
        """The call with other values in the places of some."""
        if values.keys().isdisjoint(self._names):
            return self

        def renamed(leaf: Any) -> Any:
            return values.get(leaf.name, leaf) if isinstance(leaf, Ref) else leaf

        args, kwargs = mapped(renamed, (self.args, dict(self.kwargs)))
        return replace(self, args=args, kwargs=kwargs)

    def refs(self) -> Iterator[str]:
        """Names of the values that it uses."""
        return iter(self._names)

    def parts(self) -> list[Submodule]:
        """The parts of the model that it runs as it sees fit."""
        return [leaf for leaf in self.leaves() if isinstance(leaf, Submodule)]

    def leaves(self) -> list[Any]:
        """Every argument, those in lists and tuples one by one."""
        return leaves((self.args, dict(self.kwargs)))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(leaf.name for leaf in self.leaves() if isinstance(leaf, Ref))


@dataclass(frozen=True, eq=False)
class Graph:
    """A model as calls.

    Attributes:
        inputs: names of the inputs, in the order of the model's arguments.
        input_shapes: their shapes, None on symbolic axes.
        calls: the calls that the outputs need, in order of execution.
        constants: parameters, buffers and constant tensors by name.
        outputs: flat list of outputs: ``Ref`` or plain values.
        out_spec: how the flat outputs nest.
        batch: the batch size that the graph is bound to, or None if it runs on any.
        dtype: of the network's numbers: the first floating dtype of an input, else of a parameter.
        in_spec: how the flat inputs nest into the model's arguments; None for a part of a model.
        paths: dotted path in the model of every parameter and buffer among the constants.
        input_dtypes: dtypes of the inputs; that of the first for all where it is empty.
        example_shapes: shapes of the inputs in the example, if they are known.
        sizes: the image sizes that it takes, if there is more than one.
        batch_sizes: the least batch size for which the graph is the model, and the largest, None where there is none.
        batch_step: the steps between them, where samples are taken in groups.
        state: the buffers that the model writes, dotted paths by the names of their inputs.  They are the last of
            ``inputs``, have no batch axis, and are no arguments of the model.
        writes: of each of the last of ``outputs``, the input that takes its value when the calls are made: one of
            ``state``, or an argument that the model overwrites.  They are no results of the model.
        initial: what the buffers of ``state`` hold, by the names of their inputs.
        parameters: of the constants that are parameters, or made of some, whether one of these requires a gradient.
        note: what every statement of the network must say as well, "" for nothing.
    """

    inputs: tuple[str, ...]
    input_shapes: tuple[Size, ...]
    calls: tuple[Call, ...]
    constants: Mapping[str, Tensor]
    outputs: tuple[Any, ...]
    out_spec: Any
    batch: int | None
    dtype: torch.dtype
    in_spec: Any = None
    paths: Mapping[str, str] = field(default_factory=dict)
    input_dtypes: tuple[torch.dtype, ...] = ()
    example_shapes: tuple[tuple[int, ...], ...] = ()
    sizes: ImageSizes | None = None
    batch_sizes: tuple[int, int | None] = (1, None)
    batch_step: int = 1
    state: Mapping[str, str] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    initial: Mapping[str, Tensor] = field(default_factory=dict)
    parameters: Mapping[str, bool] = field(default_factory=dict)
    note: str = ""

    @property
    def device(self) -> torch.device:
        """Where the constants are; the CPU where there are none."""
        tensors = (x.device for x in self.constants.values() if isinstance(x, Tensor) and not x.is_meta)
        return next(tensors, torch.device("cpu"))

    @property
    def least(self) -> int:
        """The least batch size that it takes."""
        return self.batch or self.batch_sizes[0]

    def takes(self, batch: int) -> bool:
        """Whether it is its model for batches of this size."""
        least, most = self.batch_sizes
        if self.batch is not None:
            return batch == self.batch
        return least <= batch and (most is None or batch <= most) and (batch - least) % self.batch_step == 0

    def shapes(self) -> dict[str, Size]:
        """The shape of every value by name: inputs, constants and calls."""
        shapes: dict[str, Size] = dict(zip(self.inputs, self.input_shapes, strict=True))
        shapes |= {name: tuple(tensor.shape) for name, tensor in self.constants.items() if isinstance(tensor, Tensor)}
        return shapes | {call.name: call.shape for call in self.calls}

    def dtypes(self) -> dict[str, torch.dtype]:
        """The dtype of every value by name, where it is known: inputs, constants and calls."""
        dtypes = dict(zip(self.inputs, self.input_dtypes, strict=False))
        dtypes |= {name: tensor.dtype for name, tensor in self.constants.items() if isinstance(tensor, Tensor)}
        return dtypes | {call.name: call.dtype for call in self.calls if call.dtype is not None}

    def dependent(self) -> frozenset[str]:
        """Names of the values whose entries depend on an input: on its entries, or on the size of the batch."""
        names = set(self.inputs)
        for call in self.calls:
            if call.counted or (not call.op.startswith("sym_") and any(name in names for name in call.refs())):
                names.add(call.name)
        return frozenset(names)

    def single(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """in_shape and out_shape without batch axis, of a graph with one input and one output tensor.

        Raises:
            NotAffineError: if the graph has several inputs or outputs, writes what it is given, or has an output that
                is no tensor.
            ShapeError: if an axis other than the batch is symbolic, or there is no batch axis.
        """
        if self.writes:
            got = ", ".join(self.state.get(name, name) for name in self.writes)
            raise NotAffineError("a network that writes is no map of its input", expected="no writes", got=got)
        if len(self.inputs) != 1 or len(self.outputs) != 1 or not isinstance(self.outputs[0], Ref):
            got = f"{len(self.inputs)} inputs, {len(self.outputs)} outputs"
            raise NotAffineError("an affine map has one input and one output tensor", expected="1 and 1", got=got)
        shapes = self.shapes()
        pair = shapes[self.inputs[0]], shapes.get(self.outputs[0].name, ())
        if any(len(shape) == 0 or None in shape[1:] for shape in pair) or pair[0][0] != pair[1][0]:
            raise ShapeError("input and output need one batch axis and fixed other axes", got=pair, where="trace")
        return tuple(int(n or 0) for n in pair[0][1:]), tuple(int(n or 0) for n in pair[1][1:])


def needed(
    calls: Sequence[Call], names: Iterable[str], stops: Collection[str] = ()
) -> tuple[tuple[Call, ...], set[str]]:
    """The calls that some values need, and the names of all values that they use, the given ones included.

    Args:
        calls: in order of execution.
        names: of the values.
        stops: names of values that are given, so that nothing is needed for them.
    """
    used, kept = set(names), []
    for call in reversed(calls):
        if call.name in used and call.name not in stops:
            used.update(call.refs())
            kept.append(call)
    return tuple(reversed(kept)), used
