"""The pictures: what is drawn is what the matrix holds, and a file is whole or not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.algebra.symbolic import Skeleton
from algebraic_cnn.apps.plots import rows_figure, save_figure, skeleton_figure, spy_figure
from algebraic_cnn.errors import DataError, ShapeError, UnknownNameError


def drawn(figure) -> list[np.ndarray]:
    return [np.ma.filled(image.get_array(), np.nan) for axes in figure.axes for image in axes.images]


def test_each_row_is_an_image_on_one_symmetric_scale() -> None:
    W = np.arange(-12.0, 12).reshape(4, 6)
    figure = rows_figure(AffineMap(W, np.zeros(4), (1, 2, 3), (4,)), ["a", "b", "c", "d"], title="rows")
    images = drawn(figure)
    for i in range(4):
        np.testing.assert_array_equal(images[i], W[i].reshape(2, 3))
    assert {image.get_clim() for axes in figure.axes[:4] for image in axes.images} == {(-12.0, 12.0)}
    assert [axes.get_title() for axes in figure.axes[:4]] == ["a", "b", "c", "d"]


def test_channels_stand_side_by_side() -> None:
    figure = rows_figure(AffineMap(np.arange(8.0)[None], np.zeros(1), (2, 2, 2), (1,)))
    expected = [[0, 1, np.nan, 4, 5], [2, 3, np.nan, 6, 7]]
    np.testing.assert_array_equal(drawn(figure)[0], expected)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (2, 3), (1, 1, 2, 3)])
def test_rows_of_any_input_shape_are_drawn(shape: tuple[int, ...]) -> None:
    figure = rows_figure(AffineMap(np.ones((7, 6)), np.zeros(7), shape, (7,)))
    assert all(np.nansum(image) == 6 for image in drawn(figure)[:7])


def test_a_map_of_zeros_is_drawn() -> None:
    figure = rows_figure(AffineMap(np.zeros((2, 4)), np.zeros(2), (1, 2, 2), (2,)))
    assert not drawn(figure)[0].any()


def test_a_small_matrix_is_drawn_entry_by_entry_with_its_explicit_zeros() -> None:
    matrix = sp.csr_array((np.array([3.0, 0.0]), np.array([1, 0]), np.array([0, 1, 2])), shape=(2, 2))
    np.testing.assert_array_equal(drawn(spy_figure(matrix))[0], [[np.nan, 3.0], [0.0, np.nan]])


def test_a_large_matrix_is_drawn_by_its_density() -> None:
    (image, *_) = drawn(spy_figure(sp.eye_array(2000, format="csr")))
    assert image.shape == (500, 500)
    np.testing.assert_array_equal(image, np.eye(500) / 4)


@pytest.mark.parametrize("n", [12, 1200])
def test_lines_part_the_blocks(n: int) -> None:
    axes = spy_figure(sp.eye_array(n), blocks=(n // 2, n // 3)).axes[0]
    places = [tuple(line.get_xydata()[0]) for line in axes.lines]
    assert places == [(0.0, n // 2 - 0.5), (n // 3 - 0.5, 0.0), (2 * n // 3 - 0.5, 0.0)]


@pytest.mark.parametrize(("name", "head"), [("a.png", b"\x89PNG"), ("b.svg", b"<?xml")])
def test_pictures_are_saved_whole(tmp_path: Path, name: str, head: bytes) -> None:
    path = save_figure(spy_figure(np.eye(3)), tmp_path / "new" / name)
    assert path.read_bytes().startswith(head)
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_bad_input(tmp_path: Path) -> None:
    f = AffineMap(np.eye(4), np.zeros(4), (1, 2, 2), (4,))
    with pytest.raises(ShapeError, match="expected 4, got 3"):
        rows_figure(f, "abc")
    with pytest.raises(UnknownNameError, match=r"png \| svg"):
        save_figure(rows_figure(f), tmp_path / "a.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        save_figure(rows_figure(f), tmp_path / "file" / "a.png")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_no_window_system_is_touched() -> None:
    code = "import sys, numpy; from algebraic_cnn.apps.plots import spy_figure; spy_figure(numpy.eye(2))\n"
    code += "print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_each_feed_is_an_arrow_and_each_skip_an_arc_with_its_strength() -> None:
    (axes,) = skeleton_figure(Skeleton.full(4, [(0, 2), (1, 4)])).axes
    ends = [(tuple(arrow._posA_posB[0]), tuple(arrow._posA_posB[1])) for arrow in axes.patches]
    assert sorted(ends) == [((k, 0), (i, 0)) for k, i in [(0, 1), (0, 2), (1, 2), (1, 4), (2, 3), (3, 4)]]
    words = [text.get_text() for text in axes.texts]
    assert {"$t^{(0,1)}$", "$t^{(1,3)}$"} <= set(words)
    assert [f"$f^{{({i})}}$" for i in range(5)] == [word for word in words if word.startswith("$f")]
    assert axes.get_title() == "4 layers, 3 paths"
