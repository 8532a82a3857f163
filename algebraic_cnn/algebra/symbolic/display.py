"""Words in the notation of the paper: SymPy expressions with noncommuting letters, LaTeX, rows of a table.

letter     "W^(2)", "P^(2)", "R^(0,1)", "r^(0,1)", "t^(0,1)", "B^(2)", "X": a kind and an upper index
index      what belongs to the edge (k, i) is written (k, i-1), as in the paper: t^(k,i-1), R^(k,i-1)
scalars    the strengths of a word, in front of it; with one strength, a power of t
summand    one word, or the words in parentheses that share their start and their power of t
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, cmp_to_key, partial
from itertools import groupby
from typing import Any

from .expansion import Part, Term, expand
from .skeleton import Edge, Skeleton, steps


@cache
def _edge_letter(kind: str, edge: Edge) -> str:
    return f"{kind}^({edge[0]},{edge[1] - 1})"


def scalars(term: Term, skeleton: Skeleton, *, one_strength: bool = False) -> Counter[str]:
    """The strengths of a word, each with its power; ``one_strength`` writes t for every skip.

    >>> scalars(Term((0, 0), (0, 2, 4)), Skeleton.full(4))
    Counter({'t^(0,1)': 1, 't^(2,3)': 1})
    >>> scalars(Term((0, 0), (0, 2, 4)), Skeleton.full(4), one_strength=True)
    Counter({'t': 2})
    """
    edges = [edge for edge in [term.start, *steps(term.path)] if edge in skeleton.scaled]
    return Counter("t" if one_strength and k < i - 1 else _edge_letter("t", (k, i)) for k, i in edges)


def word(term: Term, skeleton: Skeleton, *, applied: bool = True) -> list[str]:
    """The matrices of a word from left to right, and what they are applied to: X, B^(s) or r^(k,i-1).

    >>> word(Term((0, 0), (0, 2, 3)), Skeleton.full(3))
    ['W^(3)', 'P^(3)', 'W^(2)', 'P^(2)', 'R^(0,1)', 'X']
    """
    letters = []
    for edge in reversed(steps(term.path)):
        letters += _layer(edge[1], skeleton)
        if edge in skeleton.resized:
            letters.append(_edge_letter("R", edge))
    k, s = term.start
    if k < s:
        letters += _layer(s, skeleton)
    return [*letters, start(term)] if applied else letters


def start(term: Term) -> str:
    """What the word is applied to: X, B^(s) or r^(k,i-1)."""
    k, s = term.start
    return _edge_letter("r", term.start) if k < s else f"B^({s})" if s else "X"


def _layer(i: int, skeleton: Skeleton) -> list[str]:
    return [f"W^({i})", f"P^({i})"] if i in skeleton.padded else [f"W^({i})"]


def to_sympy(skeleton: Skeleton, part: Part = "f", *, one_strength: bool = False) -> Any:
    """The expansion as a SymPy expression in which the strengths commute and the matrices do not.

    Args:
        skeleton: the edges and letters of the recursion.
        part: "f" for W X + B, "W" for the words of W alone, "B" for those of B.
        one_strength: write t for the strength of every skip.

    Raises:
        UnknownNameError: if there is no such part.
        TooLargeError: if there are too many words.

    >>> to_sympy(Skeleton.full(2), "W")
    t^(0,1)*W^(2)*P^(2)*R^(0,1) + W^(2)*P^(2)*W^(1)*P^(1)
    """
    from sympy import Add, Basic, Mul, Symbol

    terms = expand(skeleton, part)
    strengths = [scalars(term, skeleton, one_strength=one_strength) for term in terms]
    # SymPy's canonical order of the scalars, found once: letting it sort each product would take most of the time
    factors = {power: Symbol(power[0]) ** power[1] for power in {item for each in strengths for item in each.items()}}
    order = {factor: n for n, factor in enumerate(sorted(factors.values(), key=cmp_to_key(Basic.compare)))}
    matrix = cache(partial(Symbol, commutative=False))
    products = []
    for term, powers in zip(terms, strengths, strict=True):
        scalar = sorted((factors[power] for power in powers.items()), key=order.__getitem__)
        letters = word(term, skeleton, applied=part != "W")
        products.append(Mul(*scalar, *map(matrix, letters), evaluate=False))
    return Add(*products)


def summands(skeleton: Skeleton, part: Part = "f", *, one_strength: bool = False) -> list[str]:
    """The expansion as LaTeX, one string for each summand.

    Args, Raises:
        as in ``to_sympy``.

    >>> for summand in summands(Skeleton.full(2, skips=[(0, 2)]), "B"):
    ...     print(summand)
    W^{(2)} P^{(2)} B^{(1)}
    B^{(2)}
    """
    result = []
    for (target, power), group in _shared(expand(skeleton, part), skeleton, part, one_strength):
        bodies = [" ".join(map(_latex, _body(term, skeleton, one_strength))) for term in group]
        if not target and not power:
            result += bodies
        else:
            inner = f"({' + '.join(body or '1' for body in bodies)})" if len(bodies) > 1 else bodies[0]
            result.append(" ".join(filter(None, [_power(power), inner, _latex(target)])))
    return result


def _shared(terms: list[Term], skeleton: Skeleton, part: Part, one_strength: bool) -> Iterable[Any]:
    """The terms by what they are applied to and by their power of the one strength."""

    def key(term: Term) -> tuple[Edge, int]:
        return term.start, scalars(term, skeleton, one_strength=one_strength)["t"]

    for (_, power), group in groupby(sorted(terms, key=key), key=key):
        group = list(group)
        yield ("" if part == "W" else start(group[0]), power), group


def _body(term: Term, skeleton: Skeleton, one_strength: bool) -> list[str]:
    own = sorted(name for name in scalars(term, skeleton, one_strength=one_strength) if name != "t")
    return own + word(term, skeleton, applied=False)


def _power(power: int) -> str:
    return "" if power == 0 else "t" if power == 1 else f"t^{{{power}}}"


def _latex(letter: str) -> str:
    kind, _, index = letter.partition("^")
    return f"{kind}^{{{index}}}" if index else letter.replace("X", r"\operatorname{vec}\,X")


def to_latex(skeleton: Skeleton, part: Part = "f", *, one_strength: bool = False) -> str:
    r"""The expansion as one LaTeX formula in the notation of the paper.

    Args, Raises:
        as in ``to_sympy``.

    >>> print(to_latex(Skeleton.full(2), "W"))
    W = W^{(2)} P^{(2)} W^{(1)} P^{(1)} + t^{(0,1)} W^{(2)} P^{(2)} R^{(0,1)}
    """
    L, t = skeleton.depth, "(t)" if one_strength else ""
    left = f"{part}{t}" if part != "f" else f"f{'_t' if one_strength else ''}^{{({L})}}(X)"
    return f"{left} = " + " + ".join(summands(skeleton, part, one_strength=one_strength) or ["0"])


def expansion_table(depth: int, skips: Iterable[Edge] | None = None, part: Part = "f") -> list[dict[str, Any]]:
    """One row for each word of the expansion of a recursion written as in the paper.

    Args:
        depth: the number of layers L.
        skips: edges (k, i) with 0 <= k < i - 1; default every one.
        part: "f" for W X + B, "W" or "B".

    Returns:
        Rows with ``start`` (X or B^(s)), ``path``, ``skips`` (how many it takes), ``strength`` and ``word``.

    Raises:
        ShapeError: if there is no layer or a skip does not go forward.
        UnknownNameError: if there is no such part.
        TooLargeError: if there are too many words.

    >>> expansion_table(2, part="W")[1]
    {'start': 'X', 'path': [0, 2], 'skips': 1, 'strength': 't^(0,1)', 'word': 'W^(2) P^(2) R^(0,1)'}
    """
    skeleton = Skeleton.full(depth, skips)
    return [
        {
            "start": start(term),
            "path": list(term.path),
            "skips": sum(k < i - 1 for k, i in steps(term.path)),
            "strength": " ".join(sorted(scalars(term, skeleton))) or "1",
            "word": " ".join(word(term, skeleton, applied=False)) or "1",
        }
        for term in expand(skeleton, part)
    ]
