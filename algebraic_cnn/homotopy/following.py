"""Schedules move the strengths of a model while it is trained.

    plan        one schedule for all strengths of a kind, or name to schedule
    interval    optimizer steps between two steps of the schedules; an epoch if absent
    rejected    an adaptive schedule went too far: model and momenta go back to where it last was right
    learned     strengths with gradients of their own: they move after every step of the optimizer
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import HomotopyError, ResistedError
from .adaptive import Adaptive
from .checkpoint import momenta, put_back
from .learned import Learned
from .schedules import Schedule
from .strengths import ActivationStrength, Kind, SkipStrength, carriers, require_known, set_strength, strengths

Plan = Schedule | Mapping[str, Schedule]


class Follower:
    """Moves the strengths of a model by its schedules, step by step, while a run trains it.

    Args:
        plans: kind of strength to plan.
        interval: optimizer steps between two steps of the schedules; an epoch's if absent.

    Raises:
        HomotopyError: if there are two adaptive schedules, or the interval is not positive.

    In a training loop of one's own, or in the callbacks of another library:

    >>> from algebraic_cnn.homotopy import Linear, skip_strengths, with_skip_strength
    >>> from algebraic_cnn.models import resnet18
    >>> x, y = torch.zeros(4, 1, 8, 8), torch.arange(4)
    >>> model = with_skip_strength(resnet18(), x)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    >>> follower = Follower({SkipStrength: Linear(2)}, interval=1)
    >>> follower.begin(model, optimizer, per_epoch=3, epochs=1)
    >>> for _ in range(3):
    ...     follower.before_step()
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.cross_entropy(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     _ = follower.after_step(float(loss.detach()))
    ...     print(skip_strengths(model)["layer1.0"])
    1.0
    0.5
    0.0
    >>> follower.end()
    """

    def __init__(self, plans: Mapping[Kind, Plan], interval: int | None = None) -> None:
        self.plans, self.interval = dict(plans), interval
        whole = {f"{kind.__name__} *": plan for kind, plan in plans.items() if isinstance(plan, Schedule)}
        parts = {f"{kind.__name__} {name}": schedule for kind, plan in plans.items() if isinstance(plan, Mapping)
                 for name, schedule in plan.items()}  # fmt: skip
        self.schedules: dict[str, Schedule] = whole | parts
        adaptive = sum(isinstance(schedule, Adaptive) for schedule in self._each().values())
        if adaptive > 1:
            raise HomotopyError("adaptive schedules judge by one loss", expected="at most one", got=adaptive)
        if interval is not None and interval < 1:
            raise HomotopyError("schedules that never move", expected="interval >= 1", got=interval)
        self._first = {name: schedule.state_dict() for name, schedule in self.schedules.items()}
        self._losses: list[float] = []
        self._kept: dict[str, torch.Tensor] = {}

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer, per_epoch: int, epochs: int) -> None:
        """Set the strengths at the start.

        Raises:
            HomotopyError: if a schedule has no strength to move, or would end only after the training.
            UnknownNameError: if a plan names what the model does not have.
        """
        self._model, self._optimizer = model, optimizer
        self._interval = self.interval or per_epoch
        for kind, plan in self.plans.items():
            if isinstance(plan, Mapping):
                require_known(carriers(model, kind), plan, kind)
        steps = (per_epoch * epochs - 1) // self._interval
        for name, schedule in self.schedules.items():
            if schedule.length > steps:
                what = "a schedule that ends only after the training"
                raise HomotopyError(what, expected=f"at most {steps} steps", got=schedule.length, where=name)
        for kind, name, schedule in self._learning():
            schedule.begin([name])
            carriers(model, kind)[name].strength.requires_grad_(True)
        self._move()
        self._keep()

    def before_step(self) -> None:
        """Move the strengths when it is time.

        Raises:
            ResistedError: if an adaptive schedule gives up; the model is back where it last was right.
        """
        if len(self._losses) >= self._interval:
            self._judge()

    def after_step(self, loss: float) -> bool:
        """Note the loss; one that is no number is judged at once: whether the model was taken back."""
        self._losses.append(loss)
        if math.isfinite(loss):
            self._descend()
        return not math.isfinite(loss) and self._judge()

    def report(self) -> dict[str, Any]:
        """The strengths; nothing of a model that has none."""
        words = {"skips": SkipStrength, "activations": ActivationStrength}
        found = {word: strengths(self._model, kind) for word, kind in words.items()}
        return found if any(found.values()) else {}

    def recipe(self) -> dict[str, Any]:
        """The schedules as they were at first."""
        kinds = {name: type(schedule).__name__ for name, schedule in self.schedules.items()}
        return {"interval": self.interval, "kinds": kinds, "schedules": self._first}

    def save(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Where the schedules are, and what an adaptive one may go back to."""
        states = {name: schedule.state_dict() for name, schedule in self.schedules.items()}
        return {"schedules": states, "losses": self._losses}, self._kept

    def load(self, state: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from there."""
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state["schedules"][name])
        self._losses = list(state["losses"])
        self._kept = dict(tensors)

    def end(self) -> None:
        """Complain about an adaptive or learned schedule that has not arrived; the model stays as it was trained.

        Raises:
            ResistedError: if there is one.
        """
        for name, schedule in self._each().items():
            if len(self._losses) >= self._interval and not schedule.done:
                schedule.step(self._mean())
            if isinstance(schedule, Adaptive) and not schedule.done:
                sides = {"expected": schedule.end, "got": f"{schedule.accepted:.6g} after {schedule.last_step} steps"}
                raise ResistedError("the training ended before the schedule", **sides, where=name)
        resisting = []
        for kind, name, schedule in self._learning():
            carriers(self._model, kind)[name].strength.requires_grad_(False).grad = None
            if name in schedule.resisting:
                resisting.append(f"{name} at {schedule.strengths[name]:.6g}")
        if resisting:
            expected = "more steps, penalty or growth"
            raise ResistedError("strengths resisted", expected=expected, got=", ".join(resisting))

    def _learning(self) -> Iterator[tuple[Kind, str, Learned]]:
        """The strengths that are learned, with their schedules."""
        for kind, plan in self.plans.items():
            names = plan if isinstance(plan, Mapping) else carriers(self._model, kind)
            for name in names:
                schedule = plan[name] if isinstance(plan, Mapping) else plan
                if isinstance(schedule, Learned):
                    yield kind, name, schedule

    def _descend(self) -> None:
        """Let the strengths that are learned take a step by their gradients."""
        gradients: dict[int, dict[str, float]] = {}
        by_number: dict[int, Learned] = {}
        for kind, name, schedule in self._learning():
            strength = carriers(self._model, kind)[name].strength
            gradients.setdefault(id(schedule), {})[name] = 0.0 if strength.grad is None else float(strength.grad)
            by_number[id(schedule)] = schedule
            strength.grad = None
        for number, schedule in by_number.items():
            schedule.descend(gradients[number])
        if by_number:
            self._move()

    def _each(self) -> dict[str, Schedule]:
        """Every schedule once, by the first name that it goes by."""
        names = {id(schedule): name for name, schedule in reversed(self.schedules.items())}
        return {name: self.schedules[name] for name in reversed(names.values())}

    def _mean(self) -> float:
        return sum(self._losses) / len(self._losses)

    def _judge(self) -> bool:
        """Let every schedule take a step by the mean loss; whether the model was taken back."""
        mean = self._mean()
        self._losses = []
        try:
            for schedule in self._each().values():
                schedule.step(mean)
        finally:  # one that gives up takes the model back, too
            adaptive = [schedule for schedule in self._each().values() if isinstance(schedule, Adaptive)]
            back = any(schedule.rejected for schedule in adaptive)
            if back:
                put_back(self._model, self._optimizer, _part(self._kept, "model/"), _part(self._kept, "momentum/"))
            self._move()
        if any(schedule.tries == 0 for schedule in adaptive) and not back:
            self._keep()
        return back

    def _move(self) -> None:
        for kind, plan in self.plans.items():
            if isinstance(plan, Learned):
                value = plan.strengths
            else:
                value = plan.value if isinstance(plan, Schedule) else {name: _now(s, name) for name, s in plan.items()}
            set_strength(self._model, kind, value)

    def _keep(self) -> None:
        """Remember model and momenta, where something may want to go back."""
        if any(isinstance(schedule, Adaptive) for schedule in self.schedules.values()):
            kept = {f"model/{name}": value for name, value in self._model.state_dict().items()}
            kept |= {f"momentum/{name}": value for name, value in momenta(self._model, self._optimizer).items()}
            self._kept = {name: value.clone() for name, value in kept.items()}


def _now(schedule: Schedule, name: str) -> float:
    return schedule.strengths[name] if isinstance(schedule, Learned) else schedule.value


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
