"""Calls that torch defines by others, written as those others: two spellings of one call become one.

``x.mT`` is a transposition, an ``einsum`` permutations and a product of matrices, ``square`` a product.  Most of these
definitions are torch's own, and what it executes; the others give the same bits.  What torch computes by a kernel of
its own stays: ``silu`` and x sigmoid(x) are other floats.  A sum that is fused with a product of matrices is the one
exception: addends round freely, as affine parts do.

    decomposed   a network of one batch size, every such call written as the calls that define it

A definition may depend on sizes, as axes of length 1 are left out.  So what is found of networks that were written so
is found for the batch sizes that were looked at.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from .factors import factored
from .graph import Call, Ref, needed
from .nodes import pointwise
from .real_definitions import REAL
from .sized import Sized, SizeFloat, SizeNumber

#: Calls that torch computes by calling others, where it always calls the same ones.
_BY_TORCH = frozenset(
    "mT mH adjoint matrix_H einsum matmul linalg_matmul linalg_vecdot linalg_norm inner outer ger tensordot kron "
    "chain_matmul linalg_multi_dot bilinear hstack vstack dstack column_stack row_stack expand_as "
    "special_expit special_exp2 special_expm1 special_log1p special_erf special_erfc special_erfinv special_logsumexp "
    "special_softmax special_log_softmax special_round special_psi special_digamma special_gammaln special_sinc "
    "special_logit special_polygamma special_gammainc special_gammaincc special_xlogy "
    "greater greater_equal less less_equal not_equal true_divide divide multiply subtract negative absolute clip fix "
    "arccos arccosh arcsin arcsinh arctan arctan2 arctanh square relu6 selu max_pool1d_with_indices max_pool1d "
    "max_pool2d max_pool3d adaptive_max_pool1d var std var_mean std_mean __and__ __or__ __xor__ where swapaxes "
    "swapdims moveaxis softmax log_softmax isfinite float_power fliplr flipud ravel".split()
)


def _power(self: Any, exponent: Any) -> Any:
    if not isinstance(self, Tensor) or not self.is_floating_point() or isinstance(exponent, Tensor):
        return NotImplemented
    if exponent == 2:
        return self * self
    kernels = {0.5: torch.sqrt, -0.5: torch.rsqrt, -1: torch.reciprocal}  # those that torch itself takes
    return kernels[exponent](self) if exponent in kernels else NotImplemented


def _added(product: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def sum_of(self: Tensor, one: Tensor, other: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        found = product(one, other)
        found = found if alpha == 1 else found * alpha
        return found if beta == 0 else found + (self if beta == 1 else self * beta)

    return sum_of


def _on_bools(logical: Callable[..., Tensor]) -> Callable[..., Any]:
    def bitwise(*given: Any) -> Any:
        bools = all(isinstance(x, Tensor) and x.dtype == torch.bool for x in given)
        return logical(*given) if bools else NotImplemented

    return bitwise


def _filled(value: float) -> Callable[..., Tensor]:
    def like(self: Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
        return torch.full(self.shape, value, dtype=dtype or self.dtype)

    return like


#: Calls that give the same bits as others; ``NotImplemented`` for arguments with which they do not.
_BY_HAND: Mapping[str, Callable[..., Any]] = {
    "pow": _power,
    "baddbmm": _added(torch.bmm),
    "addmm": _added(torch.mm),
    "masked_fill": lambda self, mask, value: torch.where(mask, value, self),
    "bitwise_and": _on_bools(torch.logical_and),
    "bitwise_or": _on_bools(torch.logical_or),
    "bitwise_xor": _on_bools(torch.logical_xor),
    "bitwise_not": _on_bools(torch.logical_not),
    "zeros_like": _filled(0.0),
    "ones_like": _filled(1.0),
}


def decomposed(here: Sized, *, real: bool = False) -> Sized:
    """The same network, its calls written as those that define them, and broadcasting as expansions.

    Args:
        here: a network at one batch size.
        real: whether calls are written as others that are the same functions of real numbers, and factors behind
            products, too: only floats are then others.

    >>> from algebraic_cnn.ir.sized import sized
    >>> from algebraic_cnn.ir.trace import trace
    >>> class Gram(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.einsum("bij,bkj->bik", x, x)
    >>> network = decomposed(sized(trace(Gram().eval(), torch.zeros(1, 2, 3)), 1))
    >>> "bmm" in [call.op for call in network.graph.calls], "einsum" in [call.op for call in network.graph.calls]
    (True, False)
    """
    writing = _Writing(dict(here.graph.constants), dict(here.values), here.graph.device, real)
    for call in here.graph.calls:
        writing.take(call)
    outputs = tuple(pytree.tree_map(writing.now, list(here.graph.outputs)))
    kept, _ = needed(writing.calls, [out.name for out in outputs if isinstance(out, Ref)])
    graph = replace(here.graph, calls=kept, outputs=outputs, constants=writing.constants)
    return Sized(graph, writing.values)


class _Recorder(TorchDispatchMode):
    """What a function of tensors calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, dict(kwargs or {}), result))
        return result


@dataclass(eq=False)
class _Writing:
    """The calls that were written so far.

    Attributes:
        constants: of the network, and those that a definition makes.
        values: every value without its numbers.
        device: of the constants.
        real: whether floats may be others.
        calls: in order of execution.
        made: those by name.
        same: for values that are called otherwise now, what they are; (name, part) for a part of what a call returns.
    """

    constants: dict[str, Tensor]
    values: dict[str, Any]
    device: torch.device
    real: bool = False
    calls: list[Call] = field(default_factory=list)
    made: dict[str, Call] = field(default_factory=dict)
    same: dict[Any, Ref] = field(default_factory=dict)

    def now(self, leaf: Any) -> Any:
        """What stands for a value now; anything else as it is."""
        return self.same.get(leaf.name, leaf) if isinstance(leaf, Ref) else leaf

    def take(self, call: Call) -> None:
        """Write a call, by its definition if it has one."""
        call = call.renamed(self.same)
        if call.op == "operator.getitem" and (call.args[0].name, call.args[1]) in self.same:
            self.same[call.name] = self.same[call.args[0].name, call.args[1]]
            return
        steps = factored(call, self.made, self.values, self.constants) if self.real else [call]
        if len(steps) > 1:
            for step in steps:
                self.take(step)
            return
        definitions = [] if _counts(call) else [_definition(call), REAL.get(call.op) if self._is_real(call) else None]
        if not any(definition and self._defined(call, definition) for definition in definitions):
            self._keep(call)

    def _is_real(self, call: Call) -> bool:
        """Whether a call may be written as another function of real numbers: division by a constant is affine."""
        return self.real and (call.op != "div" or getattr(call.args[1], "name", None) not in (None, *self.constants))

    def _defined(self, call: Call, definition: Callable[..., Any]) -> bool:
        """Write what the definition calls, if it can be followed."""
        args, kwargs = call.resolved({name: self._shell(name) for name in call.refs()})
        known = dict(zip(map(id, _tensors((args, kwargs))), call.refs(), strict=True))
        recorder = _Recorder()
        try:
            with torch.no_grad(), recorder:
                result = definition(*args, **kwargs)
        except Exception:  # not followed without numbers: the call stays
            return False
        if result is NotImplemented or any(func._schema.is_mutable for func, *_ in recorder.calls):
            return False
        if _kinds(result) != _kinds(self.values[call.name]):
            return False
        names = {key: Ref(name) for key, name in known.items()}
        for step, (func, given, more, made) in enumerate(recorder.calls, 1):
            self._step(call, f"{call.name}_by_{step}", func, (given, more), made, names)
        parts = result if isinstance(result, list | tuple) else [result]
        found = [names[id(part)] for part in parts]
        self.same |= {(call.name, place): ref for place, ref in enumerate(found)} if parts is result else {}
        self.same |= {call.name: found[0]} if parts is not result else {}
        return True

    def _shell(self, name: str) -> Tensor:
        value = self.values[name] if name in self.values else self.constants[name]
        return torch.empty(value.shape, dtype=value.dtype, device="meta")

    def _step(self, call: Call, name: str, func: Any, given: Any, made: Any, names: dict[int, Ref]) -> None:
        """One call of a definition: carried out if it is given constants alone, else taken like any other."""

        def named(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return self.device if isinstance(leaf, torch.device) else leaf
            if id(leaf) not in names:  # a number that torch wrapped
                names[id(leaf)] = self._constant(f"{name}_given_{len(names)}", leaf)
            return names[id(leaf)]

        args, kwargs = pytree.tree_map(named, given)
        whole = _shaped(call, name, func, args, kwargs, made)
        self.values[name] = made
        if set(whole.refs()) <= set(self.constants) and isinstance(made, Tensor):
            resolved = whole.resolved(self.constants)
            with torch.no_grad():
                names[id(made)] = self._constant(name, func(*resolved[0], **resolved[1]))
            return
        self.take(whole)
        if isinstance(made, Tensor):
            names[id(made)] = self.now(Ref(name))
            return
        for place, part in enumerate(made):
            taken = _shaped(call, f"{name}_{place}", operator.getitem, (Ref(name), place), {}, part)
            self.values[taken.name] = part
            self.take(taken)
            names[id(part)] = self.now(Ref(taken.name))

    def _constant(self, name: str, value: Tensor) -> Ref:
        self.constants[name] = value
        return Ref(name)

    def _keep(self, call: Call) -> None:
        """Write a call that has no definition, in its one form."""
        if call.op == "where":
            call = self._uniform(self._turned(call))
        if pointwise(call):
            call = self._broadcast(call)
        self.calls.append(call)
        self.made[call.name] = call

    def _turned(self, call: Call) -> Call:
        """A choice by what is not so, as the other choice by what is; by a constant, as that which begins with yes."""
        condition, one, other = call.args
        made = self.made.get(condition.name)
        if made is not None and made.op == "logical_not" and self._dtype(made.args[0]) == torch.bool:
            return replace(call, args=(made.args[0], other, one))
        constant = self.constants.get(condition.name)
        if constant is None or not constant.numel() or bool(constant.flatten()[0]):
            return call
        return replace(call, args=(self._constant(f"{call.name}_else", constant.logical_not()), other, one))

    def _dtype(self, ref: Ref) -> torch.dtype:
        return self._shell(ref.name).dtype

    def _uniform(self, call: Call) -> Call:
        """A choice from a constant with one number everywhere, from that number."""
        found: dict[str, Ref] = {}
        result = self.values[call.name]
        for name in call.refs():
            value = self.constants.get(name)
            if name in found or value is None or value.dtype == torch.bool or not _is_uniform(value):
                continue
            rest = [self._shell(other).shape for other in call.refs() if other not in (name, *found)]
            if torch.broadcast_shapes(*rest) == result.shape:
                found[name] = self._constant(f"{name}_once", value.flatten()[0].to(result.dtype))
        return call.renamed(found)

    def _broadcast(self, call: Call) -> Call:
        """A call entry by entry on values of other shapes than its result, which are expanded to it."""
        shape = self.values[call.name].shape
        found: dict[str, Ref] = {}
        for name in dict.fromkeys(call.refs()):
            value = self.values.get(name)
            if name in self.constants or not isinstance(value, Tensor) or not value.ndim or value.shape == shape:
                continue
            made = value.expand(shape)
            step = f"{call.name}_over_{name}"
            expand = torch.ops.aten.expand.default
            self.calls.append(_shaped(call, step, expand, (Ref(name), list(shape)), {}, made))
            self.values[step] = made
            found[name] = Ref(step)
        return call.renamed(found)


def _counts(call: Call) -> bool:
    """Whether a number of the call comes from the sizes of the inputs, as an expression that must not be lost."""
    leaves = call.leaves()
    return call.counted or any(isinstance(leaf, SizeNumber | SizeFloat) for leaf in leaves)


def _definition(call: Call) -> Callable[..., Any] | None:
    """A function that makes the calls that define a call."""
    if call.op in _BY_HAND:
        return _BY_HAND[call.op]
    key = "CompositeImplicitAutograd"
    name = getattr(call.target, "_name", "")
    if call.op in _BY_TORCH and torch._C._dispatch_has_kernel_for_dispatch_key(name, key):
        return call.target
    return None


def _tensors(value: Any) -> Iterator[Tensor]:
    return (leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor))


def _kinds(value: Any) -> list[Any]:
    return [(leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in pytree.tree_leaves(value)]


def _shaped(like: Call, name: str, target: Any, args: Any, kwargs: Any, made: Any) -> Call:
    """A call in the place of another, of a result without its numbers; ``view`` is ``reshape``."""
    op = target._schema.name.removeprefix("aten::") if hasattr(target, "_schema") else "operator.getitem"
    if target in (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default):
        op, target, args, kwargs = "reshape", torch.ops.aten.reshape.default, args[:2], {}
    tensor = isinstance(made, Tensor)
    shape = tuple(map(int, made.shape)) if tensor else ()
    dtype = made.dtype if tensor else None
    return replace(like, name=name, op=op, target=target, args=tuple(args), kwargs=kwargs, shape=shape, dtype=dtype)


def _is_uniform(value: Tensor) -> bool:
    """Whether all entries are one number, to the bit."""
    if not value.numel():
        return False
    flat = value.detach().flatten()
    alike = (flat == flat[0]) | (flat != flat).logical_and(flat[0] != flat[0])
    signs = flat.signbit() == flat[0].signbit() if not flat.is_complex() else alike
    return bool((alike & signs).all())
