"""The recursion read off a traced network: what becomes a layer, what a skip, and that no number is rounded."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn import SkipRecursion
from algebraic_cnn.algebra.assembly import Assembly
from algebraic_cnn.derivation.extract import recursion_of
from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.errors import NonFiniteError, NotAffineError, TooLargeError, TrainingModeError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN, SkipSpec, resnet18
from algebraic_cnn.ops.registry import OPS, SAMPLES
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.ring import Rationals

from ..ops.test_registry import Function, whole

FIELD = PrimeField(1_000_003)
UNREAD = {"bmm", "matmul from the left", "addmm", "t"}


def of(function: Callable[..., Tensor], *shape: int, constants: tuple = ()) -> SkipRecursion:
    return SkipRecursion.from_torch(Function(function, constants), torch.zeros(2, *shape).double())


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() - UNREAD))
def test_each_call_is_read_exactly(name: str) -> None:
    function, shape, constants = SAMPLES[name]
    model, x = Function(function, constants), 3600 * whole(2, *shape)
    recursion = recursion_of(trace(model, x))
    y = model(x).numpy()
    assert np.array_equal(recursion.forward(FIELD.embed(x.numpy()), FIELD), FIELD.embed(y))
    assert recursion.collapse(FIELD).exactly_equals(recursion.adjoint(FIELD))
    if y[0].size < 60:
        assert (recursion.forward(Rationals().embed(x.numpy()), Rationals()) == Rationals().embed(y)).all()


@pytest.mark.parametrize("name", sorted(UNREAD))
def test_what_has_no_matrix_is_refused_with_its_line(name: str) -> None:
    function, shape, constants = SAMPLES[name]
    with pytest.raises(NotAffineError, match="cannot be part of the recursion") as caught:
        of(function, *shape, constants=constants)
    assert "test_registry.py" in str(caught.value.where)


def test_every_op_but_one_has_a_layer() -> None:
    assert {name for name, op in OPS.items() if op.layer is None} == {"bmm"}


def test_the_parts_of_a_residual_network_are_those_of_the_paper() -> None:
    layers = [nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.Linear(32, 3)]
    model = LinearCNN((1, 4, 4), layers, {(1, 3): SkipSpec(-0.25), (0, 2): SkipSpec(3.0, "pool")}).double().eval()
    recursion = SkipRecursion.from_torch(model, torch.zeros(1, 1, 4, 4).double())
    assert recursion.in_shape == (1, 4, 4)
    assert recursion.out_shape == (3,)
    assert len(recursion.layers) == 3
    assert [layer.P is None for layer in recursion.layers] == [False, False, True]
    assert [layer.b is None for layer in recursion.layers] == [False, True, False]
    assert recursion.layers[0].P.shape == (36, 16)
    assert recursion.layers[0].W.shape == (32, 36)
    assert {edge: skip.t for edge, skip in recursion.skips.items()} == {
        (0, 1): 1, (1, 2): 1, (2, 3): 1, (0, 2): 3, (1, 3): -0.25,
    }  # fmt: skip
    assert [edge for edge, skip in recursion.skips.items() if skip.R is not None] == [(0, 2)]
    assert np.array_equal(recursion.layers[2].W.toarray(), layers[2].weight.detach().numpy())


def test_a_shortcut_convolution_is_a_layer_and_cuts_the_feed() -> None:
    layers = [nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 1)]
    model = LinearCNN((1, 3), layers, {(0, 2): SkipSpec(2.0, "conv")}).eval()
    recursion = SkipRecursion.from_torch(model, torch.zeros(1, 1, 3))
    assert len(recursion.layers) == 3
    assert (recursion.skips[0, 2].t, recursion.skips[1, 2].t, recursion.skips[1, 2].R.nnz) == (1, 0, 0)
    assert {recursion.skips[1, 3].t, recursion.skips[2, 3].t} == {1, 2}


def test_batch_norm_is_a_diagonal_layer_of_unrounded_numbers() -> None:
    model = nn.BatchNorm1d(2).eval()
    model.running_mean.copy_(torch.tensor([0.1, -0.3]))
    model.running_var.copy_(torch.tensor([3.0, 5.0]))
    model.bias.data.copy_(torch.tensor([0.7, 0.2]))
    recursion = SkipRecursion.from_torch(model, torch.zeros(1, 2))
    (layer,), skip = recursion.layers, recursion.skips[0, 1]
    assert np.array_equal(layer.W.toarray(), np.diag(1 / np.sqrt(np.array([3.0, 5.0]) + 1e-5)))
    assert skip.r.tolist() == (-model.running_mean.double()).tolist()
    assert layer.b.tolist() == model.bias.double().tolist()


def test_batch_norm_of_a_scaled_value_waits_for_a_whole_one() -> None:
    recursion = of(lambda x, m, v: F.batch_norm(0.5 * x, m, 4 ** v.abs() - 1, eps=1.0), 3, constants=((3,), (3,)))
    assert [layer.W.shape for layer in recursion.layers] == [(3, 3), (3, 3)]
    assert recursion.skips[0, 1].t == 0.5
    assert recursion.skips[1, 2].r is not None


def test_averages_have_whole_numbers_in_r_and_their_divisor_in_t() -> None:
    recursion = of(lambda x: F.avg_pool1d(x, 3, 1, 1, count_include_pad=False), 1, 4)
    skip = recursion.skips[0, 1]
    assert skip.t == Fraction(1, 6)
    assert skip.R.toarray().tolist() == [[3, 3, 0, 0], [2, 2, 2, 0], [0, 2, 2, 2], [0, 0, 3, 3]]


def test_divisors_without_a_small_common_multiple_get_a_layer_each() -> None:
    recursion = of(lambda x: x / torch.tensor([0.1, 0.7, -3.0], dtype=torch.float64), 3)
    assert len(recursion.layers) == 4
    strengths = [recursion.skips[0, i].t for i in (1, 2, 3)]
    assert sorted(strengths) == sorted(1 / Fraction(d) for d in (0.1, 0.7, -3.0))


def test_two_resizings_of_one_value_are_made_whole() -> None:
    recursion = of(lambda x: x + F.avg_pool1d(x, 3, 1, 1), 1, 4)
    assert len(recursion.layers) == 2
    assert len(of(lambda x: (x + 2 * x) + x, 1, 4).layers) == 1
    assert of(lambda x: (x + 2 * x) + x, 1, 4).skips[0, 1].t == 4


def test_integers_beyond_float64_are_made_whole() -> None:
    work = Assembly((1,))
    value = work.mapped(work.input, sp.csr_array([[2.0**30]]), (1,))
    for _ in range(2):
        value = work.mapped(value, sp.csr_array([[2.0**30]]), (1,))
    recursion = work.recursion(value)
    assert len(recursion.layers) == 3
    assert recursion.forward(Rationals().embed(np.array([1.0])), Rationals()).tolist() == [2**90]


@pytest.mark.parametrize("t", [0.1, 1 / 3, 1e300])
def test_strengths_multiply_exactly(t: float) -> None:
    recursion = of(lambda x: t * (t * x), 2)
    assert recursion.skips[0, 1].t == Fraction(t) ** 2


def test_an_output_that_is_no_layer_gets_one() -> None:
    for recursion in (of(lambda x: x.clone(), 3), of(lambda x, a: (x @ a).flip(1), 2, constants=((2, 3),))):
        W = recursion.layers[-1].W
        assert (sp.eye_array(3) != W).nnz == 0


def test_constants_of_the_batch_size_are_known() -> None:
    added = of(lambda x: x + torch.ones(x.shape[0], 2, dtype=x.dtype), 2)
    assert added.forward(np.array([1.0, 2.0])).tolist() == [2, 3]
    recursion = of(lambda x: torch.cat([x, torch.full((x.shape[0], 1), 2.5, dtype=x.dtype), x], 1), 2)
    assert recursion.forward(np.array([1.0, 2.0])).tolist() == [1, 2, 2.5, 1, 2]


def test_values_are_repeated_where_torch_repeats_them() -> None:
    recursion = of(lambda x: x - x.mean(1, keepdim=True), 2)
    assert recursion.forward(np.array([1.0, 4.0])).tolist() == [-1.5, 1.5]


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x - x.mean(0, keepdim=True),
    "sum": lambda x: x + x.sum(),
    "flip": lambda x: x.flip(0),
    "cat": lambda x: torch.cat([x[1:], x[:1]]),
    "constant": lambda x: x + torch.tensor([[1.0], [2.0]]).double(),
    "transposed": lambda x: x + x.t(),
    "paired": lambda x: x + x.unsqueeze(2),
    "in front": lambda x: (x * torch.ones(3, 1, 1).double())[1],
    "merged": lambda x: (2 * x.reshape(x.shape[0] * 2, 1).transpose(0, 1).squeeze()).reshape(-1, 2),
}


@pytest.mark.parametrize("name", MIXING)
def test_calls_that_mix_the_samples_of_a_batch_are_refused(name: str) -> None:
    with pytest.raises(NotAffineError):
        of(MIXING[name], 2)


def test_bad_models_are_refused() -> None:
    with pytest.raises(TrainingModeError):
        SkipRecursion.from_torch(nn.Conv1d(1, 1, 1).train(), torch.zeros(1, 1, 3))
    with pytest.raises(NotAffineError, match="relu"):
        of(F.relu, 2)
    with pytest.raises(NotAffineError, match="has no reader"):
        of(lambda x, a: torch.bmm(x, a.expand(x.shape[0], -1, -1)), 2, 2, constants=((1, 2, 2),))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(NonFiniteError):
            of(lambda x, bad=bad: bad * x, 2)
    with pytest.raises(NonFiniteError):
        of(lambda x: x / 0, 2)


@pytest.mark.parametrize(
    "function", [lambda x, w: F.conv1d(x, w), lambda x, w: F.linear(x, w[0])], ids=["conv", "linear"]
)
def test_nothing_is_built_beyond_the_budget(function: Callable[..., Tensor]) -> None:
    graph = trace(Function(function, [(4, 4, 4)]), torch.zeros(2, 4, 4).double())
    with pytest.raises(TooLargeError) as caught:
        recursion_of(graph, memory_budget=100)
    assert caught.value.needed > 100
    assert recursion_of(graph).layers


def test_a_whole_resnet_is_the_recursion_that_the_adjoint_sees() -> None:
    torch.manual_seed(0)
    model = resnet18(linear=True, num_classes=2, skip_strength=0.3).eval()
    graph = trace(model, torch.zeros(1, 1, 8, 8))
    recursion = recursion_of(graph)
    field = PrimeField(65_537)
    assert recursion.adjoint(field).exactly_equals(derive(graph, ring=field, method="adjoint"))
    assert sum(layer.W.shape[0] == layer.W.nnz for layer in recursion.layers) >= 20  # the diagonals of BatchNorm


def test_a_running_sum_over_the_samples_is_refused() -> None:
    with pytest.raises(NotAffineError, match="samples"):
        of(lambda x: x.cumsum(0), 3)
