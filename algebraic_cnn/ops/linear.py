"""Products with a matrix: x A along the last axis of x, the matrix a constant.

evaluate    torch's kernel on the carriers, then reduced
operator    a 1 x 1 convolution, the channels last where x has more axes
layer       1 (x) A, with the bias as b
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.assembly import Combination
from ..ir.graph import Call, Ref, Size
from ..toeplitz.formats import check_budget
from . import imaging
from .conv import plus_channels
from .denominators import of_arguments
from .op import Arguments, CallSite, Op, Sample, summed
from .reading import Reading, float64
from .traits import Prices, Work, length


def _linear(site: CallSite) -> Tensor:
    return plus_channels(site, site.call(bias=None), site.offset("bias"), -1)


def _addmm(site: CallSite) -> Tensor:
    matrix = site.ring.reduce(site["mat2"] * site["alpha"])
    product = site.ring.reduce(site["mat1"] @ matrix)
    return site.ring.reduce(product + site.ring.reduce(site.offset("self") * site["beta"]))


def _layer(factor: str, weight: str, bias: str = "", *, transpose: bool = True) -> Callable[..., Combination]:
    """x A, along the last axis of x; A is the transposed weight in ``linear`` only."""

    def read(reading: Reading, call: Call, a: Arguments) -> Combination:
        x, matrix, shape = a[factor], a[weight], reading.shape(call)
        if not isinstance(x, Combination) or matrix.ndim != 2 or a.get("beta", 1) != 1:
            raise reading.refusal(call, "only x A + b with one constant matrix A is a layer")
        matrix = float64(matrix if not transpose else matrix.T)
        copies = math.prod(shape[:-1])
        size = (copies * matrix.shape[0], copies * matrix.shape[1])
        check_budget(size, copies * matrix.size, matrix.itemsize, "csr", reading.left)
        W = sp.csr_array(sp.kron(sp.eye_array(copies), matrix, format="csr"))
        b = a.get(bias)
        b = None if b is None else np.broadcast_to(float64(b), shape).reshape(-1)
        return reading.assembly.layer(x * reading.strength(call, a.get("alpha", 1)), shape, reading.spend(W), b=b)

    return read


def _last(a: Arguments, given: Size) -> bool:
    return True


def _two_axes(a: Arguments, given: Size, y: Size) -> bool:
    return len(given) == len(y) > 1


def _work(matrix: str, axis: int = 0) -> Work:
    """Of a product with the matrix of that name, whose inputs lie along that axis."""

    def work(prices: Prices, call: Call, a: Arguments, shapes: Mapping[str, Size], batch: int) -> float:
        shape, outputs = shapes.get(a[matrix].name, ()) if isinstance(a[matrix], Ref) else (), length(call.shape, batch)
        rows = outputs // int((call.shape or (1,))[-1] or 1)
        return outputs * int(shape[axis] or 1) * (prices.matrix if rows < 8 else prices.product)

    return work


_MM = {"affine_in": ("self", "mat2"), "bilinear": True, "contraction": "mat2", "apart": _two_axes}

OPS: dict[str, Op] = {
    "linear": Op(
        _linear,
        ("input",),
        contraction="weight",
        placed=lambda kernel, shape, a: kernel if len(shape) == 1 else None,
        operator=imaging.linear("input", "weight", "bias", transposed=True),
        last=_last,
        layer=_layer("input", "weight", "bias", transpose=False),
        apart=_two_axes,
        work=_work("weight", -1),
    ),
    "matmul": Op(
        summed,
        ("self", "other"),
        bilinear=True,
        contraction="other",
        broadcasts=True,
        operator=imaging.linear("self", "other"),
        last=_last,
        layer=_layer("self", "other"),
        apart=_two_axes,
        work=_work("other"),
    ),
    "mm": Op(
        summed,
        operator=imaging.linear("self", "mat2"),
        last=_last,
        layer=_layer("self", "mat2"),
        work=_work("mat2"),
        **_MM,
    ),
    "bmm": Op(summed, **_MM),
    "addmm": Op(
        _addmm,
        ("mat1",),
        contraction="mat2",
        operator=imaging.linear("mat1", "mat2", "self"),
        last=_last,
        layer=_layer("mat1", "mat2", "self"),
        apart=_two_axes,
        denominators=of_arguments(("bias", "self")),
        work=_work("mat2"),
    ),
}

SAMPLES: dict[str, Sample] = {
    "linear": (lambda x, w, b: F.linear(x, w, b), (2, 5), [(3, 5), (3,)]),
    "matmul": (lambda x, a: x @ a, (2, 5), [(5, 3)]),
    "matmul from the left": (lambda x, a: a @ x, (5, 2), [(3, 5)]),
    "mm": (lambda x, a: torch.mm(x, a), (5,), [(5, 3)]),
    "bmm": (lambda x, a: torch.bmm(x, a.expand(x.shape[0], -1, -1)), (2, 5), [(1, 5, 3)]),
    "addmm": (lambda x, a, b: torch.addmm(b, x, a, beta=2, alpha=3), (5,), [(5, 3), (3,)]),
}
