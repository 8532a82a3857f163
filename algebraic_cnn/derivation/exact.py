"""W, B and outputs of an affine network over the rational numbers, without rounding anything.

The network runs modulo enough primes to tell the numerators apart (magnitudes/heights.py says how many), the Chinese
remainder theorem lifts them (rings/crt.py), and a known common denominator turns them into fractions.  Chance
plays no part.

    exact_map       W and B as ``Fraction`` entries; the numbers that the model's floats are
    exact_outputs   f(x) at given inputs: what torch's outputs should have been
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from ..errors import ShapeError, TooLargeError
from ..ir.graph import Graph
from ..ir.trace import trace
from ..ops.evaluate import Evaluator, Progress, require_affine
from ..ops.sums import terms
from ..rings.arrays import require_finite
from ..rings.crt import lift, primes_for
from ..rings.prime_field import PrimeField
from ..rings.residues import Residues
from ..toeplitz.arguments import bytes_allowed
from .magnitudes.bounds import majorant
from .magnitudes.heights import Denominator, denominator, height
from .methods import MEMORY_BUDGET, derive_graph
from .samples import require_samples_apart

#: Bits to spare: ``lift`` wants numerators far below the product of the primes.
_SPARE = 16


def exact_map(
    model: Any,
    example: Any = None,
    *,
    method: str = "auto",
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> AffineMap:
    """The map f(x) = W x + B of an affine network over Q [JV24, Thm 3.1].

    Args:
        model: a module, an exported program, or a traced ``Graph``.
        example: an input tensor (N, *in_shape); not needed for a program or a graph.
        method: "auto", "forward", "adjoint" or "recursion".
        memory_budget: bytes that the residues of W may take.
        progress: called with (primes done, primes in all).

    Returns:
        W and b as object arrays of ``Fraction``.

    Raises:
        TooLargeError: if the residues would not fit the budget; nothing was allocated.
        NonFiniteError: if a weight is NaN or infinite, or the numerators have no bound in float64.
        NotAffineError, TrainingModeError, TraceError, UnknownNameError: as ``derive`` raises them.

    >>> thirds = torch.nn.Sequential(torch.nn.AvgPool1d(3), torch.nn.Linear(1, 1, bias=False)).eval()
    >>> _ = thirds[1].weight.data.fill_(0.5)
    >>> exact_map(thirds, torch.zeros(1, 1, 3)).W
    array([[Fraction(1, 6), Fraction(1, 6), Fraction(1, 6)]], dtype=object)
    """
    graph = model if isinstance(model, Graph) else trace(model, example)
    require_affine(graph)
    in_shape, out_shape = graph.single()
    m, n = math.prod(out_shape), math.prod(in_shape)
    common = denominator(graph)
    primes = primes_for(height(graph) + _SPARE, terms(graph), common.odd)
    needed = 4 * len(primes) * m * (n + 1)
    memory_budget = bytes_allowed(memory_budget)
    if needed > memory_budget:
        raise TooLargeError("the residues of W are beyond the budget", needed=needed, budget=memory_budget)

    def residues(field: PrimeField) -> np.ndarray:
        f = derive_graph(graph, field, method, device=graph.device, memory_budget=memory_budget).to("dense")
        return np.concatenate([np.asarray(f.W).ravel(), f.b])

    entries = _rationals(residues, primes, common, progress)
    return AffineMap(entries[: m * n].reshape(m, n), entries[m * n :], in_shape, out_shape)


def exact_outputs(model: Any, x: Tensor, *, progress: Progress | None = None) -> np.ndarray:
    """f(x) over Q, for the numbers that the floats of the network and of x are.

    Args:
        model: a module, an exported program, or a traced ``Graph``; affine.
        x: inputs (N, *in_shape), of any floating dtype.
        progress: called with (primes done, primes in all).

    Returns:
        Object array (N, *out_shape) of ``Fraction``.

    Raises:
        ShapeError: if x does not fit the network.
        NonFiniteError: if x or a weight is NaN or infinite, or the numerators have no bound in float64.
        NotAffineError, TrainingModeError, TraceError: as ``derive`` raises them.

    >>> layer = torch.nn.Linear(1, 1).eval()
    >>> _ = layer.weight.data.fill_(0.1), layer.bias.data.fill_(0.0)
    >>> float(exact_outputs(layer, torch.tensor([[3.0]]))[0, 0] - Fraction(3, 10))      # 0.1 as a float32 is not 1/10
    4.470348358154297e-09
    """
    graph = model if isinstance(model, Graph) else trace(model, x)
    require_affine(graph)
    in_shape, out_shape = graph.single()
    if tuple(x.shape[1:]) != in_shape:
        raise ShapeError("x does not fit the network", expected=("N", *in_shape), got=tuple(x.shape))
    require_finite(x, "exact_outputs")
    require_samples_apart(graph)
    x = x.double()
    common = denominator(graph) * Denominator.of(_dyadic(x))
    largest = float(majorant(graph, x).max()) if x.numel() else 0.0
    primes = primes_for(common.bits + math.log2(max(largest, 1.0)) + _SPARE, terms(graph), common.odd)

    weights = Residues(graph.constants)

    def residues(field: PrimeField) -> np.ndarray:
        run = Evaluator(graph, field, graph.device, weights.modulo(field))
        with torch.no_grad():
            return run(field.embed(x.to(graph.device))).cpu().numpy().ravel()

    return _rationals(residues, primes, common, progress).reshape(len(x), *out_shape)


def _dyadic(x: Tensor) -> int:
    """A common denominator of floats."""
    if not bool(x.any()):
        return 1
    _, exponents = torch.frexp(x[x != 0])
    return 1 << max(0, 53 - int(exponents.min()))


def _rationals(
    residues: Callable[[PrimeField], np.ndarray], primes: list[int], common: Denominator, progress: Progress | None
) -> np.ndarray:
    """The fractions N / D, from N modulo every prime; D is known."""
    D = common.integer
    columns = []
    for done, p in enumerate(primes, 1):
        field = PrimeField(p)
        scale = float(field.embed(np.array(D % p, dtype=np.float64)))
        columns.append(field.reduce(residues(field) * scale).astype(np.int32))
        if progress:
            progress(done, len(primes))
    numerators = lift(np.stack(columns), primes)
    fractions = np.empty(len(numerators), dtype=object)
    fractions[:] = [Fraction(value, D) for value in numerators]
    return fractions
