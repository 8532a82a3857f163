"""How large the integers behind a network's exact W and B are.

Every entry is a rational number N / D: floats are dyadic, averages divide by small counts.

    Denominator   D as a power of two and an odd rest
    denominator   a D that serves every entry of W and B of an affine network
    height        log2 of a bound of |N| for the entries of W and B, or of a difference of such maps
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...algebra.affine import AffineMap
from ...errors import NonFiniteError
from ...ir.graph import Call, Graph, Ref, Size
from ...ops import interpolation
from ...ops.evaluate import Evaluator
from ...ops.interpolation import WEIGHTED
from ...ops.precision import UNIT_ROUNDOFF, is_place, is_scalar, taken, working_dtype
from ...ops.rules import batch_norm_scale
from ...ops.sums import BATCH_NORMS, gamma, roundings, window
from ...rings.arrays import fractions
from ...rings.ring import Majorant

_PRECISION = {dtype: 1 - math.frexp(u)[1] for dtype, u in UNIT_ROUNDOFF.items()}
_SUMS = ("add", "sub", "rsub")


@dataclass(frozen=True)
class Denominator:
    """The integer 2^dyadic odd."""

    dyadic: int = 0
    odd: int = 1

    @classmethod
    def of(cls, count: int) -> Denominator:
        """A positive integer."""
        twos = (count & -count).bit_length() - 1
        return cls(twos, count >> twos)

    @property
    def integer(self) -> int:
        """The integer itself."""
        return self.odd << self.dyadic

    @property
    def bits(self) -> float:
        """Its logarithm to base 2."""
        return self.dyadic + math.log2(self.odd)

    def __mul__(self, other: Denominator) -> Denominator:
        return Denominator(self.dyadic + other.dyadic, self.odd * other.odd)

    def common(self, other: Denominator) -> Denominator:
        """The least common multiple."""
        same = self.odd == other.odd or other.odd == 1
        return Denominator(max(self.dyadic, other.dyadic), self.odd if same else math.lcm(self.odd, other.odd))


def height(*networks: Graph | AffineMap) -> float:
    """log2 of a bound of |N| for every entry N / D of an exact W and B, or of a sum or difference of several such maps.

    |N| <= sum |f|(1) D, with |f| the majorant network and D a common denominator.

    Raises:
        NonFiniteError: if the majorant network leaves the range of float64.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layer = torch.nn.Linear(1, 1, bias=False).eval()
    >>> _ = layer.weight.data.fill_(0.5)                        # 1/2 as a float32 is taken as m / 2^24
    >>> graph = trace(layer, torch.zeros(1, 1))
    >>> height(graph), height(graph, graph)
    (23.0, 24.0)
    """
    common = reduce(Denominator.common, (denominator(network) for network in networks))
    size = sum(_size(network) for network in networks)
    if not math.isfinite(size):
        raise NonFiniteError("the bound of the network's entries overflows", expected="below 2^1024", where="height")
    return common.bits + math.log2(max(size, 1.0))


def denominator(network: Graph | AffineMap) -> Denominator:
    """A common denominator of the entries of W and B.

    Along a path the denominators of the calls multiply (all numbers of a call have a common one); where paths meet, or
    a constant is added, a common multiple serves both.
    """
    if isinstance(network, AffineMap):
        dense = network.to("dense")
        return reduce(Denominator.common, map(_of_array, (dense.W, dense.b)))
    shapes, dependent = network.shapes(), network.dependent()
    of_value = dict.fromkeys(network.inputs, Denominator())
    for call in network.calls:
        if call.name in dependent:
            factors, added = _of_call(call, network, dependent)
            terms = [of_value[name] for name in call.refs() if name in of_value]
            of_value[call.name] = reduce(Denominator.common, terms, added) * factors * _counts(call, shapes)
    outputs = (of_value[out.name] for out in network.outputs if isinstance(out, Ref) and out.name in of_value)
    return reduce(Denominator.common, outputs, Denominator())


def _size(network: Graph | AffineMap) -> float:
    """An upper bound of the entries of |W| and |B|."""
    if isinstance(network, AffineMap):
        dense = network.to("dense")
        return max(float(np.max(Majorant().embed(array), initial=0.0)) for array in (dense.W, dense.b))
    sizes = [[(network.batch or 1) if n is None else n for n in shape] for shape in network.input_shapes]
    ones = [torch.ones(size, dtype=torch.float64, device=network.device) for size in sizes]
    with torch.no_grad():
        values = Evaluator(network, Majorant(), network.device).run(ones)
    numbers = [value for value in values if isinstance(value, Tensor) and value.is_floating_point() and value.numel()]
    largest = max((float(value.abs().max()) for value in numbers), default=0.0)
    return largest / (1 - gamma(roundings(network), UNIT_ROUNDOFF[torch.float64]))


def _of_call(call: Call, graph: Graph, dependent: frozenset[str]) -> tuple[Denominator, Denominator]:
    """Common denominators of the constants that a call multiplies by, and of those that it adds."""
    arguments = call.bound()
    if call.op in BATCH_NORMS:
        raw = {name: graph.constants[v.name] if isinstance(v, Ref) and v.name in graph.constants else v
               for name, v in arguments.items()}  # fmt: skip
        scale = _dyadic(batch_norm_scale(raw))
        return scale, _dyadic(raw["bias"]).common(_dyadic(raw["running_mean"]) * scale)
    if call.op in WEIGHTED:
        sizes = {name: torch.empty([n or 1 for n in shape], device="meta") for name, shape in graph.shapes().items()}
        raw = {name: sizes[v.name] if isinstance(v, Ref) else v for name, v in arguments.items()}
        numbers = map(_dyadic, interpolation.factors(call.target, raw, working_dtype(call, graph)))
        return reduce(Denominator.__mul__, numbers, Denominator()), Denominator()
    added = {"bias"} | ({"self", "other"} if call.op in _SUMS else {"self"} if call.op == "addmm" else set())
    factors, offsets = Denominator(), Denominator()
    for name, value in arguments.items():
        for constant in _numbers(call, name, value, graph, dependent):
            if call.op == "div" and name == "other":
                factors = factors * _inverse(constant)
            elif name in added:
                offsets = offsets * _dyadic(constant)
            else:
                factors = factors * _dyadic(constant)
    return factors, offsets


def _numbers(call: Call, name: str, value: Any, graph: Graph, dependent: frozenset[str]) -> Iterator[Tensor]:
    for leaf in () if is_place(name) else pytree.tree_leaves(value):
        if isinstance(leaf, Ref):
            if leaf.name in graph.constants and leaf.name not in dependent:
                yield taken(call, graph.constants[leaf.name], graph)
        elif is_scalar(name, leaf):
            yield taken(call, leaf, graph)


def _dyadic(constant: Any) -> Denominator:
    """A common denominator of the floats of a tensor: 2^(precision - smallest exponent)."""
    if not isinstance(constant, Tensor) or not constant.is_floating_point() or not bool(constant.any()):
        return Denominator()
    if constant.ndim == 0:
        return Denominator.of(float(constant).as_integer_ratio()[1])
    magnitudes = constant.detach().abs()
    _, exponent = math.frexp(float(magnitudes.masked_fill_(magnitudes == 0, math.inf).min()))
    return Denominator(max(0, _PRECISION[constant.dtype] - exponent))


def _of_array(array: np.ndarray) -> Denominator:
    """A common denominator of the entries of an array."""
    if array.dtype != object:
        return _dyadic(torch.as_tensor(array))
    return Denominator.of(math.lcm(*(value.denominator for value in fractions(array.ravel().tolist(), "height"))))


def _inverse(constant: Tensor) -> Denominator:
    """A common denominator of 1 / c for the entries c of a tensor: the product of their different odd numerators."""
    numbers = np.unique(abs(constant.detach().cpu().double().numpy())).tolist()
    numerators = [Denominator.of(number.as_integer_ratio()[0]) for number in numbers]
    return Denominator(max(n.dyadic for n in numerators), _product(list({n.odd for n in numerators})))


def _product(factors: list[int]) -> int:
    """The product of integers, the short ones first: so that thousands take no time."""
    if len(factors) < 3:
        return math.prod(factors)
    half = len(factors) // 2
    return _product(factors[:half]) * _product(factors[half:])


def _counts(call: Call, shapes: dict[str, Size]) -> Denominator:
    """A common multiple of the counts that an average divides by, borders included."""
    taken = window(call, shapes)
    if not taken or call.op in ("sum", "cumsum", *WEIGHTED):
        return Denominator()
    if call.op == "mean":
        return Denominator.of(taken[0])
    if call.op.startswith("adaptive"):
        return Denominator.of(math.prod(n * max(1, n - 1) for n in taken))
    a = call.bound()
    override = a.get("divisor_override")
    if override:
        return Denominator.of(abs(override))
    sizes = shapes[a["self"].name][-len(taken) :]
    stride, padding = (list(given) * (len(taken) if len(given) == 1 else 1) for given in
                       (a["stride"] or a["kernel_size"], a["padding"]))  # fmt: skip
    axes = zip(taken, sizes, call.shape[-len(taken) :], stride, padding, strict=True)
    return Denominator.of(math.prod(math.lcm(*_window_sizes(*axis, a["count_include_pad"])) for axis in axes))


def _window_sizes(kernel: int, n: int | None, m: int | None, stride: int, padding: int, padded: bool) -> set[int]:
    """How many positions the windows along one axis count."""
    if n is None or m is None:
        return set(range(1, kernel + 1))
    starts = [(o * stride - padding, min(o * stride - padding + kernel, n + padding)) for o in range(m)]
    return {stop - start if padded else min(stop, n) - max(start, 0) for start, stop in starts} - {0}
