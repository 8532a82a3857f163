"""Models as ONNX files, by torch's own exporter.

    save_onnx     module or program -> .onnx, written whole
    session       .onnx -> a session of ONNX Runtime, with as many threads as torch has
    quiet         the exporter's talk kept off the screen
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from .errors import TraceError, UnknownNameError
from .extras import required
from .files import whole_file


def save_onnx(model: nn.Module | ExportedProgram, example: Any, path: str | os.PathLike[str]) -> Path:
    """Write a model as ONNX, whole or not at all.

    Args:
        model: a module in evaluation mode, or an exported program, whose free batch axis the file keeps.
        example: a tensor or a tuple of tensors; None for a program.
        path: ends in .onnx.

    Returns:
        The path.

    Raises:
        UnknownNameError: if the path has another ending.
        MissingExtraError: if the extra "onnx" is not installed.
        TraceError: if torch cannot express the model in ONNX.
        DataError: if the file cannot be written.
    """
    path = require_onnx(path)
    arguments = () if example is None else (tuple(example) if isinstance(example, tuple | list) else (example,))
    with whole_file(path) as unfinished:
        with quiet():
            try:
                program = torch.onnx.export(model, arguments, dynamo=True, verbose=False)
            except Exception as error:  # the exporter raises errors of many classes
                reason = (str(error) or type(error).__name__).strip().splitlines()[0]
                raise TraceError(f"torch cannot write the model as ONNX ({reason})", where=path) from error
        program.save(unfinished)  # pyright: ignore[reportOptionalMemberAccess]
    return path


def require_onnx(path: str | os.PathLike[str]) -> Path:
    """The path, if it ends as an ONNX file does and there is what it takes to write one.

    Raises:
        UnknownNameError: if the path has another ending.
        MissingExtraError: if the extra "onnx" is not installed.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UnknownNameError("a model is saved as .onnx", expected=path.with_suffix(".onnx").name, got=path.name)
    for module in ("onnx", "onnxscript"):
        required(module, "onnx")
    return path


def session(path: str | os.PathLike[str], *, cuda: bool = False, level: str = "all", saved: str | None = None) -> Any:
    """An ``onnxruntime.InferenceSession`` of a file.

    Args:
        path: the file.
        cuda: on a GPU.
        level: of its optimisation: "all" (ONNX Runtime's default), "extended" (without layouts) or "none".
        saved: where ONNX Runtime writes the graph that it runs.

    Raises:
        MissingExtraError: if the extra "onnx" is not installed.
    """
    onnxruntime = required("onnxruntime", "onnx")
    options, levels = onnxruntime.SessionOptions(), onnxruntime.GraphOptimizationLevel
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    names = {"all": levels.ORT_ENABLE_ALL, "extended": levels.ORT_ENABLE_EXTENDED, "none": levels.ORT_DISABLE_ALL}
    options.graph_optimization_level = names[level]
    if saved is not None:
        options.optimized_model_filepath = saved
    provider = "CUDAExecutionProvider" if cuda else "CPUExecutionProvider"
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=[provider])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor log lines: the exporter says on every call which parts of torchvision it skips."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
