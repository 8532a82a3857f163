"""ATen calls as nodes of ONNX, in the form that the file's version of the operators has.

Pen        writes nodes: fresh names, constants that are shared, the version
SPELLINGS  name of a call -> function (Pen, call) that writes it
Unwritten  a call that has no spelling here
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..graph import Call, Ref
from .pen import Pen, Unwritten

Spelling = Callable[[Pen, Call], None]


def nodes_of(call: Call) -> int:
    """How many nodes a call is, as far as its name and its rank say."""
    if not call.shape and call.dtype is None and call.op.startswith(("sym_", "operator.", "math.")):
        return 0
    scaled = call.bound().get("alpha", 1) != 1 if call.op in ("add", "sub") else False
    return 1 + scaled + (2 * (len(call.shape) > 2) if call.op == "linear" else 0)


def has_spelling(call: Call) -> bool:
    """Whether a call can be written as nodes, as far as its name says."""
    return call.op in SPELLINGS


def _each(value: Any, rank: int) -> list[int]:
    found = [value] if isinstance(value, int) else list(value)
    return found * rank if len(found) == 1 else found


def _numbers(values: Sequence[Any]) -> list[int]:
    if any(isinstance(n, Ref) for n in values):
        raise Unwritten("a free size where a number is needed")
    return [int(n) for n in values]


def _conv(pen: Pen, call: Call) -> None:
    a = call.bound()
    rank, given = pen.rank(a["input"]) - 2, [pen.ref(a[name]) for name in ("input", "weight", "bias") if a[name]]
    if a.get("transposed") or isinstance(a["padding"], str):
        raise Unwritten(call.op)
    padding = _each(a["padding"], rank)
    options = {"strides": _each(a["stride"], rank), "dilations": _each(a["dilation"], rank), "group": a["groups"]}
    pen.put("Conv", given, pen.out, pads=[*padding, *padding], **options)


def _conv_transpose(pen: Pen, call: Call) -> None:
    a = call.bound()
    rank, given = pen.rank(a["input"]) - 2, [pen.ref(a[name]) for name in ("input", "weight", "bias") if a[name]]
    padding = _each(a["padding"], rank)
    options = {"strides": _each(a["stride"], rank), "dilations": _each(a["dilation"], rank), "group": a["groups"]}
    options["output_padding"] = _each(a["output_padding"], rank)
    pen.put("ConvTranspose", given, pen.out, pads=[*padding, *padding], **options)


def _linear(pen: Pen, call: Call) -> None:
    a = call.bound()
    x, weight, bias = pen.ref(a["input"]), pen.ref(a["weight"]), a["bias"] and pen.ref(a["bias"])
    if pen.rank(a["input"]) == 2:
        pen.put("Gemm", [x, weight, *([bias] if bias else [])], pen.out, transB=1)
        return
    turned = pen.put("Transpose", [weight], perm=[1, 0])
    y = pen.put("MatMul", [x, turned], "" if bias else pen.out)
    if bias:
        pen.put("Add", [y, bias], pen.out)


def _two(op: str) -> Spelling:
    def write(pen: Pen, call: Call) -> None:
        a = call.bound()
        alpha = a.get("alpha", 1)
        other = pen.ref(a["other"], call)
        if alpha != 1:
            other = pen.put("Mul", [other, pen.ref(alpha, call)])
        pen.put(op, [pen.ref(a["self"], call), other], pen.out)

    return write


def _compared(op: str) -> Spelling:
    def write(pen: Pen, call: Call) -> None:
        one, other = call.args[:2]
        dtype = pen.dtypes.get(one.name, torch.float32)
        number = other if isinstance(other, Ref) else torch.tensor(other, dtype=dtype)
        name = pen.ref(number) if isinstance(number, Ref) else pen.constant(number, f"{pen.out}_number")
        pen.put(op, [pen.ref(one), name], pen.out)

    return write


def _where(pen: Pen, call: Call) -> None:
    pen.put("Where", [pen.ref(value, call) for value in call.args[:3]], pen.out)


def _matmul(pen: Pen, call: Call) -> None:
    a = call.bound()
    pen.put("MatMul", [pen.ref(a["self"]), pen.ref(a.get("other", a.get("mat2")))], pen.out)


def _one(op: str) -> Spelling:
    def write(pen: Pen, call: Call) -> None:
        pen.put(op, [pen.ref(call.args[0])], pen.out)

    return write


def _batch_norm(pen: Pen, call: Call) -> None:
    a = call.bound()
    if a["training"] or a["weight"] is None or a["bias"] is None:
        raise Unwritten(call.op)
    given = [pen.ref(a[name]) for name in ("input", "weight", "bias", "running_mean", "running_var")]
    pen.put("BatchNormalization", given, pen.out, epsilon=a["eps"])


def _reduced(op: str, since: int) -> Spelling:
    def write(pen: Pen, call: Call) -> None:
        a = call.bound()
        rank, x = pen.rank(a["self"]), pen.ref(a["self"])
        axes = sorted(axis % rank for axis in a["dim"] or range(rank))
        if op == "ReduceMean" and a["keepdim"] and axes == list(range(2, rank)):
            pen.put("GlobalAveragePool", [x], pen.out)
        elif pen.version < since:
            pen.put(op, [x], pen.out, axes=axes, keepdims=int(a["keepdim"]))
        else:
            pen.put(op, [x, pen.ints(axes)], pen.out, keepdims=int(a["keepdim"]))

    return write


def _average(pen: Pen, call: Call) -> None:
    a = call.bound()
    rank = pen.rank(a["self"]) - 2
    if a.get("divisor_override") or (a["ceil_mode"] and pen.version < 10):
        raise Unwritten(call.op)
    kernel, padding = _each(a["kernel_size"], rank), _each(a["padding"], rank)
    options = {"kernel_shape": kernel, "strides": _each(a["stride"] or kernel, rank), "pads": [*padding, *padding]}
    ceil = {"ceil_mode": 1} if a["ceil_mode"] else {}
    pen.put(
        "AveragePool", [pen.ref(a["self"])], pen.out, count_include_pad=int(a["count_include_pad"]), **options, **ceil
    )


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(pen: Pen, call: Call) -> None:
    a = call.bound()
    rank, pads, mode = pen.rank(a["self"]), _numbers(a["pad"]), _MODES[a.get("mode", "constant")]
    pairs = [(0, 0)] * (rank - len(pads) // 2) + list(zip(pads[-2::-2], pads[::-2], strict=True))
    sides = [one for one, _ in pairs] + [other for _, other in pairs]
    value = float(a.get("value") or 0)
    if mode == "wrap" and pen.version < 19:
        raise Unwritten("a circular padding before version 19")
    if pen.version < 11:
        pen.put("Pad", [pen.ref(a["self"])], pen.out, pads=sides, mode=mode, value=value)
    else:
        more = [pen.ref(value, call)] if mode == "constant" and value else []
        pen.put("Pad", [pen.ref(a["self"]), pen.ints(sides), *more], pen.out, mode=mode)


def _reshape(pen: Pen, call: Call) -> None:
    x = pen.ref(call.args[0])
    pen.put("Reshape", [x, pen.size(call.args[1], call.args[0].name)], pen.out)


def _flatten(pen: Pen, call: Call) -> None:
    a = call.bound()
    rank = pen.rank(a["self"])
    start, end = a["start_dim"] % rank, a["end_dim"] % rank
    if start == 1 and end == rank - 1:
        pen.put("Flatten", [pen.ref(a["self"])], pen.out, axis=1)
        return
    if end != rank - 1:
        raise Unwritten("a flattening of inner axes")
    pen.put("Reshape", [pen.ref(a["self"]), pen.ints([0] * start + [-1])], pen.out)


def _permute(pen: Pen, call: Call) -> None:
    a = call.bound()
    rank = pen.rank(a["self"])
    order = list(range(rank))
    if call.op == "permute":
        order = [axis % rank for axis in a["dims"]]
    elif call.op == "t":
        order = order[::-1]
    else:
        one, other = a["dim0"] % rank, a["dim1"] % rank
        order[one], order[other] = other, one
    pen.put("Transpose", [pen.ref(a["self"])], pen.out, perm=order)


def _axes(op: str) -> Spelling:
    def write(pen: Pen, call: Call) -> None:
        a = call.bound()
        rank = pen.rank(a["self"]) + (op == "Unsqueeze")
        axes = [axis % rank for axis in ([a["dim"]] if isinstance(a["dim"], int) else a["dim"])]
        if pen.version < 13:
            pen.put(op, [pen.ref(a["self"])], pen.out, axes=axes)
        else:
            pen.put(op, [pen.ref(a["self"]), pen.ints(axes)], pen.out)

    return write


def _slice(pen: Pen, call: Call) -> None:
    a = call.bound()
    start, end, step = a["start"] or 0, sys.maxsize if a["end"] is None else a["end"], a["step"]
    x, axis = pen.ref(a["self"]), a["dim"] % pen.rank(a["self"])
    if pen.version >= 10:
        ends = [pen.size([n], a["self"].name) if isinstance(n, Ref) else pen.ints([n]) for n in (start, end)]
        pen.put("Slice", [x, *ends, pen.ints([axis]), *([] if step == 1 else [pen.ints([step])])], pen.out)
    elif step == 1:
        starts, ends = _numbers([start]), _numbers([end])
        pen.put("Slice", [x], pen.out, axes=[axis], starts=starts, ends=ends)
    else:
        raise Unwritten("a step before version 10")


def _select(pen: Pen, call: Call) -> None:
    a = call.bound()
    index = pen.constant(torch.tensor(_numbers([a["index"]])[0]), f"{pen.out}_index")
    pen.put("Gather", [pen.ref(a["self"]), index], pen.out, axis=a["dim"] % pen.rank(a["self"]))


def _index_select(pen: Pen, call: Call) -> None:
    a = call.bound()
    pen.put("Gather", [pen.ref(a["self"]), pen.ref(a["index"])], pen.out, axis=a["dim"] % pen.rank(a["self"]))


def _cat(pen: Pen, call: Call) -> None:
    a = call.bound()
    pen.put("Concat", [pen.ref(x) for x in a["tensors"]], pen.out, axis=a["dim"])


def _nearest(pen: Pen, call: Call) -> None:
    a = call.bound()
    scales = a.get("scale_factors")
    if not scales or any(s != int(s) for s in scales):
        raise Unwritten("a resizing by a scale that is no whole number")
    numbers = pen.constant(torch.tensor([1.0, 1.0, *scales]), f"{pen.out}_scales")
    x = pen.ref(a["input"])
    if pen.version < 11:
        pen.put("Resize" if pen.version == 10 else "Upsample", [x, numbers], pen.out, mode="nearest")
        return
    roi = "" if pen.version >= 13 else pen.constant(torch.zeros(0), f"{pen.out}_roi")
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    pen.put("Resize", [x, roi, numbers], pen.out, **how)


SPELLINGS: dict[str, Spelling] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv_transpose),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _average),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"), _nearest),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **dict.fromkeys(("reshape", "view"), _reshape),
    **dict.fromkeys(("contiguous", "clone", "alias"), _one("Identity")),
    "add": _two("Add"),
    "batch_norm": _batch_norm,
    "cat": _cat,
    "div": _two("Div"),
    "eq": _compared("Equal"),
    "flatten": _flatten,
    "index_select": _index_select,
    "linear": _linear,
    "logical_or": _compared("Or"),
    "lt": _compared("Less"),
    "mean": _reduced("ReduceMean", 18),
    "mul": _two("Mul"),
    "neg": _one("Neg"),
    "select": _select,
    "slice": _slice,
    "squeeze": _axes("Squeeze"),
    "sub": _two("Sub"),
    "sum": _reduced("ReduceSum", 13),
    "unsqueeze": _axes("Unsqueeze"),
    "where": _where,
}
