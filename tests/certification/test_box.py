"""Bounds over a box of inputs, against exact fractions at its corners and inside."""

from __future__ import annotations

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify, derive, exact_map, exact_outputs
from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.certification.check import native
from algebraic_cnn.certification.rounding import box_error, forward_error
from algebraic_cnn.errors import NotAffineError, ShapeError
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN

SHAPE = (1, 5, 5)


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)), nn.Conv2d(3, 3, 3, padding=1)]
    return LinearCNN(SHAPE, [*layers, nn.Linear(75, 2)], {(1, 3): 0.5}).to(dtype).eval()


@pytest.fixture(scope="module")
def graph() -> Graph:
    return trace(network(), torch.zeros(2, *SHAPE))


def inside(low: float, high: float, seed: int = 0) -> Tensor:
    """Corners of the box and points inside, exact in float32."""
    rng = np.random.default_rng(seed)
    corners = torch.from_numpy(rng.choice([low, high], (6, *SHAPE)))
    return torch.cat([corners, torch.from_numpy(rng.uniform(low, high, (6, *SHAPE)))]).float()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (2.0, 3.0), (0.0, 0.0), (-100.0, 3.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_input_of_the_box_errs_by_more(low: float, high: float, dtype: torch.dtype) -> None:
    graph = trace(network(dtype=dtype), torch.zeros(2, *SHAPE, dtype=dtype))
    centre, radius = (torch.full((25,), value).double() for value in ((low + high) / 2, (high - low) / 2))
    bound = box_error(graph, centre, radius)
    x = inside(low, high).to(dtype)
    y, exact = native(graph, x), exact_outputs(graph, x).reshape(len(x), -1)
    for row, wanted in zip(y.tolist(), exact, strict=True):
        assert all(abs(Fraction(a) - b) <= Fraction(c) for a, b, c in zip(row, wanted, bound.tolist(), strict=True))
    assert (forward_error(graph, x).bound <= bound * (1 + 2.0**-20)).all()


def test_a_collapse_is_certified_over_a_box(graph: Graph) -> None:
    dense = derive(graph).to_module(torch.float32)
    certificate = certify(graph, dense, torch.zeros(2, *SHAPE), level="bounded", box=(-1, 1))
    assert certificate.ok
    assert certificate.observed <= certificate.bound
    assert certificate.statement.startswith("anywhere in the box the outputs differ by")
    x = inside(-1.0, 1.0)
    worst = (native(graph, x) - native(trace(dense, x), x)).abs().max()
    assert worst <= float(certificate.statement.split(" differ by ")[1].split(" ")[0])


def test_a_wrong_entry_is_found_though_no_random_input_shows_it(graph: Graph) -> None:
    """What counts only where one input is large: over the box it is seen, at inputs near 0 it is not."""
    f = derive(graph)
    wrong = AffineMap(f.W.copy(), f.b, f.in_shape, f.out_shape)
    wrong.W[1, 7] += 1e-3
    assert certify(graph, wrong, level="bounded", inputs=torch.zeros(1, *SHAPE)).ok
    certificate = certify(graph, wrong, level="bounded", box=(torch.zeros(SHAPE), 4.0))
    assert not certificate.ok
    assert "output 1 at a corner" in certificate.witness.what
    assert 3e-3 < certificate.observed < 5e-3  # the entry times the largest input
    assert certificate.observed > certificate.bound
    assert certificate.witness.input[7] == 4.0


@pytest.mark.parametrize("layer", [0, 1])
def test_a_flipped_kernel_is_refuted(graph: Graph, layer: int) -> None:
    other = copy.deepcopy(network())
    conv = other.layers[0][0] if layer == 0 else other.layers[1]
    conv.weight.data = conv.weight.flip(-1)
    assert not certify(graph, other, torch.zeros(2, *SHAPE), level="bounded", box=(-1, 1)).ok
    assert certify(graph, network(), torch.zeros(2, *SHAPE), level="bounded", box=(-1, 1)).ok


def test_maps_are_compared_over_a_box(graph: Graph) -> None:
    exact = exact_map(graph)
    f = derive(graph)
    rounded = AffineMap(f.W.astype(np.float32), f.b.astype(np.float32), f.in_shape, f.out_shape)
    assert certify(f, rounded, level="bounded", box=(-1, 1)).ok
    rounded.W[0, 0] += 0.01
    assert not certify(f, rounded, level="bounded", box=(-1, 1)).ok
    assert exact.W.shape == f.W.shape


def test_what_is_no_box_is_refused(graph: Graph) -> None:
    for box in ((1, -1), (0, float("inf")), (0, torch.zeros(7)), ("low", "high")):
        with pytest.raises(ShapeError, match="box"):
            certify(graph, graph, level="bounded", box=box)
    rectified = nn.Sequential(network(), nn.ReLU()).eval()
    with pytest.raises(NotAffineError, match="relu"):
        certify(rectified, rectified, torch.zeros(2, *SHAPE), level="bounded", box=(-1, 1))
