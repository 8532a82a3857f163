"""What a drawn call is: a builder, which may decline.

builder  (draw, shape without batch) -> (function, parts), or None where the shape does not fit; the function takes the
         values and the parts by name, and knows the batch size only from the values
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Shape = tuple[int, ...]


Made = tuple[Callable[..., Any], dict[str, Any]]


Builder = Callable[[Random, Shape], Made | None]


def plain(function: Callable[..., Any], fits: Callable[[Shape], bool] = lambda s: True) -> Builder:
    """A call without choices."""
    return lambda d, s: (function, {}) if fits(s) else None


def chosen(choose: Callable[[Random, Shape], Callable[..., Any] | None]) -> Builder:
    """A call with choices and without parts."""

    def build(d: Random, s: Shape) -> Made | None:
        function = choose(d, s)
        return function and (function, {})

    return build


def is_image(s: Shape) -> bool:
    return len(s) == 3


def ints(d: Random, n: int, count: int) -> list[int]:
    return [d.randrange(n) for _ in range(count)]
