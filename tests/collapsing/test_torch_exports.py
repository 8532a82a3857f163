"""What torch's exporters write: every file loads, collapses, is certified, and is the same network in ONNX Runtime.

The numbers are whole, so that the outputs are equal bit for bit, but for calls that merge behind a norm: of those, and
of networks with fractions added, the certificate alone judges.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algebraic_cnn import certify
from algebraic_cnn.collapsing.onnx_files import OnnxCollapse, collapse_onnx
from algebraic_cnn.ir.onnx.writing import session

from ..exports import KINDS, MERGED, OPSETS, SINCE, Kind, exported, real

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
ALL = [
    (name, exporter, opset, free)
    for name in KINDS
    for exporter, opsets in OPSETS.items()
    for opset in opsets
    for free in (True, False)
    if opset >= SINCE.get(name, 0)
]
#: Of the whole product every how many-th.
STEP = {"deep": 1, "ci": 23}.get(PROFILE, 41)


def outputs(path: Path, made: Kind) -> list[np.ndarray]:
    run = session(path, level="none")
    return run.run(None, {given.name: x.numpy() for given, x in zip(run.get_inputs(), made.example, strict=True)})


def mutant(path: Path, where: Path, change: Callable[[np.ndarray], Any]) -> Path:
    """The file with the number of largest magnitude in its first array of several floats changed."""
    model = onnx.load(path)
    arrays = (t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1)
    tensor = next(arrays)
    array = onnx.numpy_helper.to_array(tensor).copy()
    place = int(np.abs(array).argmax())
    array.flat[place] = change(array.flat[place])
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, where)
    return where


def collapsed(path: Path, folder: Path) -> tuple[Path, OnnxCollapse]:
    """The collapse of a file, certified, and accepted by onnx."""
    result = collapse_onnx(path)
    assert result.certificate is not None
    assert result.certificate.ok
    assert result.nodes[1] <= result.nodes[0]
    new = result.save(folder / "new.onnx")
    onnx.checker.check_model(str(new), full_check=True)
    return new, result


@pytest.mark.parametrize(("name", "exporter", "opset", "free"), ALL[::STEP])
def test_an_export_is_collapsed_and_certified(name: str, exporter: str, opset: int, free: bool, tmp_path: Path) -> None:
    made = KINDS[name]()
    path = exported(made, tmp_path / "given.onnx", exporter, opset, free=free)
    new, _ = collapsed(path, tmp_path)
    for right, found in zip(outputs(path, made), outputs(new, made), strict=True):
        assert (right.dtype, right.shape) == (found.dtype, found.shape)
        assert np.array_equal(right, found) or opset <= MERGED.get(name, 0)
    assert certify(path, new).verdict == "equal"
    one_more = mutant(new, tmp_path / "more.onnx", lambda w: w + 1)
    assert not certify(path, one_more).ok  # undecided, where a unit that sleeps at every drawn input hides it
    nearly = mutant(new, tmp_path / "nearly.onnx", lambda w: np.nextafter(w, np.float32(np.inf)))
    assert not certify(path, nearly, level="modular").ok


@pytest.mark.parametrize("name", list(KINDS) if PROFILE == "deep" else list(KINDS)[:: 4 if PROFILE == "dev" else 1])
def test_with_fractions_it_is_equal_but_for_rounding(name: str, tmp_path: Path) -> None:
    made = real(KINDS[name]())
    path = exported(made, tmp_path / "given.onnx", "legacy", 17, free=True)
    new, _ = collapsed(path, tmp_path)
    assert certify(path, new).verdict in ("equal", "rounding")
    one_more = mutant(new, tmp_path / "more.onnx", lambda w: w + 1)
    assert not certify(path, one_more).ok
