"""Is it one convolution?  The answer is run by torch, and held against the definition."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.axes import Axis, Leaf
from algebraic_cnn.algebra.operators.compositions import then
from algebraic_cnn.algebra.operators.forms import OperatorForm, axis_form
from algebraic_cnn.algebra.operators.operator import Operator
from algebraic_cnn.algebra.operators.rules import spread, windows
from algebraic_cnn.algebra.operators.writing import bias_vector
from algebraic_cnn.rings.ring import Float, PrimeField, Ring

from .chains import Chain, chains

REALS = Float()


def run(form: OperatorForm, x: np.ndarray, ring: Ring = REALS) -> np.ndarray:
    """A form by torch: around the circle, crop, pad, one convolution for each phase, the phases interleaved."""
    d, kernel, axes = len(form.axes), form.kernel(ring), [axis.unrolled for axis in form.axes]
    y = torch.from_numpy(np.pad(x, [(0, 0), *(axis.around for axis in form.axes)], mode="wrap"))[None]
    for sign in (-1, 1):
        y = F.pad(y, [sign * max(0, sign * n) for axis in axes[::-1] for n in axis.padding])
    out = np.zeros((form.blocks.c_out, *(axis.m for axis in axes)))
    function = (F.conv1d, F.conv2d)[d - 1]
    for q in np.ndindex(*kernel.shape[:d]):
        stride, step = [axis.down for axis in axes], [axis.step for axis in axes]
        z = function(y, torch.from_numpy(kernel[q]), None, stride, 0, step, form.blocks.groups)[0].numpy()
        part = out[(slice(None), *(slice(i, None, axis.up) for i, axis in zip(q, axes, strict=True)))]
        part += z[(slice(None), *map(slice, part.shape[1:]))]
    return out


def fits(form: OperatorForm) -> bool:
    """Whether torch takes the padded image: cropping leaves something, and the kernel lies inside."""
    return all(
        sum(axis.padding) + axis.n >= axis.step * (axis.width - 1) + 1
        and axis.n + min(axis.padding[0], 0) + min(axis.padding[1], 0) >= 0
        for axis in (axis.unrolled for axis in form.axes)
    )


@given(chains())
def test_the_convolution_computes_what_it_tells(chain: Chain) -> None:
    f, x = chain.operator, chain.x
    form, y = f.form(x.shape[1:]), chain.torch(x)
    if form.kind == "none" or not fits(form):
        return
    bias = bias_vector(f.blocks, x.shape[1:], Float()).reshape(y.shape)
    told = (slice(None), *(slice(*axis.told) for axis in form.axes))
    assert np.array_equal((run(form, x) + bias)[told], y[told])
    distinct = len(np.unique(bias[told].reshape(len(bias), -1), axis=1).T)
    assert form.bias == ("map" if distinct > 1 else "one" if bias[told].any() else "none")


def layer(dice: random.Random) -> tuple[Axis, Callable[[torch.Tensor], torch.Tensor], int, int]:
    """A convolution or a transposed one along one axis: its rule, torch's function, its period.

    Weights are positive, so that no two of them cancel; dilation may exceed the image.
    """
    k, s, w = dice.randint(1, 4), dice.choice([1, 1, 2, 3]), dice.choice([1, 1, 2, 3, 4])
    weight = torch.tensor([[[float(dice.randint(1, 1000)) for _ in range(k)]]], dtype=torch.float64)
    if dice.random() < 0.5:
        p, e = dice.randint(0, w * (k - 1)), dice.randint(0, max(s, w) - 1)
        return spread(k, s, p, e, w), lambda x: F.conv_transpose1d(x, weight, None, s, p, e, 1, w), s, 1
    p, e = dice.randint(0, 3), dice.randint(0, 3)
    return windows(k, s, (p, e), w), lambda x: F.conv1d(F.pad(x, (p, e)), weight, None, s, 0, w), 1, s


def matrix(layers: list[Callable[[torch.Tensor], torch.Tensor]], n: int) -> np.ndarray:
    y = torch.eye(n, dtype=torch.float64)[:, None]
    for function in layers:
        y = function(y)
        if not y.numel():
            raise ValueError("an image without pixels")
    return y[:, 0].numpy().T


def told_by_definition(layers: list[Callable[[torch.Tensor], torch.Tensor]], n: int, up: int, down: int) -> np.ndarray:
    """Of every output, whether its row is the one far from both ends, what lies outside left out."""
    W, far = matrix(layers, n), matrix(layers, n + down * (200 // down))
    j = len(far) // up // 2
    told = []
    for p, row in enumerate(W):
        move = down * (p // up - j)  # inputs from that of the far row to this one
        middle = far[j * up + p % up]
        there = np.arange(n) - move
        inside = (there >= 0) & (there < len(middle))
        told.append(np.array_equal(row, np.where(inside, middle[np.where(inside, there, 0)], 0)))
    return np.array(told)


def drawn(seed: int) -> tuple[int, Axis, np.ndarray] | None:
    """A chain of up to three layers along a short axis and what of it is one convolution; None where torch refuses."""
    dice = random.Random(seed)
    n, up, down = dice.randint(1, 12), 1, 1
    whole: Axis | None = None
    functions = []
    for _ in range(dice.randint(1, 3)):
        axis, function, u, d = layer(dice)
        whole = axis if whole is None else then(whole, axis)
        up, down = up * u, down * d
        functions.append(function)
    try:
        return None if whole is None else (n, whole, told_by_definition(functions, n, up, down))
    except (RuntimeError, ValueError):
        return None


def test_the_decision_is_as_tight_as_the_definition() -> None:
    """Dilated transposed convolutions of tiny images among them: no row there is as far from the ends as the middle."""
    tally: Counter[str] = Counter()
    for seed in range(400):
        found = drawn(seed)
        if found is None:
            continue
        n, axis, told = found
        form = axis_form(axis, n)
        runs = [len(list(run)) for value, run in groupby(told.tolist()) if value]
        assert form.m == len(told)
        assert form.told[1] - form.told[0] == max(runs, default=0), seed
        assert told[slice(*form.told)].all(), seed
        tally["exact" if form.exact else "not"] += 1
    assert min(tally.values()) > 50


def test_a_dilated_transposed_convolution_of_two_pixels_is_one() -> None:
    """Rows between its taps read nothing, and look alike: they are no middle."""
    form = axis_form(spread(3, 1, 0, 0, 4), 2)
    assert (form.exact, form.width, form.step, form.start) == (True, 3, 4, -8)


@pytest.mark.parametrize("reach", [(0, 0), (3, 0)])
def test_a_reach_that_is_too_short_is_noticed(reach: tuple[int, int]) -> None:
    axis = spread(3, 1, 0, 0, 4)
    assert axis.reach == (8, 0)
    short = Leaf(axis.taps, axis.period, axis.rule, reach)
    assert not axis_form(short, 2).exact


@given(chains(), st.sampled_from([10007, 1000003]))
def test_over_a_prime_field_it_is_torch_reduced(chain: Chain, p: int) -> None:
    f, x, field = chain.operator, chain.x, PrimeField(p)
    form = f.form(x.shape[1:], ring=field)
    if form.kind == "none" or not fits(form):
        return
    told = (slice(None), *(slice(*axis.told) for axis in form.axes))
    bias = bias_vector(f.blocks, x.shape[1:], field).reshape(form.blocks.c_out, *(axis.m for axis in form.axes))
    y = field.reduce(run(form, field.embed(x), field) + bias)
    assert np.array_equal(y[told], field.embed(chain.torch(x))[told])


@given(chains(most=3))
def test_rows_beside_what_is_told_are_no_rows_of_the_middle(chain: Chain) -> None:
    """As tight as the definition: with other random taps the next row differs from the middle one."""
    for axis, n in zip(chain.operator.blocks.axes, chain.x.shape[1:], strict=True):
        form, rows = axis_form(axis, n), axis.rows(n)
        first, stop = form.told
        reference = {}
        for p in range(first, stop):
            row = {o - p // form.up * form.down: v for o, v in axis.row(rows, p).items()}
            reference.setdefault(p % form.up, {}).update(row)
        for p in (first - 1, stop):
            if 0 <= p < form.m and first < stop and p % form.up in reference:
                move = p // form.up * form.down
                expected = {o + move: v for o, v in reference[p % form.up].items() if 0 <= o + move < n}
                reaches = form.start + move >= 0 and form.start + move + form.step * (form.width - 1) < n
                assert axis.row(rows, p) != expected or not reaches


def test_known_answers() -> None:
    one = layers.conv(np.ones((1, 1, 3)), np.ones(1), padding=1)
    form = one.then(one).form([9])
    assert (form.kind, form.axes[0].told, form.bias, form.axes[0].padding) == ("interior", (1, 8), "one", (2, 2))
    assert (
        layers.interpolate(1, [2], "nearest").then(layers.conv(np.ones((1, 1, 2)), stride=2)).form([9]).axes[0].up == 1
    )
    assert layers.conv(np.ones((1, 1, 3)), padding=1, padding_mode="reflect").form([9]).axes[0].told == (1, 8)
    assert Operator.identity(3, 2).form([4, 5]).kind == "convolution"
