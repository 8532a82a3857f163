"""Readers of calls that work along one axis after the other: interpolation, running sums; and windows put together.

along       1 (x) A (x) 1: a matrix A for one axis of an image, every other axis as it is
running     the lower triangle of ones
resized     a layer for each axis, its weights those that torch computes
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from ..algebra.affine import Shape
from ..ir.graph import Call
from ..ops.interpolation import along_axes
from ..toeplitz import fold_matrix
from ..toeplitz.formats import check_budget
from .assembly import Value
from .reading import Reading

Arguments = Mapping[str, Any]


def running_sum(reading: Reading, call: Call, a: Arguments) -> Value:
    """Entry i of an axis becomes the sum of the entries 0 .. i."""
    x = a["self"]
    axis = a["dim"] % (len(x.shape) + 1) - 1
    if axis < 0:
        raise reading.refusal(call, "it sums over the samples of a batch")
    triangle = sp.csr_array(np.tril(np.ones((x.shape[axis], x.shape[axis]))))
    return reading.assembly.mapped(x, _along(reading, triangle, x.shape, axis), reading.shape(call))


def folded(reading: Reading, call: Call, a: Arguments) -> Value:
    """Windows added up where they overlap."""
    names = ("output_size", "kernel_size", "dilation", "padding", "stride")
    M = fold_matrix(a["self"].shape, **{name: a[name] for name in names}, memory_budget=reading.left)
    return reading.assembly.mapped(a["self"], M, reading.shape(call))


def resized(reading: Reading, call: Call, a: Arguments) -> Value:
    """Interpolation by weights: a layer for each axis."""
    name = "self" if "self" in a else "input"
    x = a[name]
    image = torch.empty(1, *x.shape, dtype=reading.graph.dtype)
    for axis, (places, numbers) in enumerate(along_axes(call.target, {**a, name: image}, reading.graph.dtype), 1):
        m, taps = places.shape
        entries = (numbers.numpy().ravel(), (np.arange(m).repeat(taps), places.numpy().ravel()))
        A = sp.csr_array(entries, shape=(m, x.shape[axis]))
        shape = (*x.shape[:axis], m, *x.shape[axis + 1 :])
        x = reading.assembly.layer(x, shape, reading.spend(_along(reading, A, x.shape, axis)))
    return x


def _along(reading: Reading, A: Any, shape: Shape, axis: int) -> Any:
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    size = (before * A.shape[0] * after, before * A.shape[1] * after)
    check_budget(size, before * A.nnz * after, A.dtype.itemsize, "csr", reading.left)
    return sp.csr_array(sp.kron(sp.eye_array(before), sp.kron(A, sp.eye_array(after)), format="csr"))
