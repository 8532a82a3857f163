"""Networks whose samples are not rows, or whose shapes differ at some batch sizes only; constants that are returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify
from algebraic_cnn.certification.rounding import forward_error
from algebraic_cnn.errors import ShapeError
from algebraic_cnn.ir.trace import trace

X = torch.arange(-9.0, 9.0).reshape(2, 3, 3) / 8
K = torch.tensor([[0.5, -3.0, 2.0], [1.0, 0.25, -1.0]])


class Written(nn.Module):
    """A network that is a function of a buffer and its input."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any], k: Tensor = K) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("k", k.clone())

    def forward(self, x: Tensor) -> Any:
        return self.function(self.k, x)


def net(function: Callable[[Tensor, Tensor], Any], k: Tensor = K) -> nn.Module:
    return Written(function, k).eval()


@pytest.mark.parametrize("level", ["auto", "modular"])
def test_shapes_are_compared_at_every_batch_size_that_is_tried(level: str) -> None:
    row = X[:, 0]
    one, other = (net(lambda k, x, axis=axis: (x @ k[:1].T).squeeze(axis)) for axis in (-1, 0))
    assert one(row[:1]).shape == other(row[:1]).shape
    assert one(row).shape != other(row).shape
    assert certify(one, other, row, level=level).verdict == "different"


#: Affine networks in which a value has its samples in another axis, in several rows, or mixed.
NOT_ROWS = {
    "axes in another order": lambda k, x: (k @ x.permute(1, 2, 0).reshape(3, -1)).reshape(2, 3, -1).permute(2, 0, 1),
    "several rows": lambda k, x: (x.reshape(-1, 3) @ k.T).reshape(-1, 3, 2),
    "mixed": lambda k, x: x @ k.T - (x @ k.T).mean(0),
}


@pytest.mark.parametrize(
    ("name", "level"), [(name, level) for name in NOT_ROWS for level in ("auto", "bounded")[: 1 + (name != "mixed")]]
)
def test_networks_whose_samples_are_not_rows_are_judged(name: str, level: str) -> None:
    one, near, far = (net(NOT_ROWS[name], K * factor) for factor in (1, 1 + 2.0**-23, 1.5))
    assert not torch.equal(one(X), far(X))
    assert certify(one, near, X, level=level).verdict == "rounding"
    assert certify(one, far, X, level=level).verdict == "different"


def test_a_bound_by_samples_is_refused_where_they_are_not_rows() -> None:
    graph = trace(net(NOT_ROWS["axes in another order"]), X)
    with pytest.raises(ShapeError, match="not the rows"):
        forward_error(graph, X)


@pytest.mark.parametrize("level", ["auto", "bounded"])
def test_negative_constants_that_are_returned_have_magnitudes(level: str) -> None:
    one = net(lambda k, x: (x.relu() @ k.T, k - 3))
    near = net(lambda k, x: (x.relu() @ k.T.to(torch.float64).to(torch.float32), k - 3))
    assert certify(one, near, X, level=level).ok
    assert certify(one, net(lambda k, x: (x.relu() @ k.T, k - 4)), X, level=level).verdict == "different"
