"""Arrays as files, without pickles: ``.npy``, and ``.npz`` with a sum of all of it.

    write_npz    arrays by name -> file
    read_npz     file -> arrays by name, each of the size that its header says, before any of it is unpacked
    read_npy     bytes -> array

NumPy allocates what a header asks for and then looks for the numbers; here the numbers are counted first.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import limits, read_bytes, write_bytes
from .archives import entries, packed, sha256

_SEAL = "sha256.txt"
_HEADER = 1_024
_KINDS = "biufc"


@dataclass(frozen=True)
class Header:
    """What an array says of itself.

    Attributes:
        shape: its axes.
        dtype: the type of its entries: numbers.
        columns_first: whether the first axis runs fastest.
        start: bytes before its entries.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    columns_first: bool
    start: int

    @property
    def size(self) -> int:
        """Bytes with the header."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> Path:
    """Write arrays of numbers, whole or not at all; return the path.

    Raises:
        DataError: if the file cannot be written, or an array holds objects.
    """
    content = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        if array.dtype.kind not in _KINDS:
            raise DataError(f"{name} cannot be saved", expected="numbers", got=array.dtype, where=path)
        np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
        content[f"{name}.npy"] = buffer.getvalue()
    return write_bytes(path, packed(content | {_SEAL: sha256(content)}, deflated=True))


def read_npz(
    path: str | os.PathLike[str], fits: Callable[[Mapping[str, Header]], bool], *, limit: int = limits.MAP
) -> dict[str, np.ndarray]:
    """Read arrays that ``write_npz`` wrote; nothing is unpickled.

    Args:
        path: the file.
        fits: whether arrays with these headers belong together; asked before they are unpacked.
        limit: bytes that all of them may have.

    Raises:
        DataError: if the file is missing, damaged, of another writer, or of other arrays.
    """
    expected = "an .npz file of this library"
    content = read_bytes(path, limit=limit, expected=expected)
    found = entries(content, path, limit=limit, deflated=True, kind=expected)
    if _SEAL not in found:
        what = f"carries no sum of its content ({_SEAL})"
        raise DataError(what, expected="a file that this version saved", where=path)
    headers = {}
    for name in found:
        if name != _SEAL:
            header = headers[name.removesuffix(".npy")] = _header(found.start(name, _HEADER), path)
            if not name.endswith(".npy") or header.size != found.sizes[name]:
                raise DataError(f"damaged: {name} is not as long as its header says", where=path)
    if not fits(headers):
        got = ", ".join(headers)[:200]
        raise DataError("not the arrays that were asked for", expected=expected, got=got, where=path)
    arrays = {name: found[name] for name in found if name != _SEAL}
    if found.start(_SEAL, _HEADER) != sha256(arrays):
        raise DataError("damaged: its sum is wrong", where=path)
    return {name: _array(arrays[f"{name}.npy"], header) for name, header in headers.items()}


def read_npy(path: str | os.PathLike[str], *, limit: int = limits.MAP) -> np.ndarray:
    """Read one array of numbers; nothing is unpickled.

    Raises:
        DataError: if the file is missing, damaged, too large, or no such array.
    """
    content = read_bytes(path, limit=limit, expected="a .npy file")
    header = _header(content[:_HEADER], path)
    if header.size != len(content):
        raise DataError("not as long as its header says", where=path)
    return _array(content, header)


def _header(content: bytes, where: object) -> Header:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, columns_first, dtype = read(stream, max_header_size=_HEADER)
    except Exception as error:  # NumPy reads the header as a literal of Python and raises errors of any class
        raise DataError("not an array of numbers: its header cannot be read", where=where) from error
    if dtype.kind not in _KINDS or dtype.shape or len(shape) > 32 or any(n < 0 for n in shape):
        raise DataError("not an array of numbers", expected="numbers", got=f"{dtype} of shape {shape}", where=where)
    return Header(tuple(shape), dtype, columns_first, stream.tell())


def _array(content: bytes, header: Header) -> np.ndarray:
    entries_of = np.frombuffer(bytearray(content), header.dtype, offset=header.start)
    return entries_of.reshape(header.shape, order="F" if header.columns_first else "C")
