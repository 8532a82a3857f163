"""Is it one convolution?  The answer is run by torch, and held against the stencils' own decision."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given

from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.axes import Axis, Then
from algebraic_cnn.algebra.operators.forms import Form, axis_form
from algebraic_cnn.algebra.operators.operator import Operator
from algebraic_cnn.algebra.operators.rules import chosen, spread, windows
from algebraic_cnn.algebra.operators.writing import bias_vector
from algebraic_cnn.algebra.stencils import lattice
from algebraic_cnn.algebra.stencils.kernels import conv_transpose_footprint
from algebraic_cnn.rings.ring import Float

from .chains import Chain, chains


def run(form: Form, x: np.ndarray) -> np.ndarray:
    """A form by torch: crop, pad, one convolution for each phase, the phases interleaved."""
    d, kernel = len(form.axes), form.kernel(Float())
    y = torch.from_numpy(x)[None]
    for sign in (-1, 1):
        y = F.pad(y, [sign * max(0, sign * n) for axis in form.axes[::-1] for n in axis.padding])
    out = np.zeros((form.blocks.c_out, *(axis.m for axis in form.axes)))
    function = (F.conv1d, F.conv2d)[d - 1]
    for q in np.ndindex(*kernel.shape[:d]):
        stride, step = [axis.down for axis in form.axes], [axis.step for axis in form.axes]
        z = function(y, torch.from_numpy(kernel[q]), None, stride, 0, step, form.blocks.groups)[0].numpy()
        part = out[(slice(None), *(slice(i, None, axis.up) for i, axis in zip(q, form.axes, strict=True)))]
        part += z[(slice(None), *map(slice, part.shape[1:]))]
    return out


@given(chains())
def test_the_convolution_computes_what_it_tells(chain: Chain) -> None:
    f, x = chain.operator, chain.x
    form, y = f.form(x.shape[1:]), chain.torch(x)
    if form.kind == "none" or any(sum(axis.padding) + axis.n < axis.step * (axis.width - 1) + 1 for axis in form.axes):
        return
    if any(
        min(axis.padding) < 0 and axis.n + min(axis.padding[0], 0) + min(axis.padding[1], 0) < 0 for axis in form.axes
    ):
        return
    bias = bias_vector(f.blocks, x.shape[1:], Float()).reshape(y.shape)
    told = (slice(None), *(slice(*axis.told) for axis in form.axes))
    assert np.array_equal((run(form, x) + bias)[told], y[told])
    distinct = len(np.unique(bias[told].reshape(len(bias), -1), axis=1).T)
    assert form.bias == ("map" if distinct > 1 else "one" if bias[told].any() else "none")


def lattice_of(n: int, kind: str, z: tuple[int, ...]) -> lattice.Axis:
    """The same axis as the stencils have it."""
    if kind == "conv":
        k, s, p, e, w = z
        return lattice.Axis(
            n, (n + p + e - w * (k - 1) - 1) // s + 1, down=s, start=-p, width=k, step=w if k > 1 else 1
        )
    if kind == "copies":
        return lattice.Axis(n, n * z[0], up=z[0])
    k, s, p, e, w = z
    how = {"stride": [s], "padding": [p], "output_padding": [e], "dilation": [w]}
    return conv_transpose_footprint((1, 1, k), [n], **how).axes[0]


def operator_axis(kind: str, z: tuple[int, ...]) -> Axis:
    if kind == "conv":
        k, s, p, e, w = z
        return windows(k, s, (p, e), w)
    if kind == "copies":
        return chosen(lambda n: [p // z[0] for p in range(n * z[0])], (z[0], 1))
    return spread(*z)


def drawn(seed: int) -> tuple[int, Axis, lattice.Axis] | None:
    """A chain of up to four layers along one axis, in both languages; None where no layer fits."""
    dice = random.Random(seed)
    n = dice.randint(5, 30)
    ours: Axis | None = None
    theirs: lattice.Axis | None = None
    for _ in range(dice.randint(1, 4)):
        kind = dice.choice(["conv", "conv", "conv", "transposed", "copies"])
        k, s, w = dice.randint(1, 5), dice.choice([1, 1, 1, 2, 3]), dice.choice([1, 1, 2])
        z = {
            "conv": (k, s, dice.randint(0, 3), dice.randint(0, 3), w),
            "transposed": (k, s, dice.randint(0, w * (k - 1)), dice.randint(0, max(s, w) - 1), w),
            "copies": (dice.choice([2, 3]),),
        }[kind]
        length = n if theirs is None else theirs.m
        if kind == "conv" and length + z[2] + z[3] < w * (k - 1) + 1:
            continue
        other = lattice_of(length, kind, z)
        if not 0 < other.m <= 200:
            continue
        axis = operator_axis(kind, z)
        ours = axis if ours is None else Then(ours, axis)
        theirs = other if theirs is None else theirs.then(other)
    return None if ours is None or theirs is None else (n, ours, theirs)


def test_no_decision_is_less_than_the_stencils_and_some_are_more() -> None:
    tally: Counter[str] = Counter()
    for seed in range(500):
        found = drawn(seed)
        if found is None:
            continue
        n, ours, theirs = found
        form = axis_form(ours, n)
        assert form.m == theirs.m
        told = theirs.told[1] - theirs.told[0]
        mine = form.told[1] - form.told[0]
        tally["chains"] += 1
        tally["more" if mine > told else "less" if mine < told else "same"] += 1
        tally["one convolution, which the stencils refuse"] += form.exact and told < form.m
        assert form.exact or told < form.m
    assert tally["less"] == 0
    assert tally["more"] >= tally["one convolution, which the stencils refuse"] > 0
    assert tally["same"] > tally["chains"] // 2


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
