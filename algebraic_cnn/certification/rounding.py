"""How far torch's own forward pass can be from the exact function: a proved bound that survives depth.

A forward pass computes z_i = F_i(z) + d_i, where |d_i| <= gamma |F_i|(|z|) entry by entry.  With J_i the exact linear
map from value i to the output, the error of the output is sum_i J_i d_i EXACTLY.  J_i is not known, but the backward
pass gives L_i ~ J_i with defects r_j = L_j - (what the users of j pull back), |r_j| <= gamma sum_i |F_i|^T |L_i|, and

    error of the output = sum_i L_i d_i - sum_j r_j e_j,        e_j the error of value j.

    first order    sum_i |L_i| |d_i|: what makes the bound close, at any depth
    second order   sum_i gamma ||L_i|| || |F_i| || ||e||, with ||e_i|| <= sum_j ||F_ij|| ||e_j|| + ||d_i||: crude, and
                   harmless as long as the product of the norms of all layers stays below 1 / u
    likely         3 sqrt(sum_i |L_i|^2 |d_i|^2) with sqrt(N) for N: what one will see if rounding errors are
                   independent and centred; an estimate, not a proof (Higham and Mary 2019)

It holds for any order of summation, with or without fused multiply-add, with gradual underflow.  It does not hold for
TF32, Winograd or FFT kernels, and says nothing where a sum has 1 / u terms or more.

References:
    N. J. Higham, Accuracy and Stability of Numerical Algorithms, SIAM 2002, sec. 3.1.
    N. J. Higham, T. Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41 (2019).
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..derivation.magnitudes.gains import gains
from ..derivation.methods import MEMORY_BUDGET
from ..errors import ShapeError
from ..ir.graph import Call, Graph
from ..ops.precision import UNIT_ROUNDOFF
from ..ops.sums import call_roundings, gamma
from ..ops.watched import Values, Watched
from ..rings.ring import Float, Majorant

#: The smallest positive number: what gradual underflow can take from one product, at most.
_SMALLEST = {torch.float64: 2.0**-1074, torch.float32: 2.0**-149, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133}

#: Inputs taken together.
_TOGETHER = 256

#: Sums of nonnegative numbers in float64, as all bounds here are, lose less than this.
_INFLATION = 1 + 2.0**-20


@dataclass(frozen=True)
class RoundingError:
    """What rounding can do to outputs.

    Attributes:
        bound: float64 tensor (N, m), a proved bound entry by entry; infinite where nothing can be said.
        second_order: the part of ``bound`` that is due to not knowing the J_i.
        likely: an estimate, not a bound, of the same shape.
    """

    bound: Tensor
    second_order: Tensor
    likely: Tensor


def forward_error(
    graph: Graph, x: Tensor, dtype: torch.dtype | None = None, *, memory_budget: int = MEMORY_BUDGET
) -> RoundingError:
    """How far torch's forward pass at x can be from the exact f(x).

    Args:
        graph: an affine graph.
        x: inputs (N, *in_shape), taken as exact after rounding to ``dtype``.
        dtype: the dtype that torch computes in; default the graph's own.
        memory_budget: bytes that the backward passes may take.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layer = torch.nn.Linear(3, 1, bias=False).eval()
    >>> _ = layer.weight.data.fill_(0.1)
    >>> error = forward_error(trace(layer, torch.zeros(1, 3)), torch.ones(1, 3))
    >>> bool(error.bound < 5 * 2**-24), error.second_order.tolist()
    (True, [[0.0]])
    """
    dtype = dtype or graph.dtype
    return _Sweep(graph, dtype, graph.device, memory_budget).error(x)


def derivation_error(graph: Graph, *, memory_budget: int = MEMORY_BUDGET) -> tuple[np.ndarray, np.ndarray]:
    """How far W and b derived in float64, by probing or by the adjoint, can be from the exact ones.

    The columns of W are forward passes at the basis vectors.  Its rows are backward passes, whose errors are the same
    sums read from the other end, sum_j r_j A_j with A_j the map from the input to value j.

    Args:
        graph: an affine graph.
        memory_budget: bytes that the backward passes may take.

    Returns:
        Bounds of the shapes of W, (m, n), and b, (m,).

    >>> from algebraic_cnn.ir.trace import trace
    >>> W, b = derivation_error(trace(torch.nn.Linear(3, 2).eval(), torch.zeros(1, 3)))
    >>> W.shape, b.shape, bool(W.max() < 2**-48)
    ((2, 3), (2,), True)
    """
    in_shape, _ = graph.single()
    n = math.prod(in_shape)
    probes = torch.cat([torch.zeros(1, n, dtype=torch.float64), torch.eye(n, dtype=torch.float64)])
    sweep = _Sweep(graph, torch.float64, graph.device, memory_budget, adjoint=True)
    bound = sweep.error(probes.reshape(-1, *in_shape)).bound.numpy()
    return np.ascontiguousarray(bound[1:].T), bound[0]


def box_error(
    graph: Graph, centre: Tensor, radius: Tensor, dtype: Any = None, *, memory_budget: int = MEMORY_BUDGET
) -> Tensor:
    """How far torch's forward pass can be from the exact f anywhere in the box |x - centre| <= radius.

    The bound of ``forward_error`` grows with the magnitudes of the values, and value i is at most
    |z_i(centre)| + sum_k radius_k |A_i e_k| in the box, A_i the linear map from the input to it.

    Args:
        graph: an affine graph.
        centre: float64, (n,).
        radius: float64, (n,).
        dtype: the dtype that torch computes in; default the graph's own.
        memory_budget: bytes that the passes may take.

    Returns:
        A bound for each output, (m,).
    """
    sweep = _Sweep(graph, dtype or graph.dtype, graph.device, memory_budget)
    reach = _reach(graph, centre.to(graph.device), radius.to(graph.device), memory_budget)
    columns = [sweep.outputs(centre.new_zeros(1), part, reach) for part in _chunks(graph, memory_budget)]
    first, second, _ = (torch.cat(list(parts), dim=1)[0].cpu() for parts in zip(*columns, strict=True))
    return (first + second) * _INFLATION


def _reach(graph: Graph, centre: Tensor, radius: Tensor, memory_budget: int) -> Values:
    """For every value the largest magnitude of its entries in the box, (1, *shape)."""
    in_shape, _ = graph.single()
    reach: Values = {graph.inputs[0]: (centre.abs() + radius).reshape(1, *in_shape)}
    dependent = graph.dependent()

    def watch(call: Call, values: Values, value: Any) -> None:
        if call.name in dependent:
            sizes = pytree.tree_map(lambda x: x.abs().sum(0, keepdim=True) if isinstance(x, Tensor) else x, value)
            reach[call.name] = pytree.tree_map(_added, reach[call.name], sizes) if call.name in reach else sizes

    run = Watched(graph, Float(), centre.device, watch=watch)
    entries = sum(math.prod(n or 1 for n in call.shape) for call in graph.calls)
    size = graph.batch or max(1, min(len(radius), _TOGETHER, memory_budget // (32 * max(entries, 1))))
    with torch.no_grad():
        first = centre.new_zeros(graph.batch or 1, len(centre))  # the others of a fixed batch only add to the bound
        first[0] = centre
        run.run([first.reshape(-1, *in_shape)])
        for part in torch.arange(len(radius)).split(size):
            probes = centre.new_zeros(size, len(radius))
            probes[torch.arange(len(part)), part] = radius[part]
            run.run([probes.reshape(-1, *in_shape)], linear=True)
    return reach


@dataclass(eq=False)
class _Sweep:
    """The gains of all calls once, then a backward and a forward pass for each chunk of outputs and inputs."""

    graph: Graph
    dtype: torch.dtype
    device: torch.device
    memory_budget: int
    adjoint: bool = False

    def __post_init__(self) -> None:
        self.dependent = self.graph.dependent()
        other = next(not_by_rows(self.graph), None)
        if other is not None:
            what = "the samples of a batch are not the rows of a value, so that its rounding is not bounded by sample"
            raise ShapeError(what, expected="one row for each sample", got=str(other.shape), where=other.where)
        self.magnitudes = Watched(self.graph, Majorant(), self.device)
        self.gains = gains(self.graph, self.device)
        users = Counter(name for call in self.graph.calls for name in call.refs() if name in self.dependent)
        self.branches = max(users.values(), default=0)
        more = self.branches if self.adjoint else 0  # a backward pass sums over the users of a value
        self.counts = {name: count + more for name, count in call_roundings(self.graph).items() if count}

    def error(self, x: Tensor) -> RoundingError:
        """The errors of all outputs at inputs (N, *in_shape)."""
        size = self.graph.batch or min(len(x), _TOGETHER)
        filled = torch.cat([x, x.new_zeros(-len(x) % size, *x.shape[1:])]).to(self.device, self.dtype)
        rows = []
        for part in filled.split(size):
            columns = [self.outputs(part, outputs) for outputs in _chunks(self.graph, self.memory_budget)]
            rows.append([torch.cat(list(parts), dim=1) for parts in zip(*columns, strict=True)])
        first, second, likely = (torch.cat(list(parts))[: len(x)].cpu() for parts in zip(*rows, strict=True))
        return RoundingError((first + second) * _INFLATION, second * _INFLATION, likely)

    def outputs(self, x: Tensor, part: range, reach: Values | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """First order, second order and likely error of some outputs, each (N, outputs); at magnitudes ``reach``."""
        sensitivities = _sensitivities(self.graph, part, self.counts, self.device)
        totals = [torch.zeros(len(x), len(part), dtype=torch.float64, device=self.device) for _ in range(3)]
        zero = torch.zeros(len(x), 1, dtype=torch.float64, device=self.device)
        errors = {self.graph.inputs[0]: zero}

        def watch(call: Call, values: Values, value: Any) -> None:
            if call.name not in self.dependent:
                return
            count, inputs = self.counts.get(call.name, 0), [n for n in dict.fromkeys(call.refs()) if n in errors]
            entering = sum((self.gains[call.name][name].norm * errors[name] for name in inputs), zero)
            if count:
                known = values if reach is None else _computed(values, call, errors)
                local, likely = self._local(call, known, count)
                entering = entering + local.norm(dim=1, keepdim=True)
                L = sensitivities[call.name]
                doubtful = sum((self.gains[call.name][name].modulus * errors[name] for name in inputs), zero)
                totals[0] += local @ L.T
                totals[1] += gamma(count + self.branches, 2.0**-53) * doubtful * L.norm(dim=1)
                totals[2] += likely.square() @ L.T.square()
            errors[call.name] = entering

        if reach is not None:
            for call in self.graph.calls:
                watch(call, reach, None)
            return totals[0], totals[1], 3 * totals[2].sqrt()
        with torch.no_grad(), ieee_kernels():
            ring = Float(str(self.dtype).removeprefix("torch."))
            native = self.dtype == self.graph.dtype
            Watched(self.graph, ring, self.device, watch=watch, native=native).run([x])
        return totals[0], totals[1], 3 * totals[2].sqrt()

    def _local(self, call: Call, values: Values, count: int) -> tuple[Tensor, Tensor]:
        """What the call itself can round, proved and likely, each (N, entries)."""
        sizes = {name: pytree.tree_map(_magnitude, values[name]) for name in call.refs() if name in values}
        majorant = _rows(pytree.tree_leaves(self.magnitudes.step(call, sizes))[0])
        u = UNIT_ROUNDOFF[self.dtype]
        local = gamma(count, u) * majorant + count * _SMALLEST[self.dtype]
        overflows = ~(majorant + local < torch.finfo(self.dtype).max)  # then, or at a NaN, there is no bound
        return torch.where(overflows, math.inf, local), math.sqrt(count) * u * majorant


def _computed(reach: Values, call: Call, errors: dict[str, Tensor]) -> Values:
    """The largest magnitudes of what a call is given as computed: that of the exact values, and their errors."""

    def enlarged(name: str) -> Any:
        more = float(errors[name].max()) if name in errors else 0.0
        return pytree.tree_map(lambda x: (x + more) * _INFLATION if isinstance(x, Tensor) else x, reach[name])

    return {name: enlarged(name) for name in dict.fromkeys(call.refs()) if name in reach}


def _added(leaf: Any, more: Any) -> Any:
    return leaf + more if isinstance(leaf, Tensor) else leaf


def _magnitude(leaf: Any) -> Any:
    return leaf.double().abs() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf


def _sensitivities(graph: Graph, part: range, counts: dict[str, int], device: Any) -> dict[str, Tensor]:
    """|L_i| (outputs, entries) for every call that rounds: the gradients of some outputs, computed in float64."""
    in_shape, _ = graph.single()
    seen: dict[str, Tensor] = {}

    def watch(call: Call, values: Values, value: Any) -> None:
        if counts.get(call.name):
            seen[call.name] = pytree.tree_leaves(value)[0]

    x = torch.zeros(graph.batch or len(part), *in_shape, dtype=torch.float64, device=device, requires_grad=True)
    with torch.enable_grad():
        y = _rows(Watched(graph, Float(), device, watch=watch).run([x], linear=True)[0])
    cotangents = torch.zeros_like(y)
    cotangents[torch.arange(len(part)), torch.tensor(part)] = 1
    if not seen:
        return {}
    gradients = torch.autograd.grad(y, list(seen.values()), cotangents, allow_unused=True, materialize_grads=True)
    return {name: _rows(gradient)[: len(part)].abs() for name, gradient in zip(seen, gradients, strict=True)}


def not_by_rows(graph: Graph) -> Iterator[Call]:
    """The calls that give something else than one row for each sample: axes in another order, several rows for each."""
    dependent = graph.dependent()
    return (call for call in graph.calls if call.name in dependent and call.shape[:1] not in ((graph.batch,), ()))


def _rows(x: Tensor) -> Tensor:
    """One row for each sample; a value without axes is one row."""
    return x.reshape(len(x) if x.ndim else 1, -1)


def _chunks(graph: Graph, memory_budget: int) -> Iterator[range]:
    """Outputs whose gradients fit the budget together."""
    m = math.prod(graph.single()[1])
    entries = sum(math.prod(n or 1 for n in call.shape) for call in graph.calls)
    size = graph.batch or max(1, min(m, memory_budget // (32 * max(entries, 1))))
    return (range(start, min(start + size, m)) for start in range(0, m, size))


@contextlib.contextmanager
def ieee_kernels() -> Iterator[None]:
    """No TF32, no bfloat16 products, no cuDNN, no NNPACK: the bounds speak of sums of rounded products."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=False, allow_tf32=False), torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
