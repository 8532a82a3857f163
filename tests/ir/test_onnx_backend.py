"""The judge of what an operator means: the literal inputs and outputs of ONNX's own tests of one node."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn.errors import TraceError
from algebraic_cnn.ir.onnx.network import TABLE
from algebraic_cnn.ir.onnx.reading import load_onnx

onnx = pytest.importorskip("onnx")
backend = pytest.importorskip("onnx.backend.test.case.node")

#: Families whose tests are drawn in every run; the others have the same tables, and are drawn on request.
FAMILIES = (
    "averagepool batch_normalization clip concat conv convtranspose depthtospace expand flatten gather "
    "gemm globalaveragepool matmul maxpool pad reducemean reshape slice softmax spacetodepth split squeeze "
    "transpose unsqueeze"
).split()


def drawn(families: Iterable[str]) -> list[Any]:
    """ONNX's test cases of one node whose operator is in the tables, on tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family in families:
            importlib.import_module(f"{backend.__name__}.{family}")
    found = {case.name: case for case in backend._NodeTestCases}
    return [case for _, case in sorted(found.items()) if _is_read(case.model)]


def _is_read(model: Any) -> bool:
    nodes = model.graph.node
    plain = all(v.type.HasField("tensor_type") for v in (*model.graph.input, *model.graph.output))
    return len(nodes) == 1 and nodes[0].op_type in TABLE and nodes[0].domain == "" and plain


def every_family() -> list[str]:
    """All that ONNX has."""
    return [module.name for module in pkgutil.iter_modules(backend.__path__)]


def judged(case: Any, folder: Path, *, held: bool) -> str:
    """Say "right", "refused", or what is wrong; with all inputs but the first as constants of the file, or not."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    given, right = case.data_sets[0]
    given = list(given)
    if held:
        for value, array in list(zip(model.graph.input, given, strict=True))[1:]:
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
        del model.graph.input[1:], given[1:]
    path = folder / "model.onnx"
    onnx.save(model, path)
    try:
        module, _ = load_onnx(path)
    except TraceError:
        return "refused"
    with torch.no_grad():
        found = module(*(torch.from_numpy(np.array(x)) for x in given))
    found = found if isinstance(found, tuple | list) else (found,)
    for y, z in zip(found, right, strict=False):
        y, z = np.asarray(y), np.asarray(z)
        if y.shape != z.shape or y.dtype != z.dtype:
            return f"{y.dtype} {y.shape} for {z.dtype} {z.shape}"
        if not np.allclose(y, z, rtol=case.rtol, atol=case.atol, equal_nan=True):  # ONNX's own tolerances
            return f"off by {np.abs(y.astype(float) - z).max()}"
    return "right"


def test_what_is_read_is_what_onnx_says(tmp_path: Path) -> None:
    found = {(case.name, held): judged(case, tmp_path, held=held) for case in drawn(FAMILIES) for held in (True, False)}
    assert {key: word for key, word in found.items() if word not in ("right", "refused")} == {}
    assert sum(word == "right" for word in found.values()) > 300
