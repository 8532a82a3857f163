"""In which order the skips of a network fade: together, one after the other from either end, by what they are worth.

fading_orders    name of an order to the names of the skips in it
in_order         a schedule for each, every one with a stretch of the way to itself
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..errors import HomotopyError
from .schedules import Schedule
from .sensitivities import sensitivity
from .strengths import SkipStrength, strengths

TOGETHER = "together"


def fading_orders(
    model: nn.Module, images: Tensor | None = None, labels: Tensor | None = None
) -> dict[str, tuple[str, ...]]:
    """The orders in which skips may fade.

    Args:
        model: with skips that carry a strength.
        images: to judge by, where there are any.
        labels: their classes.

    Returns:
        "together" (no order), "deepest first", "shallowest first", and with images "cheapest first": by the loss of the
        network as it is with that skip alone at 0.

    Raises:
        HomotopyError: if no skip carries a strength.

    >>> import torch
    >>> from algebraic_cnn.homotopy import with_skip_strength
    >>> from algebraic_cnn.models.resnet import BasicBlock
    >>> blocks = nn.Sequential(BasicBlock(1, 1, 1, False, 1.0), BasicBlock(1, 1, 1, False, 1.0))
    >>> fading_orders(with_skip_strength(blocks, torch.zeros(1, 1, 4, 4)))["deepest first"]
    ('1', '0')
    """
    names = tuple(strengths(model, SkipStrength))
    if not names:
        raise HomotopyError("no skip of this model carries a strength", expected="a model from with_skip_strength")
    found = {TOGETHER: (), "deepest first": names[::-1], "shallowest first": names}
    if images is not None and labels is not None:
        lines = sensitivity(model, images, labels, kind=SkipStrength)
        found["cheapest first"] = tuple(line.name for line in lines)
    return found


def in_order(
    curve: Callable[[int, float, float, int], Schedule], steps: int, start: float, names: Sequence[str]
) -> dict[str, Schedule]:
    """A schedule to 0 for every skip, one after the other.

    Args:
        curve: a class of schedules such as ``Linear``, called with (steps, start, end, wait).
        steps: how many all of them take together.
        start: the strength at first.
        names: of the skips, the first to fade first.

    Raises:
        HomotopyError: if there are fewer steps than skips.

    >>> from algebraic_cnn.homotopy import Linear
    >>> [(name, fade.wait, fade.steps) for name, fade in in_order(Linear, 5, 1.0, ["a", "b"]).items()]
    [('a', 0, 2), ('b', 2, 3)]
    """
    if steps < len(names):
        raise HomotopyError("too few steps for one skip after the other", expected=f">= {len(names)}", got=steps)
    bounds = [j * steps // len(names) for j in range(len(names) + 1)]
    return {name: curve(bounds[j + 1] - bounds[j], start, 0.0, bounds[j]) for j, name in enumerate(names)}
