"""What makes W and B a matrix and a vector: linearity, composition, adjoint, translation; on random networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator
from algebraic_cnn.testing import Network, affine_modules, kernels, linear_cnns

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
HALF = settings(max_examples=max(1, settings.default.max_examples // 2))
FEW = settings(max_examples=max(5, settings.default.max_examples // 4))
INTEGERS = st.integers(-3, 3)


@HALF
@given(linear_cnns(), INTEGERS, INTEGERS)
def test_the_linear_part_is_linear_and_the_rest_is_its_value_at_zero(network: Network, s: int, t: int) -> None:
    f, (x, y) = Evaluator(trace(*network)), network.example.split(1)
    with torch.no_grad():
        assert torch.equal(f(s * x + t * y, linear=True), s * f(x, linear=True) + t * f(y, linear=True))
        assert torch.equal(f(x), f(x, linear=True) + f(0 * x))
        assert torch.equal(f(x), network.model(x))


@FEW
@given(linear_cnns(max_layers=2), st.data())
def test_maps_compose_as_networks_do(network: Network, data: st.DataObject) -> None:
    first, example = network
    with torch.no_grad():
        between = first(example)
    then = nn.Linear(between.shape[-1], data.draw(st.integers(1, 3))).double()
    then.weight.data = data.draw(kernels(then.weight.shape))
    then.bias.data = data.draw(kernels(then.bias.shape))
    both = nn.Sequential(first, then).eval()
    assert derive(both, example).exactly_equals(derive(then.eval(), between) @ derive(first, example))


@HALF
@given(affine_modules(), st.data())
def test_the_adjoint_passes_the_dot_test(network: Network, data: st.DataObject) -> None:
    """<W x, y> = <x, W^T y>, with torch's own backward pass on the right."""
    f = derive(*network, method="forward")
    x = network.example[:1].clone().requires_grad_()
    y = data.draw(kernels(f.out_shape))
    output = network.model(x)
    output.backward(y[None].to(output))
    assert x.grad is not None
    gradient = x.grad[0].numpy()
    assert np.array_equal(f.T(y.numpy()), gradient)
    assert np.vdot(f.W @ network.example[0].numpy().ravel(), y.numpy()) == np.vdot(network.example[0].numpy(), gradient)
