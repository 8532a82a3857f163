"""Small ordinary programs, drawn from a seed, and the question what a collapse of one is.

program    seed -> a module of three to eight calls (calls.py) on images, sequences and vectors
inputs     tensors for it, of any batch size
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from .builders import Shape
from .calls import ANY, BOTH, CALLS

SHAPES: list[Shape] = [(3, 6, 6), (4, 5, 7), (2, 8, 8), (4, 6), (6, 8), (8,), (12,), (3, 4, 4, 4), (1, 6, 6), (8, 1, 1)]


class Program(nn.Module):
    """Calls on the inputs and on what earlier calls gave.

    Attributes:
        steps: of every call its function, the numbers of the values that it takes, the parts that it has by name.
        names: of the calls.
        returns: how the values that are returned nest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Callable[..., Any], tuple[int, ...], dict[str, str]]] = []
        self.names: list[str] = []
        self.returns: Callable[[list[Any]], Any] = last

    def step(self, place: int, values: list[Any]) -> Any:
        """What one call gives."""
        function, taken, parts = self.steps[place]
        return function(*(values[i] for i in taken), **{key: getattr(self, name) for key, name in parts.items()})

    def forward(self, *inputs: Tensor) -> Any:
        values: list[Any] = list(inputs)
        for place in range(len(self.steps)):
            values.append(self.step(place, values))
        return self.returns(values)


def last(values: list[Any]) -> Any:
    return values[-1]


def program(seed: int, most: int = 8) -> tuple[Program, tuple[Shape, ...]]:
    """The program of a seed, its numbers drawn in float64, and the shapes of its inputs without the batch axis."""
    draw = Random(seed)
    torch.manual_seed(seed)
    shapes = [draw.choice(SHAPES)]
    if draw.random() < 0.2:
        shapes.append(shapes[0] if draw.random() < 0.7 else draw.choice(SHAPES))
    model, length = Program().double().eval(), draw.randint(3, most)
    values: list[Any] = [torch.randn(2, *shape, dtype=torch.float64) for shape in shapes]
    while len(model.steps) < length:
        at = len(values) - 1 if draw.random() < 0.8 else draw.randrange(len(values))
        name = draw.choice(list(CALLS))
        shape = tuple(values[at].shape[1:])
        if not shape and name not in ANY:
            continue
        made, pair = CALLS[name](draw, shape), BOTH.get(name)
        partners = [i for i, value in enumerate(values) if pair and pair(values[at].shape, value.shape)]
        if made is None or (pair and not partners):
            continue
        parts = _installed(model, made[1], len(model.steps))
        model.steps.append((made[0], (at, draw.choice(partners)) if pair else (at,), parts))
        value = _tried(model, [value.clone() for value in values])
        if value is None:
            model.steps.pop()
            for part in parts.values():
                delattr(model, part)
            continue
        model.names.append(name)
        values.append(value)
    some = draw.randrange(len(values))
    both = [lambda v: (v[-1], v[some]), lambda v: {"a": v[-1], "b": [v[some], 3]}]
    model.returns = draw.choice([*[last] * 6, *both])
    return model, tuple(shapes)


def _tried(model: Program, values: list[Any]) -> Tensor | None:
    """What the newest call gives for two samples; None where torch refuses it, or where one cannot go on from it."""
    try:
        with torch.no_grad():
            value = model.step(len(model.steps) - 1, values)
    except (RuntimeError, ValueError, IndexError):
        return None
    fits = value.ndim and len(value) == 2 and 0 < value.numel() <= 3000 and value.ndim < 7
    return value if fits and value.isfinite().all() and value.dtype == torch.float64 else None


def _installed(model: Program, parts: dict[str, Any], place: int) -> dict[str, str]:
    """The names under which a call's parts are parts of the module; their statistics are drawn."""
    names = {key: f"{key}{place}" for key in parts}
    for key, part in parts.items():
        if isinstance(part, nn.Module):
            setattr(model, names[key], part.double().eval())
            for module in part.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    torch.nn.init.normal_(module.running_mean, 0, 0.3)
                    torch.nn.init.uniform_(module.running_var, 0.5, 2)
        else:
            model.register_buffer(names[key], part.double() if part.is_floating_point() else part)
    return names


def inputs(shapes: tuple[Shape, ...], count: int, seed: int = 0) -> list[Tensor]:
    """Batches of ``count`` samples."""
    generator = torch.Generator().manual_seed(1000 * seed + count)
    return [torch.randn(count, *shape, generator=generator, dtype=torch.float64) for shape in shapes]
