"""Schedules: the way of a strength from a start to an end, with the habits of torch's schedulers.

    step()          one step along the way; returns the new strength
    value           the strength now
    done            whether the end is reached; a strength stays there
    state_dict()    where on the way it is, as numbers that JSON takes; load_state_dict puts it back
    wait            steps to stay at the start before the way begins: what orders one schedule after another

With u = (step - wait) / steps in [0, 1], a curve is start + (end - start) c(u), c from c(0) = 0 to c(1) = 1, and at
u = 1 it is the end itself, with no rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import HomotopyError
from .strengths import in_range


def require_way(conditions: Mapping[str, bool], where: str) -> None:
    """Refuse the numbers of a schedule of which one condition does not hold.

    Args:
        conditions: as they are written, and whether they hold.
        where: the schedule's name.

    Raises:
        HomotopyError: names the first condition that does not.
    """
    for expected, holds in conditions.items():
        if not holds:
            raise HomotopyError("a way that cannot be followed", expected=expected, where=where)


class Schedule:
    """A way from start to end in so many steps; the base of the curves.

    Args:
        steps: how many steps it takes.
        start: the strength at first.
        end: the strength at last.
        wait: steps to stay at the start.

    Raises:
        HomotopyError: if a strength is outside of [0, 1], `steps` is not a positive integer or `wait` a negative one.
    """

    def __init__(self, steps: int, start: float = 1.0, end: float = 0.0, wait: int = 0) -> None:
        where = type(self).__name__
        if not isinstance(steps, int) or steps < 1:
            raise HomotopyError("a schedule that never ends", expected="steps >= 1", got=steps, where=where)
        if not isinstance(wait, int) or wait < 0:
            raise HomotopyError("a schedule that never begins", expected="wait >= 0", got=wait, where=where)
        self.start, self.end = in_range(start, where), in_range(end, where)
        self.steps, self.wait = steps, wait
        self.last_step = 0

    def curve(self, u: float) -> float:
        """c(u), from c(0) = 0 to c(1) = 1."""
        return u

    @property
    def length(self) -> int:
        """How many steps it takes in all, the wait included."""
        return self.wait + self.steps

    @property
    def value(self) -> float:
        """The strength now."""
        if self.done:
            return self.end
        u = max(0, self.last_step - self.wait) / self.steps
        return self.start + (self.end - self.start) * self.curve(u)

    @property
    def done(self) -> bool:
        """Whether the end is reached."""
        return self.last_step >= self.length

    def step(self, loss: float | None = None) -> float:
        """One step along the way, whatever the loss; the new strength."""
        self.last_step += 1
        return self.value

    def state_dict(self) -> dict[str, Any]:
        """All that it knows."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go where that state was.

        Raises:
            HomotopyError: if it is the state of another kind of schedule.
        """
        if state.keys() != vars(self).keys():
            expected, got = ", ".join(vars(self)), ", ".join(state)
            raise HomotopyError("the state of another schedule", expected=expected, got=got, where=type(self).__name__)
        vars(self).update(state)


class Constant(Schedule):
    """One strength for ever.

    Args:
        value: the strength.

    Raises:
        HomotopyError: if it is outside of [0, 1].

    >>> Constant(0.5).step()
    0.5
    """

    def __init__(self, value: float = 1.0) -> None:
        super().__init__(1, value, value)

    @property
    def length(self) -> int:
        """It is where it ends from the first."""
        return 0


class Linear(Schedule):
    """c(u) = u; arguments and errors of ``Schedule``.

    >>> fade = Linear(4)
    >>> [fade.value] + [fade.step() for _ in range(5)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """


class Cosine(Schedule):
    """c(u) = (1 - cos(pi u)) / 2: slow at both ends; arguments and errors of ``Schedule``.

    >>> fade = Cosine(4, start=0.5)
    >>> [round(fade.step(), 3) for _ in range(4)]
    [0.427, 0.25, 0.073, 0.0]
    """

    def curve(self, u: float) -> float:
        """c(u)."""
        return (1 - math.cos(math.pi * u)) / 2


class Exponential(Schedule):
    """c(u) = (1 - e^(-rate u)) / (1 - e^(-rate)): every step removes the same share of what it can; it does end.

    Args:
        steps: how many steps it takes.
        start: the strength at first.
        end: the strength at last.
        wait: steps to stay at the start.
        rate: how much faster it is at first than at last, as a logarithm.

    Raises:
        HomotopyError: as for every schedule, and if the rate is not positive and finite.

    >>> fade = Exponential(3, rate=math.log(8))
    >>> [round(fade.step(), 3) for _ in range(3)]
    [0.429, 0.143, 0.0]
    """

    def __init__(
        self, steps: int, start: float = 1.0, end: float = 0.0, wait: int = 0, *, rate: float = math.log(100)
    ) -> None:
        super().__init__(steps, start, end, wait)
        if not 0 < rate < math.inf:
            raise HomotopyError("a rate that leads nowhere", expected="0 < rate < inf", got=rate, where="Exponential")
        self.rate = rate

    def curve(self, u: float) -> float:
        """c(u)."""
        return math.expm1(-self.rate * u) / math.expm1(-self.rate)


class Step(Schedule):
    """c(u) = floor(stairs u) / stairs: equal drops with rests between them.

    Args:
        steps: how many steps it takes.
        start: the strength at first.
        end: the strength at last.
        wait: steps to stay at the start.
        stairs: how many drops.

    Raises:
        HomotopyError: as for every schedule, and if there is no drop or more than there are steps.

    >>> fade = Step(4, stairs=2)
    >>> [fade.step() for _ in range(4)]
    [1.0, 0.5, 0.5, 0.0]
    """

    def __init__(self, steps: int, start: float = 1.0, end: float = 0.0, wait: int = 0, *, stairs: int = 4) -> None:
        super().__init__(steps, start, end, wait)
        if not 1 <= stairs <= steps:
            raise HomotopyError("drops without steps", expected=f"1 <= stairs <= {steps}", got=stairs, where="Step")
        self.stairs = stairs

    def curve(self, u: float) -> float:
        """c(u)."""
        return math.floor(self.stairs * u) / self.stairs
