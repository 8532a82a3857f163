"""Run a traced graph over any ring.

    Evaluator(graph, ring)       f over the ring, on batches of carriers
    linear=True                  f_W, the same with every added constant dropped [JV24, Thm 3.1]
    constant                     a value that does not depend on the input: computed once, as torch computes it
    obstacle                     why a call is not affine in the input
    affine_obstacle              the first such call of a graph
    scalar                       the number that a Python number in the model's source is to the model
    terms                        the most products that one element of a forward or backward pass sums

Carriers are float64 tensors for the exact rings.  Backward passes through torch's autograd are exact as well: a hook
reduces every gradient before the next call sees it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .errors import NonFiniteError, NotAffineError, ShapeError
from .graph import Call, Graph, Ref
from .ring import Float, Ring
from .rules import RULES
from .step import Step

_SCALARS = ("self", "other", "alpha", "beta", "value")


@dataclass(eq=False)
class Evaluator:
    """f of a traced graph over a ring.

    Args:
        graph: an affine graph with one input and one output.
        ring: where to compute; ``Float`` rounds, ``PrimeField`` is exact.
        device: where the carriers live.
        embed: what takes the constants into the ring; the ring itself, if it is not given.

    Raises:
        NotAffineError: if a call is not affine in the input; names the call and its source line.
        ShapeError: if the modulus of a prime field is too large for the sums of the network.

    >>> from algebraic_cnn.ring import PrimeField
    >>> from algebraic_cnn.trace import trace
    >>> layer = torch.nn.Linear(1, 1).eval()
    >>> _ = layer.weight.data.fill_(0.5), layer.bias.data.fill_(3.0)
    >>> Evaluator(trace(layer, torch.zeros(1, 1)), PrimeField(7))(torch.tensor([[1.0]]).double())     # 1/2 + 3 mod 7
    tensor([[0.]], dtype=torch.float64)
    """

    graph: Graph
    ring: Ring = field(default_factory=Float)
    device: torch.device | str = "cpu"
    embed: Callable[[Tensor], Any] | None = None

    def __post_init__(self) -> None:
        require_affine(self.graph)
        require_room(self.graph, self.ring)
        self._dependent = self.graph.dependent()
        self._constants = {name: value.to(self.device) for name, value in self.graph.constants.items()}
        self._embedded: dict[str, Any] = {}
        self._last_use = {name: i for i, call in enumerate(self.graph.calls) for name in call.refs()}

    def __call__(self, x: Tensor, *, linear: bool = False) -> Tensor:
        """f(x), or f_W(x) if ``linear``.

        Args:
            x: carriers of shape (N, *in_shape); any N, also for a graph that is bound to a batch size.
            linear: drop every added constant.

        Returns:
            Carriers of shape (N, *out_shape).

        Raises:
            ShapeError: if x does not have the graph's input shape.
        """
        in_shape, _ = self.graph.single()
        if tuple(x.shape[1:]) != in_shape:
            raise ShapeError("x does not fit the network", expected=("N", *in_shape), got=tuple(x.shape))
        batch = self.graph.batch
        if batch is None or len(x) == batch:
            return self.run([x], linear=linear)[0]
        filled = torch.cat([x, x.new_zeros(-len(x) % batch, *in_shape)])
        return torch.cat([self.run([part], linear=linear)[0] for part in filled.split(batch)])[: len(x)]

    def run(self, inputs: Sequence[Tensor], *, linear: bool = False) -> list[Any]:
        """The flat outputs for the given inputs; the batch size must be the graph's own if it has one."""
        values: dict[str, Any] = dict(zip(self.graph.inputs, inputs, strict=True))
        outputs = {out.name for out in self.graph.outputs if isinstance(out, Ref)}
        for index, call in enumerate(self.graph.calls):
            values[call.name] = self._step(call, values, linear)
            for name in set(call.refs()) - outputs:
                if self._last_use[name] == index and name in values:
                    del values[name]
        return [self._value(out, values) for out in self.graph.outputs]

    def _value(self, leaf: Any, values: dict[str, Any]) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        return values[leaf.name] if leaf.name in values else self._constants[leaf.name]

    def _step(self, call: Call, values: dict[str, Any], linear: bool) -> Any:
        if call.name not in self._dependent or call.op.startswith("operator."):
            return self._natively(call, values)
        raw = {name: self._raw(name, value, values) for name, value in call.bound().items()}
        dependent = frozenset(name for name, value in call.bound().items() if self._depends(value))
        ringed = {name: self._ringed(name, value, raw[name], linear) for name, value in call.bound().items()}
        ringed = {name: value for name, value in ringed.items() if value is not None}
        y = RULES[call.op].apply(Step(call.target, raw, ringed, dependent, self.ring, linear, self.graph.dtype))
        for tensor in pytree.tree_leaves(y) if self.ring.exact else ():
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(self._reduced)
        return y

    def _reduced(self, gradient: Tensor | None) -> Tensor | None:
        """The gradient's residues; None for a part of a tuple that nothing used."""
        return None if gradient is None else self.ring.reduce(gradient)

    def _natively(self, call: Call, values: dict[str, Any]) -> Any:
        """A size, a choice from a tuple, or a constant: what torch itself computes."""
        args, kwargs = pytree.tree_map(lambda leaf: self._value(leaf, values), (call.args, dict(call.kwargs)))
        return call.target(*args, **kwargs)

    def _depends(self, value: Any) -> bool:
        return any(isinstance(leaf, Ref) and leaf.name in self._dependent for leaf in pytree.tree_leaves(value))

    def _raw(self, name: str, value: Any, values: dict[str, Any]) -> Any:
        if is_scalar(name, value):
            return scalar(self.graph, value)
        return pytree.tree_map(lambda leaf: self._value(leaf, values), value)

    def _ringed(self, name: str, value: Any, raw: Any, linear: bool) -> Any:
        """The argument in the ring, or None for one that is no number of the network (a stride, an axis).

        What a list joins to values that depend on the input is an added constant: 0 in the linear part.
        """
        if isinstance(value, list | tuple) and self._depends(value):
            items = [(item, self._ringed(name, item, part, linear)) for item, part in zip(value, raw, strict=True)]
            return [part * 0 if linear and not self._depends(item) else part for item, part in items]
        if isinstance(value, Ref):
            if value.name in self._dependent or not isinstance(raw, Tensor) or not raw.is_floating_point():
                return raw
            if value.name not in self._constants:
                return self._embed(value.name, raw)
            if value.name not in self._embedded:
                self._embedded[value.name] = self._embed(value.name, raw)
            return self._embedded[value.name]
        if is_scalar(name, value):
            return self.ring.embed(torch.tensor(raw, dtype=torch.float64, device=self.device))
        return None

    def _embed(self, name: str, constant: Tensor) -> Any:
        """A constant in the ring; one that has NaN is called by the name that the model gives it."""
        try:
            return (self.embed or self.ring.embed)(constant)
        except NonFiniteError as error:
            what, where = "a weight has NaN or infinite entries", self.graph.paths.get(name, name)
            raise NonFiniteError(what, expected=error.expected, where=where) from error


def is_scalar(name: str, value: Any) -> bool:
    """Whether an argument of that name is a number of the network, rather than a length or an axis."""
    return name in _SCALARS and isinstance(value, int | float) and not isinstance(value, bool)


def scalar(graph: Graph, number: float) -> float:
    """The number itself in a float64 network, else rounded to float32: torch's kernels compute with that."""
    return float(number if graph.dtype == torch.float64 else torch.tensor(number, dtype=torch.float32))


def require_affine(graph: Graph) -> None:
    """Refuse a graph that is not affine in its inputs.

    Raises:
        NotAffineError: names the first call that is not affine and its source line.
    """
    found = affine_obstacle(graph)
    if found is not None:
        call, reason = found
        raise NotAffineError(f"{call.op} is not affine in the input: {reason}", where=call.where)


def require_room(graph: Graph, ring: Ring) -> None:
    """Refuse a modulus with which the sums of the graph would not be exact.

    Raises:
        ShapeError: if it is too large; ``random_prime(terms(graph), ...)`` chooses one that is not.
    """
    capacity = getattr(ring, "capacity", None)
    if capacity is not None and capacity < (needed := terms(graph)):
        what = f"the modulus {getattr(ring, 'p', '')} is too large for the sums of this network"
        raise ShapeError(what, expected=f"room for {needed:,} products", got=f"{capacity:,}", where="ring")


def affine_obstacle(graph: Graph) -> tuple[Call, str] | None:
    """The first call that is not affine in the graph's inputs, with the reason; None if there is none."""
    dependent = graph.dependent()
    for call in graph.calls:
        if call.name in dependent and call.op != "operator.getitem":
            reason = obstacle(call, dependent)
            if reason:
                return call, reason
    return None


def obstacle(call: Call, dependent: frozenset[str]) -> str:
    """Why a call is not affine in the values that depend on the input; "" if it is."""
    rule = RULES.get(call.op)
    if rule is None:
        return "the table of affine calls does not have it"
    if call.dtype is not None and not call.dtype.is_floating_point:
        return f"its numbers are {str(call.dtype).removeprefix('torch.')}, not real floating-point ones"
    arguments = call.bound()
    varying = [
        name
        for name, value in arguments.items()
        if any(isinstance(leaf, Ref) and leaf.name in dependent for leaf in pytree.tree_leaves(value))
    ]
    wrong = [name for name in varying if name not in rule.affine_in]
    if wrong:
        return f"its argument {wrong[0]!r} depends on the input"
    if rule.bilinear and len(varying) > 1:
        return "two of its factors depend on the input"
    return rule.accepts(arguments)


def terms(graph: Graph) -> int:
    """How many products of two ring elements a forward or backward pass sums before it reduces, at most.

    A forward pass sums over the inputs of a contraction, a backward pass over its outputs, over the places to which a
    product spreads a value, and over all calls that use it; one more term is added for a bias.
    """
    sums = call_terms(graph)
    shapes = {name: tuple(n or 1 for n in shape) for name, shape in graph.shapes().items()}
    backward = dict.fromkeys(graph.dependent(), 0)
    for call in graph.calls:
        for name in backward.keys() & set(call.refs()) if call.name in sums else ():
            backward[name] += max(sums[call.name], _spread(call, name, shapes))
    return max(1, *sums.values(), *backward.values()) + 1 if sums else 2


def _spread(call: Call, name: str, shapes: dict[str, tuple[int, ...]]) -> int:
    """In how many products an element of the value ``name`` occurs, where the call may broadcast it."""
    if call.op not in ("mul", "div", "matmul"):
        return 1
    inner = shapes[call.bound()["self"].name][-1] if call.op == "matmul" else 1
    return math.prod(shapes[call.name]) * inner // max(1, math.prod(shapes[name]))


def call_terms(graph: Graph) -> dict[str, int]:
    """For every call that depends on the input: the products that one element of its output, or of its gradient, sums.

    1 for a call that is no contraction.
    """
    shapes = {name: tuple(n or 1 for n in shape) for name, shape in graph.shapes().items()}
    dependent = graph.dependent()
    return {
        call.name: max((_terms(size, call.op) for size in _factor_sizes(call, shapes, dependent)), default=1)
        for call in graph.calls
        if call.name in dependent
    }


def _factor_sizes(
    call: Call, shapes: dict[str, tuple[int, ...]], dependent: frozenset[str]
) -> Iterator[tuple[int, ...]]:
    """Shapes of the constants whose products with the input the call sums."""
    rule = RULES.get(call.op)
    if rule is not None and rule.contraction:
        arguments = call.bound()
        for name in {rule.contraction, *(rule.affine_in if rule.bilinear else ())}:
            value = arguments[name]
            if isinstance(value, Ref) and value.name not in dependent:
                yield shapes[value.name]


def _terms(size: tuple[int, ...], op: str) -> int:
    """Of a weight (c_out, c_in / groups, *kernel) or a matrix: the longer of the sums over its rows or columns."""
    if len(size) < 2:
        return math.prod(size)
    return max(size[-2:]) if RULES[op].bilinear else math.prod(size) // min(size[:2])
