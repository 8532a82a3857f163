"""Weights and example inputs of a program's file, checked before torch makes tensors of them.

require_inside      every weight lies within the bytes that stand for it
plain_samples       the example inputs are tensors, numbers and containers, and nothing else was unpickled
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch._export.serde.schema import Layout, ScalarType
from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE
from torch.utils import _pytree as pytree

from ...files import limits
from ...files.archives import entries
from .texts import quiet

_CONTAINERS = (tuple, list, dict)
_NUMBERS = (int, float, bool, complex, type(None))


def require_inside(config: Mapping[str, Any], folder: str, sizes: Mapping[str, int]) -> set[str]:
    """The files of a table of weights, if each weight lies within its file.

    Args:
        config: name to what the file says of the weight, of the types of torch's schema.
        folder: of the archive, where they are.
        sizes: bytes of each entry of the archive.

    Raises:
        ValueError: if one reaches beyond, two disagree on their type, or one is no plain array.
    """
    dtypes: dict[str, int] = {}
    for name, payload in config.items():
        meta, path = payload["tensor_meta"], f"{folder}/{payload['path_name']}"
        if not re.fullmatch(r"(weight|tensor)_\d{1,9}", payload["path_name"]) or path not in sizes or meta is None:
            raise ValueError(f"{name} has no array of numbers")
        if dtypes.setdefault(path, meta["dtype"]) != meta["dtype"]:
            raise ValueError(f"{name} shares its bytes with a weight of another type")
        _require_within(name, meta, sizes[path])
    return set(dtypes)


def _require_within(name: str, meta: Mapping[str, Any], size: int) -> None:
    """One array, from its offset to its last entry, within so many bytes."""
    numbers = [*meta["sizes"], *meta["strides"], meta["storage_offset"]]
    if any("as_int" not in number or number["as_int"] < 0 for number in numbers):
        raise ValueError(f"{name} has a negative or unknown size")
    axes, strides = ([number["as_int"] for number in meta[key]] for key in ("sizes", "strides"))
    plain = meta["layout"] == Layout.Strided and meta["device"]["type"] != "meta"
    if len(axes) != len(strides) or len(axes) > limits.AXES or not plain:
        raise ValueError(f"{name} is no plain array")
    dtype = _SERIALIZE_TO_TORCH_DTYPE.get(meta["dtype"])
    if dtype is None:
        raise ValueError(f"{name} has no type of numbers: {ScalarType(meta['dtype']).name}")
    entries_of, item = math.prod(axes), torch.empty((), dtype=dtype).element_size()
    last = meta["storage_offset"]["as_int"] + sum((n - 1) * step for n, step in zip(axes, strides, strict=True))
    if size % item or (entries_of and (last + 1) * item > size):
        raise ValueError(f"{name} reaches beyond its {size:,} bytes")
    if entries_of * item > limits.PROGRAM:
        raise ValueError(f"{name} would have {entries_of * item:,} bytes")


def plain_samples(content: bytes, where: object) -> bytes:
    """A pickle of tensors, numbers and containers, if torch's restricted reader finds nothing else in it.

    Args:
        content: what ``torch.save`` wrote, or nothing.
        where: the file, for errors.

    Raises:
        DataError: if it is an archive of doubtful entries.
        ValueError: if it holds anything else.
    """
    if not content:
        return content
    entries(content, where, limit=limits.SAMPLES, kind="an archive of example inputs")
    try:
        found = torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # the restricted reader raises errors of any class
        raise ValueError(f"a pickle of more than tensors ({type(error).__name__})") from error
    _require_plain(found)
    return content


def _require_plain(found: Any, depth: int = 0) -> None:
    if depth > limits.EXPRESSION_DEPTH:
        raise ValueError("containers in containers without end")
    if isinstance(found, torch.Tensor):
        if found.numel() * found.element_size() > limits.SAMPLES:
            raise ValueError(f"an example of shape {tuple(found.shape)}")
    elif isinstance(found, str):
        quiet(found)
    elif type(found) in pytree.SUPPORTED_NODES:
        if isinstance(found, dict):
            for key in found:
                quiet(key) if isinstance(key, str) else _require_number(key)
        children = pytree.SUPPORTED_NODES[type(found)].flatten_fn(found)[0]
        for child in children:
            _require_plain(child, depth + 1)
    else:
        _require_number(found)


def _require_number(found: Any) -> None:
    if not isinstance(found, (*_NUMBERS, torch.dtype, torch.device)):
        raise ValueError(f"an example of the class {type(found).__name__}")
