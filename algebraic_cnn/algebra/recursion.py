"""The skip recursion of [JV24] and its collapse to one affine map, over any ring.

f^(0)(x) = x
f^(i)(x) = W^(i) P^(i) ( sum_{k<i} t^(k,i-1) R^(k,i-1) f^(k)(x) ) + b^(i)          i = 1 .. L
f^(L)(x) = W x + B,   A_0 = 1,  C_0 = 0,
           A_i = W P sum_k t R A_k,   C_i = W P sum_k t R C_k + b,   W = A_L,  B = C_L      [JV24, Thm 3.1]

Layer(W, P, b)   the matrix of layer i on an already padded input, its padding matrix, its bias vector
Skip(t, R)       the strength and the resizing of the skip (k, i), from f^(k) into layer i
feed             the skip (i-1, i): t = 1 and R = 1 unless given
adjoint          G_L = 1, G_k = sum_{i>k} t R^T P^T W^T G_i, W = G_0^T: one backward pass per output
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from ..errors import ShapeError
from ..rings.matrices import in_ring, multiple, product, require_axes, total, transpose
from ..rings.ring import Float, Ring
from .affine import AffineMap, Shape

if TYPE_CHECKING:
    from .symbolic import HomotopyPolynomial, Part, Skeleton


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer x -> W P x + b [JV24, sec. 2].

    Args:
        W: matrix (n_i, p_i) of the cross-correlation on an already padded input; a NumPy or SciPy sparse array.
        P: padding matrix (p_i, e_i), or None for the identity.
        b: bias vector of length n_i (a per-channel bias repeated over space), or None for 0.

    >>> layer = Layer(np.array([[2.0]]), b=np.array([1.0]))
    >>> SkipRecursion([layer]).forward(np.array([3.0]))
    array([7.])
    """

    W: Any
    P: Any = None
    b: Any = None


@dataclass(frozen=True, eq=False)
class Skip:
    """One term t R f^(k) (+ t r) of a layer's input [JV24, sec. 2].

    Args:
        t: the strength of the skip, a scalar of the ring.
        R: resizing matrix (e_i, n_k), or None for the identity.
        r: constant vector of length e_i that an affine resizing adds (a 1x1 convolution with BatchNorm has one),
            or None for 0.

    >>> doubled = Layer(np.array([[2.0]]))
    >>> SkipRecursion([doubled, doubled], {(0, 2): Skip(t=0.5)}).collapse().W         # 2 (2 x + x / 2)
    array([[5.]])
    """

    t: Any = 1.0
    R: Any = None
    r: Any = None


@dataclass(frozen=True, eq=False)
class SkipRecursion:
    """The recursion f^(i) of [JV24] for L layers and any set of skips.

    Args:
        layers: the layers 1 .. L; a matrix W is ``Layer(W)``, a map W x + b is ``Layer(W, b=b)``.
        skips: ``skips[(k, i)]`` goes from f^(k) into layer i, 0 <= k < i <= L; a number t is ``Skip(t)``, a matrix R is
            ``Skip(R=R)``, a map R x + r is ``Skip(R=R, r=r)``.  The feed (i-1, i) has t = 1 and R = identity if absent.
        in_shape: shape of x without batch axis; default flat.
        out_shape: shape of f^(L) without batch axis; default flat.

    Raises:
        ShapeError: if there is no layer, a skip does not go forward, or a matrix or vector is none or does not fit.

    >>> double = Layer(np.array([[2.0]]), b=np.array([1.0]))
    >>> f = SkipRecursion([double, double], {(0, 2): 3.0})                # 2 (3 x + (2 x + 1)) + 1
    >>> f.forward(np.array([5.0])), f.collapse().W, f.collapse().b
    (array([53.]), array([[10.]]), array([3.]))
    >>> SkipRecursion([np.eye(2), np.ones((1, 2))], {(0, 2): 2 * np.eye(2)}).collapse().W
    array([[3., 3.]])
    """

    layers: Sequence[Any]
    skips: Mapping[tuple[int, int], Any] = field(default_factory=dict)
    in_shape: Shape | None = None
    out_shape: Shape | None = None

    def __post_init__(self) -> None:
        layers = tuple(map(_as_layer, self.layers))
        if not layers:
            raise ShapeError("a recursion needs a layer", expected="at least 1", got=0, where="SkipRecursion")
        feeds = {(i - 1, i): Skip() for i in range(1, len(layers) + 1)}
        for k, i in self.skips:
            if not 0 <= k < i <= len(layers):
                raise ShapeError("a skip must go forward", expected=f"0 <= k < i <= {len(layers)}", got=(k, i))
        for i, layer in enumerate(layers, 1):
            require_axes(f"of layer {i}", W=(layer.W, 2), P=(layer.P, 2), b=(layer.b, 1))
        skips = {edge: _as_skip(skip, edge) for edge, skip in self.skips.items()}
        for edge, skip in skips.items():
            require_axes(f"of the skip {edge}", R=(skip.R, 2), r=(skip.r, 1))
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "skips", feeds | skips)
        sizes = self.sizes
        for name, size in (("in_shape", sizes[0]), ("out_shape", sizes[-1])):
            shape = getattr(self, name)
            object.__setattr__(self, name, (size,) if shape is None else tuple(shape))
            if int(np.prod(getattr(self, name))) != size:
                raise ShapeError(f"{name} does not fit", expected=f"{size} entries", got=shape, where="SkipRecursion")

    @classmethod
    def from_torch(cls, model: Any, example: Any = None) -> SkipRecursion:
        """The recursion that an affine torch network computes, read off its traced calls, every number exact.

        Args:
            model: a module in evaluation mode, or an exported program.
            example: an input tensor (N, *in_shape); not needed for a program.

        Raises:
            NotAffineError: if the network is not such a recursion; names the call and its source line.
            TrainingModeError, TraceError: as ``derive`` raises them.
            NonFiniteError: if a strength is NaN or infinite.
            TooLargeError: if the matrices exceed 4 GiB; ``extract.recursion_of`` takes another budget.
        """
        from ..derivation.extract import recursion_of
        from ..ir.trace import trace

        return recursion_of(trace(model, example))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The lengths n_0 .. n_L of f^(0) .. f^(L).

        Raises:
            ShapeError: if a matrix does not fit its neighbours.
        """
        first, feed = self.layers[0], self.skips[(0, 1)]
        sizes = [feed.R.shape[1] if feed.R is not None else _inner(first).shape[1]]
        for i, layer in enumerate(self.layers, 1):
            for k, skip in self.into(i):
                rows = sizes[k] if skip.R is None else skip.R.shape[0]
                _fit(rows, _inner(layer).shape[1], f"the skip ({k}, {i}) does not fit layer {i}")
                _fit(sizes[k] if skip.R is None else skip.R.shape[1], sizes[k], f"R of the skip ({k}, {i})")
                _fit(rows if skip.r is None else len(skip.r), rows, f"r of the skip ({k}, {i})")
            if layer.P is not None:
                _fit(layer.P.shape[0], layer.W.shape[1], f"P of layer {i} does not fit its W")
            _fit(layer.W.shape[0] if layer.b is None else len(layer.b), layer.W.shape[0], f"b of layer {i}")
            sizes.append(layer.W.shape[0])
        return tuple(sizes)

    def into(self, i: int) -> list[tuple[int, Skip]]:
        """The pairs (k, skip) that enter layer i, the feed included, k ascending."""
        return self._entering[i]

    @cached_property
    def _entering(self) -> dict[int, list[tuple[int, Skip]]]:
        entering: dict[int, list[tuple[int, Skip]]] = {i: [] for i in range(1, len(self.layers) + 1)}
        for (k, i), skip in sorted(self.skips.items(), key=lambda item: item[0]):
            entering[i].append((k, skip))
        return entering

    def forward(self, x: Any, ring: Ring | None = None) -> Any:
        """f^(L)(x), layer by layer.

        Args:
            x: array of shape ``in_shape``, or (N, *in_shape) for a batch of N, in the ring.
            ring: where to compute; default float64.

        Raises:
            ShapeError: if x has neither shape.
        """
        x = np.asarray(x)
        single = x.shape == self.in_shape
        if not single and x.shape[1:] != self.in_shape:
            raise ShapeError("x does not fit", expected=self.in_shape, got=x.shape, where="SkipRecursion.forward")
        columns = x.reshape(1 if single else len(x), -1).T
        y = self._run(columns, ring or Float(), bias=True)[0].T
        return y.reshape(self.out_shape if single else (len(x), *self.out_shape))  # pyright: ignore[reportArgumentType, reportCallIssue, reportOptionalIterable]

    def collapse(self, ring: Ring | None = None) -> AffineMap:
        """W = f_W(1), the recursion without biases on the identity, and B = f(0) [JV24, Thm 3.1].

        Args:
            ring: where to compute; default float64.

        Returns:
            The map f^(L); W is sparse as long as every matrix of the recursion is.
        """
        return self._coefficients(ring or Float(), graded=False)[0]

    def polynomial(self, ring: Ring | None = None) -> HomotopyPolynomial:
        """f_t = sum_d t^d f_d of degree at most floor(L / 2), where t multiplies the strength of every proper skip.

        One run gives all the maps f_d(x) = A_d x + C_d; t = 1 is this recursion, t = 0 the chain of its feeds.

        Args:
            ring: where to compute; default float64.
        """
        from .symbolic import HomotopyPolynomial

        ring = ring or Float()
        return HomotopyPolynomial(tuple(self._coefficients(ring, graded=True)), ring)

    def _coefficients(self, ring: Ring, *, graded: bool) -> list[AffineMap]:
        n, sparse = self.sizes[0], any(sp.issparse(layer.W) for layer in self.layers)
        one = sp.eye_array(n, format="csr") if sparse else np.eye(n)
        W = self._run(in_ring(one, ring), ring, bias=False, graded=graded)
        B = self._run(in_ring(np.zeros((n, 1)), ring), ring, bias=True, graded=graded)
        return [AffineMap(A, C[:, 0], self.in_shape, self.out_shape) for A, C in zip(W, B, strict=True)]  # pyright: ignore[reportArgumentType]

    def _run(self, x: Any, ring: Ring, *, bias: bool, graded: bool = False) -> list[Any]:
        """The recursion on columns x of shape (n_0, N), which are already in the ring: the coefficients of f^(L).

        Graded, they are those of a polynomial in t, where a skip raises the power of t by one; else there is one.
        """
        values = [[x]]
        for i, layer in enumerate(self.layers, 1):
            fed: dict[int, Any] = {}
            for k, skip in self.into(i):
                for d, term in enumerate(values[k]):
                    term = product(skip.R, term, ring)
                    if bias and skip.r is not None and d == 0:
                        term = ring.reduce(term + in_ring(skip.r, ring)[:, None])
                    power = d + 1 if graded and k < i - 1 else d
                    fed[power] = total(fed.get(power), multiple(skip.t, term, ring), ring)
            y = [product(layer.W, product(layer.P, fed[power], ring), ring) for power in sorted(fed)]
            if bias and layer.b is not None:
                y[0] = ring.reduce(y[0] + in_ring(layer.b, ring)[:, None])
            values.append(y)
        return values[-1]

    @cached_property
    def skeleton(self) -> Skeleton:
        """Which layer feeds which, and which letters are not trivial."""
        from .symbolic import Skeleton

        return Skeleton.of(self)

    def paths(self, source: int = 0) -> Iterator[tuple[int, ...]]:
        """The paths from ``source`` to L along feeds and skips; arguments and errors of ``Skeleton.paths``."""
        return self.skeleton.paths(source)

    def count_paths(self, source: int = 0) -> int:
        """Their number, counted and not listed: 2^(L-1) with all skips; see ``Skeleton.count_paths``."""
        return self.skeleton.count_paths(source)

    def expand(self, part: Part = "f", *, one_strength: bool = False) -> Any:
        """f^(L) = W X + B as a SymPy expression, a word of W^(i), P^(i), R^(k,i-1) for each path.

        Arguments and errors of ``symbolic.to_sympy``: ``part`` "W" or "B" alone; ``one_strength`` t for every skip.
        """
        from .symbolic import to_sympy

        return to_sympy(self.skeleton, part, one_strength=one_strength)

    def latex(self, part: Part = "f", *, one_strength: bool = False) -> str:
        """The same as LaTeX in the notation of [JV24]; arguments and errors of ``symbolic.to_latex``."""
        from .symbolic import to_latex

        return to_latex(self.skeleton, part, one_strength=one_strength)

    def adjoint(self, ring: Ring | None = None) -> AffineMap:
        """The same map by the adjoint recursion: W = G_0^T, B = sum_i G_i^T (b^(i) + W^(i) P^(i) sum_k t r).

        One backward pass per output, where ``collapse`` costs one forward pass per input.
        """
        ring = ring or Float()
        L, n = len(self.layers), self.sizes[-1]
        G: list[Any] = [None] * L + [ring.embed(np.eye(n))]
        B = in_ring(np.zeros(n), ring)
        for i in range(L, 0, -1):
            layer, upstream = self.layers[i - 1], G[i]
            if layer.b is not None:
                B = ring.reduce(B + ring.matmul(upstream.T, in_ring(layer.b, ring)))
            pulled = product(transpose(layer.P), product(transpose(layer.W), upstream, ring), ring)
            for k, skip in self.into(i):
                term = multiple(skip.t, pulled, ring)
                if skip.r is not None:
                    B = ring.reduce(B + ring.matmul(term.T, in_ring(skip.r, ring)))
                G[k] = total(G[k], product(transpose(skip.R), term, ring), ring)
        return AffineMap(G[0].T, B, self.in_shape, self.out_shape)  # pyright: ignore[reportArgumentType]


def _inner(layer: Layer) -> Any:
    return layer.W if layer.P is None else layer.P


def _fit(got: int, expected: int, what: str) -> None:
    if got != expected:
        raise ShapeError(what, expected=expected, got=got, where="SkipRecursion")


def _as_layer(layer: Any) -> Layer:
    """A layer from a matrix, a map or a layer."""
    if isinstance(layer, AffineMap):
        return Layer(layer.W, b=layer.b)
    return layer if isinstance(layer, Layer) else Layer(layer)


def _as_skip(skip: Any, edge: tuple[int, int]) -> Skip:
    """A skip from a number, a matrix, a map or a skip."""
    if isinstance(skip, AffineMap):
        return Skip(R=skip.W, r=skip.b)
    if isinstance(skip, Skip | Number):
        return skip if isinstance(skip, Skip) else Skip(skip)
    require_axes(f"of the skip {edge}", W=(skip, 2))
    return Skip(R=skip)
