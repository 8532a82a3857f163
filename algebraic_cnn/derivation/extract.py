"""The paper's recursion read off a traced network.

Each convolution, transposed convolution, linear call and BatchNorm is a layer; so is a product with a tensor, and a sum
with a constant.  What lies between two layers is a formal sum of earlier layers (see ``assembly``): additions and
multiples give the strengths t, moves (reshape, slice, pad, cat) and averages the resizings R.

    reader       (reading, call, arguments) -> the call's value; ``READERS`` has one for each kind of call
    move         a call that copies entries; its selection matrix is what it does to the numbers 1 .. n
    BatchNorm    W = diag(w / sqrt(var + eps)), r = -mean, b = bias: three vectors, no product of them rounded
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..algebra.affine import Shape
from ..algebra.recursion import SkipRecursion
from ..ir.graph import Call, Graph, Ref
from ..ops.evaluate import require_affine
from ..ops.interpolation import WEIGHTED
from ..ops.precision import working_dtype
from ..ops.rules import DROPOUTS, MOVES, NEAREST, batch_norm_scale
from ..toeplitz import (
    MEMORY_BUDGET,
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    bias_vector,
    conv_matrix,
    conv_transpose_matrix,
    pad_matrix,
)
from ..toeplitz.formats import check_budget
from ..toeplitz.geometry import padding_pairs
from ..toeplitz.selection import NOTHING
from .assembly import Assembly, Value
from .axes import folded, resized, running_sum
from .reading import Reading, float64

Arguments = Mapping[str, Any]
Reader = Callable[[Reading, Call, Arguments], Any]


def recursion_of(graph: Graph, *, memory_budget: int = MEMORY_BUDGET) -> SkipRecursion:
    """The recursion f^(i) = W^(i) P^(i) (sum_k t R f^(k)) + b^(i) that a traced affine network computes [JV24, sec. 2].

    Args:
        graph: a traced network with one input and one output.
        memory_budget: bytes that the W and P of all layers may take together; each is counted before it is built.

    Returns:
        The recursion.  Its matrices are sparse float64, its strengths floats, or ``Fraction`` where no float is exact;
        no number was rounded, so over an exact ring it is the network itself.

    Raises:
        NotAffineError: if a call is not affine in the input, mixes the samples of a batch, or has no reader; names the
            call and its source line.
        NonFiniteError: if a strength or a constant is NaN or infinite.
        TooLargeError: if the matrices exceed the budget.

    >>> from algebraic_cnn.ir.trace import trace
    >>> class Residual(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv = torch.nn.Conv1d(1, 1, 3, padding=1)
    ...
    ...     def forward(self, x):
    ...         return self.conv(self.conv(x) + 0.5 * x)
    >>> recursion = recursion_of(trace(Residual().eval(), torch.zeros(1, 1, 5)))
    >>> len(recursion.layers), recursion.layers[0].P.shape, recursion.skips[0, 2].t
    (2, (7, 5), 0.5)
    """
    require_affine(graph)
    reading = Reading(graph, Assembly(graph.single()[0]), memory_budget)
    values: dict[str, Any] = {graph.inputs[0]: reading.assembly.input, **graph.constants}
    dependent = graph.dependent()

    def resolved(arguments: Any) -> Any:
        return pytree.tree_map(lambda leaf: values[leaf.name] if isinstance(leaf, Ref) else leaf, arguments)

    for call in graph.calls:
        if call.op.startswith("operator.") or (call.name not in dependent and call.op != "sym_size"):
            args, kwargs = call.resolved(values)
            values[call.name] = call.target(*args, **kwargs)
        elif call.op in READERS:
            values[call.name] = READERS[call.op](reading, call, resolved(call.bound()))
        else:
            raise reading.refusal(call, "it has no reader")
    (out,) = graph.outputs
    return reading.assembly.recursion(values[out.name])


def _bias(tensor: Tensor | None, shape: Shape) -> np.ndarray | None:
    return None if tensor is None else bias_vector(float64(tensor), shape)


def _convolution(reading: Reading, call: Call, a: Arguments) -> Value:
    x, weight, shape = a["input"], float64(a["weight"]), reading.shape(call)
    geometry = {name: a[name] for name in ("stride", "dilation", "groups")}
    if a.get("transposed", "output_padding" in a):
        extra = {"padding": a["padding"], "output_padding": a["output_padding"]}
        W = conv_transpose_matrix(weight, x.shape, **geometry, **extra, memory_budget=reading.left)
        return reading.assembly.layer(x, shape, reading.spend(W), b=_bias(a["bias"], shape))
    pairs = padding_pairs(a["padding"], weight.shape[2:], a["stride"], a["dilation"])
    P = None
    if any(map(any, pairs)):
        P = reading.spend(pad_matrix(x.shape, pairs, memory_budget=reading.left))
    padded = (x.shape[0], *(n + sum(pair) for n, pair in zip(x.shape[1:], pairs, strict=True)))
    W = conv_matrix(weight, padded, **geometry, memory_budget=reading.left)
    return reading.assembly.layer(x, shape, reading.spend(W), P=P, b=_bias(a["bias"], shape))


def _linear(factor: str, weight: str, bias: str = "", *, transpose: bool = True) -> Callable[..., Value]:
    """x A, along the last axis of x; A is the transposed weight in ``linear`` only."""

    def read(reading: Reading, call: Call, a: Arguments) -> Value:
        x, matrix, shape = a[factor], a[weight], reading.shape(call)
        if not isinstance(x, Value) or matrix.ndim != 2 or a.get("beta", 1) != 1:
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


def _batch_norm(reading: Reading, call: Call, a: Arguments) -> Value:
    x = a["input"]
    scale = sp.diags_array(_bias(batch_norm_scale(a), x.shape), format="csr")
    minus_mean, b = _bias(-a["running_mean"], x.shape), _bias(a["bias"], x.shape)
    return reading.assembly.layer(x, x.shape, scale, b=b, r=minus_mean)


def _sum(self_sign: int, other_sign: int, scaled: str = "other") -> Callable[..., Value]:
    def read(reading: Reading, call: Call, a: Arguments) -> Value:
        shape, work = reading.shape(call), reading.assembly
        factors = {"self": Fraction(self_sign), "other": Fraction(other_sign)}
        factors[scaled] *= reading.strength(call, a.get("alpha", 1))
        values = {name: t for name, t in factors.items() if isinstance(a[name], Value)}
        total = reduce(work.sum, [reading.expanded(call, a[name], shape) * t for name, t in values.items()])
        for name in factors.keys() - values.keys():
            if factors[name]:  # t c + x = t (c + x / t): the layer adds c itself, so that t c is not rounded
                b = reading.vector(call, a[name], shape)
                one = sp.eye_array(total.size, format="csr")
                total = work.layer(total * (1 / factors[name]), shape, one, b=b) * factors[name]
        return total

    return read


def _product(reading: Reading, call: Call, a: Arguments) -> Value:
    value, factor = (a["self"], a["other"]) if isinstance(a["self"], Value) else (a["other"], a["self"])
    value = reading.expanded(call, value, reading.shape(call))
    if not isinstance(factor, Tensor) or factor.numel() == 1:
        return value * reading.strength(call, factor)
    W = sp.diags_array(reading.vector(call, factor, value.shape), format="csr")
    return reading.assembly.layer(value, value.shape, W)


def _quotient(reading: Reading, call: Call, a: Arguments) -> Value:
    value = reading.expanded(call, a["self"], reading.shape(call))
    return reading.assembly.divided(value, reading.vector(call, a["other"], value.shape))


def _negative(reading: Reading, call: Call, a: Arguments) -> Value:
    return a["self"] * Fraction(-1)


def _averages(reading: Reading, call: Call, value: Value, M: Any) -> Value:
    """M times the value, where the entries of a row of M are all 1 / (an integer), correctly rounded."""
    rows, sizes = M.tocoo().row, np.rint(1 / M.data)
    divisors = np.ones(M.shape[0])
    divisors[rows] = sizes
    M.data = np.ones_like(M.data)
    return reading.assembly.divided(reading.assembly.mapped(value, M, reading.shape(call)), divisors)


def _avg_pool(reading: Reading, call: Call, a: Arguments) -> Value:
    names = ("padding", "ceil_mode", "count_include_pad", "divisor_override")
    options = {name: a[name] for name in names if name in a}
    stride = a["stride"] or None
    M = avg_pool_matrix(a["self"].shape, a["kernel_size"], stride=stride, **options, memory_budget=reading.left)
    return _averages(reading, call, a["self"], M)


def _adaptive_avg_pool(reading: Reading, call: Call, a: Arguments) -> Value:
    M = adaptive_avg_pool_matrix(a["self"].shape, a["output_size"], memory_budget=reading.left)
    return _averages(reading, call, a["self"], M)


def _total(*, mean: bool) -> Callable[..., Value]:
    def read(reading: Reading, call: Call, a: Arguments) -> Value:
        x, rank = a["self"], len(a["self"].shape) + 1
        axes = {dim % rank for dim in a.get("dim") or range(rank)}
        if 0 in axes:
            raise reading.refusal(call, "it sums over the samples of a batch")
        kept = [1 if axis in axes else n for axis, n in enumerate(x.shape, 1)]
        outputs = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), x.shape).reshape(-1)
        places = (outputs, np.arange(x.size))
        M = sp.csr_array((np.ones(x.size), places), shape=(math.prod(kept), x.size))
        total = reading.assembly.mapped(x, M, reading.shape(call))
        return total * Fraction(total.size, x.size) if mean else total

    return read


def _move(reading: Reading, call: Call, a: Arguments) -> Any:
    """The call on the numbers 1 .. n of all entries of its values, 0 for constants: where each output comes from."""
    values = [leaf for leaf in pytree.tree_leaves(a) if isinstance(leaf, Value)]
    *starts, count = accumulate((value.size for value in values), initial=0)
    first = iter(starts)
    dtype = working_dtype(call, reading.graph) if call.op in NEAREST else torch.float64
    if count * reading.batch >= 1 / torch.finfo(dtype).eps:
        raise reading.refusal(call, f"{count} entries cannot be numbered in {dtype}")

    chooses = call.op in ("index", "index_select", "repeat_interleave")  # its constants say which entries

    def numbered(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            samples = torch.arange(reading.batch, dtype=dtype).reshape(-1, *[1] * len(leaf.shape)) * count
            return samples + 1 + next(first) + torch.arange(leaf.size).reshape(1, *leaf.shape)
        return torch.zeros_like(leaf, dtype=dtype) if isinstance(leaf, Tensor) and not chooses else leaf

    def constant(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return torch.zeros(reading.batch, *leaf.shape, dtype=torch.float64)
        return reading.numbers(call, leaf).double() if isinstance(leaf, Tensor) and not chooses else leaf

    padding = {"value": reading.numbers(call, a["value"] or 0).item()} if "value" in a else {}
    numbers = call.target(**pytree.tree_map(numbered, {**a, **({"value": 0} if padding else {})}))
    added = call.target(**pytree.tree_map(constant, {**a, **padding}))
    if isinstance(numbers, Tensor):
        return _gathered(reading, call, values, starts, numbers, added)
    return [_gathered(reading, call, values, starts, *pair) for pair in zip(numbers, added, strict=True)]


def _gathered(
    reading: Reading, call: Call, values: list[Value], starts: list[int], numbers: Tensor, added: Tensor
) -> Value:
    """What a move did to numbered values, and the constants that it put between them."""
    work, count = reading.assembly, sum(value.size for value in values)
    source, samples = numbers[0].reshape(-1).long() - 1, torch.arange(len(numbers)).reshape(-1, 1)
    expected = torch.where(source == NOTHING, 0, source + 1 + count * samples)
    if len(numbers) != reading.batch or not numbers.reshape(len(numbers), -1).double().equal(expected.double()):
        raise reading.refusal(call, "it moves entries from one sample of a batch to another")
    terms = []
    for value, start in zip(values, starts, strict=True):
        own = torch.where((source >= start) & (source < start + value.size), source - start, NOTHING)
        terms.append(work.mapped(value, reading.selection(own.numpy(), value.size), tuple(numbers.shape[1:])))
    total = reduce(work.sum, terms)
    if not added.any():
        return total
    return work.layer(total, total.shape, sp.eye_array(total.size, format="csr"), b=float64(added[0]).reshape(-1))


READERS: dict[str, Callable[[Reading, Call, Arguments], Any]] = {
    **dict.fromkeys([*MOVES, "cat", "concat", "stack", "constant_pad_nd", "pad"], _move),
    **dict.fromkeys([f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)], _convolution),
    "convolution": _convolution,
    "linear": _linear("input", "weight", "bias", transpose=False),
    "mm": _linear("self", "mat2"),
    "matmul": _linear("self", "other"),
    "addmm": _linear("mat1", "mat2", "self"),
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": lambda reading, call, a: [_batch_norm(reading, call, a)],
    "add": _sum(1, 1),
    "sub": _sum(1, -1),
    "rsub": _sum(-1, 1, scaled="self"),
    "neg": _negative,
    "mul": _product,
    "div": _quotient,
    **dict.fromkeys(WEIGHTED, resized),
    "cumsum": running_sum,
    "col2im": folded,
    "sum": _total(mean=False),
    "mean": _total(mean=True),
    **{f"avg_pool{n}d": _avg_pool for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive_avg_pool for n in (1, 2, 3)},
    **dict.fromkeys(DROPOUTS, lambda reading, call, a: a["input"]),
    "sym_size": lambda reading, call, a: (reading.batch, *a["self"].shape)[a["dim"]],
}
