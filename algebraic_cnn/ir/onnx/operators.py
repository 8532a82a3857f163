"""What torch computes for each operator of ONNX.

    OPERATORS   name -> (what the node is given, its attributes) -> its value
    list        integers (shapes, axes, pads) are Python lists, so that a reshape is a fixed one

References:
    ONNX Operators, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import TraceError

Attributes = Mapping[str, Any]
Operator = Callable[[list[Any], Attributes], Any]


def _pairs(a: Attributes, rank: int) -> list[tuple[int, int]]:
    """Padding before and after each axis."""
    if a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise TraceError("padding that depends on the size", expected="explicit pads", got=a["auto_pad"].decode())
    pads = list(a.get("pads", [0] * (2 * rank)))
    return list(zip(pads[:rank], pads[rank:], strict=True))


def _padded(x: Tensor, a: Attributes) -> tuple[Tensor, list[int]]:
    """The input padded with zeros where the two sides differ, and the padding that is left for torch."""
    pairs = _pairs(a, x.ndim - 2)
    if all(before == after for before, after in pairs):
        return x, [before for before, _ in pairs]
    return F.pad(x, [n for pair in reversed(pairs) for n in pair]), [0] * len(pairs)


def _conv(given: list[Any], a: Attributes) -> Tensor:
    x, padding = _padded(given[0], a)
    rank = x.ndim - 2
    options = a.get("strides", [1] * rank), padding, a.get("dilations", [1] * rank), a.get("group", 1)
    return (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1](x, given[1], [*given, None][2], *options)


def _gemm(given: list[Any], a: Attributes) -> Tensor:
    A, B, C = [*given, None][:3]
    A = A.mT if a.get("transA") else A
    if a.get("transB") and a.get("alpha", 1.0) == 1 == a.get("beta", 1.0) and (C is None or C.ndim == 1):
        return F.linear(A, B, C)
    y = (A @ (B.mT if a.get("transB") else B)) * a.get("alpha", 1.0)
    return y if C is None else y + C * a.get("beta", 1.0)


def _pool(kind: str) -> Operator:
    def pool(given: list[Any], a: Attributes) -> Tensor:
        rank, pairs = given[0].ndim - 2, _pairs(a, given[0].ndim - 2)
        if any(before != after for before, after in pairs):
            raise TraceError("a pool padded unevenly", got=pairs)
        options: dict[str, Any] = {"stride": a.get("strides", [1] * rank), "padding": [n for n, _ in pairs]}
        options["ceil_mode"] = bool(a.get("ceil_mode", 0))
        if kind == "avg":
            options["count_include_pad"] = bool(a.get("count_include_pad", 0))
        if any(n != 1 for n in a.get("dilations", [])):
            options["dilation"] = a["dilations"]
        return getattr(F, f"{kind}_pool{rank}d")(given[0], a["kernel_shape"], **options)

    return pool


def _reshape(given: list[Any], a: Attributes) -> Tensor:
    x, shape = given[0], list(given[1])
    keep = not a.get("allowzero")
    return x.reshape([x.shape[i] if n == 0 and keep else n for i, n in enumerate(shape)])


def _flatten(given: list[Any], a: Attributes) -> Tensor:
    axis = a.get("axis", 1) % (given[0].ndim + 1)
    return given[0].flatten(1) if axis == 1 else given[0].reshape(given[0].shape[:axis].numel(), -1)


def _axes(given: list[Any], a: Attributes) -> list[int] | None:
    """An attribute in older files, an input in newer ones."""
    return list(given[1]) if len(given) > 1 and given[1] is not None else a.get("axes")


def _clip(given: list[Any], a: Attributes) -> Tensor:
    low, high = [*given[1:], None, None][:2]
    low, high = a.get("min", low), a.get("max", high)
    if low is not None and high is not None:
        return F.hardtanh(given[0], low, high)
    return torch.clamp(given[0], low, high)


def _pad(given: list[Any], a: Attributes) -> Tensor:
    x, mode = given[0], a.get("mode", b"constant").decode()
    pads = list(given[1]) if len(given) > 1 else list(a["pads"])
    if len(given) > 3 and given[3] is not None:
        raise TraceError("a Pad that names its axes", expected="pads for every axis")
    value = given[2] if len(given) > 2 and given[2] is not None else a.get("value", 0.0)
    pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    while mode != "constant" and pairs[0] == (0, 0) and len(pairs) > x.ndim - 2:
        pairs = pairs[1:]
    flat = [n for pair in reversed(pairs) for n in pair]
    if mode == "constant":
        return F.pad(x, flat, value=float(value))
    return F.pad(x, flat, mode={"reflect": "reflect", "edge": "replicate", "wrap": "circular"}[mode])


def _concat(given: list[Any], a: Attributes) -> Any:
    if any(isinstance(part, Tensor) for part in given):
        return torch.cat(given, a["axis"])
    return [n for part in given for n in (part if isinstance(part, list) else [part])]


def _gather(given: list[Any], a: Attributes) -> Any:
    x, index = given
    if isinstance(x, list):
        return x[index] if isinstance(index, int) else [x[i] for i in index]
    if isinstance(index, int):
        return x.select(a.get("axis", 0), index)
    raise TraceError("a Gather of several indices", expected="one index")


def _unsqueeze(given: list[Any], a: Attributes) -> Any:
    x = given[0]
    if not isinstance(x, Tensor):
        return x if isinstance(x, list) else [x]
    axes = _axes(given, a) or []
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(given: list[Any], a: Attributes) -> Any:
    axes = _axes(given, a)
    if isinstance(given[0], list):
        return given[0][0]
    return given[0].squeeze() if axes is None else given[0].squeeze(tuple(axes))


def _mean(given: list[Any], a: Attributes) -> Tensor:
    axes = _axes(given, a)
    return given[0].mean(axes or list(range(given[0].ndim)), keepdim=bool(a.get("keepdims", 1)))


def _batch_norm(given: list[Any], a: Attributes) -> Tensor:
    x, weight, bias, mean, variance = given
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, a.get("epsilon", 1e-5))


def _refused(what: str) -> Any:
    raise TraceError(f"{what} is not in the table of ONNX operators")


OPERATORS: dict[str, Operator] = {
    "Add": lambda given, a: given[0] + given[1],
    "Sub": lambda given, a: given[0] - given[1],
    "Mul": lambda given, a: given[0] * given[1],
    "Div": lambda given, a: given[0] / given[1],
    "Neg": lambda given, a: -given[0],
    "AveragePool": _pool("avg"),
    "BatchNormalization": _batch_norm,
    "Cast": lambda given, a: given[0] if isinstance(given[0], list | int) else _refused("Cast of numbers"),
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": lambda given, a: given[0],
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda given, a: getattr(F, f"adaptive_avg_pool{given[0].ndim - 2}d")(given[0], 1),
    "Identity": lambda given, a: given[0],
    "LeakyRelu": lambda given, a: F.leaky_relu(given[0], a.get("alpha", 0.01)),
    "MatMul": lambda given, a: given[0] @ given[1],
    "MaxPool": _pool("max"),
    "Pad": _pad,
    "ReduceMean": _mean,
    "Relu": lambda given, a: torch.relu(given[0]),
    "Reshape": _reshape,
    "Shape": lambda given, a: list(given[0].shape)[a.get("start", 0) : a.get("end")],
    "Sigmoid": lambda given, a: torch.sigmoid(given[0]),
    "Softmax": lambda given, a: torch.softmax(given[0], a.get("axis", -1)),
    "Squeeze": _squeeze,
    "Tanh": lambda given, a: torch.tanh(given[0]),
    "Transpose": lambda given, a: given[0].permute(a.get("perm") or list(range(given[0].ndim))[::-1]),
    "Unsqueeze": _unsqueeze,
}
