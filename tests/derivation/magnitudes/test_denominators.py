"""Division by constants of any size: common denominators that clear every entry, fast, and primes that meet them."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn import AffineMap, NonFiniteError, PrimeField, certify, exact_map
from algebraic_cnn.derivation.magnitudes.heights import denominator, height
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.rings.crt import primes_for
from algebraic_cnn.rings.primes import at_random_prime, largest_modulus, prime_interval

F = nn.functional


class Net(nn.Module):
    """function(x)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def cleared(model: nn.Module | Graph, x: Tensor) -> bool:
    """Whether the denominator clears every entry of the exact map."""
    graph = model if isinstance(model, Graph) else trace(model, x)
    exact, common = exact_map(graph), denominator(graph).integer
    return all((Fraction(v) * common).denominator == 1 for v in (*exact.W.ravel(), *exact.b))


LARGE = [3.0, -0.1, 2.0**-149, 1e30, 2.0**100 + 2.0**60, 67108859.0, 2**53 - 1, 9007199254740993, -(2**62) + 1]


@pytest.mark.parametrize("number", LARGE)
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_division_by_constants_of_any_size(number: float, held: bool, dtype: torch.dtype) -> None:
    """By hand: 1 / c for the float c that torch divides by."""
    divisor = torch.tensor([number, 5], dtype=dtype) if held else number
    x = torch.zeros(1, 2, dtype=dtype)
    graph = trace(Net(lambda x: x / divisor), x)
    c = torch.as_tensor(number, dtype=torch.float64 if isinstance(number, float) else None).to(dtype).item()
    assert exact_map(graph).W[0, 0] == 1 / Fraction(c)
    assert cleared(graph, x)
    assert certify(graph, Net(lambda x: x / divisor), x, level="modular").ok
    assert certify(graph, graph, x, level="rational").ok
    assert not certify(graph, Net(lambda x: x / divisor * (1 + 2.0**-20)), x, level="modular").ok


@given(st.integers(0, 2**32 - 1))
def test_primes_that_divide_a_divisor_are_redrawn(seed: int) -> None:
    """All but one of eleven primes are divisors: the trial ends at the one."""
    low, high = prime_interval(2**40)
    met, rng = set(), np.random.default_rng(seed)

    def trial(field: PrimeField) -> int:
        met.add(field.p)
        if len(met) < 3:
            raise ZeroDivisionError
        return field.p

    field, found = at_random_prime(2**40, rng, trial)
    assert field.p == found
    assert all(low < p <= high for p in met)


def test_a_divisor_that_is_zero_ends() -> None:
    with pytest.raises(NonFiniteError, match="divisor"):
        at_random_prime(9, np.random.default_rng(0), lambda field: 1 // 0)


def test_exact_maps_avoid_primes_of_the_denominator() -> None:
    largest = largest_modulus(9)
    primes = primes_for(200, 9)
    assert primes[0] <= largest
    assert not set(primes_for(200, 9, primes[0] * primes[2])) & {primes[0], primes[2]}
    model = Net(lambda x: x / float(primes_for(9, 2)[0]))
    assert exact_map(model, torch.zeros(1, 1).double()).W[0, 0] == Fraction(1, primes_for(9, 2)[0])


def test_thousands_of_divisors_take_no_time() -> None:
    divisors = torch.from_numpy(np.random.default_rng(0).standard_normal(20_000)).float()
    model, x = Net(lambda x: (x / divisors).sum(1, keepdim=True)), torch.zeros(1, 20_000)
    start = time.perf_counter()
    assert 20_000 < height(trace(model, x)) < 10**6
    assert certify(model, model, x).ok
    assert time.perf_counter() - start < 20


WINDOWS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "whole": (lambda x: F.avg_pool1d(x, 4096), (1, 4096)),
    "mean": (lambda x: x.mean(2), (1, 4096)),
    "padded": (lambda x: F.avg_pool1d(x, 5, 2, 2), (1, 12)),
    "not counting": (lambda x: F.avg_pool1d(x, 5, 2, 2, count_include_pad=False), (1, 12)),
    "ceil": (lambda x: F.avg_pool1d(x, 5, 3, 1, ceil_mode=True), (1, 13)),
    "ceil, not counting": (lambda x: F.avg_pool2d(x, (3, 4), 3, 1, True, False), (1, 7, 9)),
    "override": (lambda x: F.avg_pool2d(x, 2, divisor_override=-7), (1, 4, 4)),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)), (1, 7, 9)),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_averages_have_small_denominators(name: str) -> None:
    function, shape = WINDOWS[name]
    model, x = Net(function), torch.zeros(1, *shape)
    assert denominator(trace(model, x)).bits < 40
    if x.numel() < 200:
        assert cleared(model, x)
    assert certify(model, model, x).ok


@pytest.mark.parametrize("level", ["modular", "rational", "bounded", "sampled"])
def test_maps_of_fractions_are_certified(level: str) -> None:
    third = np.array([[Fraction(1, 3), Fraction(-2, 7)]], dtype=object)
    f = AffineMap(third, np.array([Fraction(1, 67108859)], dtype=object), (2,), (1,))
    assert certify(f, f, level=level).ok
    assert not certify(f, AffineMap(third + 0, f.b + 1, (2,), (1,)), level=level).ok
