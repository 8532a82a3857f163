"""A node of an ONNX file while it is read, and the tables of what is made of it.

    Node       operator, version, attributes, what it is given
    Reader     function from (Builder, Node) to its value, or list of values
    attribute  an attribute as Python has it

Where an operator has moved an attribute to an input, ``ints`` and ``value`` ask both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .builder import Builder
from .values import Sizes, Unread, Value

Given = Value | Sizes | None


class Attributes(dict[str, Any]):
    """The attributes of a node, and which of them were asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where it is left out."""
        self.asked.add(name)
        return super().get(name, default)


@dataclass(frozen=True, eq=False)
class Node:
    """One node.

    Attributes:
        op: its operator.
        version: of the operators of its domain in this file.
        attributes: by name.
        given: its inputs; None for one that is left out.
        outputs: how many outputs somebody names.
        builder: what its calls are written with.
    """

    op: str
    version: int
    attributes: Attributes
    given: tuple[Given, ...]
    outputs: int
    builder: Builder

    def has(self, place: int) -> bool:
        """Whether it is given an input there."""
        return len(self.given) > place and self.given[place] is not None

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where it is left out."""
        return self.attributes.get(name, default)

    def word(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def x(self, place: int = 0) -> Value:
        """An input as a tensor.

        Raises:
            Unread: if it is left out.
        """
        found = self.given[place] if self.has(place) else None
        if found is None:
            raise Unread(f"no input {place}")
        return self.builder.tensor(found)

    def optional(self, place: int) -> Value | None:
        """An input as a tensor; None where it is left out."""
        return self.x(place) if self.has(place) else None

    def floating(self, place: int = 0) -> Value:
        """An input as a tensor of floats.

        Raises:
            Unread: if it is of another kind.
        """
        x = self.x(place)
        if not x.dtype.is_floating_point:
            raise Unread("no floats")
        return x

    def sizes(self, place: int) -> Sizes:
        """An input as numbers that sizes decide.

        Raises:
            Unread: if it is left out, or depends on the input.
        """
        found = self.given[place] if self.has(place) else None
        if found is None:
            raise Unread(f"no input {place}")
        return self.builder.sizes(found)

    def ints(self, name: str, place: int) -> list[Any] | None:
        """Integers that are an attribute in one version and an input in another."""
        if name in self.attributes:
            value = self.attributes[name]
            return list(value) if isinstance(value, list | tuple) else [value]
        return list(self.sizes(place).reshape(-1)) if self.has(place) else None

    def refuse(self, *names: str) -> None:
        """Refuse attributes that are not read.

        Raises:
            Unread: if the node has one of them.
        """
        for name in names:
            if self.attributes.get(name):
                raise Unread(f"its attribute {name} is not read")

    def only(self, outputs: int = 1) -> None:
        """Refuse more outputs.

        Raises:
            Unread: if somebody reads one.
        """
        if self.outputs > outputs:
            raise Unread("more than one output")


Reader = Callable[[Builder, Node], Any]


#: Attributes that say what is known otherwise, or nothing where they were not asked for.
_SILENT = frozenset(
    "kernel_shape pads dilations strides ratio seed momentum is_test epsilon cubic_coeff_a extrapolation_value "
    "nearest_mode keepdims consumed_inputs width_scale height_scale value saturate round_mode".split()
)


def require_read(attributes: Attributes) -> None:
    """Refuse a node with an attribute that nobody asked for: it may say anything.

    Raises:
        Unread: names it.
    """
    unknown = sorted(set(attributes) - attributes.asked - _SILENT)
    if unknown:
        raise Unread(f"its attribute {unknown[0]} is not read")


def attribute(value: Any) -> Any:
    """ONNX keeps a number such as epsilon = 1e-5 as float32; it is the shortest decimal that rounds to that."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def dtype_of(element: int) -> torch.dtype | None:
    """The dtype of ONNX's number for one; None where torch has none."""
    return _DTYPES.get(element)


def element_of(dtype: torch.dtype) -> int:
    """ONNX's number for a dtype; 0 where it has none."""
    return next((element for element, each in _DTYPES.items() if each == dtype), 0)


#: Those on which torch computes.
_DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip
