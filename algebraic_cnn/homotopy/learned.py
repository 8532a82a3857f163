"""The learned schedule: strengths are trained with the weights, and pulled to their end until they are there.

descend     t - rate g, g the gradient of the loss by t: what the network itself wants
proximal    then nearer to the end by rate penalty, and no further than it: the step of the penalty |t - end|, which
            reaches the end exactly and not only nearly (Beck, Teboulle 2009); a strength that is there stays
growth      what the penalty is multiplied by at every step of the schedule, so that no strength resists for ever
resisting   the strengths that are not at the end

References:
    A. Beck, M. Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sciences 2 (2009).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .schedules import Schedule, require_way


class Learned(Schedule):
    """A way that every strength finds for itself.

    Args:
        start: the strength at first.
        end: the strength at last, 0 or 1.
        wait: steps of the schedule to stay at the start.
        rate: how far a strength moves for a gradient of 1, at every step of the optimizer.
        penalty: the gradient against which a strength can hold, at first.
        growth: what the penalty is multiplied by at every step of the schedule.

    Raises:
        HomotopyError: if a strength is outside of [0, 1], the end inside of it, or a number is out of its range.

    >>> fade = Learned(rate=0.5, penalty=1.0)
    >>> fade.begin(["a", "b"])
    >>> fade.descend({"a": 0.0, "b": -1.0})                              # b is wanted as much as the penalty pulls
    {'a': 0.5, 'b': 1.0}
    >>> fade.descend({"a": 0.0, "b": 0.0}), fade.resisting
    ({'a': 0.0, 'b': 0.5}, ('b',))
    """

    def __init__(
        self,
        start: float = 1.0,
        end: float = 0.0,
        wait: int = 0,
        *,
        rate: float = 0.01,
        penalty: float = 0.1,
        growth: float = 1.1,
    ) -> None:
        super().__init__(1, start, end, wait)
        numbers = {"0 < rate < inf": 0 < rate < math.inf, "0 < penalty < inf": 0 < penalty < math.inf,
                   "1 <= growth < inf": 1 <= growth < math.inf, "end 0 or 1": end in (0, 1)}  # fmt: skip
        require_way(numbers, "Learned")
        self.rate, self.penalty, self.growth = rate, penalty, growth
        self.strengths: dict[str, float] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Take these strengths on, at the start unless they are known."""
        self.strengths = dict.fromkeys(names, self.start) | self.strengths

    @property
    def value(self) -> float:
        """The mean of the strengths; the start before there are any."""
        return sum(self.strengths.values()) / len(self.strengths) if self.strengths else self.start

    @property
    def done(self) -> bool:
        """Whether all strengths are at the end."""
        return bool(self.strengths) and not self.resisting

    @property
    def resisting(self) -> tuple[str, ...]:
        """The names of the strengths that are not at the end."""
        return tuple(name for name, t in self.strengths.items() if t != self.end)

    def descend(self, gradients: Mapping[str, float]) -> dict[str, float]:
        """One step of the optimizer, by the gradients of the loss: the strengths after it."""
        if self.last_step >= self.wait:
            pull = self.rate * self.penalty * self.growth ** (self.last_step - self.wait)
            for name in self.resisting:
                t = self.strengths[name] - self.rate * gradients[name]
                distance = max(0.0, (t - self.end if self.end == 0 else self.end - t) - pull)
                self.strengths[name] = min(distance, 1.0) if self.end == 0 else max(self.end - distance, 0.0)
        return dict(self.strengths)

    def state_dict(self) -> dict[str, Any]:
        """All that it knows."""
        return super().state_dict() | {"strengths": dict(self.strengths)}
