"""Rings take numbers for exactly what they are, residues against Python's integers, and refuse what is no number."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sympy import Symbol

from algebraic_cnn import Float, NonFiniteError, PrimeField, Rationals, ShapeError, TraceError, UnknownNameError, derive
from algebraic_cnn.rings.dyadic import _IN_CACHE, Dyadic, Known
from algebraic_cnn.rings.ring import Majorant

PRIMES = st.sampled_from([3, 5, 101, 65537, 67108859])


def residue(value: Fraction, p: int) -> int:
    """The centred residue, by Python's integers."""
    r = value.numerator * pow(value.denominator, -1, p) % p
    return r - p if r > p // 2 else r


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8), PRIMES)
def test_residues_of_float64_are_those_of_the_rationals_they_are(values: list[float], p: int) -> None:
    F, expected = PrimeField(p), [residue(Fraction(value), p) for value in values]
    assert F.embed(np.array(values)).tolist() == expected
    assert F.embed(torch.tensor(values, dtype=torch.float64)).tolist() == expected
    assert F.embed(Rationals().embed(np.array(values))).tolist() == expected


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8), PRIMES)
def test_residues_of_float32_are_those_of_the_rationals_they_are(values: list[float], p: int) -> None:
    F, expected = PrimeField(p), [residue(Fraction(value), p) for value in values]
    assert F.embed(np.array(values, dtype=np.float32)).tolist() == expected
    assert F.embed(torch.tensor(values, dtype=torch.float32)).tolist() == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8), PRIMES)
def test_residues_of_integers_are_exact_beyond_what_floats_hold(values: list[int], p: int) -> None:
    F, expected = PrimeField(p), [residue(Fraction(value), p) for value in values]
    assert F.embed(np.array(values, dtype=np.int64)).tolist() == expected
    assert F.embed(torch.tensor(values, dtype=torch.int64)).tolist() == expected


INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


@pytest.mark.parametrize("name", INTEGERS)
@given(st.lists(st.integers(-(2**64), 2**64), min_size=1, max_size=8), PRIMES)
def test_integers_of_every_width_are_what_they_are_in_every_ring(name: str, values: list[int], p: int) -> None:
    dtype = np.dtype(name)
    low, high = (0, 1) if name == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    numbers = [low + value % (high - low + 1) for value in (*values, low, high)]
    array = np.array(numbers, dtype=dtype)
    F, expected = PrimeField(p), [residue(Fraction(value), p) for value in numbers]
    for x in (array, torch.from_numpy(array)):
        assert F.embed(x).tolist() == expected
        assert Rationals().embed(x).tolist() == numbers
        above = Majorant().embed(x).tolist()
        assert all(abs(value) <= Fraction(bound) <= abs(value) * (1 + Fraction(1, 2**51))
                   for value, bound in zip(numbers, above, strict=True))  # fmt: skip


def test_a_majorant_of_rationals_is_no_smaller() -> None:
    values = [Fraction(1, 3), Fraction(-2, 3), Fraction(2**60 + 1), Fraction(0)]
    above = Majorant().embed(np.array(values, dtype=object))
    assert all(abs(value) <= Fraction(bound) for value, bound in zip(values, above.tolist(), strict=True))
    assert above[3] == 0


@given(st.integers(1, 300), PRIMES, st.integers(0, 2**32 - 1))
def test_products_and_quotients_are_those_of_integers(n: int, p: int, seed: int) -> None:
    F, generator = PrimeField(p), np.random.default_rng(seed)
    a, b = generator.integers(-F.half, F.half + 1, (2, n))
    product = sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))
    assert F.matmul(a[None].astype(float), b.astype(float)).item() == residue(Fraction(product), p)
    units = np.where(b == 0, 1, b)
    expected = [residue(Fraction(x, y), p) for x, y in zip(a.tolist(), units.tolist(), strict=True)]
    assert F.divide(a.astype(float), units).tolist() == expected


@pytest.mark.parametrize("mistake, error", [
    (lambda: Float("float80"), UnknownNameError),
    (lambda: Float().embed(np.array([Symbol("x")])), ShapeError),
    (lambda: Float().embed(np.array(["x"], dtype=object)), ShapeError),
    (lambda: Float("float16").embed(np.array([1e30])), NonFiniteError),
    (lambda: Rationals().embed(np.array([Symbol("x")])), ShapeError),
    (lambda: Rationals().embed(np.array([np.inf])), NonFiniteError),
    (lambda: Rationals().embed(np.array([float("nan")], dtype=object)), NonFiniteError),
    (lambda: PrimeField(5).embed(np.array([float("nan")], dtype=object)), NonFiniteError),
    (lambda: PrimeField(5).embed(np.array([np.inf], dtype=np.float32)), NonFiniteError),
    (lambda: PrimeField(5).embed(np.array([Symbol("x")])), ShapeError),
    (lambda: PrimeField(5).embed(np.array([Fraction(1, 5)])), ZeroDivisionError),
    (lambda: PrimeField(4), ShapeError),
    (lambda: PrimeField(2**26 + 1), ShapeError),
    (lambda: derive(lambda x: x, torch.zeros(1, 1)), TraceError),
    (lambda: derive(torch.nn.Identity().eval(), torch.zeros(1, 1), dtype="float80"), UnknownNameError),
])  # fmt: skip
def test_what_is_no_number_is_refused(mistake: Callable[[], Any], error: type[Exception]) -> None:
    with np.errstate(over="ignore"), pytest.raises(error):
        mistake()


def test_large_tensors_are_embedded_part_by_part() -> None:
    """More entries than fit one part, not contiguous, of every magnitude; NumPy takes them whole."""
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((3, 2**14 + 1)) * 2.0 ** rng.integers(-60, 60, (3, 2**14 + 1))).astype(np.float32)
    field = PrimeField(1_000_003)
    x = torch.from_numpy(values).T
    assert not x.is_contiguous()
    assert np.array_equal(field.embed(x).numpy(), field.embed(values).T)
    assert field.embed(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_many_floats_of_all_sizes_have_the_residues_of_the_rationals_they_are(dtype: torch.dtype) -> None:
    """More than fit in one part, from the smallest to the largest numbers; with and without a place to write them."""
    F, limits, rng = PrimeField(65537), torch.finfo(dtype), np.random.default_rng(0)
    size = 2 * _IN_CACHE + 18
    plain = torch.from_numpy(rng.standard_normal(size)).to(dtype)
    extremes = [limits.max, -limits.max, limits.tiny, limits.tiny * limits.eps, -0.0, 0.0, 1.0, -limits.tiny]
    mixed = plain.clone()
    mixed[:: size // len(extremes)][: len(extremes)] = torch.tensor(extremes, dtype=dtype)
    small = torch.full((3,), limits.tiny * limits.eps, dtype=dtype)
    for x in (plain, mixed, small, torch.zeros(2, dtype=dtype), plain.reshape(-1, 5, 11).transpose(0, 2)):
        expected = [residue(Fraction(value), F.p) for value in x.double().flatten().tolist()]
        place = torch.full(x.shape, 0.5, dtype=torch.float64)
        assert F.embed(x).flatten().tolist() == expected
        assert F.embed_into(place, Dyadic.of(x)) is place
        assert place.flatten().tolist() == expected
        assert F.embed(x.double().numpy()).ravel().tolist() == expected


def test_exponents_are_found_once_for_each_array_and_for_no_other() -> None:
    known, x = Known(), torch.tensor([[0.75, 2.0**60], [1.0, 2.0**-40]])
    same, other, half = known.of(x), known.of(x[0]), known.of(x.T)
    assert known.of(x.numpy()).exponents is same.exponents
    assert other.exponents == Dyadic.of(x[0]).exponents
    assert half.exponents is not same.exponents
    for p in (101, 65537):
        for array in (x, x[0], x.T, x.numpy(), x.double()):
            expected = PrimeField(p).embed(array)
            assert np.array_equal(PrimeField(p, known).embed(array), expected)
            assert np.array_equal(PrimeField(p, known).embed(array), expected)


def test_memory_that_is_known_is_kept_from_others() -> None:
    """Arrays that come and go would come to lie where one lay that was known."""
    field = PrimeField(65537, Known())
    for exponent in range(-60, 60):
        x = torch.full((4096,), 2.0**exponent)
        assert float(field.embed(x)[0]) == residue(Fraction(2) ** exponent, 65537)
        del x


def test_exponents_of_another_array_would_be_noticed() -> None:
    known, x = Known(), torch.tensor([0.75, 3.0])
    known.of(x)
    (key,) = known._found
    known._found[key] = Dyadic.of(torch.tensor([2.0**60, 2.0**60]))
    assert not np.array_equal(PrimeField(65537, known).embed(x), PrimeField(65537).embed(x))
