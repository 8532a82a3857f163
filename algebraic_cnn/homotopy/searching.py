"""Schedules that are searched for: where t starts, when and how it ends, and in which order skips fade.

    Way         one choice; a trial trains a new network along it, at the same budget as every other
    objective   the accuracy at t = 0 on images that the training does not see
    pruning     a trial whose network is worse at t = 0 than the median of the others at that epoch is stopped
    storage     a file (Optuna's journal): a search that was killed goes on, and several processes share one

References:
    T. Akiba et al., Optuna: a next-generation hyperparameter optimization framework, KDD 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import HomotopyError, UnknownNameError
from ..extras import required
from ..models.data import Dataset
from .classifier import Recipe, accuracy, train
from .following import Plan
from .opening import mode
from .orders import TOGETHER, fading_orders, in_order
from .schedules import Cosine, Exponential, Linear, Step
from .strengths import SkipStrength, set_strength, strengths

CURVES = {"linear": Linear, "cosine": Cosine, "exponential": Exponential, "step": Step}
SAMPLERS = ("tpe", "cmaes", "random")
#: Steps of a schedule in an epoch, at most.
_PER_EPOCH = 10


@dataclass(frozen=True)
class Way:
    """How skips fade.

    Attributes:
        kind: of the curve: "linear", "cosine", "exponential" or "step".
        start: t at first.
        share: of the training after which all of them are at 0.
        order: the name of the order.
        names: the skips in that order; none for together.
    """

    kind: str
    start: float
    share: float
    order: str = TOGETHER
    names: tuple[str, ...] = ()

    def plan(self, steps: int) -> Plan:
        """The schedules, for a training of so many steps of a schedule."""
        fading = max(1, len(self.names), round(self.share * steps))
        curve = CURVES[self.kind]
        if not self.names:
            return Step(fading, self.start, stairs=min(4, fading)) if curve is Step else curve(fading, self.start)
        one = Linear if curve is Step else curve  # a skip's own stretch is a stair already
        return in_order(one, fading, self.start, self.names)


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        best: the way of the best trial.
        accuracy: its network's at t = 0, on the images held out.
        trials: every trial that ended: number, way, state, and the accuracy at t = 0 where it was not stopped.
    """

    best: Way
    accuracy: float
    trials: tuple[Mapping[str, Any], ...]


def search_schedule(
    make: Callable[[], nn.Module],
    data: Dataset,
    *,
    recipe: Recipe,
    trials: int = 20,
    sampler: str = "tpe",
    orders: Mapping[str, Sequence[str]] | None = None,
    held_out: float = 0.2,
    pruning: bool = True,
    storage: Path | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Search:
    """Search for the schedule whose network is best without skips, at a fixed budget of epochs.

    Args:
        make: a new network with skip strengths, the same at every call.
        data: the images; the last of those to train on are held out, those to test on are not used.
        recipe: how every trial is trained.
        trials: how many, those that are in the storage already included.
        sampler: "tpe" (Parzen estimators), "cmaes" (evolution of start and share; curve and order are drawn at random)
            or "random".
        orders: name to the skips in the order in which they fade, none for together; those of `fading_orders` if
            absent.
        held_out: the share of the training images that judges.
        pruning: stop trials that are worse than the median of the others.
        storage: a file, made if it is not there; several processes may work on one.
        seed: of the sampler.
        progress: called after each trial with (trials done, trials in all, words).

    Returns:
        The best way, its accuracy at t = 0, and all trials.

    Raises:
        MissingExtraError: if the extra "search" is not installed.
        UnknownNameError: if there is no such sampler.
        HomotopyError: if there is nothing to search for, or to judge by.
        NonFiniteError: if a training diverges.
    """
    optuna = required("optuna", "search")
    if sampler not in SAMPLERS:
        raise UnknownNameError("unknown sampler", expected=" | ".join(SAMPLERS), got=sampler, where="sampler")
    count = len(data.train_labels) - round(held_out * len(data.train_labels))
    if trials < 1 or not 0 < count < len(data.train_labels):
        expected = "trials >= 1, and images on both sides"
        raise HomotopyError("a search without end or measure", expected=expected, got=f"{trials}, {held_out}")
    orders = dict(fading_orders(make()) if orders is None else orders)
    part = replace(data, train_images=data.train_images[:count], train_labels=data.train_labels[:count],
                   test_images=data.train_images[count:], test_labels=data.train_labels[count:])  # fmt: skip
    study = _study(optuna, sampler, storage, seed, pruning)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

    def say(study: Any, trial: Any) -> None:
        done = len(study.get_trials(deepcopy=False, states=ended))
        if progress:
            progress(min(done, trials), trials, f"trial {trial.number}: {trial.state.name.lower()}")
        if done >= trials:
            study.stop()

    left = trials - len(study.get_trials(deepcopy=False, states=ended))
    if left > 0:
        study.optimize(lambda trial: _accuracy_of(optuna, trial, make(), part, recipe, orders), left, callbacks=[say])
    lines = tuple(
        {"number": trial.number, "way": asdict(_way(trial.params, orders)), "state": trial.state.name.lower(),
         "accuracy": trial.value if trial.state == ended[0] else None}
        for trial in study.get_trials(deepcopy=False, states=ended)
    )  # fmt: skip
    return Search(_way(study.best_trial.params, orders), float(study.best_value), lines)


def _study(optuna: Any, sampler: str, storage: Path | None, seed: int, pruning: bool) -> Any:
    """The search in that file, or a new one."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept = None
    if storage is not None:
        storage.parent.mkdir(parents=True, exist_ok=True)
        journal = optuna.storages.journal
        kept = optuna.storages.JournalStorage(journal.JournalFileBackend(str(storage)))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if pruning else optuna.pruners.NopPruner()
    study = optuna.create_study(
        storage=kept, study_name="schedules", direction="maximize", pruner=pruner, load_if_exists=True
    )
    seed += len(study.trials)  # a search that goes on must not repeat itself
    if sampler == "cmaes":
        required("cmaes", "search")
    kinds = {"tpe": "TPESampler", "cmaes": "CmaEsSampler", "random": "RandomSampler"}
    more = {"warn_independent_sampling": False} if sampler == "cmaes" else {}  # curve and order: at random, on purpose
    study.sampler = getattr(optuna.samplers, kinds[sampler])(seed=seed, **more)
    return study


def _way(chosen: Mapping[str, Any], orders: Mapping[str, Sequence[str]]) -> Way:
    return Way(**chosen, names=tuple(orders[chosen["order"]]))


def _accuracy_of(
    optuna: Any, trial: Any, model: nn.Module, data: Dataset, recipe: Recipe, orders: Mapping[str, Sequence[str]]
) -> float:
    """Train along what a trial suggests; the accuracy at t = 0."""
    way = _way({
        "kind": trial.suggest_categorical("kind", list(CURVES)),
        "start": trial.suggest_float("start", 0.25, 1.0),
        "share": trial.suggest_float("share", 0.2, 0.9),
        "order": trial.suggest_categorical("order", list(orders)),
    }, orders)  # fmt: skip
    per_epoch = -(-len(data.train_labels) // recipe.batch_size)
    interval = max(1, per_epoch // _PER_EPOCH)

    def judge(done: int, total: int, words: str) -> None:
        if done % per_epoch == 0 and done < total:
            trial.report(accuracy_at_zero(model, data), done // per_epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

    steps = (per_epoch * recipe.epochs - 1) // interval
    train(model, data, way.plan(steps), recipe=recipe, interval=interval, progress=judge)
    return accuracy(model, data.test_images, data.test_labels)


def accuracy_at_zero(model: nn.Module, data: Dataset) -> float:
    """The share of the test images that the network as it is classifies rightly with its skips at 0; it is left alone.

    Raises:
        HomotopyError: if no skip carries a strength.
    """
    before = strengths(model, SkipStrength)
    set_strength(model, SkipStrength, 0.0)
    with mode(model, training=False):
        found = accuracy(model, data.test_images, data.test_labels)
    set_strength(model, SkipStrength, before)
    return found
