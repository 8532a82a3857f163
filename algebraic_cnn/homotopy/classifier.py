"""Training a classifier, along a homotopy or not, and going on where it was interrupted, bit for bit.

    Recipe        everything that decides the result: epochs, batch size, step size, seed ...
    EpochRecord   what one epoch achieved
    train         stochastic gradient descent with momentum, step size up and down once (Smith 2018)

All that is random in an epoch depends on the seed and the epoch alone, so a resumed run is the same run.

References:
    L. N. Smith, A disciplined approach to neural network hyper-parameters, arXiv:1803.09820, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..certification.certificate import versions
from ..errors import GeometryError, NonFiniteError
from ..files.records import write_records
from ..models.data import Dataset
from .checkpoint import read_checkpoint, restore, write_checkpoint
from .following import Follower, Plan
from .overruns import SafeConvolutions
from .strengths import ActivationStrength, Kind, SkipStrength

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Recipe:
    """What decides a training run.

    Attributes:
        epochs: number of passes over the training images.
        batch_size: images per step.
        learning_rate: the largest step size; it rises to it over the first 3/10 of the steps and falls to 0.
        momentum: of stochastic gradient descent (Nesterov's).
        weight_decay: factor of the squared norm in the loss.
        seed: of the order of the images and of Dropout; the model's own initial weights are the caller's.
        amp: compute in bfloat16 where torch's autocast does so.
        channels_last: keep the channels of a pixel together in memory, where torch computes gradients rightly so.

    Raises:
        GeometryError: if a number is out of its range.
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    amp: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not 0 < self.learning_rate < math.inf:
            expected = "epochs >= 1, batch_size >= 2, learning_rate > 0"
            got = f"{self.epochs}, {self.batch_size}, {self.learning_rate}"
            raise GeometryError("a recipe that cannot be followed", expected=expected, got=got, where="Recipe")

    def step_size(self, step: int, steps: int) -> float:
        """The step size at a step of so many: two half cosines, up and down.

        >>> [round(Recipe(learning_rate=1.0).step_size(step, 10), 2) for step in (0, 3, 10)]
        [0.04, 1.0, 0.0]
        """
        peak = 0.3 * steps
        low, done = (0.04, step / peak) if step < peak else (0.0, (steps - step) / (steps - peak))
        return self.learning_rate * (low + (1 - low) * (1 - math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch achieved: mean loss over its images, and the share of test images classified rightly after it.

    ``more`` is what there is to say of strengths.
    """

    epoch: int
    loss: float
    accuracy: float
    more: Mapping[str, Any] = field(default_factory=dict)


def train(
    model: nn.Module,
    data: Dataset,
    schedule: Plan | None = None,
    *,
    activations: Plan | None = None,
    recipe: Recipe | None = None,
    interval: int | None = None,
    checkpoint: Path | None = None,
    records: Path | None = None,
    progress: Progress | None = None,
) -> list[EpochRecord]:
    """Train a classifier in place while schedules move its strengths, if there are any; leave it in evaluation mode.

    A run with a checkpoint that is interrupted and started again ends bit for bit where it would have ended.

    Args:
        model: images (N, *image_shape) to scores (N, classes), on any device; with the strengths that are to move,
            from `with_skip_strength` or `with_activation_strength`.
        data: the images.
        schedule: of t: one for all skips that carry a strength, or name to schedule for some.
        activations: of s, likewise.
        recipe: how to train; the default if absent.
        interval: optimizer steps between two steps of the schedules; an epoch's if absent.
        checkpoint: a file written after every epoch; if it holds a run with the same recipe and the same schedules,
            that run goes on.
        records: a file of one JSON line per epoch, with the strengths, the seed and the versions.
        progress: called after every step with (steps done, steps in all, words).

    Returns:
        One record per epoch; its ``more`` has "skips" and "activations", name to strength, if there are any.

    Raises:
        HomotopyError: if a schedule has no strength to move, or would end only after the training; if there are two
            adaptive ones.
        ResistedError: if an adaptive schedule gave up, or strengths are not at their ends when the training is over.
        UnknownNameError: if a plan names what the model does not have.
        NonFiniteError: if the loss is no longer a number; the checkpoint keeps the last good epoch.
        DataError: if the checkpoint is damaged or of another model.

    References:
        [JV24, sec. 4]: t scheduled down to 0 in training.

    >>> from algebraic_cnn.models.data import load_digits
    >>> from algebraic_cnn.homotopy import Linear, with_skip_strength
    >>> from algebraic_cnn.models.resnet import BasicBlock
    >>> digits = load_digits(test_size=1700)
    >>> network = nn.Sequential(BasicBlock(1, 1, 1, False, 1.0), nn.Flatten(), nn.Linear(64, 10))
    >>> network = with_skip_strength(network, digits.train_images[:2])
    >>> records = train(network, digits, Linear(2), recipe=Recipe(epochs=3, batch_size=32))
    >>> [record.more["skips"] for record in records]
    [{'0': 1.0}, {'0': 0.5}, {'0': 0.0}]
    """
    recipe = recipe or Recipe()
    plans: dict[Kind, Plan | None] = {SkipStrength: schedule, ActivationStrength: activations}
    follower = Follower({kind: plan for kind, plan in plans.items() if plan is not None}, interval)
    if recipe.channels_last:
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    how = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay, "nesterov": True, "fused": True}
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate, **how)
    per_epoch = len(_batches(data.train_labels, recipe.batch_size))
    follower.begin(model, optimizer, per_epoch, recipe.epochs)
    run = _Run(model, optimizer, data, recipe, per_epoch, checkpoint, follower, progress)
    done = run.resume()
    for epoch in range(len(done), recipe.epochs):
        loss = run.epoch(epoch)
        right = accuracy(model, data.test_images, data.test_labels)
        done.append(EpochRecord(epoch + 1, loss, right, follower.report()))
        run.save(done)
        if records:
            made_with = {"seed": recipe.seed, "versions": versions()}
            write_records(records, [asdict(record) | made_with for record in done])
    model.eval()
    follower.end()
    return done


def predictions(model: nn.Module, images: torch.Tensor, *, batch_size: int = 250) -> torch.Tensor:
    """The class of the largest score for each image, shape (N,), computed in evaluation mode on the model's device."""
    device = next((p.device for p in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    model.eval()
    with torch.no_grad():
        return torch.cat([model(batch.to(device)).argmax(dim=1).cpu() for batch in images.split(batch_size)])


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images whose largest score is that of their label."""
    return float((predictions(model, images) == labels).double().mean())


@dataclass(frozen=True, eq=False)
class _Run:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    data: Dataset
    recipe: Recipe
    per_epoch: int
    checkpoint: Path | None
    follower: Follower
    progress: Progress | None

    def epoch(self, epoch: int) -> float:
        """One pass over the training images; the mean loss."""
        seed = 1_000_003 * self.recipe.seed + epoch
        order = torch.randperm(len(self.data.train_labels), generator=torch.Generator().manual_seed(seed))
        steps = self.per_epoch * self.recipe.epochs
        total = 0.0
        self.model.train()
        device = next(self.model.parameters()).device
        safe = SafeConvolutions()  # whatever the recipe: a model may bring a layout of its own
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            for number, batch in enumerate(_batches(order, self.recipe.batch_size), start=epoch * self.per_epoch):
                for group in self.optimizer.param_groups:
                    group["lr"] = self.recipe.step_size(number, steps)
                self.follower.before_step()
                with safe if safe.met or number == epoch * self.per_epoch else nullcontext():
                    loss = self._step(batch)
                if not self.follower.after_step(loss) and not math.isfinite(loss):
                    kept = f"; the last good epoch is in {self.checkpoint}" if self.checkpoint and epoch else ""
                    where = f"epoch {epoch + 1}, step {number + 1}{kept}"
                    raise NonFiniteError("training diverged (a smaller learning rate may help)", where=where)
                total += loss * len(batch) if math.isfinite(loss) else 0.0
                if self.progress:
                    self.progress(number + 1, steps, f"epoch {epoch + 1}/{self.recipe.epochs}  loss {loss:.3f}")
        return total / len(order)

    def _step(self, batch: torch.Tensor) -> float:
        device = next(self.model.parameters()).device
        images, labels = self.data.train_images[batch].to(device), self.data.train_labels[batch].to(device)
        if self.recipe.channels_last:
            images = images.to(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.amp):
            loss = nn.functional.cross_entropy(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def save(self, records: list[EpochRecord]) -> None:
        """Write the checkpoint."""
        if self.checkpoint:
            state, tensors = self.follower.save() if self.follower.plans else ({}, {})
            notes = {"recipe": self._decides(), "records": [asdict(record) for record in records], "companion": state}
            write_checkpoint(self.checkpoint, self.model, self.optimizer, notes, tensors)

    def resume(self) -> list[EpochRecord]:
        """Go where the checkpoint left off; the epochs done, none if there is nothing to resume."""
        if self.checkpoint is None or not self.checkpoint.is_file():
            return []
        checkpoint = read_checkpoint(self.checkpoint)
        if checkpoint.notes.get("recipe") != self._decides():
            return []
        restore(self.checkpoint, checkpoint, self.model, self.optimizer)
        if self.follower.plans:
            self.follower.load(checkpoint.notes["companion"], checkpoint.more)
        return [EpochRecord(**record) for record in checkpoint.notes["records"]]

    def _decides(self) -> dict[str, Any]:
        return asdict(self.recipe) | ({"companion": self.follower.recipe()} if self.follower.plans else {})


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Images in batches; a last batch of one image joins its neighbour, for BatchNorm needs two."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
