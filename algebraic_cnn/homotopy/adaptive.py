"""The adaptive schedule: predictor-corrector continuation along the path of trained networks from start to end.

    predict     go on by the step size; the weights stay
    correct     train there; ``step(loss)`` says how well that went
    accept      loss <= factor max(best, floor), best the least loss accepted so far: the step size grows
    reject      too many corrections without that: back to the last accepted strength, whose weights must be put
                back (``rejected``), with a smaller step
    stall       a step size below the smallest: an error, with the place; never silence

References:
    E. L. Allgower, K. Georg, Introduction to Numerical Continuation Methods, SIAM 2003, chapters 2 and 6.
"""

from __future__ import annotations

import math

from ..errors import HomotopyError, ResistedError
from .schedules import Schedule, require_way


class Adaptive(Schedule):
    """A way whose steps are as long as the loss allows.

    Args:
        start: the strength at first.
        end: the strength at last.
        wait: steps to stay at the start.
        size: the first step size.
        smallest: the step size below which the way is given up.
        factor: how much worse than the best a loss may be.
        floor: losses below it count as equally good.
        corrections: how often one strength is tried.
        grow: what an accepted step multiplies the step size by.
        shrink: what a rejected one does.

    Raises:
        HomotopyError: if a strength is outside of [0, 1], or the numbers would let it stand still for ever.

    >>> fade = Adaptive(size=0.5, corrections=1, grow=1)
    >>> fade.step(1.0), fade.step(1.1), fade.rejected           # accepted at 1, at 0.5; tries 0
    (0.5, 0.0, False)
    >>> fade.step(9.0), fade.rejected                           # back to 0.5, then on by half the step
    (0.25, True)
    """

    def __init__(
        self,
        start: float = 1.0,
        end: float = 0.0,
        wait: int = 0,
        *,
        size: float = 0.125,
        smallest: float = 0.001,
        factor: float = 1.5,
        floor: float = 0.01,
        corrections: int = 3,
        grow: float = 2.0,
        shrink: float = 0.5,
    ) -> None:
        super().__init__(1, start, end, wait)
        numbers = {"0 < smallest <= size <= 1": 0 < smallest <= size <= 1, "1 <= factor < inf": 1 <= factor < math.inf,
                   "0 < floor < inf": 0 < floor < math.inf, "corrections >= 1": corrections >= 1,
                   "1 <= grow < inf": 1 <= grow < math.inf, "0 < shrink < 1": 0 < shrink < 1}  # fmt: skip
        require_way(numbers, "Adaptive")
        self.size, self.smallest, self.factor, self.floor = size, smallest, factor, floor
        self.corrections, self.grow, self.shrink = corrections, grow, shrink
        self.accepted = self.trying = self.start
        self.best: float | None = None
        self.tries = 0
        self.rejected = False

    @property
    def length(self) -> int:
        """The fewest steps it can take: nobody knows how many it will."""
        return self.wait + 1

    @property
    def value(self) -> float:
        """The strength that is being tried."""
        return self.trying

    @property
    def done(self) -> bool:
        """Whether the end was tried and accepted."""
        return self.accepted == self.end

    def step(self, loss: float | None = None) -> float:
        """Judge the strength that was tried by its loss; the strength to try next.

        Raises:
            HomotopyError: if there is no loss.
            ResistedError: if the way is given up; the message says where.
        """
        if loss is None:
            raise HomotopyError("an adaptive schedule steps by the loss", expected="step(loss)", where="Adaptive")
        self.last_step += 1
        self.tries += 1
        self.rejected = False
        good = math.isfinite(loss) and (self.best is None or loss <= self.factor * max(self.best, self.floor))
        if good or self.trying == self.accepted:
            self._accept(loss)
        elif self.tries >= self.corrections or not math.isfinite(loss):
            self._reject(loss)
        return self.trying

    def _accept(self, loss: float) -> None:
        if self.trying != self.accepted and self.tries == 1:
            self.size = min(1.0, self.size * self.grow)
        if math.isfinite(loss):
            self.best = loss if self.best is None else min(self.best, loss)
        self.accepted, self.tries = self.trying, 0
        if self.last_step > self.wait:
            self.trying = self._ahead()

    def _reject(self, loss: float) -> None:
        self.size *= self.shrink
        if self.size < self.smallest:
            best = "no good one before" if self.best is None else f"best {self.best:.4g}"
            got = f"loss {loss:.4g} at {self.trying:.6g}, {best}"
            what = f"the path could not be followed beyond {self.accepted:.6g}"
            self.trying, self.rejected = self.accepted, True
            raise ResistedError(what, expected=f"a loss within {self.factor} of the best", got=got, where="Adaptive")
        self.trying, self.tries, self.rejected = self._ahead(), 0, True

    def _ahead(self) -> float:
        """The last accepted strength, one step size nearer to the end."""
        left = self.end - self.accepted
        return self.end if abs(left) <= self.size else self.accepted + math.copysign(self.size, left)
