"""What the tests of training share: images that are told apart by bright rows, runs that are stopped, equal models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from algebraic_cnn.models.data import Dataset


class Stop(BaseException):
    pass


def stop() -> None:
    raise Stop


def at(step: int, action: Callable[[], Any]) -> Callable[[int, int, str], None]:
    """A progress that does something after a step."""
    return lambda done, steps, words: action() if done == step else None


def bands(classes: int, size: int, count: int, training: int, name: str) -> Dataset:
    """Images of so many classes, two rows bright for each class, the first so many to train on."""
    labels = torch.arange(count) % classes
    images = torch.zeros(count, 1, size, size)
    for n, label in enumerate(labels.tolist()):
        first = (size - 2) // (classes - 1) * label
        images[n, 0, first : first + 2] = (n % (classes + 1) + 1) / 4
    return Dataset(images[:training], labels[:training], images[training:], labels[training:], name)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def goes_on(model: nn.Module, go: Callable[..., Any], path: Path, stop_at: int, **again: Any) -> None:
    """A run that is stopped and started again ends bit for bit where one that is not stopped does."""
    whole, first, second = (copy.deepcopy(model) for _ in range(3))
    expected = go(whole)
    with pytest.raises(Stop):
        go(first, checkpoint=path, progress=at(stop_at, stop))
    assert go(second, checkpoint=path, **again) == expected
    assert same(whole, second)
