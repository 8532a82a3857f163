"""The recursion run over a polynomial ring: every word of W and B, from the distributive law alone.

edge letter  one commuting generator per edge (k, i): it stands for t^(k,i-1) W^(i) P^(i) R^(k,i-1)
start        one generator per place where a word starts: X, B^(1) .. B^(L), r^(k,i-1)
monomial     a product of edge letters and one start.  Its indices increase along a path, so they tell the order
             of the word: nothing is lost by letting the letters commute
Term         one monomial, read back as (start, path)
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import compress
from typing import Any, Literal, NamedTuple

from ...errors import TooLargeError, UnknownNameError
from ...extras import required
from ...toeplitz import MEMORY_BUDGET
from .skeleton import Edge, Path, Skeleton

Backend = Literal["auto", "flint", "sympy"]
Part = Literal["f", "W", "B"]


class Term(NamedTuple):
    """The word of one path, started by X, by a bias or by the constant of a resizing.

    Attributes:
        start: the edge (k, i) of r^(k,i-1); or (0, 0) for X, and (s, s) for B^(s).
        path: from the layer where the word starts to L.
    """

    start: Edge
    path: Path


def polynomial_ring(names: Sequence[str], backend: Backend = "auto") -> tuple[Any, list[Any]]:
    """Z[names] as (one, generators): by python-flint where it is installed, by ``sympy.polys.rings`` otherwise.

    Elements have ``+ * ==`` and ``terms()``, pairs (exponents, coefficient).

    Raises:
        UnknownNameError: if the backend is none of "auto", "flint" and "sympy".
        MissingExtraError: if python-flint is asked for and not installed.
    """
    if backend not in ("auto", "flint", "sympy"):
        raise UnknownNameError("no such backend", expected="auto, flint or sympy", got=backend)
    if backend == "flint" or (backend == "auto" and find_spec("flint")):
        flint = required("flint", "flint")
        context = flint.fmpz_mpoly_ctx.get(tuple(names), flint.Ordering.lex)
        return context.constant(1), list(context.gens())
    from sympy import ZZ
    from sympy.polys.rings import ring

    Z, *generators = ring(names, ZZ)
    return Z.one, generators


def starts(skeleton: Skeleton, part: Part) -> list[Edge]:
    """Where the words of W, of B, or of f = W X + B may start.

    Raises:
        UnknownNameError: if the part is none of "f", "W" and "B".
    """
    if part not in ("f", "W", "B"):
        raise UnknownNameError("no such part", expected="f, W or B", got=part)
    X = [] if part == "B" else [(0, 0)]
    return X if part == "W" else [*X, *((s, s) for s in sorted(skeleton.biased)), *sorted(skeleton.shifted)]


class Alphabet(NamedTuple):
    """The generators: ``one`` of the ring, a letter for every edge, and a letter for every start."""

    one: Any
    edge: dict[Edge, Any]
    start: dict[Edge, Any]


def alphabet(skeleton: Skeleton, part: Part = "f", backend: Backend = "auto") -> Alphabet:
    """The polynomial ring of a recursion, its generators in this order: the edges, then the starts."""
    edges, begin = skeleton.edges, starts(skeleton, part)
    one, generators = polynomial_ring([f"x{n}" for n in range(len(edges) + len(begin))], backend)
    letters = iter(generators)
    return Alphabet(one, {edge: next(letters) for edge in edges}, {edge: next(letters) for edge in begin})


def forward(skeleton: Skeleton, letters: Alphabet) -> Any:
    """f^(L) by the recursion f^(i) = sum_k (edge letter) f^(k) + (the starts at layer i), expanded."""
    zero = letters.one * 0
    f = [letters.start.get((0, 0), zero)]
    for i in range(1, skeleton.depth + 1):
        fed = [letters.edge[k, i] * f[k] for k in skeleton.sources[i]]
        f.append(sum(fed + [x for (_, s), x in letters.start.items() if s == i], zero))
    return f[-1]


def backward(skeleton: Skeleton, letters: Alphabet) -> Any:
    """The same polynomial by the adjoint recursion G_L = 1, G_k = sum_i (edge letter)^T G_i: a start at s counts G_s.

    Transposing reverses a word and keeps its letters, so here the two recursions must agree, monomial by monomial.
    """
    G = [letters.one * 0] * skeleton.depth + [letters.one]
    for i in range(skeleton.depth, 0, -1):
        for k in skeleton.sources[i]:
            G[k] = G[k] + letters.edge[k, i] * G[i]
    return sum((x * G[s] for (_, s), x in letters.start.items()), letters.one * 0)


def read(polynomial: Any, letters: Alphabet) -> list[Term]:
    """The monomials of a polynomial, each read back as its start and its path, in lexicographic order."""
    edges, begin = list(letters.edge), list(letters.start)
    terms = []
    for exponents, _ in polynomial.terms():
        (start,) = compress(begin, exponents[len(edges) :])
        terms.append(Term(start, (start[1], *(i for _, i in compress(edges, exponents)))))
    return sorted(terms)


def expand(
    skeleton: Skeleton, part: Part = "f", *, backend: Backend = "auto", memory_budget: int = MEMORY_BUDGET
) -> list[Term]:
    """Every word of W, of B, or of f = W X + B, by start and path in lexicographic order.

    Args:
        skeleton: the edges and letters of the recursion.
        part: "f", "W" or "B".
        backend: the polynomial ring; "auto" takes python-flint where it is installed.
        memory_budget: bytes that the words may take.

    Raises:
        UnknownNameError: if part or backend is no such name.
        MissingExtraError: if python-flint is asked for and not installed.
        TooLargeError: if the words, counted beforehand, need more memory; ``count_paths`` still counts them.

    >>> for term in expand(Skeleton.full(2)):
    ...     print(term)
    Term(start=(0, 0), path=(0, 1, 2))
    Term(start=(0, 0), path=(0, 2))
    Term(start=(1, 1), path=(1, 2))
    Term(start=(2, 2), path=(2,))
    """
    count = sum(skeleton.count_paths(s) for _, s in starts(skeleton, part))
    needed = count * 8 * (len(skeleton.edges) + skeleton.depth)
    if needed > memory_budget:
        raise TooLargeError(f"the expansion has {count} words", needed=needed, budget=memory_budget, where="expand")
    letters = alphabet(skeleton, part, backend)
    return read(forward(skeleton, letters), letters)
