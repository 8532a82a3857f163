"""What ONNX Runtime makes of small networks is equal, or equal but for rounding; a change of it never is.

The judge of a change is ONNX Runtime itself, without optimisations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from algebraic_cnn import certify
from algebraic_cnn.ir.onnx.writing import session

from .rewritten import BLOCKS, inputs, mutants, onnx, written

pytest.importorskip("onnxruntime")

#: Fusions that compute a function of real numbers in another way.
ROUNDED = (
    "conv bn relu", "conv mul add", "conv HardSwish", "gemm HardSwish", "conv Mish", "gemm Mish", "gelu a", "gelu b",
    "gelu bias", "layer norm", "skip layer norm bias", "nhwc hardswish", "nhwc ln written", "matmul bn", "div mul",
    "matmul scale", "matmul reshape bn", "hardswish written",
)  # fmt: skip


def optimised(name: str, folder: Path, level: str = "extended") -> tuple[Path, Path]:
    path, other = written(name, folder / "a.onnx"), folder / f"{level}.onnx"
    session(path, level=level, saved=str(other))
    return path, other


def furthest(path: Path, other: Path) -> float:
    """How far the outputs are apart, beside their size."""
    runs, worst = [session(each, level="none") for each in (path, other)], 0.0
    for seed in range(3):
        y, z = (run.run(None, inputs(path, seed))[0].astype(float) for run in runs)
        gap = np.abs(y - z).max() / max(np.abs(y).max(), 1e-30) if y.shape == z.shape else np.inf
        worst = max(worst, float(gap))
    return worst


@pytest.mark.parametrize("level", ["extended", "all"])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_rewriting_is_right_and_a_change_of_it_is_not(name: str, level: str, tmp_path: Path) -> None:
    """The level "all" keeps channels in blocks as wide as the processor's registers."""
    path, other = optimised(name, tmp_path, level)
    assert certify(path, other, points=2).verdict in (("equal", "rounding") if name in ROUNDED else ("equal",))
    changed, seen = tmp_path / "c.onnx", 0
    drawn = list(mutants(onnx.load(other)))
    for place in np.random.default_rng(len(name)).permutation(len(drawn)):
        onnx.save(drawn[place], changed)
        try:
            apart = furthest(path, changed)
        except Exception:  # ONNX Runtime refuses it with errors of many classes
            continue
        if apart > 2.0**-12:
            assert certify(path, changed, points=2).verdict in ("different", "undecided")
            seen += 1
        if seen == 1:
            break


def test_filters_that_fill_a_block_are_nobody_s(tmp_path: Path) -> None:
    """What is read of them would be another network: ONNX Runtime computes with the zeros that it put there."""
    path, other = optimised("conv add relu skip", tmp_path, "all")
    model = onnx.load(other)
    if all(node.domain != "com.microsoft.nchwc" for node in model.graph.node):
        pytest.skip("ONNX Runtime keeps no blocks on this machine")
    bias = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 1)
    array = onnx.numpy_helper.to_array(bias).copy()
    assert array[4:].any() == np.False_
    array[-1] = 1.0
    bias.CopyFrom(onnx.numpy_helper.from_array(array, bias.name))
    onnx.save(model, tmp_path / "c.onnx")
    assert furthest(path, tmp_path / "c.onnx") < 2.0**-12
    assert certify(path, tmp_path / "c.onnx", points=2).verdict in ("equal", "rounding", "undecided")


def test_the_changes_are_found(tmp_path: Path) -> None:
    """Images with channels last: the transpositions are gone, and one axis or number more is another network."""
    for name in ("nhwc reducemax", "nhwc softmax", "nhwc max const"):
        path, other = optimised(name, tmp_path)
        assert "Transpose" not in {node.op_type for node in onnx.load(other).graph.node}
        verdicts = []
        for number, model in enumerate(mutants(onnx.load(other))):
            changed = tmp_path / f"{number}.onnx"
            onnx.save(model, changed)
            try:
                if furthest(path, changed) > 2.0**-12:
                    verdicts.append(certify(path, changed, points=2).verdict)
            except Exception:  # likewise
                continue
        assert set(verdicts) == {"different"}
        assert len(verdicts) > 3
