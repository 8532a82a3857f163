"""Heights bound the integers behind W and B, and primes mislead no more often than they say."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sympy import primerange
from torch import Tensor, nn

from algebraic_cnn import AffineMap, PrimeField, Rationals, derive
from algebraic_cnn.derivation.magnitudes.heights import denominator, height
from algebraic_cnn.errors import NonFiniteError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.rings.primes import fewest_primes, largest_modulus, prime_interval, random_prime, unlucky

EXAMPLE = torch.zeros(1, 2, 4, 4)


def drawn(model: nn.Module, seed: int) -> nn.Module:
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            values = rng.standard_normal(tensor.shape)
            tensor.copy_(torch.from_numpy(abs(values) + 0.5 if name.endswith("running_var") else values))
    return model.eval()


class Scaled(nn.Module):
    """Scalars, averages and a division: every kind of denominator."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.avg_pool2d(x * 0.1, 3, stride=1, padding=1, count_include_pad=False) / 0.7 + 0.3
        return self.linear(nn.functional.adaptive_avg_pool2d(y, (3, 1)).mean((2, 3))) - x.sum((2, 3)) / 3


MODELS = {
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(32, 3)),
    "deep": nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2)),
    "normed": nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten()),
    "skips": LinearCNN((2, 4, 4), [nn.Conv2d(2, 2, 3, padding=1) for _ in range(3)], {(0, 2): 0.3, (1, 3): 0.7}),
    "scaled": Scaled(),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_denominator_clears_every_entry_and_the_height_bounds_the_numerators(name: str) -> None:
    """D W and D B are integers below 2^height, by the recursion in rational arithmetic."""
    graph = trace(drawn(MODELS[name], 1), EXAMPLE)
    exact = derive(graph, method="recursion", ring=Rationals()).to("dense")
    entries = [Fraction(v) for v in (*np.asarray(exact.W).ravel(), *exact.b)]
    common = math.lcm(*(entry.denominator for entry in entries))
    allowed = denominator(graph)
    assert allowed.integer % common == 0
    largest = max(abs(entry) for entry in entries)
    assert largest * allowed.integer <= 2 ** math.ceil(height(graph))


def test_the_height_of_a_difference_shares_the_denominator() -> None:
    graph = trace(drawn(MODELS["deep"], 2), EXAMPLE)
    assert height(graph) < height(graph, graph) <= height(graph) + 1 + 2.0**-20


def test_the_height_of_a_map_is_that_of_its_floats() -> None:
    f = AffineMap(np.array([[0.5, 3.0]]), np.array([2.0**-60]), (2,), (1,))
    exponents = denominator(f)
    assert exponents.odd == 1
    assert exponents.dyadic >= 60
    assert height(f) >= math.log2(3 * 2**60)


def test_a_network_beyond_float64_has_no_height() -> None:
    model = nn.Sequential(*[nn.Linear(1, 1, bias=False).double() for _ in range(9)]).eval()
    for layer in model:
        nn.init.constant_(layer.weight, 1e150)
    with pytest.raises(NonFiniteError, match="overflows"):
        height(trace(model, torch.zeros(1, 1).double()))


@given(st.integers(1, 10**6))
def test_the_largest_modulus_is_exact_and_the_next_is_not(terms: int) -> None:
    p = largest_modulus(terms)
    assert PrimeField(p).capacity >= terms
    assert p >= 2**26 - 1 or PrimeField(p + 2).capacity < terms


@given(st.integers(1, 10**5), st.integers(0, 2**32))
def test_a_random_prime_is_prime_and_in_its_interval(terms: int, seed: int) -> None:
    low, high = prime_interval(terms)
    p = random_prime(terms, np.random.default_rng(seed))
    assert low < p <= high
    assert all(p % q for q in primerange(math.isqrt(p) + 1))


@pytest.mark.parametrize(("low", "high"), [(1, 100), (700, 5600), (2**14, 2**17), (2**17, 2**20)])
def test_there_are_at_least_that_many_primes(low: int, high: int) -> None:
    count = len(list(primerange(low + 1, high + 1)))
    assert 0.9 * count <= fewest_primes(low, high) <= count


def test_no_integer_has_more_unlucky_primes_than_claimed() -> None:
    """The worst integer is a product of the smallest primes of the interval."""
    terms = 10**9
    low, high = prime_interval(terms)
    primes = list(primerange(low + 1, high + 1))
    worst, divisors = 1, 0
    for p in primes[:40]:
        worst, divisors = worst * p, divisors + 1
        assert divisors / len(primes) <= unlucky(math.log2(worst), terms)


def test_a_height_without_end_makes_every_prime_unlucky() -> None:
    assert unlucky(math.inf, 9) == 1.0
