"""Numbers that an ONNX file keeps in other files of its folder, read where they are needed and nowhere else.

gathered    ModelProto, path -> whether numbers came from other files; they are in the model then

The other file must lie inside the folder of the model, by its real path: a name that leads out of it, over ``..``, a
link or a root, is refused before anything is opened.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...extras import required
from ...files import limits
from .writing import tensors_of


def gathered(model: Any, path: str | os.PathLike[str]) -> bool:
    """Put the numbers that are in other files into a model.

    Args:
        model: a ModelProto, which is changed.
        path: its file.

    Returns:
        Whether there were such numbers.

    Raises:
        DataError: if a file is missing, is outside the folder, or is shorter than it is said to be; or if all is more
            than an ONNX file may have.
    """
    external = required("onnx", "onnx").TensorProto.EXTERNAL
    waiting = [t for t in tensors_of(model) if t.data_location == external or t.external_data]
    total = 0
    for tensor in waiting:
        where = f"{path}, {tensor.name[:80] or 'a constant'}"
        total += _bytes_of(tensor, where)
        if total > limits.ONNX:
            raise DataError("too many numbers in other files", expected=f"at most {limits.ONNX:,} bytes", where=where)
        tensor.raw_data = _read(tensor, Path(path).parent, where)
        del tensor.external_data[:]
        tensor.data_location = required("onnx", "onnx").TensorProto.DEFAULT
    return bool(waiting)


def _bytes_of(tensor: Any, where: str) -> int:
    """How many bytes the numbers of an array are."""
    helper, kinds = required("onnx", "onnx").helper, required("onnx", "onnx").helper.get_all_tensor_dtypes()
    if tensor.data_type not in kinds or min(tensor.dims, default=0) < 0:
        raise DataError("no array of numbers", where=where)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if dtype.kind == "O":
        raise DataError("texts in another file are not read", where=where)
    return math.prod(tensor.dims) * dtype.itemsize


def _read(tensor: Any, folder: Path, where: str) -> bytes:
    """The bytes of one array."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    size = _bytes_of(tensor, where)
    offset, length = (_number(entries.get(key, default), where) for key, default in (("offset", "0"), ("length", size)))
    name = entries.get("location", "")
    if not name or "\0" in name:
        raise DataError("numbers in another file without a name", where=where)
    place = Path(os.path.realpath(folder / name))
    if Path(os.path.realpath(folder)) not in place.parents:
        raise DataError("numbers outside the folder of the model are not read", got=name[:200], where=where)
    if length != size:
        raise DataError("not as many numbers as its axes say", expected=f"{size:,}", got=f"{length:,}", where=where)
    try:
        here = place.stat().st_size if place.is_file() else -1
        with place.open("rb") if here >= offset + length else io.BytesIO() as file:
            file.seek(offset if here >= offset + length else 0)
            found = file.read(length)
    except (OSError, OverflowError) as error:
        raise DataError(f"the file with its numbers cannot be read ({error})", got=name[:200], where=where) from error
    if here < 0:
        raise DataError("the file with its numbers is missing", expected=name[:200], where=where)
    if len(found) != length:
        raise DataError("the file with its numbers is too short", expected=f"{offset + length:,} bytes", where=where)
    return found


def _number(text: Any, where: str) -> int:
    if not str(text).isascii() or not str(text).isdigit() or len(str(text)) > limits.DIGITS:
        raise DataError("a place in another file is a number", got=str(text)[:80], where=where)
    return int(text)
