"""The skeleton of a skip recursion: which layer feeds which, and the paths from one to another, listed or only counted.

depth L      the number of layers
edge (k, i)  f^(k) enters layer i; the feed (i-1, i), or a skip (k, i) with k < i-1
path         s = i_0 < i_1 < ... < i_m = L with every (i_{j-1}, i_j) an edge: one word of the expansion
letters      what is not trivial: P^(i) and B^(i) of which layers, t, R and r of which edges
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from ...errors import ShapeError

Edge = tuple[int, int]
Path = tuple[int, ...]


@dataclass(frozen=True)
class Skeleton:
    """Layers 1 .. L, the edges between them, and the letters that are not trivial [JV24, sec. 2].

    Args:
        depth: L.
        skips: the edges (k, i) with 0 <= k < i <= L; the feeds (i-1, i) are always there.
        padded: the layers whose P^(i) is not the identity.
        biased: the layers whose B^(i) is not 0.
        scaled: the edges whose strength t^(k,i-1) is written; all others count 1.
        resized: the edges whose R^(k,i-1) is not the identity.
        shifted: the edges whose resizing adds a constant r^(k,i-1).

    Raises:
        ShapeError: if there is no layer or a skip does not go forward.

    >>> list(Skeleton.full(3).paths())
    [(0, 1, 2, 3), (0, 1, 3), (0, 2, 3), (0, 3)]
    >>> Skeleton.full(1000).count_paths() == 2**999
    True
    """

    depth: int
    skips: frozenset[Edge] = frozenset()
    padded: frozenset[int] = frozenset()
    biased: frozenset[int] = frozenset()
    scaled: frozenset[Edge] = frozenset()
    resized: frozenset[Edge] = frozenset()
    shifted: frozenset[Edge] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.depth, int) or self.depth < 1:
            expected = "an integer from 1 on"
            raise ShapeError("a recursion needs a layer", expected=expected, got=repr(self.depth), where="Skeleton")
        for k, i in self.skips:
            if not (isinstance(k, int) and isinstance(i, int) and 0 <= k < i <= self.depth):
                raise ShapeError("a skip must go forward", expected=f"0 <= k < i <= {self.depth}", got=(k, i))

    @classmethod
    def full(cls, depth: int, skips: Iterable[Edge] | None = None) -> Skeleton:
        """The recursion as the paper writes it: every P and B, and t and R on the given skips, by default on all.

        Raises:
            ShapeError: if there is no layer or a skip does not go forward.
        """
        cls(depth)  # refuses what is no depth
        every = ((k, i) for i in range(2, depth + 1) for k in range(i - 1))
        chosen = frozenset(every if skips is None else skips)
        layers = frozenset(range(1, depth + 1))
        return cls(depth, chosen, padded=layers, biased=layers, scaled=chosen, resized=chosen)

    @classmethod
    def of(cls, recursion: Any) -> Skeleton:
        """The skeleton of a ``SkipRecursion``: None is trivial, and so is the strength 1 of a feed."""
        layers, skips = dict(enumerate(recursion.layers, 1)), recursion.skips
        return cls(
            depth=len(layers),
            skips=frozenset(skips),
            padded=frozenset(i for i, layer in layers.items() if layer.P is not None),
            biased=frozenset(i for i, layer in layers.items() if layer.b is not None),
            scaled=frozenset((k, i) for (k, i), skip in skips.items() if k < i - 1 or skip.t != 1),
            resized=frozenset(edge for edge, skip in skips.items() if skip.R is not None),
            shifted=frozenset(edge for edge, skip in skips.items() if skip.r is not None),
        )

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """For i = 0 .. L the indices k of the edges (k, i), ascending."""
        sources: list[set[int]] = [set(), *({i - 1} for i in range(1, self.depth + 1))]
        for k, i in self.skips:
            sources[i].add(k)
        return tuple(tuple(sorted(ks)) for ks in sources)

    @property
    def edges(self) -> list[Edge]:
        """Every edge (k, i), by i and then by k."""
        return [(k, i) for i, ks in enumerate(self.sources) for k in ks]

    def count_paths(self, source: int = 0) -> int:
        """The number of paths from ``source`` to L, by N_L = 1, N_k = sum of N_i over the edges (k, i).

        Raises:
            ShapeError: if the source is no layer.
        """
        self._require_layer(source)
        count = [0] * self.depth + [1]
        for i in range(self.depth, source, -1):
            for k in self.sources[i]:
                count[k] += count[i]
        return count[source]

    def paths(self, source: int = 0) -> Iterator[Path]:
        """The paths from ``source`` to L in lexicographic order, so the path of all feeds comes first.

        Raises:
            ShapeError: if the source is no layer.
        """
        self._require_layer(source)
        targets: list[list[int]] = [[] for _ in range(self.depth + 1)]
        for k, i in self.edges:
            targets[k].append(i)
        waiting: list[Path] = [(source,)]
        while waiting:
            path = waiting.pop()
            if path[-1] == self.depth:
                yield path
            waiting += [(*path, i) for i in reversed(targets[path[-1]])]

    def _require_layer(self, source: int) -> None:
        if source not in range(self.depth + 1):
            raise ShapeError("a path starts at f^(0) .. f^(L)", expected=f"0 .. {self.depth}", got=source)


def steps(path: Path) -> list[Edge]:
    """The edges of a path, first one first.

    >>> steps((0, 2, 3))
    [(0, 2), (2, 3)]
    """
    return list(pairwise(path))
