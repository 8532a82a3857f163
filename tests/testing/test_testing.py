"""The public strategies: what they draw is valid, varied and shrinks to what a person can read."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from torch import nn

from algebraic_cnn.models import LinearCNN
from algebraic_cnn.testing import (
    Network,
    affine_modules,
    assert_collapse_is_exact,
    geometries,
    kernels,
    linear_cnns,
    residual_networks,
)
from algebraic_cnn.toeplitz.geometry import Geometry

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
SEARCH = settings(max_examples=2000, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
CONV = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
NETWORKS = pytest.mark.parametrize("networks", [affine_modules, linear_cnns, residual_networks])


def smallest(strategy: st.SearchStrategy, condition: Callable[[Any], bool]) -> Any:
    return find(strategy, condition, settings=SEARCH)


@given(geometries(), st.data())
def test_geometries_are_those_of_torch(geometry: Geometry, data: st.DataObject) -> None:
    axes = len(geometry.kernel)
    weight = data.draw(kernels((geometry.out_channels, geometry.input_shape[0] // geometry.groups, *geometry.kernel)))
    x = torch.zeros(1, *geometry.input_shape).double()
    pads = [n for pair in reversed(geometry.padding) for n in pair]
    mode = {"zeros": "constant"}.get(geometry.padding_mode, geometry.padding_mode)
    padded = nn.functional.pad(x, pads, mode=mode)
    y = CONV[axes](padded, weight, None, geometry.stride, 0, geometry.dilation, geometry.groups)
    assert y.shape[1:] == geometry.output_shape


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_geometries_reach_every_kind(mode: str) -> None:
    def rich(g: Geometry) -> bool:
        return (
            g.padding_mode == mode and g.groups > 1 and max(g.stride) > 1 and max(g.dilation) > 1 and any(g.padding[0])
        )

    assert rich(smallest(geometries(), rich))


def test_geometries_shrink_to_what_was_asked_for() -> None:
    assert smallest(geometries(), lambda g: g.padding[0][0] != g.padding[0][1]).stride[0] == 1
    assert smallest(geometries(min_axes=3), lambda g: True).input_shape == (1, 1, 1, 1)
    assert smallest(geometries(input_shape=(4, 5)), lambda g: g.groups == 4).input_shape == (4, 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_exact_in_their_dtype(dtype: torch.dtype) -> None:
    fine = smallest(kernels((2,), numbers="floats", dtype=dtype), lambda k: bool((k % 1 != 0).all()))
    assert fine.dtype == dtype
    assert (fine * 2**48 % 1 == 0).all()
    assert smallest(kernels((2, 2), dtype=dtype), lambda k: k.sum() > 2).tolist() in (
        [[0, 0], [1, 2]],
        [[0, 1], [1, 1]],
    )
    assert {int(n) for n in (-2, -1, 0, 1, 2)} >= {int(smallest(kernels(()), lambda k, n=n: k == n)) for n in (-2, 2)}


@NETWORKS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks_are_ready_to_run(networks: Callable[..., st.SearchStrategy], dtype: torch.dtype) -> None:
    @settings(max_examples=10)
    @given(st.sampled_from(["integers", "floats"]).flatmap(lambda numbers: networks(numbers=numbers, dtype=dtype)))
    def check(network: Network) -> None:
        assert not any(part.training for part in network.model.modules())
        assert all(p.dtype == dtype for p in network.model.parameters())
        y = network.model(network.example)
        assert len(y) == len(network.example) == 2
        assert y.dtype == dtype
        assert torch.isfinite(y).all()

    check()


@pytest.mark.thorough
def test_a_linear_cnn_shrinks_to_what_made_it_fail() -> None:
    model, example = smallest(
        linear_cnns(max_layers=3), lambda n: any(k < i - 1 and t == 2 for (k, i), t in n.model.strengths.items())
    )
    assert isinstance(model, LinearCNN)
    assert len(model.strengths) == 1
    assert all(len(shape) <= 2 and math.prod(shape) <= 2 for shape in model.shapes)
    assert all(not p.any() for p in model.parameters())
    assert not example.any()


def test_a_residual_network_shrinks_to_one_block() -> None:
    model, _ = smallest(residual_networks(), lambda n: "skip_strength" in str([vars(part) for part in n.model]))
    assert len(model) == 6
    assert str(model[2]).startswith("BasicBlock")
    relu, _ = smallest(
        residual_networks(linear=False), lambda n: any(isinstance(m, nn.ReLU) for m in n.model.modules())
    )
    assert len(relu) == 6


def test_an_exact_collapse_passes_and_another_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model, example = nn.Linear(3, 2).eval(), torch.zeros(1, 3)
    assert_collapse_is_exact(model, example)
    other = copy.deepcopy(model)
    other.weight.data[0, 0] += 1
    monkeypatch.setattr(
        "algebraic_cnn.testing.networks.collapse", lambda *args, **options: SimpleNamespace(model=other)
    )
    with pytest.raises(AssertionError, match="Witness"):
        assert_collapse_is_exact(model, example)


def test_without_hypothesis_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from algebraic_cnn.errors import MissingExtraError\n"
        "try:\n    import algebraic_cnn.testing\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "algebraic_cnn[test]" in done.stdout
