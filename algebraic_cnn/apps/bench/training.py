"""What the training loop costs beside the plain loop of torch that one would write: a whole epoch and its evaluation.

    plain    images in memory, cross entropy, SGD with Nesterov's momentum, the step size set before every step
    ours     ``homotopy.train`` with the same recipe, with skips that fade where the network carries strengths

Both start from the same weights and see the same batches, so without fading skips they end with the same bits, which
is checked before anything is timed.

What the loop itself adds to a step does not depend on the network.  It drowns in the noise of a large one, so it is
read from the smallest, a single linear layer.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ...collapsing.measurement import interleaved_rounds
from ...errors import DataError
from ...homotopy import Linear, with_skip_strength
from ...homotopy.classifier import Recipe, train
from ...models.data import Dataset
from ...models.resnet import RESNETS, ResNet


def linear_layer() -> nn.Module:
    """The smallest network that learns images of 8 x 8 pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


Case = tuple[Callable[[], nn.Module], int, int]

#: Name to network, image size, images of the epoch.
CASES: Mapping[str, Case] = {
    "one linear layer, 8x8": (linear_layer, 8, 4096),
    "narrow ResNet34, 8x8": (partial(RESNETS["resnet34-narrow"], 1, 10), 8, 2048),
    "narrow ResNet34, 28x28": (partial(RESNETS["resnet34-narrow"], 1, 10), 28, 1024),
    "ResNet18, 28x28": (partial(RESNETS["resnet18"], 1, 10), 28, 512),
    "ResNet34, 28x28": (partial(RESNETS["resnet34"], 1, 10), 28, 512),
}
_BATCH = 64


@dataclass(frozen=True)
class Row:
    """One measured case.

    Attributes:
        case: network and image size.
        images: of the epoch; half as many are classified after it.
        steps: of the epoch.
        plain: seconds of the plain loop, the median.
        ratio: of the same training by ``train`` to it.
        added: seconds that ``train`` adds to a step, the median over rounds of the difference.
        fading: ratio of the training whose skips fade to the plain loop; None where the network has no skips.
    """

    case: str
    images: int
    steps: int
    plain: float
    ratio: float
    added: float
    fading: float | None


def training_rows(cases: Mapping[str, Case] = CASES, *, seconds: float = 20.0) -> Iterator[Row]:
    """Each case in turn: processor time of an epoch, medians of interleaved runs.

    Raises:
        DataError: if the two loops do not end with the same weights.
    """
    recipe = Recipe(epochs=1, batch_size=_BATCH)
    for case, (build, side, images) in cases.items():
        data = drawn_images(images, side)
        torch.manual_seed(0)
        model = build()
        require_same_ends(model, data, recipe)
        loops = {
            "plain": _fresh(model, partial(plain, data=data, recipe=recipe)),
            "ours": _fresh(model, partial(train, data=data, recipe=recipe)),
        }
        if isinstance(model, ResNet):
            strong = with_skip_strength(model, data.test_images[:2])
            fade = partial(train, data=data, schedule=Linear(1), recipe=recipe, interval=1)
            loops["fading"] = _fresh(strong, fade)
        rounds = interleaved_rounds(loops, seconds=seconds, clock=time.process_time)
        median = {name: statistics.median(found) for name, found in rounds.items()}
        steps = -(-images // _BATCH)
        added = statistics.median(o - p for o, p in zip(rounds["ours"], rounds["plain"], strict=True)) / steps
        fading = median["fading"] / median["plain"] if "fading" in median else None
        yield Row(case, images, steps, median["plain"], median["ours"] / median["plain"], added, fading)


def plain(model: nn.Module, data: Dataset, recipe: Recipe) -> float:
    """Train as one would with torch alone; the share of test images classified rightly."""
    how = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay, "nesterov": True, "fused": True}
    optimizer = torch.optim.SGD(model.parameters(), recipe.learning_rate, **how)
    images, labels = data.train_images, data.train_labels
    steps, step = -(-len(labels) // recipe.batch_size) * recipe.epochs, 0
    for epoch in range(recipe.epochs):
        model.train()
        seed = torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch)
        for batch in torch.randperm(len(labels), generator=seed).split(recipe.batch_size):
            optimizer.param_groups[0]["lr"] = recipe.step_size(step, steps)
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(batch).argmax(1) for batch in data.test_images.split(250)])
    return float((found == data.test_labels).double().mean())


def require_same_ends(model: nn.Module, data: Dataset, recipe: Recipe) -> None:
    """Both loops, from the same weights, end with the same weights and statistics, bit for bit.

    Raises:
        DataError: if they do not.
    """
    one, other = copy.deepcopy(model), copy.deepcopy(model)
    plain(one, data, recipe)
    train(other, data, recipe=recipe)
    for name, value in one.state_dict().items():
        if not torch.equal(value, other.state_dict()[name]):
            raise DataError("the two loops end with other weights", where=name)


def _fresh(model: nn.Module, run: Callable[[nn.Module], object]) -> Callable[[], object]:
    """A run that starts from the same weights each time."""
    return lambda: run(copy.deepcopy(model))


def drawn_images(count: int, side: int) -> Dataset:
    """Drawn images: what they show changes no time."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.rand((n, 1, side, side), generator=generator) for n in (count, count // 2)]
    labels = [torch.randint(10, (len(x),), generator=generator) for x in drawn]
    return Dataset(drawn[0], labels[0], drawn[1], labels[1], "drawn")
