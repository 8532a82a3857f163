"""Explicit matrices of convolutions beside what one would use instead: time and peak memory, as ratios in one run.

fill        ``numpy.full`` of arrays of the same bytes: the speed of writing memory
recipe      all (row, column, value) triples at once by index arithmetic, then SciPy's COO to CSR
probing     the layer applied to basis images, the nonzeros of every output kept
jacrev      ``torch.func.jacrev`` of the layer, which makes dense rows
scaled      the last two are timed on a part of the matrix where the whole would take minutes or too much memory
"""

from __future__ import annotations

import platform
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import scipy
import scipy.sparse as sp
import sympy
import torch

from ...collapsing.measurement import interleaved_seconds
from ...toeplitz import conv_matrix
from ...toeplitz.filling import conv_filled, conv_storage
from ...toeplitz.geometry import Geometry, conv_geometry

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "a": ((1, 1, 3, 3), (1, 28, 28), {"padding": 1}),
    "b": ((64, 3, 7, 7), (3, 64, 64), {"stride": 2, "padding": 3}),
    "c": ((16, 16, 3, 3), (16, 64, 64), {"padding": 1}),
    "d": ((64, 64, 3, 3), (64, 56, 56), {"padding": 1}),
}
"""Name -> weight shape, input shape, arguments."""

PART = 64
"""Basis images, or output entries, on which probing and jacrev are timed."""


@dataclass(frozen=True)
class Row:
    """One way to one matrix.

    Attributes:
        case: a key of ``CASES``.
        what: which way.
        nonzeros: entries of the matrix.
        seconds: median seconds.
        against: what it is compared with.
        ratio: its seconds over those of ``against``, measured in turn; for memory, peak bytes over bytes of the result.
        scaled: whether it was timed on a part and multiplied.
    """

    case: str
    what: str
    nonzeros: int
    seconds: float
    against: str
    ratio: float
    scaled: bool = False


def machine() -> dict[str, str | int]:
    """Where and with what these numbers were measured."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "torch": torch.__version__,
        "sympy": sympy.__version__,
    }


def toeplitz_rows(cases: str = "abcd", *, seconds: float = 4.0) -> list[Row]:
    """The table: each case as CSR and CSC beside writing memory, beside the alternatives, and its peak memory.

    Args:
        cases: which of ``CASES``, by their letters.
        seconds: time to spend on each comparison.

    Returns:
        Rows in the order of the cases.
    """
    return [row for case in cases for row in (*_writing_rows(case, seconds), *_other_rows(case, seconds))]


def _writing_rows(case: str, seconds: float) -> list[Row]:
    weight, shape, how, geometry = _case(case)
    nonzeros = conv_storage(geometry).pattern.nnz
    kernel = weight.reshape(1, *weight.shape)
    times = interleaved_seconds(
        {
            "fill": lambda: _filled_arrays(nonzeros, geometry.shape[0] + 1, weight.dtype),
            "csr": lambda: conv_matrix(weight, shape, **how),
            "csr, cached plan": lambda: conv_filled(geometry, kernel, "csr", 2**40),
            "csc": lambda: conv_matrix(weight, shape, **how, format="csc"),
        },
        seconds=seconds,
    )
    peak = _peak_bytes(lambda: conv_matrix(weight, shape, **how))
    size = sum(array.nbytes for array in _filled_arrays(nonzeros, geometry.shape[0] + 1, weight.dtype))
    return [
        *(Row(case, what, nonzeros, times[what], "fill", times[what] / times["fill"]) for what in list(times)[1:]),
        Row(case, "csc", nonzeros, times["csc"], "csr", times["csc"] / times["csr"]),
        Row(case, "peak memory of csr", nonzeros, times["csr"], "bytes of the result", peak / size),
    ]


def _other_rows(case: str, seconds: float) -> list[Row]:
    weight, shape, how, geometry = _case(case)
    nonzeros, (outputs, inputs) = conv_storage(geometry).pattern.nnz, geometry.shape
    if case == "a":
        return _exact_rows(weight, shape, how, nonzeros, seconds)
    layer = _layer(weight, how)
    part = {"probing": inputs / PART, "jacrev": outputs / PART}
    times = interleaved_seconds(
        {
            "csr": lambda: conv_matrix(weight, shape, **how),
            "recipe": lambda: recipe(weight, geometry),
            "probing": lambda: probed_columns(layer, shape, PART),
            "jacrev": lambda: jacobian_rows(layer, shape, PART),
        },
        seconds=seconds,
    )
    whole = {what: times[what] * part.get(what, 1) for what in ("recipe", "probing", "jacrev")}
    return [Row(case, w, nonzeros, t, "csr", t / times["csr"], scaled=w in part) for w, t in whole.items()]


def _exact_rows(weight: Any, shape: Any, how: dict[str, Any], nonzeros: int, seconds: float) -> list[Row]:
    symbols = np.array(sympy.symbols(f"w:{weight.size}")).reshape(weight.shape)
    fractions = np.array([Fraction(i + 1, 7) for i in range(weight.size)]).reshape(weight.shape)
    ways = {
        f"{kind}, {format}": lambda entries=entries, format=format: conv_matrix(entries, shape, **how, format=format)
        for kind, entries in (("symbols", symbols), ("fractions", fractions))
        for format in ("sympy", "domain")
    }
    times = interleaved_seconds({"csr": lambda: conv_matrix(weight, shape, **how), **ways}, seconds=seconds)
    return [
        Row(case="a", what=w, nonzeros=nonzeros, seconds=times[w], against="csr", ratio=times[w] / times["csr"])
        for w in ways
    ]


def recipe(weight: np.ndarray, g: Geometry) -> sp.csr_array:
    """The matrix by index arithmetic: all triples, a mask for the border, COO, CSR.

    Args:
        weight: (c_out, c_in, height, width).
        g: its geometry, zero padded, ungrouped.

    Returns:
        The matrix.
    """
    (c_out, c_in, kh, kw), (_, h, w), (_, oh, ow) = weight.shape, g.input_shape, g.output_shape
    o, y, x, i, a, b = np.ogrid[:c_out, :oh, :ow, :c_in, :kh, :kw]
    row = (y * g.stride[0] + a * g.dilation[0] - g.padding[0][0]).astype(np.int32)
    column = (x * g.stride[1] + b * g.dilation[1] - g.padding[1][0]).astype(np.int32)
    inside = np.broadcast_to((row >= 0) & (row < h) & (column >= 0) & (column < w), (c_out, oh, ow, c_in, kh, kw))
    outputs = np.broadcast_to(((o * oh + y) * ow + x).astype(np.int32), inside.shape)[inside]
    inputs = np.broadcast_to((i.astype(np.int32) * h + row) * w + column, inside.shape)[inside]
    values = np.broadcast_to(weight[:, None, None], inside.shape)[inside]
    return sp.coo_array((values, (outputs, inputs)), shape=g.shape).tocsr()


def probed_columns(layer: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], count: int) -> sp.csr_array:
    """The first columns of the layer's matrix, from as many basis images.

    Args:
        layer: a linear layer on batches.
        shape: of one input.
        count: how many columns.

    Returns:
        Their transpose.
    """
    basis = torch.zeros(count, prod(shape))
    basis.fill_diagonal_(1)
    with torch.no_grad():
        return sp.csr_array(layer(basis.reshape(count, *shape)).flatten(1).numpy())


def jacobian_rows(layer: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], count: int) -> sp.csr_array:
    """The first rows of the layer's matrix, from as many backward passes in one.

    Args:
        layer: a linear layer on batches.
        shape: of one input.
        count: how many rows.

    Returns:
        The rows.
    """
    jacobian = torch.func.jacrev(lambda x: layer(x[None]).flatten()[:count])(torch.zeros(shape))
    return sp.csr_array(jacobian.flatten(1).detach().numpy())


def _case(name: str) -> tuple[np.ndarray, tuple[int, ...], dict[str, Any], Geometry]:
    weight_shape, shape, how = CASES[name]
    weight = np.random.default_rng(0).standard_normal(weight_shape, dtype=np.float32)
    return weight, shape, how, conv_geometry(weight_shape, shape, **how)


def _layer(weight: np.ndarray, how: dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    tensor = torch.from_numpy(weight)
    return lambda x: torch.nn.functional.conv2d(x, tensor, **how)


def _filled_arrays(nonzeros: int, pointers: int, dtype: Any) -> list[np.ndarray]:
    return [np.full(nonzeros, 1, dtype), np.full(nonzeros, 1, np.int32), np.full(pointers, 1, np.int32)]


def _peak_bytes(make: Callable[[], Any]) -> int:
    """The most bytes of arrays that were held at once while making the matrix, the matrix among them."""
    make()
    tracemalloc.start()
    make()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
