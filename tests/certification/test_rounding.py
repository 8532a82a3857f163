"""Rounding bounds hold against exact arithmetic, and are close enough to be of use at depth 34."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn.certification.rounding import forward_error
from algebraic_cnn.derivation.magnitudes.bounds import majorant
from algebraic_cnn.derivation.magnitudes.gains import gains
from algebraic_cnn.derivation.magnitudes.norms import conv_norm, matrix_norm
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN, SkipSpec
from algebraic_cnn.ops.sums import call_roundings, gamma, roundings
from algebraic_cnn.toeplitz import conv_matrix

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def drawn(model: nn.Module, seed: int, dtype: torch.dtype) -> nn.Module:
    """The model in evaluation mode, its numbers drawn from a seed."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)))
    return model.to(dtype).eval()


def exact_chain(layers: list[nn.Linear], x: Tensor) -> list[Fraction]:
    """Linear layers on one input, in rational arithmetic."""
    z = [Fraction(v) for v in x.double().tolist()]
    for layer in layers:
        rows, shifts = layer.weight.detach().double().tolist(), layer.bias.detach().double().tolist()
        z = [sum((Fraction(w) * v for w, v in zip(row, z, strict=True)), Fraction(c))
             for row, c in zip(rows, shifts, strict=True)]  # fmt: skip
    return z


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("depth", [1, 3, 8])
def test_the_bound_holds_against_rational_arithmetic(depth: int, dtype: torch.dtype) -> None:
    layers = [nn.Linear(5, 5) for _ in range(depth)]
    model = drawn(nn.Sequential(*layers), depth, dtype)
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 5))).to(dtype)
    error = forward_error(trace(model, x), x)
    with torch.no_grad():
        y = model(x).double()
    for row in range(3):
        for place, value in enumerate(exact_chain(layers, x[row])):
            true = abs(Fraction(y[row, place].item()) - value)
            assert true <= Fraction(error.bound[row, place].item())
    assert bool((error.bound > 0).all())


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_holds_for_convolutions_skips_and_norms(seed: int, dtype: torch.dtype) -> None:
    """Against float64, whose own error the same bound controls."""
    layers = [
        nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)),
        nn.Conv2d(3, 3, 3, padding=1, groups=3),
        nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 4, 2), nn.ConvTranspose2d(4, 2, 3, stride=2)),
        nn.Linear(50, 3),
    ]
    model = drawn(LinearCNN((2, 6, 6), layers, {(0, 2): SkipSpec(0.3, "conv", True)}), seed, dtype)
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((4, 2, 6, 6))).to(dtype)
    graph = trace(model, x)
    error, own = forward_error(graph, x), forward_error(graph, x, torch.float64)
    with torch.no_grad():
        y = model(x).double()
        scale_of_reference = model.double()(x.double())
    difference = (y - scale_of_reference).abs()
    assert bool((difference <= error.bound + own.bound).all())
    assert bool((own.bound < error.bound).all())


def deep(depth: int = 34, channels: int = 16) -> Graph:
    torch.manual_seed(0)
    convs = [nn.Conv2d(1 if i == 0 else channels, channels, 3, padding=1) for i in range(depth - 1)]
    skips = {(i - 2, i): 0.5 for i in range(3, depth, 2)}
    model = LinearCNN((1, 8, 8), [*convs, nn.Linear(channels * 64, 10)], skips).eval()
    return trace(model, torch.zeros(1, 1, 8, 8))


@pytest.fixture(scope="module")
def deep_case() -> tuple[Graph, Tensor, Tensor]:
    """34 layers of 16 channels, four inputs, and the error of float32 measured by float64."""
    from algebraic_cnn.ops.evaluate import Evaluator
    from algebraic_cnn.rings.ring import Float

    graph = deep()
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 1, 8, 8))).float()
    with torch.no_grad():
        single = Evaluator(graph, Float("float32"))(x)
        double = Evaluator(graph, Float("float64"))(x.double())
    return graph, x, (single.double() - double).abs()


def test_at_depth_34_the_bound_is_within_1e5_of_the_error(deep_case: tuple[Graph, Tensor, Tensor]) -> None:
    graph, x, observed = deep_case
    bound = forward_error(graph, x).bound
    assert bool((observed <= bound).all())
    assert float((bound / observed).median()) < 1e5
    a_priori = gamma(roundings(graph), 2.0**-24) * majorant(graph, x)
    assert float(a_priori.min()) > 1e20


def test_float64_certifies_the_error_of_float32_to_a_percent(deep_case: tuple[Graph, Tensor, Tensor]) -> None:
    graph, x, observed = deep_case
    assert float(forward_error(graph, x, torch.float64).bound.max()) < 0.01 * float(observed.median())


def test_the_likely_error_lies_between_the_error_and_the_bound(deep_case: tuple[Graph, Tensor, Tensor]) -> None:
    graph, x, observed = deep_case
    error = forward_error(graph, x)
    assert bool((observed <= error.likely).all())
    assert bool((error.likely <= error.bound).all())


def test_chunks_of_outputs_change_nothing() -> None:
    graph, x = deep(3, 2), torch.ones(2, 1, 8, 8)
    whole, pieces = forward_error(graph, x), forward_error(graph, x, memory_budget=1)
    assert float((pieces.bound / whole.bound - 1).abs().max()) < 2.0**-20


class Fixed(nn.Module):
    """A model that writes its batch size into a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.reshape(2, 4))


def test_a_graph_bound_to_a_batch_is_filled_up() -> None:
    model = drawn(Fixed(), 0, torch.float32)
    graph = trace(model, torch.zeros(2, 4))
    assert graph.batch == 2
    x = torch.ones(3, 4)
    free = trace(model.linear, torch.zeros(2, 4))
    assert torch.equal(forward_error(graph, x).bound, forward_error(free, x).bound)


def test_nothing_is_rounded_where_nothing_is_computed() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4,)), nn.Dropout()).eval()
    error = forward_error(trace(model, torch.zeros(1, 2, 2)), torch.ones(1, 2, 2))
    assert torch.equal(error.bound, torch.zeros(1, 4).double())


def test_a_sum_too_long_for_the_precision_has_no_bound() -> None:
    model = drawn(nn.Linear(300, 1), 0, torch.bfloat16)
    error = forward_error(trace(model, torch.zeros(1, 300).bfloat16()), torch.ones(1, 300).bfloat16())
    assert error.bound.isinf().all()
    assert gamma(1, 1.0) == math.inf


def test_each_call_counts_its_own_roundings() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.AvgPool2d(2), nn.Flatten()).eval()
    graph = trace(model, torch.zeros(1, 2, 6, 6))
    counts = call_roundings(graph)
    conv, norm, pool, flatten = (counts[call.name] for call in graph.calls)
    assert conv >= 18 + 1                    # products, and the bias
    assert norm >= 10
    assert pool >= 4
    assert flatten == 0
    assert roundings(graph) == sum(counts.values())


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(1, 2),
    st.integers(),
)
def test_conv_norm_bounds_the_matrix(channels: tuple[int, int], k: int, n: int, dilation: int, seed: int) -> None:
    (c_out, c_in), seed = channels, abs(seed)
    rng = np.random.default_rng(seed)
    weight = rng.integers(-4, 5, (c_out, c_in, k, k)).astype(float)
    padding = dilation * (k - 1)
    W = conv_matrix(weight, (c_in, n, n), padding=padding, dilation=dilation).toarray()
    exact = float(np.linalg.norm(W, 2))
    bound = conv_norm(torch.from_numpy(weight), 1, [n, n], [dilation] * 2)
    assert exact * (1 - max(W.shape) * 2.0**-53) <= bound
    assert bound <= np.abs(weight).sum() / math.cos(math.pi / 16) ** 2 * 3 ** (1 / 64) * (1 + 2.0**-19)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_matrix_norm_is_close_from_above(m: int, n: int, seed: int) -> None:
    A = np.random.default_rng(seed).standard_normal((m, n))
    exact, bound = float(np.linalg.norm(A, 2)), matrix_norm(torch.from_numpy(A))
    assert exact <= bound <= exact * min(m, n) ** (1 / 64) * (1 + 2.0**-19)


def test_gains_bound_every_call() -> None:
    """||F x|| <= norm ||x|| at random x, and |F| |x| likewise with the modulus."""
    layers = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.AvgPool2d(2), nn.Flatten()
    model = drawn(nn.Sequential(*layers), 3, torch.float64)
    graph = trace(model, torch.zeros(1, 2, 6, 6).double())
    found = gains(graph)
    conv, pool, flatten = (next(iter(found[call.name].values())) for call in graph.calls)
    assert flatten.norm == pytest.approx(1.0, abs=2.0**-19)
    assert 0.5 <= pool.norm <= 0.5 * (1 + 2.0**-19)
    W = conv_matrix(model[0].weight.detach().numpy(), (2, 6, 6), stride=2, padding=1).toarray()
    assert np.linalg.norm(W, 2) <= conv.norm <= conv.modulus
    assert np.linalg.norm(abs(W), 2) <= conv.modulus


def test_a_convolution_that_sees_only_padding_has_gain_zero() -> None:
    """Kernel 1, stride 2, padding 1 on one column: both outputs stand on padding."""
    network = nn.Conv2d(1, 1, 1, stride=(1, 2), padding=(0, 1), bias=False).eval()
    x = torch.ones(1, 1, 1, 1)
    graph = trace(network, x)
    assert not network(x).any()
    assert [gain.norm for gain in gains(graph)[graph.calls[0].name].values()] == [0.0]
    assert forward_error(graph, x.double(), torch.float32).bound.max() <= torch.finfo(torch.float32).smallest_normal
