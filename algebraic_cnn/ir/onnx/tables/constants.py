"""Operators that make constants and sizes: Constant, ConstantOfShape, Shape, Size, Cast, Range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ....extras import required
from ..builder import Builder
from ..nodes import Node, Reader, dtype_of
from ..values import Size, Unread, Value, number, numbers_of, whole

_ATEN = torch.ops.aten


def tensor_of(proto: Any) -> torch.Tensor:
    """The numbers of a TensorProto.

    Raises:
        Unread: if torch has no such numbers.
    """
    if dtype_of(proto.data_type) is None:
        raise Unread("numbers that torch does not have")
    array = required("onnx", "onnx").numpy_helper.to_array(proto)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def _constant(b: Builder, node: Node) -> Value:
    for name, dtype in (("value_float", torch.float32), ("value_int", torch.int64)):
        for key in (name, f"{name}s"):
            if key in node.attributes:
                return b.constant(torch.tensor(node.attributes[key], dtype=dtype))
    if "value" not in node.attributes:
        raise Unread("a constant that is no tensor of numbers")
    return b.constant(tensor_of(node.attributes["value"]))


def _constant_of_shape(b: Builder, node: Node) -> Value:
    shape = list(node.sizes(0).reshape(-1))
    value = node.get("value")
    fill = torch.zeros(1) if value is None else tensor_of(value)
    dtype, number_ = fill.dtype, fill.reshape(-1)[0].item()
    if any(isinstance(n, Size) for n in shape):
        return b.call(_ATEN.full.default, shape, number_, dtype=dtype, device=torch.device("cpu"))
    b.allow(math.prod(int(n) for n in shape))
    return b.constant(torch.full([int(n) for n in shape], number_, dtype=dtype))


def _shape(b: Builder, node: Node) -> Any:
    if isinstance(node.given[0], np.ndarray):
        found: list[Any] = list(node.given[0].shape)
    else:
        x = node.x()
        found = [b.length(x, axis) for axis in range(x.rank)]
    return _array(found[slice(node.get("start", 0), node.get("end"))])


def _size(b: Builder, node: Node) -> Any:
    total: Any = 1
    for n in _shape(b, node).reshape(-1):
        total = total * n
    return _array(total)


def _array(found: Any) -> Any:
    array = np.empty(np.shape(found) if isinstance(found, list) else (), dtype=object)
    array[...] = found
    return array


def _cast(b: Builder, node: Node) -> Any:
    dtype = dtype_of(node.attributes["to"])
    if dtype is None:
        raise Unread("a dtype that torch does not have")
    if isinstance(node.given[0], np.ndarray):
        if dtype not in (torch.int64, torch.int32, torch.float32, torch.float64):
            return b.constant(torch.tensor(numbers_of(node.given[0])).reshape(node.given[0].shape).to(dtype))
        kind = number if dtype.is_floating_point else whole
        return np.asarray(np.frompyfunc(kind, 1, 1)(node.given[0]), dtype=object)
    x = node.x()
    return x if x.dtype == dtype else b.call(_ATEN.to.dtype, x, dtype)


def _rounded(function: Any, target: Any) -> Reader:
    def read(b: Builder, node: Node) -> Any:
        if isinstance(node.given[0], np.ndarray):
            each = np.frompyfunc(lambda n: b.number(function, n) * 1.0, 1, 1)
            return np.asarray(each(node.given[0]), dtype=object)
        return b.call(target, node.x())

    return read


def _range(b: Builder, node: Node) -> Value:
    bounds = [node.sizes(place).reshape(-1)[0] for place in range(3)]
    dtypes = {given.dtype for given in node.given if isinstance(given, Value)} or {torch.int64}
    floats = any(_numbers_of_all(n, float) for n in bounds) or any(d.is_floating_point for d in dtypes)
    if floats:
        if not all(_whole(n) for n in bounds):
            raise Unread("a range of floats that are not whole")
        steps = b.call(_ATEN.arange.start_step, *map(whole, bounds), dtype=torch.int64, device=torch.device("cpu"))
        return b.call(_ATEN.to.dtype, steps, next((d for d in dtypes if d.is_floating_point), torch.float32))
    if len(dtypes) > 1:
        raise Unread("a range of several dtypes")
    if any(isinstance(n, Size) for n in bounds):
        return b.call(_ATEN.arange.start_step, *bounds, dtype=dtypes.pop(), device=torch.device("cpu"))
    b.allow(len(range(*bounds)))
    return b.constant(torch.arange(*bounds, dtype=dtypes.pop()))


def _numbers_of_all(n: Any, kind: type) -> bool:
    return any(isinstance(each, kind) for each in (n.numbers if isinstance(n, Size) else (n,)))


def _whole(n: Any) -> bool:
    return all(each == int(each) for each in (n.numbers if isinstance(n, Size) else (n,)))


CONSTANTS: dict[str, Reader] = {
    "Cast": _cast,
    "Ceil": _rounded(math.ceil, _ATEN.ceil.default),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Floor": _rounded(math.floor, _ATEN.floor.default),
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
}
