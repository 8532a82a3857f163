"""Every entry of the registry against torch's own kernel: on whole numbers bit for bit, modulo primes, and backwards.

Numbers are whole, and inputs are multiples of 3600, so that every mean is whole too: torch's float64 results are exact,
hence their residues are what the rule must give modulo p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.errors import NotAffineError
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator, affine_obstacle
from algebraic_cnn.ops.registry import OPS, SAMPLES
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.ops.traits import Prices
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime

FIELDS = [PrimeField(10_007), PrimeField(33_554_393)]


class Function(nn.Module):
    """y = function(x, *constants), the constants whole numbers and held as buffers."""

    def __init__(self, function: Callable[..., Tensor], shapes: Sequence[tuple[int, ...]] = ()) -> None:
        super().__init__()
        self.function, self.count = function, len(shapes)
        generator = np.random.default_rng(0)
        for index, shape in enumerate(shapes):
            self.register_buffer(f"c{index}", torch.from_numpy(generator.integers(-3, 4, shape)).double())
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(getattr(self, f"c{index}") for index in range(self.count)))


def whole(*shape: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-5, 6, shape)).double()


IMAGE = (4, 6, 6)
TAKEN_OUT = {"dropout", "feature_dropout"}  # the trace has no identities


@pytest.fixture(scope="module", params=SAMPLES)
def case(request: pytest.FixtureRequest) -> tuple[str, Function, Graph, Tensor]:
    function, shape, constants = SAMPLES[request.param]
    model, x = Function(function, constants), 3600 * whole(2, *shape)
    return request.param, model, trace(model, x), x


def test_each_op_computes_what_torch_computes(case: tuple[str, Function, Graph, Tensor]) -> None:
    name, model, graph, x = case
    spelled = {"view": "reshape", "_unsafe_view": "reshape"}
    assert spelled.get(name, name.split()[0]) in {call.op for call in graph.calls}
    assert torch.equal(Evaluator(graph)(x), model(x))


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_each_op_computes_it_modulo_a_prime(case: tuple[str, Function, Graph, Tensor], field: PrimeField) -> None:
    _, model, graph, x = case
    if field.capacity < terms(graph):
        field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    expected = field.embed(model(x))
    y = Evaluator(graph, field)(field.embed(x))
    assert torch.equal(y, expected)
    assert float(abs(y).max()) <= field.half


def test_each_op_has_a_linear_part(case: tuple[str, Function, Graph, Tensor]) -> None:
    _, model, graph, x = case
    assert torch.equal(Evaluator(graph)(x, linear=True), model(x) - model(0 * x))


def test_each_op_is_differentiated_modulo_a_prime(case: tuple[str, Function, Graph, Tensor]) -> None:
    """The largest prime that is allowed leaves no room for a product that was not reduced."""
    _, _, graph, _ = case
    field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    assert derive(graph, ring=field, method="adjoint").exactly_equals(derive(graph, ring=field, method="forward"))


@pytest.mark.parametrize("method", ["forward", "adjoint", "recursion"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_are_those_of_the_networks_dtype(dtype: torch.dtype, method: str) -> None:
    """From 2 to 82 pixels torch copies another neighbour in float32 than in float64."""
    x = torch.tensor([[[3.0, -5.0]]], dtype=dtype)
    model = Function(lambda x: F.interpolate(x, size=82)).eval()
    y = derive(model, x, method=method)(x.double())
    assert torch.equal(y.to(dtype), model(x))
    other = torch.float64 if dtype == torch.float32 else torch.float32
    assert not torch.equal(y.to(other), model(x.to(other)))


def test_no_op_is_without_a_sample() -> None:
    assert {name.split()[0] for name in SAMPLES} | TAKEN_OUT == set(OPS)


REFUSED: dict[str, tuple[Callable[..., Tensor], str]] = {
    "relu": (lambda x: F.relu(x), "relu is not affine in the input: it is an activation"),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), "max_pool2d"),
    "x * x": (lambda x: x * x, "two of its factors depend"),
    "x @ x": (lambda x: x @ x, "two of its factors depend"),
    "1 / x": (lambda x: 1 / x, "reciprocal"),
    "c / x": (lambda x: torch.ones(6).double() / x, "its argument 'other' depends"),
    "weights": (lambda x: F.conv2d(torch.ones(1, 4, 6, 6).double(), x), "its argument 'weight' depends"),
    "rounded": (lambda x: torch.div(x, 2, rounding_mode="floor"), "it rounds"),
    "bits": (lambda x: x.view(torch.int64).double(), "its numbers are int64"),
    "softmax": (lambda x: x.softmax(1), "softmax"),
    "sign": (lambda x: x.sign() + x, "sign"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_affine_is_refused_with_its_line(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(NotAffineError, match=reason) as caught:
        derive(Function(function), whole(2, *IMAGE))
    assert "test_registry.py" in str(caught.value.where)


def test_batch_statistics_and_random_drops_are_refused() -> None:
    graph = trace(
        Function(lambda x: F.batch_norm(x, torch.zeros(4).double(), torch.ones(4).double())), whole(2, *IMAGE)
    )
    (call,) = (call for call in graph.calls if call.op == "batch_norm")
    assert affine_obstacle(graph) is None
    assert "batch statistics" in OPS["batch_norm"].accepts({**call.bound(), "training": True})
    assert "at random" in OPS["alpha_dropout"].accepts({"train": True})


def test_the_meaning_of_batch_norm_is_its_rounded_scale() -> None:
    """By hand: 3 / sqrt(2 + 1e-5) rounded once by the root and once by the division; nothing else is rounded."""
    model = nn.BatchNorm1d(1).eval()
    for name, value in {"weight": 3.0, "bias": 0.1, "running_mean": 0.7, "running_var": 2.0}.items():
        getattr(model, name).data.fill_(value)
    scale = np.float64(3) / np.sqrt(np.float64(2) + 1e-5)
    field = PrimeField(1_000_003)
    numbers = [field.embed(np.float64(np.float32(v)).reshape(1)) for v in (5.0, 0.7, 0.1)]
    x, mean, bias = numbers
    expected = field.reduce(field.reduce(field.embed(np.array([scale])) * field.reduce(x - mean)) + bias)
    y = Evaluator(trace(model, torch.zeros(2, 1)), field)(torch.from_numpy(x).reshape(1, 1))
    assert y.item() == expected.item()


@pytest.mark.parametrize(("dtype", "tenth"), [(torch.float32, np.float32(0.1)), (torch.float64, np.float64(0.1))])
def test_a_python_number_is_what_torch_makes_of_it(dtype: torch.dtype, tenth: Any) -> None:
    field = PrimeField(1_000_003)
    residue = field.embed(np.array([np.float64(tenth)]))
    x = torch.ones(2, 1, dtype=dtype)
    results = [
        Evaluator(trace(Function(function), x), field)(x[:1].double()).item()
        for function in (
            lambda x: x * 0.1,
            lambda x: x + 0.1,
            lambda x: x / 0.1,
            lambda x: F.pad(x, (1, -1), value=0.1),
        )
    ]
    inverse = field.divide(np.ones(1), np.array([np.float64(tenth)]))
    assert results == [residue.item(), field.reduce(1 + residue).item(), inverse.item(), residue.item()]


@pytest.mark.parametrize("kernel", [[3], [3, 3], 3], ids=str)
def test_a_window_of_one_length_is_a_square(kernel: Any) -> None:
    """By hand: two channels, 9 - 3 + 1 = 7 windows along each axis, 3 x 3 numbers in each."""
    graph = trace(Function(lambda x: F.avg_pool2d(x, kernel, 1)), whole(1, 2, 9, 9))
    (call,) = (call for call in graph.calls if call.op == "avg_pool2d")
    work = OPS["avg_pool2d"].work(Prices(lone=1.0), call, call.bound(), graph.shapes(), 1)
    assert work == 2 * 7 * 7 * 9


@pytest.mark.parametrize(
    ("function", "local"),
    [
        (lambda x: F.conv2d(x, torch.ones(2, 4, 3, 3).double()), True),
        (lambda x: F.pad(x, (1, 1, 0, 0), mode="reflect"), True),
        (lambda x: F.pad(x, (1, 1, 0, 0), mode="circular"), False),
        (lambda x: F.interpolate(x, scale_factor=2), True),
        (lambda x: F.interpolate(x, size=4), False),
        (lambda x: F.adaptive_avg_pool2d(x, 3), False),
    ],
)
def test_a_call_runs_on_a_part_of_an_image_as_on_the_whole_if_it_says_so(function: Any, local: bool) -> None:
    """On the left half with what is read beyond it, the outputs of the left are those of the whole, by torch."""
    x = torch.arange(4.0 * 36).double().reshape(1, 4, 6, 6) ** 2
    graph = trace(Function(function), x)
    (call,) = (call for call in graph.calls if call.name in graph.dependent())
    assert OPS[call.op].local(call.bound()) is local
    assert torch.equal(function(x[..., :5])[..., :3], function(x)[..., :3]) is local
