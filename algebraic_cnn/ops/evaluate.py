"""Run a traced graph over any ring.

    Evaluator(graph, ring)       f over the ring, on batches of carriers
    linear=True                  f_W, the same with every added constant dropped [JV24, Thm 3.1]
    constant                     a value that does not depend on the input: computed once, as torch computes it
    obstacles                    the calls that are not affine in the input, and why
    affine_obstacle              the first of them

Carriers are float64 tensors for the exact rings.  Backward passes through torch's autograd are exact as well: a hook
reduces every gradient before the next call sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import NonFiniteError, NotAffineError, ShapeError
from ..ir.graph import Call, Graph, Ref, leaves, mapped
from ..ir.interpreter import interpret
from ..rings.ring import Float, Ring
from .op import CallSite
from .precision import NOT_FINITE, disturbance, holds, is_place, is_scalar, taken, working_dtype
from .registry import OPS, traits
from .sums import terms

#: Told of long work: (passes done, passes in all).
Progress = Callable[[int, int], None]


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

    >>> from algebraic_cnn.rings.ring import PrimeField
    >>> from algebraic_cnn.ir.trace import trace
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
        self._embedded: dict[tuple[str, torch.dtype], Any] = {}

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
        given = {**self._constants, **dict(zip(self.graph.inputs, inputs, strict=True))}
        outputs = {out.name for out in self.graph.outputs if isinstance(out, Ref)}
        values = interpret(self.graph, given, partial(self._step, linear=linear), keep=outputs)
        return [self._value(out, values) for out in self.graph.outputs]

    def step(self, call: Call, values: dict[str, Any]) -> Any:
        """One call of the graph on the values given."""
        return self._step(call, values, False)

    def value(self, leaf: Any, values: dict[str, Any]) -> Any:
        """What stands for an argument or an output: a value, a constant, or the leaf itself."""
        return self._value(leaf, values)

    def _value(self, leaf: Any, values: dict[str, Any]) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        return values[leaf.name] if leaf.name in values else self._constants[leaf.name]

    def _step(self, call: Call, values: dict[str, Any], linear: bool) -> Any:
        if call.name not in self._dependent or call.op.startswith("operator."):
            return self._natively(call, values)
        arguments, dtype = call.bound(), working_dtype(call, self.graph)
        raw = {name: self._raw(call, name, value, values) for name, value in arguments.items()}
        dependent = frozenset(name for name, value in arguments.items() if self._depends(value))
        ringed = {name: self._ringed(call, name, value, raw[name], linear) for name, value in arguments.items()}
        ringed = {name: value for name, value in ringed.items() if value is not None}
        y = OPS[call.op].evaluate(CallSite(call.target, raw, ringed, dependent, self.ring, linear, dtype))
        for tensor in leaves(y) if self.ring.exact else ():
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(self._reduced)
        return y

    def _reduced(self, gradient: Tensor | None) -> Tensor | None:
        """The gradient's residues; None for a part of a tuple that nothing used."""
        return None if gradient is None else self.ring.reduce(gradient)

    def _natively(self, call: Call, values: dict[str, Any]) -> Any:
        """A size, a choice from a tuple, or a constant: what torch itself computes."""
        args, kwargs = mapped(lambda leaf: self._value(leaf, values), (call.args, dict(call.kwargs)))
        return call.target(*args, **kwargs)

    def _depends(self, value: Any) -> bool:
        return any(isinstance(leaf, Ref) and leaf.name in self._dependent for leaf in leaves(value))

    def _raw(self, call: Call, name: str, value: Any, values: dict[str, Any]) -> Any:
        """The argument as the model has it; a number, as the tensor or the float that torch computes with."""
        if is_scalar(name, value):
            return taken(call, value, self.graph).item()
        found = mapped(lambda leaf: self._value(leaf, values), value)
        known = not isinstance(value, Ref) or value.name in self._dependent or is_place(name)
        return found if known or not isinstance(found, Tensor) else self._operand(call, found)

    def _operand(self, call: Call, constant: Tensor) -> Tensor:
        return taken(call, constant, self.graph)

    def _ringed(self, call: Call, name: str, value: Any, raw: Any, linear: bool) -> Any:
        """The argument in the ring, or None for one that is no number of the network (a stride, an axis).

        What a list joins to values that depend on the input is an added constant: 0 in the linear part.
        """
        if isinstance(value, list | tuple) and self._depends(value):
            parts = zip(value, raw, strict=True)
            items = [(item, self._ringed(call, name, item, part, linear)) for item, part in parts]
            return [part * 0 if linear and not self._depends(item) else part for item, part in items]
        if isinstance(value, Ref):
            if value.name in self._dependent or not isinstance(raw, Tensor) or is_place(name):
                return raw
            return self._constant(value.name, self._operand(call, raw))
        if is_scalar(name, value):
            return self.ring.embed(torch.tensor(raw, dtype=torch.float64, device=self.device))
        return None

    def _constant(self, name: str, numbers: Tensor) -> Any:
        """A constant of the network in the ring, once for every dtype that calls need it in."""
        if name not in self._constants:
            return self._embed(name, numbers)
        key = name, numbers.dtype
        if key not in self._embedded:
            self._embedded[key] = self._embed(name, numbers)
        return self._embedded[key]

    def _embed(self, name: str, constant: Tensor) -> Any:
        """A constant in the ring; one that has NaN is called by the name that the model gives it."""
        try:
            return (self.embed or self.ring.embed)(constant)
        except NonFiniteError as error:
            what, where = "a weight has NaN or infinite entries", self.graph.paths.get(name, name)
            raise NonFiniteError(what, expected=error.expected, where=where) from error


def scalar(graph: Graph, number: float, call: Call) -> float:
    """The number that torch computes with in the place of a Python number of a call."""
    return float(taken(call, number, graph))


def require_affine(graph: Graph) -> None:
    """Refuse a graph that is not affine in its inputs.

    Raises:
        NotAffineError: names the first call that is not affine and its source line.
        NonFiniteError: if that is so for one of its constants alone.
    """
    if graph.writes:
        graph.single()
    found = affine_obstacle(graph)
    if found is not None:
        call, reason = found
        if reason == NOT_FINITE:
            raise NonFiniteError(f"{call.op}: {reason}", expected="finite numbers", where=call.where)
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
    return next(obstacles(graph), None)


def obstacles(graph: Graph) -> Iterator[tuple[Call, str]]:
    """The calls that are not affine in the graph's inputs, in order of execution, with the reasons."""
    dependent, dtypes = graph.dependent(), graph.dtypes()
    for call in graph.calls:
        if call.name in dependent and call.op != "operator.getitem":
            reason = obstacle(call, graph, dependent, dtypes)
            if reason:
                yield call, reason


def obstacle(call: Call, graph: Graph, dependent: frozenset[str], dtypes: Mapping[str, torch.dtype]) -> str:
    """Why a call is not affine in the values that depend on the input; "" if it is.

    Args:
        call: of the graph.
        graph: the network.
        dependent: as ``graph.dependent()`` gives it.
        dtypes: as ``graph.dtypes()`` gives it.
    """
    if call.counted:
        return "the number of samples of a batch enters its own"
    op = OPS.get(call.op)
    if op is None:
        about = traits(call.op)
        what = "it is an activation" if about.activation else "it takes the largest of several numbers"
        return what if about.activation or about.largest else "the table of affine calls does not have it"
    if call.dtype is not None and not call.dtype.is_floating_point:
        return f"its numbers are {_name(call.dtype)}, not real floating-point ones"
    arguments = call.bound()
    varying = {name: found for name, value in arguments.items() if (found := _varying(value, dependent))}
    wrong = [name for name in varying if name not in op.affine_in]
    if wrong:
        return f"its argument {wrong[0]!r} depends on the input"
    if op.bilinear and len(varying) > 1:
        return "two of its factors depend on the input"
    given = [dtypes[name] for names in varying.values() for name in names if name in dtypes]
    return op.accepts(arguments) or _conversion(call, arguments, given) or disturbance(call, graph, dependent)


def _varying(value: Any, dependent: frozenset[str]) -> list[str]:
    return [leaf.name for leaf in leaves(value) if isinstance(leaf, Ref) and leaf.name in dependent]


def _conversion(call: Call, arguments: Mapping[str, Any], given: Sequence[torch.dtype]) -> str:
    """Why what a call is given is converted before the call computes, as far as the dtypes are known."""
    asked = arguments.get("dtype")
    if isinstance(asked, torch.dtype) and any(dtype != asked for dtype in given):
        return f"it changes the dtype to {_name(asked)}"
    lost = [] if call.dtype is None else [dtype for dtype in given if not holds(call.dtype, dtype)]
    return f"it rounds {_name(lost[0])} to {_name(call.dtype)}" if lost else ""


def _name(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
