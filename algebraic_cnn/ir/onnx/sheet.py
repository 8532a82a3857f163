"""A graph of an ONNX file while its nodes are changed, and what is known of every value: who makes it, who reads it.

    Sheet        the nodes, their makers and readers, and the constants
    attribute    of a node, by its name

Every edit keeps makers and readers right, so that a rule may be asked of one node after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...extras import required
from ..graph import unused
from .bodies import names_of
from .lengths import Lengths
from .opaque import captured

#: Numbers of a constant that rules look at, at most.
_FEW = 4096


def attribute(node: Any, name: str) -> Any:
    """An attribute of a node; None if it is left out."""
    return next((a for a in node.attribute if a.name == name), None)


class Sheet:
    """The nodes of a graph under work.

    Args:
        model: the file, which is changed when ``write`` is called.
        weights: by name, initializers whose numbers were set aside.

    Attributes:
        nodes: None where a node is gone.
        kept: names that must stay: outputs, and what graphs inside nodes read.
        version: of ONNX's operators.
        lengths: what is known of shapes.
    """

    def __init__(self, model: Any, weights: Mapping[str, Any] = MappingProxyType({})) -> None:
        graph, self._weights = model.graph, weights
        self.model, self.nodes = model, [type(node).FromString(node.SerializeToString()) for node in graph.node]
        self.outputs = {value.name for value in graph.output}
        self.kept = self.outputs | {name for node in graph.node for name in captured(node)}
        self.version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self.given = {value.name for value in graph.input}
        self.numbers = {t.name: t for t in graph.initializer if t.name not in self.given}
        self.lengths = Lengths(model)
        self._taken = names_of(graph)
        self._arrays: dict[str, NDArray[Any]] = {}
        self.makers = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}
        self.readers: dict[str, set[int]] = {}
        for place, node in enumerate(self.nodes):
            self._read(place, node)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """The nodes that are there, with their places."""
        return ((place, node) for place, node in enumerate(self.nodes) if node is not None)

    def _read(self, place: int, node: Any) -> None:
        for name in (*node.input, *captured(node)):
            self.readers.setdefault(name, set()).add(place)

    def _unread(self, place: int, node: Any) -> None:
        for name in (*node.input, *captured(node)):
            self.readers[name].discard(place)

    def before(self, node: Any, number: int = 0) -> Any:
        """The node of ONNX's own that makes an input; None for none."""
        place = self.makers.get(node.input[number]) if len(node.input) > number else None
        found = None if place is None else self.nodes[place]
        return None if found is None or found.domain not in ("", "ai.onnx") else found

    def alone(self, name: str) -> bool:
        """Whether one node alone reads a value, and nothing else."""
        return len(self.readers.get(name, ())) == 1 and name not in self.kept

    def known(self, name: str) -> NDArray[Any] | None:
        """The numbers of a small constant."""
        tensor = self.numbers.get(name)
        if tensor is None or int(np.prod(list(tensor.dims))) > _FEW:
            return None
        if name not in self._arrays:
            self._arrays[name] = required("onnx", "onnx").numpy_helper.to_array(tensor)
        return self._arrays[name]

    def array(self, name: str) -> NDArray[Any]:
        """The numbers of a constant, of any size."""
        return required("onnx", "onnx").numpy_helper.to_array(self._weights.get(name, self.numbers[name]))

    def integers(self, name: str) -> list[int] | None:
        """A small constant of integers, as a list."""
        found = self.known(name) if name else None
        return None if found is None or found.dtype.kind not in "iu" else found.reshape(-1).tolist()

    def option(self, node: Any, name: str, number: int) -> list[int] | None:
        """Integers that are an attribute in one version and an input in another; None where they are not known."""
        found = attribute(node, name)
        if found is not None:
            return list(found.ints) if found.type == found.INTS else [found.i]
        return self.integers(node.input[number]) if len(node.input) > number else None

    def constant(self, numbers: Sequence[int] | NDArray[Any], hint: str) -> str:
        """The name of a new constant."""
        name = unused(hint, self._taken)
        self._taken.add(name)
        array = np.asarray(numbers) if isinstance(numbers, np.ndarray) else np.array(numbers, dtype=np.int64)
        self.numbers[name] = required("onnx", "onnx").numpy_helper.from_array(array, name)
        self.lengths.constant(name, self.numbers[name])
        return name

    def make(self, node: Any, op: str, inputs: Sequence[str], **attributes: Any) -> Any:
        """A node in the place of another, with its name and its outputs."""
        helper = required("onnx", "onnx").helper
        return helper.make_node(op, list(inputs), list(node.output), node.name, **attributes)

    def put(self, place: int, node: Any) -> None:
        """Another node that makes the same values."""
        self._unread(place, self.nodes[place])
        self.nodes[place] = node
        self._read(place, node)

    def remove(self, place: int) -> None:
        """Take out a node that nobody reads."""
        self._unread(place, self.nodes[place])
        for name in self.nodes[place].output:
            self.makers.pop(name, None)
        self.nodes[place] = None

    def same(self, place: int, name: str) -> bool:
        """Take out a node of one output that is another value; False where both names must stay."""
        out = self.nodes[place].output[0]
        if out not in self.kept:
            self.remove(place)
            self._rename(out, name)
            return True
        maker = self.makers.get(name)
        if maker is None or name in self.kept or out not in self.outputs or out in self._captured():
            return False
        self.remove(place)
        made = self.nodes[maker]
        made.output[:] = [out if each == name else each for each in made.output]
        self.makers[out] = self.makers.pop(name)
        self._rename(name, out)
        return True

    def alike(self, place: int, other: Any) -> bool:
        """Take out a node whose outputs are those of another; True."""
        names = list(zip(self.nodes[place].output, other.output, strict=True))
        self.remove(place)
        for old, new in names:
            if old:
                self._rename(old, new)
        return True

    def _captured(self) -> set[str]:
        return {name for _, node in self for name in captured(node)}

    def _rename(self, old: str, new: str) -> None:
        """Let those who read one value read another."""
        places = self.readers.pop(old, set())
        for place in places:
            node = self.nodes[place]
            node.input[:] = [new if name == old else name for name in node.input]
        self.readers.setdefault(new, set()).update(places)

    def write(self) -> None:
        """Put the nodes, and the constants that somebody reads, into the file."""
        graph = self.model.graph
        own = {tensor.name for tensor in graph.initializer}
        new = [tensor for name, tensor in self.numbers.items() if name not in own and self.readers.get(name)]
        del graph.node[:]
        graph.node.extend(node for _, node in self)
        graph.initializer.extend(new)
