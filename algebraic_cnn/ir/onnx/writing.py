"""Models as ONNX files, by torch's own exporter, with a sum of all of it.

save_onnx     module or program -> .onnx, written whole
require_whole, require_inside    what a file must be before its numbers are read
tensors_of    every array of a model
session       .onnx -> a session of ONNX Runtime, with as many threads as torch has
quiet         the exporter's talk kept off the screen
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ...errors import DataError, TraceError, UnknownNameError
from ...extras import required
from ...files import write_bytes

#: Who wrote a file that must carry a sum, and where the sum is.
_OURS, _SEAL = "algebraic_cnn", "algebraic_cnn.sha256"


def save_onnx(model: Any, example: Any = None, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a model as ONNX, whole or not at all.

    Args:
        model: a module in evaluation mode; or an exported program or the result of a collapse, whose free batch axis
            the file keeps.
        example: a tensor or a tuple of tensors; None for a program or a result, ``save_onnx(result, path)`` for short.
        path: ends in .onnx.

    Returns:
        The path.

    Raises:
        UnknownNameError: if the path has another ending.
        MissingExtraError: if the extra "onnx" is not installed.
        TraceError: if torch cannot express the model in ONNX.
        DataError: if the file cannot be written.
    """
    example, where = (None, example) if path is None else (example, path)
    path = require_onnx(where)
    model = model.exported() if hasattr(model, "exported") else model
    example = None if isinstance(model, ExportedProgram) else example
    arguments = () if example is None else (tuple(example) if isinstance(example, tuple | list) else (example,))
    with quiet():
        try:
            program: Any = torch.onnx.export(model, arguments, dynamo=True, verbose=False)
            written = program.model_proto
            written.producer_name = _OURS
            content = written.SerializeToString(deterministic=True)
        except Exception as error:  # the exporter raises errors of many classes
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise TraceError(f"torch cannot write the model as ONNX ({reason})", where=path) from error
    return write_bytes(path, content + _tail(content))


def _tail(content: bytes) -> bytes:
    """A note of the model with the sum of all before it; protobuf reads what is appended as more of the same."""
    model = required("onnx", "onnx").ModelProto()
    model.metadata_props.add(key=_SEAL, value=hashlib.sha256(content).hexdigest())
    return model.SerializeToString(deterministic=True)


def require_whole(content: bytes, model: Any, where: object) -> None:
    """Refuse a damaged file of ours: one that says that it is, or has a sum.

    Args:
        content: of the file.
        model: what was read.
        where: the file, for the error.

    Raises:
        DataError: if the sum is wrong, or there is none where one must be.
    """
    ours = model.producer_name == _OURS or any(note.key == _SEAL for note in model.metadata_props)
    length = len(_tail(b""))
    if ours and content[-length:] != _tail(content[:-length]):
        raise DataError("damaged: the sum of the file is wrong", where=where)


def require_inside(message: Any, where: object) -> None:
    """Refuse arrays of not as many numbers as are said to be.

    Args:
        message: a model or a part of it, its outside numbers gathered.
        where: the file, for the error.

    Raises:
        DataError: if there are such.
    """
    for tensor in tensors_of(message):
        _require_array(required("onnx", "onnx"), tensor, where)


def tensors_of(message: Any) -> Iterator[Any]:
    """Every array of a model or of a part of it, those of attributes and subgraphs too."""
    onnx, Message = required("onnx", "onnx"), required("google.protobuf.message", "onnx").Message
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if isinstance(part, onnx.TensorProto):
            yield part
            continue
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting += [value] if isinstance(value, Message) else list(value)


def _require_array(onnx: Any, tensor: Any, where: object) -> None:
    """One array: here, and of as many numbers as its axes say."""
    where = f"{where}, {tensor.name[:80] or 'a constant'}"
    kinds = onnx.helper.get_all_tensor_dtypes()
    if tensor.HasField("segment") or tensor.data_type not in kinds or min(tensor.dims, default=0) < 0:
        raise DataError("no array of numbers", where=where)
    wanted = math.prod(tensor.dims)
    if tensor.data_type == onnx.TensorProto.STRING:
        found, wanted_here = len(tensor.string_data), wanted
    else:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        packed = _PACKED.get(onnx.TensorProto.DataType.Name(tensor.data_type), 0)
        field = getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type))
        raw = tensor.HasField("raw_data")
        found = len(tensor.raw_data) if raw else len(field)
        each = dtype.itemsize if raw else 2 if dtype.kind == "c" else 1
        wanted_here = -(-wanted // packed) if packed else wanted * each
    if found != wanted_here:
        raise DataError(
            "not as many numbers as its axes say", expected=f"{wanted_here:,}", got=f"{found:,}", where=where
        )


#: Numbers of less than a byte, and how many share one.
_PACKED = {"UINT4": 2, "INT4": 2, "FLOAT4E2M1": 2, "UINT2": 4, "INT2": 4}


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
