"""Training a classifier, and going on where it was interrupted, bit for bit.

    Recipe        everything that decides the result: epochs, batch size, step size, seed ...
    EpochRecord   what one epoch achieved
    train         stochastic gradient descent with momentum, step size up and down once (Smith 2018)
    checkpoint    one ``.safetensors`` file: parameters, momenta, and the recipe and records as its metadata

The order of the images in an epoch depends on the seed and the epoch alone, so a resumed run is the same run.

References:
    L. N. Smith, A disciplined approach to neural network hyper-parameters, arXiv:1803.09820, 2018.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from .data import Dataset
from .errors import DataError, GeometryError, NonFiniteError
from .files import whole_file

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
        seed: of the initial order; the model's own initial weights are the caller's.

    Raises:
        GeometryError: if a number is out of its range.
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0

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
    """What one epoch achieved: mean loss over its images, and the share of test images classified rightly after it."""

    epoch: int
    loss: float
    accuracy: float


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> list[EpochRecord]:
    """Train a classifier in place; leave it in evaluation mode; return one record per epoch.

    Args:
        model: images (N, *image_shape) to scores (N, classes), on any device.
        data: the images.
        recipe: how.
        checkpoint: a file written after every epoch; if it holds a run with the same recipe, that run goes on.
        progress: called after every step with (steps done, steps in all, words).

    Raises:
        NonFiniteError: if the loss is no longer a number; the checkpoint keeps the last good epoch.
        DataError: if the checkpoint is damaged or of another model.
    """
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    records = _resume(checkpoint, model, optimizer, recipe)
    device = next(model.parameters()).device
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    per_epoch = -(-len(labels) // recipe.batch_size)
    steps = per_epoch * recipe.epochs
    for epoch in range(len(records), recipe.epochs):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch))
        model.train()
        total = 0.0
        for number, batch in enumerate(_batches(order, recipe.batch_size), start=epoch * per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = recipe.step_size(number, steps)
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(batch)
            if not math.isfinite(total):
                where = f"epoch {epoch + 1}, step {number + 1}"
                raise NonFiniteError("training diverged (a smaller learning rate may help)", where=where)
            if progress:
                progress(number + 1, steps, f"epoch {epoch + 1}/{recipe.epochs}  loss {float(loss.detach()):.3f}")
        records.append(EpochRecord(epoch + 1, total / len(labels), accuracy(model, data.test_images, data.test_labels)))
        if checkpoint:
            _save(checkpoint, model, optimizer, recipe, records)
    model.eval()
    return records


def predictions(model: nn.Module, images: torch.Tensor, *, batch_size: int = 250) -> torch.Tensor:
    """The class of the largest score for each image, shape (N,), computed in evaluation mode on the model's device."""
    device = next((p.device for p in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    model.eval()
    with torch.no_grad():
        return torch.cat([model(batch.to(device)).argmax(dim=1).cpu() for batch in images.split(batch_size)])


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images whose largest score is that of their label."""
    return float((predictions(model, images) == labels).double().mean())


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """The order in batches; a last batch of one image joins its neighbour, for BatchNorm needs two."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _momenta(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = {name: optimizer.state[p].get("momentum_buffer") for name, p in model.named_parameters()}
    return {f"momentum/{name}": buffer for name, buffer in state.items() if buffer is not None}


def _save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, records: list[EpochRecord]
) -> None:
    from safetensors.torch import save_file

    tensors = {f"model/{name}": value.contiguous() for name, value in model.state_dict().items()}
    metadata = {"recipe": json.dumps(asdict(recipe)), "records": json.dumps([asdict(record) for record in records])}
    with whole_file(path) as unfinished:
        save_file({**tensors, **_momenta(model, optimizer)}, unfinished, metadata=metadata)


def _resume(
    path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe
) -> list[EpochRecord]:
    """Put model and optimizer where the checkpoint left them; the epochs done, none if there is nothing to resume."""
    from safetensors import SafetensorError, safe_open

    if path is None or not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if json.loads(metadata["recipe"]) != asdict(recipe):
                return []
            records = [EpochRecord(**record) for record in json.loads(metadata["records"])]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
        for name, parameter in model.named_parameters():
            optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum/{name}"].to(parameter.device)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        what = f"not a checkpoint of this model, delete it to start anew ({reason})"
        raise DataError(what, where=path) from error
    return records
