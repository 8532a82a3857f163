"""An operator is what torch, SciPy and the matrix builders compute: at every size, in every ring, bit for bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from algebraic_cnn import (
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    conv_matrix,
    conv_transpose_matrix,
    interpolate_matrix,
    pad_matrix,
)
from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.axes import FAR, HERE, AxisRows, Leaf
from algebraic_cnn.algebra.operators.operator import Operator, channelwise
from algebraic_cnn.algebra.symbolic.entries import Polynomials, symbol_array
from algebraic_cnn.errors import GeometryError, ShapeError, TooLargeError
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.ring import Rationals

from .chains import Chain, chains

FIELD = PrimeField(33554393)


def affine(f: Operator, x: np.ndarray) -> np.ndarray:
    """W x + b from the matrix."""
    return f.at(*x.shape[1:])(x)


@given(chains())
def test_values_and_matrices_are_those_of_torch(chain: Chain) -> None:
    f, x, y = chain.operator, chain.x, chain.torch(chain.x)
    assert f.output_sizes(*x.shape[1:]) == y.shape[1:]
    assert np.array_equal(f(x), y)
    assert np.array_equal(affine(f, x), y)
    assert np.array_equal(f(x, FIELD), FIELD.embed(y))
    W = f.matrix(x.shape[1:], ring=FIELD)
    assert np.array_equal(W.toarray(), FIELD.embed(f.matrix(x.shape[1:], format="dense")))
    assert f.matrix(x.shape[1:]).has_canonical_format


@given(chains(), st.data())
def test_one_operator_serves_every_size(chain: Chain, data: st.DataObject) -> None:
    f = chain.operator
    sizes = [data.draw(st.integers(1, 14)) for _ in f.period]
    for x, y in chain.at(sizes):
        assert np.array_equal(affine(f, x), y)
        assert np.array_equal(f(np.stack([x, 2 * x])), np.stack([y, chain.torch(2 * x)]))


@given(chains(most=3))
def test_a_period_says_which_rows_are_alike(chain: Chain) -> None:
    """Far from the ends, row p + up is row p moved by ``down``, and there is nothing new at a larger size."""
    for axis, size in zip(chain.operator.blocks.axes, chain.x.shape[1:], strict=True):
        up, down = axis.period
        n = 216 + size
        rows, more = axis.rows(n), axis.rows(n + down)
        assert more.m == rows.m + up
        p = rows.m // 2
        assert rows.classes[p + up] == rows.classes[p]
        if axis.moves(rows.classes[p]):
            assert rows.anchors[p + up] == rows.anchors[p] + down
        assert set(more.classes) == set(rows.classes)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("groups", "stride", "dilation"), [(1, 1, 1), (2, 2, 1), (4, 1, 2), (1, 3, 2)])
def test_a_layer_is_its_matrix_array_by_array(mode: str, groups: int, stride: int, dilation: int) -> None:
    weight = np.random.default_rng(1).integers(-9, 9, (4, 4 // groups, 3, 2)).astype(float)
    more = {"stride": stride, "padding": ((1, 2), (2, 0)), "dilation": dilation, "groups": groups, "padding_mode": mode}
    f = layers.conv(weight, **more)
    for sizes in ((9, 8), (5, 4), (3, 7)):
        W, V = conv_matrix(weight, (4, *sizes), **more), f.matrix(sizes)
        assert all(np.array_equal(getattr(W, part), getattr(V, part)) for part in ("data", "indices", "indptr"))


def test_weightless_layers_are_their_matrices_exactly() -> None:
    ring = Rationals()
    cases = [
        (layers.avg_pool(2, [3, 2], stride=[2, 1], padding=[1, 1], ceil_mode=up, count_include_pad=counted),
         lambda shape, up=up, counted=counted: avg_pool_matrix(
             shape, (3, 2), stride=(2, 1), padding=(1, 1), ceil_mode=up, count_include_pad=counted, dtype=object,
             format="dense"))
        for up in (False, True) for counted in (False, True)
    ]  # fmt: skip
    cases += [
        (
            layers.adaptive_avg_pool(2, [4, 3]),
            lambda shape: adaptive_avg_pool_matrix(shape, (4, 3), dtype=object, format="dense"),
        ),
        (
            layers.interpolate(2, [3, 2], "bicubic"),
            lambda shape: interpolate_matrix(shape, scale_factor=(3, 2), mode="bicubic", dtype=object, format="dense"),
        ),
        (
            layers.interpolate(2, [3, 5], "bilinear"),
            lambda shape: interpolate_matrix(shape, scale_factor=(3, 5), mode="bilinear", dtype=object, format="dense"),
        ),
        (
            layers.pad(2, [(1, 2), (-1, 1)], "circular"),
            lambda shape: pad_matrix(shape, ((1, 2), (-1, 1)), padding_mode="circular", dtype=object, format="dense"),
        ),
    ]
    for f, expected in cases:
        for sizes in ((5, 4), (3, 7), (2, 3)):
            W = f.matrix(sizes, ring=ring)
            assert all(type(entry) is Fraction for entry in W.ravel())
            assert np.array_equal(W, expected((2, *sizes)))


def test_a_quotient_is_rounded_once() -> None:
    """Thirds along two axes are ninths, rounded as torch and the matrix builder round them."""
    pool = layers.avg_pool(1, [3, 3], stride=[1, 1], padding=[1, 1], count_include_pad=False)
    W = avg_pool_matrix((1, 6, 5), 3, stride=1, padding=1, count_include_pad=False)
    assert np.array_equal(pool.matrix((6, 5), format="dense"), W.toarray())
    assert float(pool.matrix((6, 5), format="dense").max()) == 1 / 4


def test_transposed_convolutions_are_their_matrices() -> None:
    weight = np.random.default_rng(2).integers(-9, 9, (4, 3, 3, 2)).astype(float)
    more = {"stride": (3, 2), "padding": (1, 0), "output_padding": (2, 1), "groups": 2}
    f = layers.conv_transpose(weight, **more)
    for sizes in ((4, 5), (1, 1), (2, 3)):
        assert np.array_equal(
            f.matrix(sizes, format="dense"), conv_transpose_matrix(weight, (4, *sizes), **more, format="dense")
        )


@pytest.mark.parametrize(
    ("mode", "ours"), [("mirror", "reflect"), ("nearest", "replicate"), ("wrap", "circular"), ("constant", "zeros")]
)
def test_scipys_borders(mode: str, ours: str) -> None:
    rng = np.random.default_rng(3)
    for n, k in ((8, 3), (5, 5), (3, 5), (2, 3)):
        x, w = rng.integers(-9, 9, (n, n + 1)).astype(float), rng.integers(-9, 9, (k, k)).astype(float)
        if ours == "reflect" and n <= k // 2:
            continue
        f = layers.conv(w[None, None], padding=k // 2, padding_mode=ours)
        assert np.array_equal(f(x[None])[0], ndimage.correlate(x, w, mode=mode))


def test_symbols_are_a_ring_like_any_other() -> None:
    a, b = symbol_array("a", (1, 1, 3)), symbol_array("b", (1, 1, 2))
    ring = Polynomials.of(a, b)
    f = layers.conv(a, padding=1).then(layers.conv(b, stride=2))
    W = f.matrix((4,), ring=ring)
    expected = ring.matmul(
        ring.embed(conv_matrix(b, (1, 4), stride=2, format="dense")),
        ring.embed(conv_matrix(a, (1, 4), padding=1, format="dense")),
    )
    assert np.array_equal(W, expected)


def test_blocks_are_computed_when_asked_for() -> None:
    f = layers.conv(np.ones((2, 2, 3, 3)), padding=1)
    g = f.then(layers.conv(np.ones((2, 2, 3, 3)), np.ones(2), padding=1))
    form = g.form((100, 100))
    assert not g.blocks._blocks
    form.kernel(FIELD)
    assert len(g.blocks._blocks) == 1
    g.matrix((9, 9))
    blocks = dict(g.blocks._blocks)
    g.matrix((40, 23))
    assert g.blocks._blocks.keys() == blocks.keys()


def test_three_dimensions_and_none() -> None:
    rng = np.random.default_rng(4)
    weight, x = rng.integers(-3, 4, (2, 2, 3, 2, 3)).astype(float), rng.integers(-3, 4, (2, 4, 5, 3)).astype(float)
    f = layers.conv(weight, padding=1, padding_mode="circular", stride=(1, 2, 1))
    padded = F.pad(torch.from_numpy(x)[None], [1] * 6, "circular")
    y = F.conv3d(padded, torch.from_numpy(weight), stride=(1, 2, 1))[0].numpy()
    assert np.array_equal(f(x), y)
    assert np.array_equal(affine(f, x), y)
    matrix = rng.integers(-3, 4, (3, 2)).astype(float)
    assert np.array_equal(layers.conv(matrix).matrix((), format="dense"), matrix)


def test_torch_tensors_come_back_as_tensors() -> None:
    x = torch.arange(6.0).reshape(1, 1, 6)
    y = layers.conv(np.ones((1, 1, 2)))(x)
    assert isinstance(y, torch.Tensor)
    assert y.tolist() == [[[1, 3, 5, 7, 9]]]


def test_what_does_not_fit_is_refused() -> None:
    f = layers.conv(np.ones((1, 1, 3)), padding=2, padding_mode="reflect")
    with pytest.raises(GeometryError, match="too large for mode"):
        f.matrix((2,))
    with pytest.raises(GeometryError, match="no output"):
        layers.conv(np.ones((1, 1, 3))).matrix((2,))
    with pytest.raises(ShapeError, match="a length for each axis"):
        f.matrix((2, 3))
    with pytest.raises(ShapeError, match="do not compose"):
        f.then(layers.conv(np.ones((1, 2, 3))))
    with pytest.raises(ShapeError, match="cannot be added"):
        f + Operator.identity(2, 1)
    with pytest.raises(ShapeError, match="no common input"):
        f.beside(Operator.identity(2, 1))
    with pytest.raises(ShapeError, match="no such channels"):
        f.pick([1])
    with pytest.raises(ShapeError, match="does not fit"):
        f(np.ones((2, 5)))
    with pytest.raises(TooLargeError):
        f.matrix((1000,), memory_budget=100)
    with pytest.raises(GeometryError, match="outputs of one size"):
        (f + layers.conv(np.ones((1, 1, 3)))).matrix((5,))
    with pytest.raises(GeometryError, match="does not divide"):
        layers.pixel_unshuffle(1, 2).matrix((3, 4))


def _mutated(axis: Leaf, change: object) -> Leaf:
    """The axis with one of its rows changed at every length: (row, class step, anchor step)."""
    row, classes, anchors = change

    class Wrong(Leaf):
        def rows(self, n: int) -> AxisRows:
            right = super().rows(n)
            p = row % right.m
            c, a = list(right.classes), list(right.anchors)
            c[p] = (c[p] + classes) % len(self.reads)
            a[p] = min(max(a[p] + anchors, 0), n - 1 - max(o for _, o in self.reads[c[p]]))
            return AxisRows(n, tuple(c), tuple(a))

    return Wrong(axis.taps, axis.period, axis.rule)


@pytest.mark.parametrize("change", [(3, 0, 1), (3, 0, -1), (0, 1, 0), (-1, 1, 0), (4, 1, 0)])
def test_a_wrong_anchor_or_class_is_noticed(change: tuple[int, int, int]) -> None:
    weight = np.array([[[2.0, 3.0, 5.0]]])
    right = layers.conv(weight, padding=1)
    wrong = Operator(type(right.blocks)((1, 1, 3), [_mutated(right.blocks.axes[0], change)], right.blocks.kernel))
    expected = conv_matrix(weight, (1, 9), padding=1, format="dense")
    assert np.array_equal(right.matrix((9,), format="dense"), expected)
    assert not np.array_equal(wrong.matrix((9,), format="dense"), expected)
    assert wrong.form((9,)).kind != "convolution"


def test_reads_from_both_ends_may_meet_and_add() -> None:
    ends = Leaf(2, (1, 1), lambda n: ([(HERE, p, 0, 1), (FAR, -1, 1, 1)] for p in range(n)))
    f = channelwise(1, [ends])
    assert f.matrix((3,), format="dense").tolist() == [[1, 0, 1], [0, 1, 1], [0, 0, 2]]
