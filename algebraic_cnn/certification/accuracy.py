"""How far a map derived in float64 is from the exact one, measured at random points in exact arithmetic.

A derivation sums products of weights; where these cancel, few of its digits are right, or none: 2^60 x + x - 2^60 x
derived in float64 is 0.  With E = W - W~, the exact map less the derived one, and a vector r of random integers, each
uniform among 2 R + 1, an entry e of a row of E has |<row, r>| < |e| / 2 for at most one value of its own r_j, whatever
the others are.  So for every row, max |e| <= 2 max_k |<row, r_k>| over k points, but with probability (2 R + 1)^-k.

    lost          per row of W: that bound, over the largest entry of the row
    HALF          a derivation that keeps less than half of float64's bits is not called the map of the network

References:
    T. Ogita, S. M. Rump, S. Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26 (2005).
"""

from __future__ import annotations

import numpy as np
import torch

from ..algebra.affine import AffineMap
from ..derivation.exact import exact_outputs
from ..ir.graph import Graph
from ..ops.sums import gamma

#: Half of the bits of float64.
HALF = 2.0**-26

#: R: entries of a random vector are up to that.
_REACH = 16


def lost(graph: Graph, derived: AffineMap, generator: np.random.Generator, bits: int) -> np.ndarray:
    """For each output, a bound of the errors of the derived W and b over the largest of their entries.

    Args:
        graph: an affine network.
        derived: its map, computed in float64.
        generator: of the random vectors.
        bits: the bound of one output is too low with probability at most 2^-bits.

    Returns:
        Shape (m,); infinite where every entry that was derived is 0 and an exact one is not.

    >>> from algebraic_cnn.derivation.methods import derive
    >>> from algebraic_cnn.ir.trace import trace
    >>> layers = torch.nn.Linear(1, 3, bias=False), torch.nn.Linear(3, 1, bias=False)
    >>> for layer, row in zip(layers, ([1.0, 1.0, 1.0], [2.0**60, 1.0, -(2.0**60)])):
    ...     _ = layer.weight.data.copy_(torch.tensor(row).reshape(layer.weight.shape))
    >>> graph = trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 1))
    >>> lost(graph, derive(graph), np.random.default_rng(0), 80)
    array([inf])
    """
    in_shape, _ = graph.single()
    W, b = derived.to("dense").W, derived.b
    count = -(-bits // 5)  # 2 R + 1 = 33 > 2^5
    r = generator.integers(-_REACH, _REACH + 1, (count, W.shape[1])).astype(np.float64)
    points = torch.from_numpy(np.concatenate([np.zeros((1, W.shape[1])), r])).reshape(-1, *in_shape)
    exact = exact_outputs(graph, points).reshape(count + 1, -1)
    linear = (exact[1:] - exact[0]).astype(np.float64)
    slack = gamma(2 * W.shape[1], 2.0**-53) ** 2 * (abs(r) @ abs(W).T) + 2.0**-50 * abs(linear)
    errors = 2 * (abs(linear - np.stack([_product(W, vector) for vector in r])) + slack).max(0, initial=0.0)
    errors = np.maximum(errors, abs(exact[0].astype(np.float64) - b))
    sizes = np.maximum(abs(W).max(1, initial=0.0), abs(b))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors == 0, 0.0, errors / sizes)


def _product(W: np.ndarray, r: np.ndarray) -> np.ndarray:
    """W r for a vector of small integers, as if summed in twice the precision of float64 (Ogita, Rump, Oishi 2005)."""
    mantissas, exponents = np.frexp(W)
    high = np.ldexp(np.trunc(mantissas * 2.0**26), exponents - 26)
    terms = np.concatenate([high * r, (W - high) * r], axis=1)  # both exact
    rest = np.zeros(len(W))
    while terms.shape[1] > 1:
        half = terms.shape[1] // 2
        a, b, odd = terms[:, :half], terms[:, half : 2 * half], terms[:, 2 * half :]
        total = a + b
        virtual = total - a
        rest += ((a - (total - virtual)) + (b - virtual)).sum(1)
        terms = np.concatenate([total, odd], axis=1)
    return terms.sum(1) + rest
