"""Formulas as pictures: whole files of the kind asked for, or a clear refusal and no file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from algebraic_cnn import TooLargeError, UnknownNameError
from algebraic_cnn.algebra.symbolic import Skeleton, save_formula, to_latex
from algebraic_cnn.algebra.symbolic.picture import lines

SIGNATURES = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("ending", SIGNATURES)
def test_a_picture_is_of_the_kind_its_name_says(tmp_path: Path, ending: str) -> None:
    path = save_formula(Skeleton.full(3), tmp_path / f"formula{ending}")
    assert path.read_bytes().startswith(SIGNATURES[ending])
    assert list(tmp_path.iterdir()) == [path]


def test_a_longer_formula_makes_a_larger_picture_with_ink_on_it(tmp_path: Path) -> None:
    short = imread(save_formula(Skeleton.full(3), tmp_path / "short.png", parts=("W",)))
    long = imread(save_formula(Skeleton.full(3), tmp_path / "long.png", parts=("W", "B", "f"), one_strength=True))
    assert long.shape[0] > short.shape[0]
    assert 0 < np.mean(short[..., :3] < 1) < 1


def test_lines_hold_every_summand_once() -> None:
    formula = to_latex(Skeleton.full(5), "f", one_strength=True)
    joined = " ".join(line.strip("$").replace(r"\quad ", "") for line in lines(formula))
    assert joined == formula


def test_what_cannot_be_a_picture_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        save_formula(Skeleton.full(3), tmp_path / "formula.bmp")
    with pytest.raises(TooLargeError):
        save_formula(Skeleton.full(12), tmp_path / "formula.png")
    assert list(tmp_path.iterdir()) == []
