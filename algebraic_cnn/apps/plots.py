"""Pictures of affine maps, as matplotlib figures that belong to nobody's global state.

    rows_figure     each row of W as an image over the input: what the network looks for in each class
    spy_figure      a sparse matrix: every stored entry where it is small, the density of entries where it is large
    skeleton_figure the graph of a skip recursion: feeds as straight arrows, skips as arcs
    save_figure     PNG or SVG, whole or not at all
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError, UnknownNameError
from ..files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..algebra.affine import AffineMap
    from ..algebra.symbolic import Skeleton

FORMATS = ("png", "svg")
_PIXELS = 1000


def rows_figure(f: AffineMap, labels: Sequence[object] | None = None, *, title: str = "") -> Figure:
    """The rows of W as images on one symmetric scale: red pixels raise an output, blue ones lower it.

    Args:
        f: an affine map with in_shape (C, *spatial); row i of W, in that shape, is image i, channels side by side.
        labels: a title for each row; the row's number where absent.
        title: of the whole figure.

    Raises:
        ShapeError: if there are not as many labels as rows.

    >>> from algebraic_cnn.algebra.affine import AffineMap
    >>> f = AffineMap(np.eye(4), np.zeros(4), (1, 2, 2), (4,))
    >>> [axes.get_title() for axes in rows_figure(f, "abcd").axes[:4]]
    ['a', 'b', 'c', 'd']
    """
    count = math.prod(f.out_shape)
    names = list(labels) if labels is not None else list(range(count))
    if len(names) != count:
        raise ShapeError("a label for each row of W is needed", expected=count, got=len(names), where="rows_figure")
    images = [_flat_image(np.asarray(f.row_image(i), dtype=float)) for i in range(count)]
    height, width = images[0].shape
    columns = min(count, max(1, round(5 * min(1.0, height / width))))
    lines = -(-count // columns)
    side = 1.7
    size = (columns * side * max(1.0, width / height) + 1.0, lines * (side * max(1.0, height / width) + 0.35) + 0.5)
    figure = new_figure(size)
    grid = figure.subplots(lines, columns, squeeze=False)
    top = max(float(np.nanmax(np.abs(image))) for image in images) or 1.0
    picture: Any = None
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    for axes, image, name in zip(grid.flat, images, names, strict=False):
        picture = axes.imshow(image, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(str(name), fontsize=11)
    figure.colorbar(picture, ax=grid, shrink=0.8, label="weight of the pixel")
    figure.suptitle(title)
    return figure


def spy_figure(matrix: Any, *, blocks: tuple[int, int] | None = None, title: str = "") -> Figure:
    """Where a matrix has entries, and the lines between its blocks.

    Args:
        matrix: a SciPy sparse matrix or a dense array, shape (m, n).
        blocks: (rows, columns) of one block, such as the positions of one output and one input channel.
        title: of the figure.

    Up to 1000 rows and columns each stored entry is drawn by its value; beyond, the share of entries in each cell
    of a coarser grid.

    >>> [axes.get_title() for axes in spy_figure(np.eye(3), title="1").axes[:1]]
    ['1']
    """
    import scipy.sparse as sp

    entries = sp.coo_array(matrix)
    rows, columns = (int(n) for n in matrix.shape)
    figure = new_figure(_fitted(rows, columns))
    axes = figure.subplots()
    if max(rows, columns) <= _PIXELS:
        image = np.full((rows, columns), np.nan)
        image[entries.row, entries.col] = entries.data.astype(float)
        values = entries.data.astype(float)
        top, both = float(np.abs(values).max(initial=0.0)) or 1.0, bool((values < 0).any())
        cmap, least = ("coolwarm", -top) if both else ("Reds", 0.0)  # a scale has no half that nothing is drawn with
        picture = axes.imshow(image, cmap=cmap, vmin=least, vmax=top, aspect="auto", interpolation="nearest")
        label = "value"
    else:
        cells = [min(n, _PIXELS // 2) for n in (rows, columns)]
        borders = ((-0.5, rows - 0.5), (-0.5, columns - 0.5))
        count, *_ = np.histogram2d(entries.row, entries.col, bins=cells, range=borders)
        share = count * cells[0] * cells[1] / (rows * columns)
        extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        picture = axes.imshow(share, cmap="Greys", extent=extent, aspect="auto", interpolation="nearest")
        label = "share of stored entries"
    for size, step, line in zip((rows, columns), blocks or (), (axes.axhline, axes.axvline), strict=False):
        for position in range(step, size, step):
            line(position - 0.5, color="0.35", linewidth=0.6)
    figure.colorbar(picture, ax=axes, shrink=0.8, label=label)
    axes.set_xlabel("input")
    axes.set_ylabel("output")
    axes.set_title(title or f"{rows} x {columns}, {entries.nnz} entries")
    return figure


def skeleton_figure(skeleton: Skeleton, *, title: str = "") -> Figure:
    """The graph of a skip recursion [JV24, sec. 2]: f^(0) .. f^(L) in a line, arrows for feeds, arcs for skips.

    Args:
        skeleton: which layer feeds which; the layers themselves are the arrows that end in a node.
        title: of the figure; by default it counts the paths from f^(0) to f^(L).

    >>> from algebraic_cnn.algebra.symbolic import Skeleton
    >>> skeleton_figure(Skeleton.full(3)).axes[0].get_title()
    '3 layers, 4 paths'
    """
    from matplotlib.patches import FancyArrowPatch

    depth, longest = skeleton.depth, max((i - k for k, i in skeleton.edges), default=1)
    width = min(1.5 * depth + 1.2, 16.0)
    figure = new_figure((width, width * (0.18 * longest + 0.55) / (depth + 0.8) + 0.5))
    axes = figure.subplots()
    for k, i in skeleton.edges:
        skip = i - k > 1
        bow, colour = f"arc3,rad={-0.35 if skip else 0}", "tab:red" if skip else "0.2"
        head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 14, "shrinkA": 15, "shrinkB": 15}
        axes.add_patch(FancyArrowPatch((k, 0), (i, 0), connectionstyle=bow, color=colour, **head))
        if (k, i) in skeleton.scaled:
            height = 0.175 * (i - k) + 0.03 if skip else 0.06
            label = axes.text((k + i) / 2, height, rf"$t^{{({k},{i - 1})}}$", ha="center", va="bottom", color="tab:red")
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.4})
    for i in range(depth + 1):
        axes.text(i, 0, rf"$f^{{({i})}}$", ha="center", va="center", fontsize=13)
    axes.set(xlim=(-0.4, depth + 0.4), ylim=(-0.25, 0.18 * longest + 0.3), aspect="equal")  # as arcs are measured
    axes.set_axis_off()
    axes.set_title(title or f"{depth} layers, {skeleton.count_paths():,} paths", fontsize=11)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG or SVG, by the ending of the path, whole or not at all; return the path.

    Raises:
        UnknownNameError: if the path ends otherwise.
        DataError: if the file cannot be written.
    """
    path = require_picture(path)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix.lower().lstrip("."), dpi=150)
    return path


def require_picture(path: str | os.PathLike[str]) -> Path:
    """The path, if it ends as a picture does.

    Raises:
        UnknownNameError: if the path ends otherwise.
    """
    path = Path(path)
    if path.suffix.lower().lstrip(".") not in FORMATS:
        raise UnknownNameError("unknown kind of picture", expected=" | ".join(FORMATS), got=path.suffix, where=path)
    return path


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of that width and height in inches, drawn without any window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _flat_image(row: np.ndarray) -> np.ndarray:
    """A row in its input's shape (C, *spatial) as one picture, channels side by side with a blank column between."""
    channels = row.reshape(len(row) if row.ndim > 1 else 1, -1, row.shape[-1])
    gap = np.full((channels.shape[1], 1), np.nan)
    parts = [part for channel in channels for part in (channel, gap)]
    return np.hstack(parts[:-1])


def _fitted(rows: int, columns: int) -> tuple[float, float]:
    """A size in inches of about the matrix's proportions, neither too long nor too wide."""
    ratio = min(max(columns / rows, 0.4), 2.5)
    return 6.0 * math.sqrt(ratio) + 1.2, 6.0 / math.sqrt(ratio) + 0.6
