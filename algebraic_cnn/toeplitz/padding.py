"""The padding matrix P: zeros, reflections, copies of the border and periodic images are all linear.

crop    negative padding: positions taken away instead of added
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import GeometryError, UnknownNameError
from .arguments import PADDING_MODES, check_padding, padding_pairs, plain, shape_of
from .formats import MEMORY_BUDGET
from .selection import NOTHING, numbered, selection_matrix

NUMPY_MODES: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def pad_matrix(
    input_shape: Sequence[int],
    padding: int | Sequence[int] | Sequence[tuple[int, int]],
    *,
    padding_mode: str = "zeros",
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix P that pads: every row selects the input that its position repeats, or is zero.

    Args:
        input_shape: (c, *spatial).
        padding: an int for every spatial axis, one int per spatial axis, or one (before, after) pair per axis, the
            first spatial axis first; with one pair more than spatial axes, the first pair pads the channels.
            Negative numbers in a pair crop.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        dtype: of the entries; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (prod(padded shape), prod(input_shape)), zeros and ones; entry [r, c] = 1 where the padded
        position r holds input c.

    Raises:
        ShapeError: no shape.
        GeometryError: a wrong number of pairs, padding that the mode cannot supply, or nothing left after cropping.
        UnknownNameError: an unknown format, dtype or padding mode.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> pad_matrix((1, 3), ((2, 1),), padding_mode="reflect", dtype=int, format="dense")
    array([[0, 0, 1],
           [0, 1, 0],
           [1, 0, 0],
           [0, 1, 0],
           [0, 0, 1],
           [0, 1, 0]])

    References:
        Joyce and Verschelde (2024), arXiv:2408.07815, the matrices P^(i) of the skip recursion.
    """
    input_shape = shape_of(input_shape)
    source = numbered(input_shape, memory_budget)
    padded = pad_numbers(source, pairs_of(input_shape, padding), padding_mode)
    return selection_matrix(padded, source.size, dtype=dtype, format=format, memory_budget=memory_budget)


def pairs_of(
    input_shape: Sequence[int], padding: int | Sequence[int] | Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """One (before, after) pair for every axis of the input, the channels' included.

    Args:
        input_shape: (c, *spatial).
        padding: as for ``pad_matrix``.

    Returns:
        ``len(input_shape)`` pairs.

    Raises:
        GeometryError: a wrong number of pairs.

    >>> pairs_of((3, 8, 8), ((1, 0), (2, 2)))
    [(0, 0), (1, 0), (2, 2)]
    """
    axes, padding = len(input_shape) - 1, plain(padding)
    if isinstance(padding, list | tuple) and len(padding) == axes + 1 and not any(isinstance(p, int) for p in padding):
        return list(padding_pairs(padding, (1,) * (axes + 1), (1,) * (axes + 1), (1,) * (axes + 1)))
    return [(0, 0), *padding_pairs(padding, (1,) * axes, (1,) * axes, (1,) * axes)]


def pad_numbers(source: NDArray[np.int64], pairs: Sequence[tuple[int, int]], mode: str) -> NDArray[np.int64]:
    """Pad an array of input numbers as its mode says; the source of the padded map.

    Args:
        source: array of input numbers.
        pairs: (before, after) per axis; negative numbers crop.
        mode: a padding mode.  As in torch, a circular border repeats what is left after cropping, while the others
            repeat the input and crop after that.

    Returns:
        The padded array, ``NOTHING`` where it is zero.

    Raises:
        GeometryError: padding that the mode cannot supply, or nothing left after cropping.
        UnknownNameError: an unknown padding mode.

    >>> pad_numbers(numbered((3,)), [(1, -1)], "zeros")
    array([-1,  0,  1])
    """
    if mode not in PADDING_MODES:
        raise UnknownNameError("unknown padding mode", expected=PADDING_MODES, got=mode, where="padding_mode")
    grow = tuple((max(before, 0), max(after, 0)) for before, after in pairs)
    crop = tuple((max(-before, 0), max(-after, 0)) for before, after in pairs)
    if any(n + sum(pair) < 0 for n, pair in zip(source.shape, pairs, strict=True)):
        raise GeometryError("cropping leaves nothing", got=(source.shape, tuple(pairs)), where="padding")
    if mode == "circular":
        source, crop = _cropped(source, crop), ((0, 0),) * source.ndim
    check_padding(source.shape, grow, mode)
    if mode == "zeros":
        return _cropped(np.pad(source, grow, constant_values=NOTHING), crop)
    return _cropped(np.pad(source, grow, mode=NUMPY_MODES[mode]), crop)


def _cropped(array: NDArray[np.int64], crop: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    return array[tuple(slice(before, n - after) for n, (before, after) in zip(array.shape, crop, strict=True))]
