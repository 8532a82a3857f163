"""Speed of explicit matrices: the table is printed, what was timed is checked; no time decides a verdict."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from algebraic_cnn.apps.bench.toeplitz import CASES, jacobian_rows, machine, probed_columns, recipe, toeplitz_rows
from algebraic_cnn.toeplitz import conv_matrix
from algebraic_cnn.toeplitz.geometry import conv_geometry


@pytest.mark.parametrize("case", CASES)
def test_table(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = toeplitz_rows(case)
    with capsys.disabled():
        print(f"\n{machine()}" if case == "a" else "")
        for row in rows:
            scaled = ", scaled from a part" if row.scaled else ""
            print(f"{row.case} {row.what:20} {row.seconds * 1e3:12.3f} ms {row.ratio:10.2f} x {row.against}{scaled}")
    assert {row.case for row in rows} == {case}
    assert all(row.ratio > 0 for row in rows)
    memory = next(row.ratio for row in rows if row.what.startswith("peak"))
    assert case == "a" or memory <= 1.05


def test_the_alternatives_make_the_same_matrix() -> None:
    weight, shape, how = np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3), (3, 6, 7), {"stride": 2, "padding": 1}
    W = conv_matrix(weight, shape, **how)
    layer = torch.nn.Conv2d(3, 2, 3, **how, bias=False)
    layer.weight.data = torch.from_numpy(weight)
    assert np.array_equal(recipe(weight, conv_geometry(weight.shape, shape, **how)).toarray(), W.toarray())
    assert np.array_equal(probed_columns(layer, shape, W.shape[1]).toarray().T, W.toarray())
    assert np.array_equal(jacobian_rows(layer, shape, W.shape[0]).toarray(), W.toarray())
