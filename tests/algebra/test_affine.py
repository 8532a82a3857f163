"""The algebra of affine maps, in integers that float64 carries exactly; files that come back whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn import AffineMap, DataError, NonFiniteError, ShapeError, UnknownNameError

SHAPES = st.sampled_from([(2,), (1, 2, 2), (3, 1), ()])


def integers(*shape: int) -> st.SearchStrategy[np.ndarray]:
    size = int(np.prod(shape))
    entries = st.lists(st.integers(-9, 9), min_size=size, max_size=size)
    return entries.map(lambda numbers: np.array(numbers, dtype=float).reshape(shape))


@st.composite
def maps(draw: st.DrawFn, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> AffineMap:
    rows, columns = int(np.prod(out_shape)), int(np.prod(in_shape))
    W = draw(integers(rows, columns))
    return AffineMap(sp.csr_array(W) if draw(st.booleans()) else W, draw(integers(rows)), in_shape, out_shape)


@given(st.data(), SHAPES, SHAPES, SHAPES)
def test_the_algebra_is_that_of_functions(data: st.DataObject, a: Any, b: Any, c: Any) -> None:
    f, h, g = data.draw(maps(a, b)), data.draw(maps(a, b)), data.draw(maps(b, c))
    x, y = data.draw(integers(*a)), data.draw(integers(*b))
    s = data.draw(st.integers(-3, 3))
    assert np.array_equal((g @ f)(x), g(f(x)))
    assert np.array_equal((f + h)(x), f(x) + h(x))
    assert np.array_equal((f - h)(x), f(x) - h(x))
    assert np.array_equal((np.float64(s) * f)(x), s * f(x))
    assert np.sum((f(x) - f(0 * x)) * y) == np.sum(x * f.T(y))
    assert (AffineMap.identity(b) @ f).exactly_equals(f @ AffineMap.identity(a))
    assert f.exactly_equals(f.to("dense"))
    assert f.exactly_equals(-(-f).to("csc"))


@given(st.data(), SHAPES, SHAPES)
def test_batches_and_tensors_are_mapped_like_their_rows(data: st.DataObject, a: Any, b: Any) -> None:
    f, xs = data.draw(maps(a, b)), data.draw(integers(3, *a))
    ys = f(xs)
    assert ys.shape == (3, *b)
    assert all(np.array_equal(f(x), y) for x, y in zip(xs, ys, strict=True))
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        tensor = f(torch.from_numpy(xs).to(dtype))
        assert tensor.dtype == torch.float64
        assert np.array_equal(tensor.numpy(), ys)


def test_rows_are_images_of_what_an_output_sees() -> None:
    for W in (np.arange(12.0).reshape(2, 6), sp.csr_array(np.arange(12.0).reshape(2, 6))):
        f = AffineMap(W, np.zeros(2), (1, 2, 3), (2,))
        assert np.array_equal(f.row_image(1), [[[6, 7, 8], [9, 10, 11]]])
        assert np.array_equal(f.row_image(-2), [[[0, 1, 2], [3, 4, 5]]])


@pytest.mark.parametrize("W", [np.ones((1, 2), np.float32), sp.csr_array(np.ones((1, 2))), np.array([[1, 2]])])
def test_files_come_back_bit_for_bit(tmp_path: Path, W: Any) -> None:
    f = AffineMap(W, np.array([0.1]), (2, 1), (1,))
    g = AffineMap.load(f.save(tmp_path / "f.npz"))
    assert f.exactly_equals(g)
    assert (g.W.dtype, sp.issparse(g.W)) == (W.dtype, sp.issparse(W))


@pytest.mark.parametrize("W, b", [(np.ones((1, 1)), np.array([Fraction(1)])), (np.array([[Fraction(1)]]), np.ones(1))])
def test_what_would_be_pickled_is_not_saved(tmp_path: Path, W: Any, b: Any) -> None:
    with pytest.raises(ShapeError, match="objects"):
        AffineMap(W, b, (1,), (1,)).save(tmp_path / "f.npz")
    assert not list(tmp_path.iterdir())


def array_file() -> bytes:
    """An ``.npy`` file, which NumPy reads as an array and not as an archive."""
    file = BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


def with_parts(path: Path, **wrong: Any) -> None:
    parts: dict[str, Any] = {"data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2])}
    np.savez(path, **parts | {"b": np.zeros(2), "in_shape": (2,), "out_shape": (2,)} | wrong)


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b"no zip"),
    lambda path: path.write_bytes(path.read_bytes()[:-40]),
    lambda path: path.write_bytes(path.read_bytes().replace(b"npy", b"xyz")),
    lambda path: path.write_bytes(array_file()),
    lambda path: np.savez(path, b=np.zeros(1)),
    lambda path: np.savez(path, W=np.array([[None]]), b=np.zeros(1), in_shape=(1,), out_shape=(1,)),
    lambda path: with_parts(path, indices=np.array([0, 10**6])),
    lambda path: with_parts(path, indptr=np.array([0, 10**6, 2])),
    lambda path: with_parts(path, data=np.array([1.0, np.nan])),
    lambda path: with_parts(path, out_shape=(3,)),
    lambda path: path.unlink(),
])  # fmt: skip
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    path = AffineMap(np.eye(2), np.zeros(2), (2,), (2,)).save(tmp_path / "f.npz")
    damage(path)
    with pytest.raises(DataError, match=r"f\.npz"):
        AffineMap.load(path)


F = AffineMap(np.ones((2, 3)), np.ones(2), (3,), (2,))


@pytest.mark.parametrize("mistake, error", [
    (lambda: AffineMap([[1.0]], np.ones(1), (1,), (1,)), ShapeError),
    (lambda: AffineMap(np.ones((2, 3)), np.ones(2), (2,), (2,)), ShapeError),
    (lambda: AffineMap(np.ones((2, 3)), np.ones(3), (3,), (2,)), ShapeError),
    (lambda: AffineMap(sp.csr_array([[np.inf]]), np.ones(1), (1,), (1,)), NonFiniteError),
    (lambda: AffineMap(np.ones((1, 1)), np.array([complex("nan")]), (1,), (1,)), NonFiniteError),
    (lambda: F @ F, ShapeError),
    (lambda: F + F.T, ShapeError),
    (lambda: F * np.ones(3), ShapeError),
    (lambda: np.ones(3) * F, ShapeError),
    (lambda: F @ np.ones(3), TypeError),
    (lambda: F + 1, TypeError),
    (lambda: F - 1, TypeError),
    (lambda: F(np.ones(2)), ShapeError),
    (lambda: F.row_image(2), ShapeError),
    (lambda: F.to("sympy"), UnknownNameError),
])  # fmt: skip
def test_mistakes_are_refused(mistake: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        mistake()


def test_maps_between_other_shapes_are_not_equal() -> None:
    f = AffineMap(np.eye(4), np.zeros(4), (4,), (4,))
    assert f.exactly_equals(AffineMap(np.eye(4), np.zeros(4), (4,), (4,)))
    assert not f.exactly_equals(AffineMap(np.eye(4), np.zeros(4), (2, 2), (4,)))


def test_the_ending_is_added_as_numpy_does(tmp_path: Path) -> None:
    f = AffineMap(np.array([[1.0, 2.0]]), np.array([3.0]))
    assert (f.in_shape, f.out_shape) == ((2,), (1,))
    written = f.save(tmp_path / "map")
    assert (written.name, [path.name for path in tmp_path.iterdir()]) == ("map.npz", ["map.npz"])
    assert AffineMap.load(tmp_path / "map").exactly_equals(f)
    assert AffineMap.load(written).exactly_equals(f)
    assert f.save(tmp_path / "other.npz").name == "other.npz"
    with pytest.raises(DataError, match="there is no such file"):
        AffineMap.load(tmp_path / "nothing")
