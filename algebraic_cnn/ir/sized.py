"""A network at one batch size: every shape, dtype and number that its calls have there.

    Sized        the graph with a fixed batch, and every value of it without its numbers
    SizeNumber   a whole number that comes from the sizes of the inputs, and the expression that it is
    SizeFloat    likewise, a float
    sized        (graph, batch) -> Sized
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .graph import Call, Graph
from .resizing import followed


class _Expressed:
    """A number that a network works out from the sizes of its inputs.

    Attributes:
        expression: what it is, in terms of these sizes; "" where that is not known.
    """

    expression: str

    @classmethod
    def of(cls, number: Any, expression: str) -> Any:
        """The number, with its expression."""
        found: Any = cls(number)  # pyright: ignore[reportCallIssue]
        found.expression = expression
        return found


class SizeNumber(_Expressed, int):
    """An integer that a network works out from the sizes of its inputs."""


class SizeFloat(_Expressed, float):
    """A float that a network works out from the sizes of its inputs."""


@dataclass(frozen=True, eq=False)
class Sized:
    """A network at one batch size.

    Attributes:
        graph: its calls, with the shapes and the numbers that they have there.
        values: every input, constant and result of a call, without its numbers.
    """

    graph: Graph
    values: Mapping[str, Any]


def sized(graph: Graph, batch: int) -> Sized:
    """The network for batches of so many samples.

    Args:
        graph: a network; one that is bound to a batch size has that one.
        batch: how many samples.

    Raises:
        ShapeError: if torch refuses a call with this batch, or an axis that is not the batch is free.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layers = torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten()
    >>> [call.shape for call in sized(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 1, 8)), 5).graph.calls]
    [(5, 2, 6), (5, 12)]
    """
    shapes = [tuple(batch if n is None and axis == 0 else n for axis, n in enumerate(shape))
              for shape in graph.input_shapes]  # fmt: skip
    values = followed(graph, shapes, batch)
    numbers = {call.name: _number(values[call.name], call) for call in graph.calls if _is_number(values[call.name])}
    calls = tuple(
        replace(call.renamed(numbers), shape=_shape(values[call.name]), dtype=_dtype(values[call.name]))
        for call in graph.calls
        if call.name not in numbers
    )
    outputs = pytree.tree_map(lambda out: numbers.get(getattr(out, "name", ""), out), list(graph.outputs))
    fixed = [tuple(int(n) for n in values[name].shape) for name in graph.inputs]
    return Sized(replace(graph, input_shapes=tuple(fixed), calls=calls, outputs=tuple(outputs), batch=batch), values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | bool | torch.SymInt | torch.SymFloat | torch.SymBool)


def _number(value: Any, call: Call) -> Any:
    if isinstance(value, bool):
        return value
    kind = SizeNumber if isinstance(value, int) else SizeFloat
    return kind.of(value, call.size)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in value.shape) if isinstance(value, Tensor) else ()


def _dtype(value: Any) -> torch.dtype | None:
    return value.dtype if isinstance(value, Tensor) else None
