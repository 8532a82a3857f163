"""For which batch sizes a program speaks, and numbers that it works out from its free sizes.

    allowed    program -> the batch sizes around that of the example for which everything holds that torch took for true
    narrow     say in the program that it speaks of fewer
    Sizes      the free sizes of a program by their names: an expression in them is a text that can be compared

torch.export writes down which sizes its program takes, as ranges, and what it took for true on its way, as guards:
after ``if len(x) % 8:`` the program is that of one branch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .dynamic_shapes import between, fixed

#: Guards are asked of so many batch sizes; a guard that holds for all of them holds for all.
_ASKED = 1024

#: Samples that are taken in groups: the largest group that is looked for.
_MOST_STEP = 64


class Sizes:
    """The free sizes of a program: "N" is the batch size, "n1_2" the length of axis 2 of input 1."""

    def __init__(self, program: ExportedProgram) -> None:
        self.batch: list[Any] = []
        self._names: dict[Any, Any] = {}
        self._values: dict[Any, int] = {}
        self.environments: list[Any] = []
        examples = pytree.tree_leaves(program.example_inputs)
        for number, value in enumerate(inputs_of(program)):
            for axis, length in enumerate(cast("Any", value.shape) if isinstance(value, Tensor) else ()):
                if fixed(length) is None and length.node.expr.is_symbol:
                    self._add(length.node.expr, number, axis)
                    if number < len(examples) and isinstance(examples[number], Tensor):
                        self._values.setdefault(length.node.expr, int(examples[number].shape[axis]))
                    self.environments = [length.node.shape_env]
        guards = (env.replace(guard.expr) for env in self.environments for guard in env.guards)
        self._guards = self._of_the_batch([*guards, *self._asserted()])
        self._ranges = [between(program.range_constraints.get(symbol), least=1) for symbol in self.batch]

    def _add(self, symbol: Any, number: int, axis: int) -> None:
        if symbol not in self._names:
            name = "N" if axis == 0 and not self.batch else f"n{number}_{axis}"
            self._names[symbol] = type(symbol)(name, integer=True, positive=True)
        if axis == 0 and symbol not in self.batch:
            self.batch.append(symbol)

    def _asserted(self) -> list[Any]:
        """What torch did not take for true, but has the program assert, where the batch size alone decides it."""
        asserted = [some for env in self.environments for some in env.deferred_runtime_asserts.values()]
        return [each.expr for some in asserted for each in some if each.expr.free_symbols <= set(self.batch)]

    def _of_the_batch(self, guards: Iterable[Any]) -> list[Any]:
        """Guards with all sizes but the batch size as in the example; those that this makes true are left out."""
        import sympy

        values = {symbol: sympy.Integer(n) for symbol, n in self._values.items()}
        values |= dict.fromkeys(self.batch, self.batch[0] if self.batch else None)
        return [guard for guard in (guard.xreplace(values) for guard in guards) if guard is not sympy.true]

    def text(self, value: Any) -> str:
        """A size that is not known as an expression; "" for one that is known, and for what is no size."""
        if not isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return ""
        expression = value.node.expr
        return str(expression.xreplace(self._names)) if expression.free_symbols else ""

    def counts(self, value: Any) -> bool:
        """Whether a value is a size that the batch size enters."""
        known = isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)
        return known and not value.node.expr.free_symbols.isdisjoint(self.batch)

    @property
    def own(self) -> int:
        """The batch size of the example; 0 if it is not known."""
        return self._values.get(self.batch[0], 0) if self.batch else 0

    @property
    def least(self) -> int:
        """The least batch size in the ranges of the program."""
        return max((each.start for each in self._ranges), default=1)

    @property
    def most(self) -> int:
        """The largest, ``sys.maxsize - 1`` where there is none."""
        return min((each.stop for each in self._ranges), default=sys.maxsize) - 1

    @property
    def guarded(self) -> bool:
        """Whether torch took anything for true, or asserts it, that is not true of every batch size."""
        return bool(self._guards)

    def holds(self, batch: int) -> bool:
        """Whether all that torch took for true is true of a batch of this size, all else as in the example."""
        import sympy

        values = {symbol: sympy.Integer(batch) for symbol in self.batch[:1]}
        return all(guard.xreplace(values) is not sympy.false for guard in self._guards)


def inputs_of(program: ExportedProgram) -> list[Any]:
    """What a program says of each of its inputs."""
    names = program.graph_signature.user_inputs
    return [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def allowed(program: ExportedProgram, own: int = 0) -> range:
    """The batch sizes of which a program speaks; without end where the range ends at ``sys.maxsize``.

    Args:
        program: with a free batch axis.
        own: a size that is surely among them; that of the example, if it is not given.

    Returns:
        The sizes around it in equal steps; all sizes for a program without free batch axis.

    >>> class Halved(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x / 2 if x.shape[0] < 5 else x
    >>> shapes = ({0: torch.export.Dim.AUTO},)
    >>> allowed(torch.export.export(Halved(), (torch.zeros(3, 2),), dynamic_shapes=shapes))[-1]
    4
    """
    sizes = Sizes(program)
    if not sizes.batch:
        return range(1, sys.maxsize)
    least, most = sizes.least, sizes.most
    start = min(max(own or sizes.own or least, least), most)
    if not sizes.guarded:
        return range(least, most + 1)
    step = next((step for step in range(1, _MOST_STEP + 1) if _goes_on(sizes, start, step)), 0)
    if not step:
        return range(start, start + 1)
    low, high = start, start
    while low - step >= least and sizes.holds(low - step):
        low -= step
    while high < min(most, start + _ASKED * step) and sizes.holds(high + step):
        high += step
    return range(low, most + 1 if high >= start + _ASKED * step else high + 1, step)


def _goes_on(sizes: Sizes, start: int, step: int) -> bool:
    """Whether all that torch took for true is true again some steps away."""
    near = [n for n in (start + step, start + 2 * step) if n <= sizes.most] or [start - step]
    return near[0] >= sizes.least and all(map(sizes.holds, near[:1] if start > step else near))


def narrow(program: ExportedProgram, values: range) -> None:
    """Say in a program that it speaks of these batch sizes; what torch took for true is then said."""
    from torch.utils._sympy.numbers import int_oo
    from torch.utils._sympy.value_ranges import ValueRanges

    sizes = Sizes(program)
    for symbol in sizes.batch:
        last = int_oo if values.stop == sys.maxsize else values[-1]
        program.range_constraints[symbol] = ValueRanges(values.start, last)
    for environment in sizes.environments if values.step == 1 else ():
        environment.guards.clear()
