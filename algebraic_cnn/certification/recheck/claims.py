"""What is claimed of two networks in a file: that which a checker can decide, and no more.

    equal       the two are the same function over the rational numbers
    rounded     the second states W and b: they are the exact ones, which the file carries, correctly rounded; or, as a
                derivation in float64 does not always give the nearest floats, no further from these than stated
    residues    the same where the exact W and b would take too long: they are W and b modulo primes that the hash of
                the network names.  This says nothing of the floats: how large a number is, no residue says.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from ...algebra.affine import AffineMap
from ...derivation.exact import exact_map
from ...derivation.magnitudes.heights import height
from ...derivation.methods import MEMORY_BUDGET, derive_graph
from ...derivation.samples import require_samples_apart
from ...errors import DataError, NonFiniteError
from ...ir.graph import Graph
from ...ops.evaluate import affine_obstacle, require_affine
from ...rings.prime_field import PrimeField
from ..check import stated
from .file import equal, file_of, furthest, modulo, named_start, network_of, rounded
from .layers import Program
from .lifted import Recipes
from .maps import mapped, stored
from .regions import regions_file
from .spelling import spelled

Network: TypeAlias = Graph | AffineMap

#: Products of residues that the exact W and b may take; beyond, W and b are claimed modulo primes.  Some minutes.
AFFORDABLE = 3 * 10**11

#: About so many bits has a prime of the exact derivation.
_BITS = 20

#: So many primes are named where W and b are claimed modulo primes.
PRIMES = 2


def certificate_file(
    original: Network, other: Network, *, rounding: bool | None, text: str = "", recipes: Recipes | None = None
) -> bytes:
    """The file of the claim that two networks are equal, or equal but for one rounding.

    Args:
        original: an affine network or map of one sample.
        other: the other one.
        rounding: whether W and b of the other one are those of the original, rounded; None: perhaps, if it states any.
        text: a sentence for who reads it.
        recipes: of the constants that a collapse has rounded, the other network being that collapse.

    Returns:
        The bytes.

    Raises:
        NotAffineError: if a network is not one affine map of one sample nor equal to the other region by region, or has
            a call that the checker does not know.
        DataError: if the networks are equal but for rounding and the other one does not state its W and b.
        TooLargeError, NonFiniteError: as ``exact_map`` and ``derive`` raise them.
    """
    if recipes is not None and isinstance(original, Graph) and isinstance(other, Graph):
        return regions_file(original, other, text, recipes)
    if (
        not rounding
        and isinstance(original, Graph)
        and isinstance(other, Graph)
        and affine_obstacle(original)
        and affine_obstacle(other)
    ):
        return regions_file(original, other, text)
    network = _program(original)
    given = None if rounding is False else stated(other, MEMORY_BUDGET)
    if given is None and not rounding:
        return file_of(text, network, [equal(_program(other))])
    if given is None:
        what = "equality but for rounding can be claimed of W and b alone, and the second network does not state them"
        raise DataError(what, expected="an AffineMap, or a network of one contraction")
    if isinstance(original, Graph) and _work(original, network) > AFFORDABLE:
        return file_of(text, network, _residues(original, network_of(network)))
    return file_of(text, network, [_rounded(original, given, network)])


def _program(network: Network) -> Program:
    if isinstance(network, Graph):
        require_affine(network)
        require_samples_apart(network)
        return spelled(network)
    dense = network.to("dense")
    return mapped(np.asarray(dense.W), np.asarray(dense.b), stored(dense.in_shape))


def _work(graph: Graph, program: Program) -> float:
    """Products of residues that the exact W and b take: of every prime, and of every row or column of W."""
    shapes, products = [program.shape], 0
    for layer in program.layers:
        shapes.append(layer.result(shapes[layer.feeds[0][0]]))
        products += math.prod(layer.kernel.shape) * math.prod(shapes[-1][1:])
    try:
        primes = height(graph) / _BITS
    except NonFiniteError:
        return math.inf
    return primes * products * min(math.prod(shapes[-1]), math.prod(program.shape) + 1)


def _rounded(original: Network, given: AffineMap, network: Program) -> bytes:
    """The exact W and b, and how far the given ones are from these."""
    exact = exact_map(original) if isinstance(original, Graph) else original
    W, b = np.asarray(exact.W), np.asarray(exact.b)
    floats = [_shortest(np.asarray(entries)) for entries in (given.W, given.b)]
    pairs = zip(np.concatenate([W.ravel(), b]).tolist(), np.concatenate(floats, axis=None).tolist(), strict=True)
    distance = max(abs(Fraction(q) - Fraction(y)) for q, y in pairs)
    return rounded(mapped(W, b, network.shape), floats[0], floats[1], furthest(distance))


def _shortest(entries: np.ndarray) -> np.ndarray:
    """The floats as float32, if they are such: that they are rounded to 24 digits then says more."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = entries.astype(np.float32)
    return narrow if np.array_equal(narrow, entries) else entries.astype(np.float64)


def _residues(original: Graph, bytes_of_it: bytes) -> list[bytes]:
    claims = []
    for index in range(PRIMES):
        p = named_prime(bytes_of_it, index)
        derived = derive_graph(original, PrimeField(p), "adjoint", device=original.device).to("dense")
        W, b = (np.asarray(each).astype(np.int64) % p for each in (derived.W, derived.b))
        claims.append(modulo(p, mapped(W, b, stored(derived.in_shape))))
    return claims


def named_prime(network: bytes, index: int) -> int:
    """The prime of claim ``index``: the first from where the network's hash says, between 2^19 and 2^20.

    >>> named_prime(b"", 0)
    1037297
    """
    from sympy import nextprime

    p = int(nextprime(named_start(network, index) - 1))
    return p if p < 1 << 20 else int(nextprime(1 << 19))
