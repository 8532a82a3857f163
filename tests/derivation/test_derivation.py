"""W and B by every method: small networks worked out by hand, chunks, budgets, progress, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.derivation.bordering import border_classes
from algebraic_cnn.derivation.methods import cheapest, derive
from algebraic_cnn.errors import (
    GeometryError,
    NonFiniteError,
    NotAffineError,
    ShapeError,
    TooLargeError,
    UnknownNameError,
)
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import largest_modulus

METHODS = ("forward", "adjoint", "recursion")  # those for any affine network
EVERY = pytest.mark.parametrize("method", ["auto", *METHODS])


class ByHand(nn.Module):
    """y = 2 (x0 + x1) + 1, 3 x1 - 2."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.linear.weight.data = torch.tensor([[2.0, 2.0], [0.0, 3.0]])
        self.linear.bias.data = torch.tensor([1.0, -2.0])
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


@EVERY
def test_the_map_of_a_matrix_is_the_matrix(method: str) -> None:
    f = derive(ByHand(), torch.zeros(1, 2), method=method).to("dense")
    assert f.W.tolist() == [[2, 2], [0, 3]]
    assert f.b.tolist() == [1, -2]
    assert f.W.dtype == np.float64


@EVERY
def test_the_map_modulo_a_prime(method: str) -> None:
    f = derive(ByHand(), torch.zeros(1, 2), method=method, ring=PrimeField(3)).to("dense")
    assert f.W.tolist() == [[-1, -1], [0, 0]]
    assert f.b.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["float32", torch.float32, "float64", torch.float64])
@pytest.mark.parametrize("method", ["forward", "adjoint"])
def test_the_dtype_is_where_it_is_computed(dtype: object, method: str) -> None:
    f = derive(ByHand(), torch.zeros(1, 2), method=method, dtype=dtype)
    assert f.W.dtype == f.b.dtype == np.dtype(str(dtype).removeprefix("torch."))


def network() -> nn.Module:
    generator = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 2, 2, stride=2), nn.Flatten()).double().eval()
    for parameter in model.parameters():
        parameter.data = torch.from_numpy(generator.integers(-4, 5, parameter.shape)).double()
    return model


@pytest.mark.parametrize("method", ["forward", "adjoint"])
@pytest.mark.parametrize("budget", [2**40, 40_000, 8 * 8 * 32])
def test_chunks_change_nothing(method: str, budget: int) -> None:
    graph = trace(network(), torch.zeros(2, 2, 4, 4).double())
    seen: list[tuple[int, int]] = []
    f = derive(graph, method=method, memory_budget=budget, progress=lambda done, total: seen.append((done, total)))
    assert f.exactly_equals(derive(graph, method="recursion"))
    total = 32 if method == "forward" else 8
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) == 1 or budget < 2**40


class Bound(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * x.view(4, 3)


@pytest.mark.parametrize("method", ["forward", "adjoint"])
def test_a_bound_batch_takes_any_number_of_probes(method: str) -> None:
    graph = trace(Bound().eval(), torch.zeros(4, 3))
    assert graph.batch == 4
    assert derive(graph, method=method).W.tolist() == (3 * np.eye(3)).tolist()


def test_the_cheaper_side_is_chosen() -> None:
    wide, tall = nn.Linear(40, 2).eval(), nn.Linear(2, 40).eval()
    assert cheapest(trace(wide, torch.zeros(1, 40))) == "adjoint"
    assert cheapest(trace(tall, torch.zeros(1, 2))) == "forward"


def test_what_cannot_be_derived_is_refused() -> None:
    example = torch.zeros(1, 2)
    with pytest.raises(UnknownNameError, match="no such method"):
        derive(ByHand(), example, method="guess")
    with pytest.raises(TooLargeError) as caught:
        derive(ByHand(), example, memory_budget=31)
    assert (caught.value.needed, caught.value.budget) == (32, 31)
    with pytest.raises(NotAffineError, match="relu"):
        derive(nn.Sequential(ByHand(), nn.ReLU()).eval(), example)
    model = ByHand()
    model.linear.weight.data[0, 0] = torch.nan
    for method in METHODS:
        with pytest.raises(NonFiniteError):
            derive(model, example, method=method)


def test_the_evaluator_says_what_shape_it_wants() -> None:
    run = Evaluator(trace(ByHand(), torch.zeros(1, 2)))
    with pytest.raises(ShapeError, match="does not fit the network"):
        run(torch.zeros(1, 3).double())
    assert run(torch.zeros(5, 2).double()).shape == (5, 2)


class Sized(nn.Module):
    """Adds a constant as long as the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.ones(x.shape[0], 1)], 1)


def test_constants_follow_the_batch_and_leave_the_linear_part() -> None:
    graph = trace(Sized().eval(), torch.zeros(1, 2))
    for method in METHODS:
        f = derive(graph, method=method).to("dense")
        assert f.W.tolist() == [[1, 0], [0, 1], [0, 0]]
        assert f.b.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("model", "example", "expected"),
    [
        (nn.Linear(7, 3), torch.zeros(1, 7), 8),  # 7 products of a row and a bias
        (nn.Linear(3, 7), torch.zeros(1, 3), 8),  # backwards 7 products of a column
        (nn.Conv2d(2, 3, 3, groups=1), torch.zeros(1, 2, 4, 4), 28),  # backwards 3 channels of 9 taps
        (nn.Identity(), torch.zeros(1, 3), 2),
    ],
)
def test_terms_count_the_longest_sum(model: nn.Module, example: Tensor, expected: int) -> None:
    assert terms(trace(model.eval(), example)) == expected


def test_a_modulus_with_which_sums_would_round_is_refused() -> None:
    graph = trace(nn.Conv2d(2, 1, 3).eval(), torch.zeros(1, 2, 5, 5))
    assert terms(graph) == 19
    largest = largest_modulus(19)
    assert derive(graph, ring=PrimeField(largest)).W.shape == (9, 50)
    for method in METHODS:
        with pytest.raises(ShapeError, match=r"modulus .* is too large.*room for 19 products, got 1"):
            derive(graph, method=method, ring=PrimeField(largest + 2))


class Circle(nn.Module):
    def forward(self, x):
        return nn.functional.pad(x, (-2, 2), mode="circular")


@pytest.mark.parametrize("method", ["forward", "adjoint", "operator"])
def test_a_circle_of_cropped_pixels_is_refused(method: str) -> None:
    """torch would take what happens to lie in memory."""
    W = derive(Circle().eval(), torch.zeros(1, 1, 4).double(), method=method).W
    assert np.array_equal(W if isinstance(W, np.ndarray) else W.toarray(), np.eye(4)[[2, 3, 2, 3]])
    with pytest.raises(GeometryError):
        derive(Circle().eval(), torch.zeros(1, 1, 2).double(), method=method)


def test_reshapes_that_undo_each_other_bind_the_table_to_one_size() -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1)
    model = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 6, 6)), conv).double().eval()
    for parameter in conv.parameters():
        parameter.data.mul_(64).round_()
    example = torch.zeros(1, 3, 6, 6, dtype=torch.float64)
    with pytest.raises(ShapeError, match="flatten is no map of images of every size"):
        border_classes(model, example)
    found = derive(model, example)
    for method in ("coloured", "stencil"):
        assert derive(model, example, method=method).exactly_equals(found)
    x = torch.from_numpy(np.random.default_rng(0).integers(-8, 9, (2, 3, 6, 6)).astype(np.float64))
    assert np.array_equal(found(x.numpy()), model(x).detach().numpy())
