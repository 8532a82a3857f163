"""Speed of a collapse: the table is printed, the values that were timed are checked; no time decides a verdict."""

from __future__ import annotations

import pytest
import torch

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.collapsing import Row, derivation_rows, linear_resnet34, prediction_rows


def show(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        for row in rows:
            print(f"{row.case:32} {row.seconds * 1e6:12.1f} us   {row.ratio:10.5f} x {row.against}")


def test_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    rows = prediction_rows()
    show(rows, capsys)
    assert len(rows) == 4
    assert all(row.ratio > 0 for row in rows)


def test_derivation(capsys: pytest.CaptureFixture[str]) -> None:
    rows = derivation_rows()
    show(rows, capsys)
    assert [row.against for row in rows] == ["a forward pass of ten"] * 2


def test_what_is_timed_is_right() -> None:
    model = linear_resnet34()
    result = collapse(model, torch.zeros(1, 1, 28, 28))
    assert result.certificate is not None
    assert result.certificate.ok
