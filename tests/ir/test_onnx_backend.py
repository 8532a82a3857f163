"""The judge of what an operator means: the literal inputs and outputs of ONNX's own tests.

Every node test that is shipped with the package onnx is run in the deep profile, at every version that it has, with
all inputs but the first as constants of the file or not.  Each is right, or refused by name.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn import certify
from algebraic_cnn.errors import ShapeError, TraceError
from algebraic_cnn.ir.onnx.reading import load_onnx

onnx = pytest.importorskip("onnx")
backend = pytest.importorskip("onnx.backend.test.case.node")

#: Families whose tests are drawn in every run; all are in the deep profile.
FAMILIES = (
    "averagepool batch_normalization clip concat conv convtranspose cumsum dft expand flatten gather "
    "gatherelements gathernd gemm globalaveragepool gru hannwindow loop lstm matmul matmulinteger maxpool "
    "melweightmatrix nonmaxsuppression nonzero onehot pad quantizelinear reducemean reshape rnn scan "
    "scatterelements scatternd sequenceinsert slice softmax split squeeze stft topk transpose trilu unique "
    "unsqueeze"
).split()

#: What torch computes on.
KINDS = "bool int8 int16 int32 int64 uint8 float16 float32 float64".split()

#: Words of Python and of torch, which no refusal of ours has.
FOREIGN = re.compile(
    r"object|NoneType|argument|attribute '|Tensors|\w+\(\)|combination|tensor |Expected |index|must match|got an"
)

#: What draws numbers by chance is right whatever it draws.
CHANCE = "bernoulli", "randomuniform", "randomnormal"


def drawn(families: Iterable[str]) -> list[Any]:
    """ONNX's test cases of nodes, on tensors and sequences of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family in families:
            importlib.import_module(f"{backend.__name__}.{family}")
    found = {case.name: case for case in backend._NodeTestCases}
    return [case for _, case in sorted(found.items()) if not any(word in case.name for word in CHANCE)]


def every_family() -> list[str]:
    """All that ONNX has."""
    trees = [
        f"ai_onnx_ml.{name}" for name in ("array_feature_extractor", "binarizer", "label_encoder", "tree_ensemble")
    ]
    return [module.name for module in pkgutil.iter_modules(backend.__path__)] + trees


def given_of(x: Any) -> Any:
    """A value of a data set as torch has it; None where it has no such numbers."""
    if isinstance(x, list):
        return [given_of(each) for each in x]
    x = onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else np.asarray(x)
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(x)) if x.dtype.name in KINDS else None


def file_of(case: Any, path: Path, *, held: bool) -> list[Any] | None:
    """Write the model of a case, and say what its inputs are; None where it is none on tensors."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    given = list(case.data_sets[0][0])
    if held:
        if len(model.graph.input) < len(given) or any(isinstance(x, list) or x is None for x in given):
            return None
        for value, x in list(zip(model.graph.input, given, strict=True))[1:]:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(x if isinstance(x, onnx.TensorProto) else onnx.numpy_helper.from_array(np.asarray(x)))
            tensor.name = value.name
            model.graph.initializer.append(tensor)
        del model.graph.input[1:], given[1:]
        model.ir_version = max(model.ir_version, 4)  # before, initializers were inputs
    onnx.save(model, path)
    return [given_of(x) for x in given]


def judged(case: Any, folder: Path, *, held: bool) -> str:
    """Say "right", "refused: why", or what is wrong."""
    path = folder / "model.onnx"
    given = file_of(case, path, held=held)
    if given is None or any(x is None for x in given):
        return "refused: numbers that torch does not have"
    try:
        module, _ = load_onnx(path)
        with torch.no_grad():
            found = module(*given)
    except (TraceError, ShapeError) as error:
        return f"refused: {error}"
    found = found if isinstance(found, tuple) else (found,)
    words = [_compared(y, z, case) for y, z in zip(found, case.data_sets[0][1], strict=True)]
    return next((word for word in words if word), "right")


def _compared(y: Any, z: Any, case: Any) -> str:
    """What is wrong with an output; "" where nothing is."""
    if isinstance(z, list):
        words = [_compared(*pair, case) for pair in zip(y, z, strict=True)] if len(y) == len(z) else ["other parts"]
        return next((word for word in words if word), "")
    z = given_of(z)
    if z is None:
        return "refused: numbers that torch does not have"
    if y.shape != z.shape or y.dtype != z.dtype:
        return f"{y.dtype} {tuple(y.shape)} for {z.dtype} {tuple(z.shape)}"
    unit = torch.finfo(y.dtype).eps if y.is_floating_point() else 0.0
    y, z = (x.double().numpy() if x.is_floating_point() else x.numpy() for x in (y, z))
    if "dft" in case.name:  # their transforms are made in float32: every entry is off by roundings of the largest
        unit *= np.abs(z).max()
    if not np.allclose(y, z, rtol=max(case.rtol, unit), atol=max(case.atol, unit), equal_nan=True):  # ONNX's own
        return f"off by {np.abs(y.astype(float) - z).max()}"
    return ""


DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))
LARGE = "light_bvlc_alexnet", "light_vgg19", "light_zfnet512", "light_densenet121", "light_inception_v2"


@pytest.mark.parametrize("path", [path for path in LIGHT if DEEP or path.stem not in LARGE], ids=lambda path: path.stem)
def test_the_light_models_of_onnx_are_right(path: Path) -> None:
    """Networks of the model zoo whose numbers are made by nodes; ONNX's input, and the output that is stored beside."""
    module, (example,) = load_onnx(path)
    x = (np.arange(example.numel()).reshape(tuple(example.shape)) / example.numel()).astype(np.float32)
    stored = onnx.TensorProto.FromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    with torch.no_grad():
        found = module(torch.from_numpy(x))
    np.testing.assert_allclose(found.numpy(), onnx.numpy_helper.to_array(stored), rtol=1e-3, atol=1e-7)  # ONNX's own


@pytest.mark.parametrize("family", ["castlike", "pow", "reducemax", "constant", "ai_onnx_ml.tree_ensemble"])
def test_a_file_is_itself_or_is_refused_in_our_words(family: str, tmp_path: Path) -> None:
    """Dtypes that torch does not have, axes of length 0, no inputs at all."""
    path = tmp_path / "model.onnx"
    for case in drawn([family]):
        word = judged(case, tmp_path, held=False)
        assert word == "right" or (word.startswith("refused") and not FOREIGN.search(word))
        if file_of(case, path, held=False) is not None:
            assert certify(path, path, points=1).verdict == "equal"


def test_what_is_read_is_what_onnx_says(tmp_path: Path) -> None:
    """In the deep profile all of them, else those of some families."""
    families = every_family() if DEEP else FAMILIES
    found = {(case.name, held): judged(case, tmp_path, held=held) for case in drawn(families) for held in (True, False)}
    wrong = {key: word for key, word in found.items() if word != "right" and not word.startswith("refused")}
    assert wrong == {}
    assert {key: word for key, word in found.items() if FOREIGN.search(word)} == {}
    assert Counter(found.values())["right"] > 300
