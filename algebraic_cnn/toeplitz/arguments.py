"""The arguments of layers, spelled in any of torch's ways, brought to one form and checked.

Torch takes an int, a tuple or a word where a layer has one number, or one pair, per axis; inside the library there is
only the long form.

    plain         NumPy's and torch's arrays as nested lists
    padding       one (before, after) pair per spatial axis
    padding mode  what a padded position holds: zeros, or the input reflected, replicated or wrapped round
    budget        bytes that explicit arrays may take: a number, not a text
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from ..errors import GeometryError, ShapeError, UnknownNameError

Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]
Pairs = tuple[tuple[int, int], ...]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def plain(value: Any) -> Any:
    """NumPy's and torch's arrays and numbers as nested lists and Python's numbers; anything else as it is.

    >>> import numpy as np
    >>> plain(np.array([[1, 2]])), plain(np.int64(3)), plain("same")
    ([[1, 2]], 3, 'same')
    """
    return value.tolist() if hasattr(value, "tolist") else value


def shape_of(value: Iterable[int], name: str = "input_shape") -> tuple[int, ...]:
    """A shape (c, *spatial) as a tuple of ints.

    Args:
        value: its lengths.
        name: the argument's name, for messages.

    Raises:
        ShapeError: not a sequence of ints, a negative one among them, or none at all.

    >>> shape_of([3, 28, 28])
    (3, 28, 28)
    """
    try:
        lengths = tuple(index(n) for n in value)
    except TypeError:
        lengths = ()
    if not lengths or min(lengths) < 0:
        expected = "(channels, *spatial), ints from 0 on"
        raise ShapeError(f"{name} is no shape", expected=expected, got=repr(value), where=name)
    return lengths


def integer(value: Any, name: str) -> int:
    """The argument as an int.

    Raises:
        GeometryError: it is none.

    >>> integer(True, "groups")
    1
    """
    try:
        return index(value)
    except TypeError:
        raise GeometryError(f"{name} must be an int", got=repr(value), where=name) from None


def bytes_allowed(memory_budget: Any) -> int:
    """A memory budget as a number of bytes.

    Raises:
        ShapeError: it is no number.

    >>> bytes_allowed(4e9)
    4000000000
    """
    try:
        return int(memory_budget + 0)
    except (TypeError, ValueError, OverflowError):
        expected = "a number of bytes, such as 4 * 2**30"
        where = "memory_budget"
        raise ShapeError("the budget is no number", expected=expected, got=repr(memory_budget), where=where) from None


def per_axis(value: int | Iterable[int], axes: int, name: str, *, least: int) -> tuple[int, ...]:
    """One int per axis from an int or a sequence of them.

    Args:
        value: an int for every axis, or one int per axis (a single one also serves every axis, as in torch).
        axes: how many axes there are.
        name: the argument's name, for messages.
        least: the smallest value allowed.

    Returns:
        A tuple of ``axes`` ints.

    Raises:
        GeometryError: wrong count, not an int, or below ``least``.

    >>> per_axis(2, 3, "stride", least=1)
    (2, 2, 2)
    """
    value = plain(value)
    try:
        numbers = tuple(index(v) for v in value) if isinstance(value, Iterable) else (index(value),)
    except TypeError:
        raise GeometryError(f"{name} must be an int or one int per axis", got=repr(value), where=name) from None
    numbers = numbers * axes if len(numbers) == 1 else numbers
    if len(numbers) != axes:
        raise GeometryError(f"{name} has the wrong number of entries", expected=axes, got=value, where=name)
    if any(v < least for v in numbers):
        raise GeometryError(f"{name} is too small", expected=f"at least {least}", got=value, where=name)
    return numbers


def padding_pairs(padding: Padding, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Pairs:
    """One (before, after) pair per axis from any spelling of ``padding``.

    Args:
        padding: an int, one int per axis, one (before, after) pair per axis, "same" or "valid".
        kernel: taps per axis.
        stride: per axis.
        dilation: per axis.

    Returns:
        A pair per axis; "same" gives d (k - 1) positions in all, the odd one after.

    Raises:
        GeometryError: "same" with a stride, or a wrong count.
        UnknownNameError: a word other than "same" and "valid".

    >>> padding_pairs("same", (4, 3), (1, 1), (1, 1))
    ((1, 2), (1, 1))
    """
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise UnknownNameError("unknown padding", expected=("same", "valid"), got=padding, where="padding")
        if any(s != 1 for s in stride):
            raise GeometryError('padding="same" needs stride 1', got=tuple(stride), where="padding")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    padding = plain(padding)
    if isinstance(padding, Sequence) and padding and all(isinstance(plain(pair), Sequence) for pair in padding):
        return _pairs(padding, len(kernel))
    return tuple((p, p) for p in per_axis(padding, len(kernel), "padding", least=0))  # pyright: ignore[reportArgumentType]


def _pairs(padding: Any, axes: int) -> Pairs:
    try:
        pairs = tuple((index(before), index(after)) for before, after in padding)
    except (TypeError, ValueError):
        pairs = ()
    if len(pairs) != axes:
        expected = f"{axes} pairs (before, after)"
        raise GeometryError("padding needs one pair per axis", expected=expected, got=padding, where="padding")
    return pairs


def check_padding(spatial: Sequence[int], padding: Pairs, mode: str) -> None:
    """Refuse padding that its mode cannot supply from an axis of that length.

    Args:
        spatial: lengths of the axes.
        padding: a (before, after) pair per axis.
        mode: "zeros" takes any padding, "replicate" too where there is an entry to copy; "reflect" has n - 1 entries to
            give on each side, "circular" n.

    Raises:
        GeometryError: negative padding, or more than the mode can supply.

    >>> check_padding((5,), ((4, 4),), "reflect")
    """
    for n, (before, after) in zip(spatial, padding, strict=True):
        if before < 0 or after < 0:
            raise GeometryError("padding is negative", expected="at least 0", got=(before, after), where="padding")
        most = {"reflect": max(n - 1, 0), "circular": n, "replicate": 0 if n == 0 else None}.get(mode)
        if most is not None and max(before, after) > most:
            raise GeometryError(
                f"padding is too large for mode {mode!r} on an axis of length {n}",
                expected=f"at most {most}",
                got=(before, after),
                where="padding",
            )
