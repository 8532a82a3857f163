"""Calls of a graph, written one by one: what reads a file of another kind writes with it.

    Trials     the lengths of all free sizes at every trial, and which of them is the batch size
    Builder    calls and constants so far; a call on constants alone is carried out

torch says the shape of every value, on tensors without numbers, once for every trial.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..graph import Call, Ref, Rows, leaves, mapped, unused
from ..known_shapes import measured
from ..nodes import op_of
from .values import Bound, Refused, Size, Sizes, Unread, Value

#: Lengths of the batch axis at the trials.
BATCHES = (2, 3, 5)

#: How many numbers a file may make of constants, and of how many nobody asks first.
_NUMBERS, _SMALL = 2**28, 2**20

#: How many numbers a value may have at the sizes that are tried.
_LARGEST = 2**31

_ATEN = torch.ops.aten


@dataclass(eq=False)
class Builder:
    """Calls and constants so far.

    Attributes:
        lengths: of every free size, by its name, its length at every trial; "N" is the batch size.
        trials: how many there are.
        calls: so far.
        constants: so far.
        names: that are taken.
        place: where calls stand, and which node makes them.
        wanted: what the file calls the values of that node.
        made: how many numbers were made of constants.
        places: by the name of a free size, an input and its axis that has this length.
        blocks: by the name of an image whose channels are in blocks in the file, whether the blocks are an axis there.
    """

    lengths: Mapping[str, tuple[int, ...]]
    trials: int
    calls: list[Call] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    place: tuple[str, str] = ("", "")
    wanted: list[str] = field(default_factory=list)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    blocks: dict[str, bool] = field(default_factory=dict)
    made: int = 0

    def fresh(self, hint: str) -> str:
        """A name that no value has."""
        base = re.sub(r"\W+", "_", hint).strip("_") or "value"
        base = base if not base[0].isdigit() else f"n_{base}"
        name = unused(base, self.names)
        self.names.add(name)
        return name

    def given(self, name: str, shapes: Sequence[Sequence[int]], dtype: torch.dtype) -> Value:
        """An input: its name is taken as it is, its shapes are those at every trial."""
        return Value(name, tuple(torch.empty(shape, dtype=dtype, device="meta") for shape in shapes))

    def constant(self, x: Tensor, hint: str = "constant") -> Value:
        """A tensor of known numbers."""
        name = self.fresh(hint)
        self.constants[name] = x
        return Value(name, (torch.empty_like(x, device="meta"),) * self.trials, x)

    def call(self, target: Any, *args: Any, hint: str = "", **kwargs: Any) -> Any:
        """One call: its value, or a list of values.

        Raises:
            Refused: if torch refuses the call at the first trial.
            Bound: if it refuses it at some.
        """
        given = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Value | Size)]
        known = all(isinstance(leaf, Value) and leaf.constant is not None for leaf in given)
        if known and not getattr(target, "endless", False):
            return self._folded(target, args, kwargs)
        shells = list(self._tried(target, args, kwargs))
        placed, named = mapped(self._ref, (args, kwargs))
        name = self.fresh(hint or self._hint(target))
        several = isinstance(shells[0], tuple | list)
        self._append(name, target, placed, named, () if several else shells)
        if not several:
            return Value(name, tuple(shells))
        found = []
        for index, parts in enumerate(zip(*shells, strict=True)):
            part = self.fresh(f"{name}_{index}")
            self._append(part, operator.getitem, (Ref(name), index), {}, parts)
            found.append(Value(part, tuple(parts)))
        return found

    def number(self, function: Any, *args: Any, text: str = "") -> Any:
        """A function of numbers, some of which are sizes; a plain number where it is the same at every trial."""
        rows = [[a.numbers[trial] if isinstance(a, Size) else a for a in args] for trial in range(self.trials)]
        found = tuple(function(*row) for row in rows)
        if len(set(found)) == 1:
            return found[0]
        name = self.fresh(function.__name__)
        text = text or self._text(function.__name__, args)
        referred = tuple(map(self._ref, args))
        self.calls.append(Call(name, op_of(function), function, referred, {}, (), *self.place, size=text))
        return Size(found, name, text, self.number)

    def length(self, x: Value, axis: int) -> int | Size:
        """The length of an axis: a number, or a free size."""
        numbers = x.lengths(axis)
        if len(set(numbers)) == 1:
            return numbers[0]
        text = next((name for name, lengths in self.lengths.items() if lengths == numbers), "")
        name = self.fresh("sym_size")
        # asked of an input where that has it, so that the value itself need not be made
        given = self.places.get(text, (x.name, axis))
        args = (Ref(given[0]), given[1])
        self.calls.append(Call(name, "sym_size", _ATEN.sym_size.int, args, {}, (), *self.place, size=text))
        return Size(numbers, name, text, self.number)

    def tensor(self, value: Value | Sizes, dtype: torch.dtype | None = None) -> Value:
        """A tensor, also of sizes that are all known.

        Raises:
            Unread: if one of them is free.
        """
        if isinstance(value, Value):
            return value
        found = list(value.reshape(-1))
        if any(isinstance(each, Size) for each in found):
            raise Unread("a free size as a number of a tensor")
        kind = dtype or (torch.float32 if any(isinstance(each, float) for each in found) else torch.int64)
        return self.constant(torch.tensor(found, dtype=kind).reshape(value.shape))

    def sizes(self, value: Value | Sizes) -> Sizes:
        """Numbers as an array of objects.

        Raises:
            Unread: if they depend on the input.
        """
        if not isinstance(value, Value):
            return value
        if value.constant is None or value.constant.numel() > 4096:
            raise Unread("a number that depends on the input")
        flat = np.empty(value.constant.numel(), dtype=object)
        flat[:] = value.constant.reshape(-1).tolist()
        return flat.reshape(tuple(value.constant.shape))

    def mark(self) -> int:
        """Where the calls end, to forget later ones."""
        return len(self.calls)

    def forget(self, mark: int) -> None:
        """Take back the calls since a mark."""
        del self.calls[mark:]

    def allow(self, numbers: int) -> None:
        """Count numbers that are about to be made.

        Raises:
            Unread: if all are more than a file may make.
        """
        self.made += numbers
        if self.made > _NUMBERS:
            raise Unread("more numbers than a file may make of constants")

    def _folded(self, target: Any, args: Any, kwargs: Any) -> Any:
        given = leaves((args, kwargs))
        counts = [leaf.constant.numel() for leaf in given if isinstance(leaf, Value) and leaf.constant is not None]
        factor = math.prod(abs(leaf) + 1 for leaf in given if isinstance(leaf, int))
        if max(counts, default=1) * factor > _SMALL:  # how many it makes is asked first
            shells = next(self._tried(target, args, kwargs))
            self.allow(sum(shell.numel() for shell in leaves(shells) if isinstance(shell, Tensor)))
        args, kwargs = mapped(lambda leaf: leaf.constant if isinstance(leaf, Value) else leaf, (args, kwargs))
        try:
            with torch.no_grad():
                found = target(*args, **kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise Unread(_reason(error)) from error
        return self.constant(found) if isinstance(found, Tensor) else [self.constant(part) for part in found]

    def _tried(self, target: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        """What the call gives at every trial, without numbers."""
        for trial in range(self.trials):

            def at(leaf: Any, trial: int = trial) -> Any:
                if isinstance(leaf, Value):
                    return leaf.shells[trial]
                return leaf.numbers[trial] if isinstance(leaf, Size) else leaf

            tried, named = mapped(at, (args, kwargs))
            try:
                with torch.no_grad():
                    found = measured(target, tried, named)
                for leaf in leaves(found):
                    if isinstance(leaf, Tensor) and leaf.numel() > _LARGEST:
                        raise Unread("a value of more numbers than a computer holds")
                yield mapped(lambda leaf: leaf.to("meta") if isinstance(leaf, Tensor) else leaf, found)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                if trial:
                    raise Bound(f"{self.place[0]}: {_reason(error)}") from error
                raise Refused(_reason(error)) from error

    def _append(self, name: str, target: Any, args: Any, kwargs: Any, shells: Sequence[Tensor]) -> None:
        shape = self._shape(shells) if shells else ()
        dtype = shells[0].dtype if shells else None
        self.calls.append(Call(name, op_of(target), target, args, kwargs, shape, *self.place, dtype))

    def _shape(self, shells: Sequence[Tensor]) -> tuple[int | None, ...]:
        shape: list[int | None] = []
        for axis, row in enumerate(zip(*(shell.shape for shell in shells), strict=True)):
            fixed = len(set(row)) == 1
            rows = not fixed and axis == 0 and "N" in self.lengths and tuple(row) != self.lengths["N"]
            shape.append(int(row[0]) if fixed else Rows.of(int(row[0]), int(row[1])) if rows else None)
        return tuple(shape)

    def _hint(self, target: Any) -> str:
        return self.wanted[0] if self.wanted else op_of(target).replace("::", "_")

    def _ref(self, leaf: Any) -> Any:
        return Ref(leaf.name) if isinstance(leaf, Value | Size) else leaf

    def _text(self, function: str, args: Sequence[Any]) -> str:
        texts = [a.text if isinstance(a, Size) else str(a) for a in args]
        return f"{function}({', '.join(texts)})" if all(texts) else ""


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
