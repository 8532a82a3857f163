"""The pictures of the documentation, drawn by the project itself while the pages are built; none is kept in git.

    DRAWINGS    name of the file -> the function that draws it
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from algebraic_cnn import AffineMap, conv_matrix
from algebraic_cnn.algebra.symbolic import Skeleton
from algebraic_cnn.apps.plots import new_figure, rows_figure, save_figure, skeleton_figure, spy_figure
from algebraic_cnn.homotopy import Cosine, Exponential, Linear, Step

ROOT = Path(__file__).parent.parent.parent
#: What long runs left, as data.
RECORDS = Path(__file__).parent / "records"


def toeplitz() -> Any:
    """The matrix of a 3 x 3 kernel on a 6 x 6 image with padding 1: Toeplitz blocks in a Toeplitz pattern."""
    kernel = np.array([[1.0, 2.0, 1.0], [0.0, 3.0, 0.0], [-1.0, -2.0, -1.0]])
    matrix = conv_matrix(kernel[None, None], (1, 6, 6), padding=1)
    return spy_figure(matrix, blocks=(6, 6), title="3 x 3 kernel, 6 x 6 image, padding 1")


def skips() -> Any:
    """Four layers with three skips."""
    return skeleton_figure(Skeleton.full(4, [(0, 2), (1, 4), (2, 4)]))


def border() -> Any:
    """Where one 5 x 5 convolution differs from the two padded 3 x 3 ones that it replaces."""
    image = (1, 9, 9)
    first, second = (np.random.default_rng(seed).integers(-2, 3, (1, 1, 3, 3)).astype(float) for seed in (1, 2))
    layers = [AffineMap(conv_matrix(w, image, padding=1), np.zeros(81), image, image) for w in (first, second)]
    composed = np.zeros((1, 1, 5, 5))
    for a in np.ndindex(3, 3):
        composed[0, 0, a[0] : a[0] + 3, a[1] : a[1] + 3] += second[0, 0][a] * first[0, 0]
    single = conv_matrix(composed, image, padding=2)
    wrong = abs(single - (layers[1] @ layers[0]).W).sum(axis=1).reshape(9, 9)
    figure = new_figure((4.6, 3.8))
    axes = figure.subplots()
    picture = axes.imshow(wrong, cmap="Reds")
    axes.set(xticks=[], yticks=[], title="one 5 x 5 kernel for two padded 3 x 3 ones")
    figure.colorbar(picture, ax=axes, shrink=0.8, label="sum of |wrong weights| of the pixel")
    return figure


def rows() -> Any:
    """The rows of W of the tutorial's network."""
    import torch

    from algebraic_cnn import LinearCNN, SkipSpec, derive, load_digits, train
    from algebraic_cnn.homotopy.classifier import Recipe

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.Conv2d(8, 8, 3, padding=1), torch.nn.Linear(512, 10)]
    model = LinearCNN((1, 8, 8), layers, {(0, 2): SkipSpec(1.0, "conv"), (1, 3): 1.0})
    train(model, load_digits(), recipe=Recipe(epochs=3, batch_size=32))
    return rows_figure(derive(model, torch.zeros(1, 1, 8, 8)), range(10))


def schedules() -> Any:
    """The ways of a strength from 1 to 0 in twelve steps."""
    figure = new_figure((5.6, 3.2))
    axes = figure.subplots()
    for kind in (Linear, Cosine, Exponential, Step):
        schedule = kind(12)
        values = [schedule.value, *(schedule.step() for _ in range(14))]
        axes.plot(values, marker=".", label=kind.__name__)
    axes.set(xlabel="step", ylabel="strength t", ylim=(-0.03, 1.03))
    axes.legend(frameon=False)
    return figure


def compared(data: str) -> Any:
    """All schedules at one budget, from the records beside these pages."""
    from algebraic_cnn.apps.experiments import schedules as comparison
    from algebraic_cnn.files.records import read_records

    records = read_records(RECORDS / f"schedules-{data}.jsonl")
    return comparison.picture(comparison.PRESETS["quick"], comparison.by_line(records))


def figure(number: int) -> Any:
    """A figure of the paper, from the records of the narrow network beside these pages."""
    from algebraic_cnn.apps.experiments import accuracy
    from algebraic_cnn.files.records import read_records

    records = read_records(RECORDS / "figures-narrow.jsonl")
    config = {1: accuracy.FIGURE1, 2: accuracy.FIGURE2, 3: accuracy.FIGURE3}[number]["medium"]
    return accuracy.over_epochs(config, records) if number == 3 else accuracy.against_t(config, records)


DRAWINGS: dict[str, Callable[[], Any]] = {
    "toeplitz": toeplitz, "skips": skips, "border": border, "rows": rows, "schedules": schedules,
    "figure1": partial(figure, 1), "figure2": partial(figure, 2), "figure3": partial(figure, 3),
    "schedules_mnist": partial(compared, "mnist"), "schedules_digits": partial(compared, "digits"),
}  # fmt: skip


def draw_all(folder: Path) -> None:
    """Write every drawing that is not there yet or is older than this file, and the picture of the README."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / ".github" / "rows.png", folder / "resnet34.png")
    for name, draw in DRAWINGS.items():
        path = folder / f"{name}.svg"
        if not path.exists() or path.stat().st_mtime < Path(__file__).stat().st_mtime:
            save_figure(draw(), path)
