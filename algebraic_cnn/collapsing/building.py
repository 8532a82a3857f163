"""A graph under construction: calls on values and on numbers that are not computed yet.

GraphBuilder    calls so far, their shapes inferred, and a recipe for every new constant
recipe          ring -> the constant over that ring: floats for use, residues for the proof that nothing changed
Rewritten       the finished graph: one list of calls, its numbers in any ring
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ..algebra.stencils.pieces import Array
from ..ir.graph import Call, Graph, Ref, Size, unused
from ..ops.registry import traits
from ..rings.ring import Ring

Recipe = Callable[[Ring], Array]


@dataclass(frozen=True)
class _Value:
    """A value of which the shape alone is known."""

    shape: tuple[int, ...]


@lru_cache(maxsize=4096)
def _result(target: Any, spec: Any, leaves: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of what a call returns."""
    filled = (torch.empty(leaf.shape, device="meta") if isinstance(leaf, _Value) else leaf for leaf in leaves)
    args, kwargs = pytree.tree_unflatten(filled, spec)
    return tuple(target(*args, **kwargs).shape)


@dataclass(eq=False)
class GraphBuilder:
    """Calls and recipes so far.

    Attributes:
        graph: the graph that is rewritten.
        shapes: of all values of the graph and of the new ones.
        calls: in order of execution.
        recipes: of the new constants.
        paths: dotted paths of the new constants, as those that they replace have them.
    """

    graph: Graph
    shapes: MutableMapping[str, Size]
    calls: list[Call] = field(default_factory=list)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph) -> GraphBuilder:
        """A builder that has written nothing."""
        return cls(graph, graph.shapes())

    def constant(self, like: Call, what: str, shape: tuple[int, ...], recipe: Recipe) -> Ref:
        """A constant of a known shape whose numbers come later, called after the module whose call it stands for."""
        module = self._home(like)
        name = self.fresh(f"{module.replace('.', '_') or like.name}_{what}")
        self.shapes[name] = shape
        self.recipes[name] = recipe
        if module:
            self.paths[name] = f"{module}.{what}"
        return Ref(name)

    def call(self, like: Call, op: str, *args: Any, shape: Size | None = None, **kwargs: Any) -> Ref:
        """An ATen call in the place, and under the source line, of one of the model's.

        Args:
            like: that call.
            op: the name of the new one.
            args: its arguments.
            shape: of the result; inferred where the arguments tell it, as sizes that are values themselves do not.
            kwargs: its arguments by name.
        """
        target = getattr(getattr(torch.ops.aten, op), traits(op).overload)
        shape = self.inferred(target, args, kwargs) if shape is None else shape
        return self._append(Call(self.fresh(like.name), op, target, args, kwargs, shape, like.where, like.module))

    def reshaped(self, like: Call, x: Ref, shape: Size) -> Ref:
        """The same numbers under another shape: the first axis is as long as it must be."""
        return x if self.shapes[x.name] == shape else self.call(like, "reshape", x, [-1, *shape[1:]], shape=shape)

    def inferred(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Size:
        """The shape of what a call returns, as torch says; a first axis that grows with the batch stays."""
        leaves, spec = pytree.tree_flatten((args, dict(kwargs)))
        shapes = [self.shapes[leaf.name] if isinstance(leaf, Ref) else () for leaf in leaves]
        grows = next((shape[:1] for shape in shapes if shape and type(shape[0]) is not int), ())
        sizes = (tuple(1 if n is None else int(n) for n in shape) for shape in shapes)
        known = (_Value(size) if isinstance(leaf, Ref) else leaf for leaf, size in zip(leaves, sizes, strict=True))
        found = _result(target, spec, tuple(known))
        return (*grows, *found[len(grows) :])

    def repeat(self, call: Call, values: Mapping[str, Ref]) -> Ref:
        """A call of the model, as it is, on other values."""
        free = all(call.name != other.name for other in self.calls)
        return self._append(replace(call.renamed(values), name=call.name if free else self.fresh(call.name)))

    def _home(self, like: Call) -> str:
        """The module that a form replaces: of a convolution and what follows it, that of the convolution.

        What holds a matrix is told from what holds a number for each channel by the axes of its numbers alone.
        """
        call: Call | None = like
        while call is not None and (axes := self._axes(call)):
            if axes > 1:
                return call.module or like.module
            call = next((self._makers[name] for name in call.refs() if name in self._makers), None)
        return like.module

    def _axes(self, call: Call) -> int:
        """The most axes of more than one length that a constant of the call has; 0 where it has none."""
        given = (self.graph.constants.get(name) for name in call.refs())
        return max((sum(n > 1 for n in x.shape) for x in given if isinstance(x, torch.Tensor)), default=0)

    @cached_property
    def _makers(self) -> dict[str, Call]:
        return {call.name: call for call in self.graph.calls}

    def _append(self, call: Call) -> Ref:
        self.shapes[call.name] = call.shape
        self.calls.append(call)
        return Ref(call.name)

    def fresh(self, hint: str) -> str:
        """A name that no value has."""
        return unused(hint, self.shapes)


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A finished graph.

    Attributes:
        original: the graph that was rewritten.
        calls: of the new graph.
        outputs: of the new graph.
        recipes: of the constants that the original does not have.
        shapes: of all values.
        paths: dotted paths of these constants.
    """

    original: Graph
    calls: tuple[Call, ...]
    outputs: tuple[Any, ...]
    recipes: Mapping[str, Recipe]
    shapes: Mapping[str, Size]
    paths: Mapping[str, str] = field(default_factory=dict)

    def over(self, ring: Ring, *, dtype: torch.dtype | None = None, within: Graph | None = None) -> Graph:
        """The new graph with its new constants computed over a ring.

        Args:
            ring: where the recipes are followed.
            dtype: to which each new number is then rounded, once, and in which new calls compute; default: carriers as
                they are.
            within: a part of ``shell()`` to fill instead of the whole.
        """
        shell = self.shell() if within is None else within
        if dtype is not None:
            calls = (replace(call, dtype=dtype) if call.shape and call.dtype is None else call for call in shell.calls)
            shell = replace(shell, calls=tuple(calls))
        constants = dict(shell.constants)
        for name in self.recipes.keys() & constants.keys():
            number = torch.from_numpy(np.require(self.recipes[name](ring), requirements=["C", "W"]))
            constants[name] = number.to(self.original.device, dtype)
        return replace(shell, constants=constants)

    def shell(self) -> Graph:
        """The new graph without numbers: its new constants have shapes alone."""
        names = [*(name for call in self.calls for name in call.refs())]
        names += [out.name for out in self.outputs if isinstance(out, Ref)]
        used, own = dict.fromkeys(names), self.original.constants  # in order of use
        constants = {}
        for name in used:
            if name in own:
                constants[name] = own[name]
            elif name in self.recipes:
                constants[name] = torch.empty([n or 0 for n in self.shapes[name]], device="meta")
        paths = {name: path for name, path in {**self.original.paths, **self.paths}.items() if name in used}
        return replace(self.original, calls=self.calls, outputs=self.outputs, constants=constants, paths=paths)


def in_dtype(graph: Graph, dtype: torch.dtype) -> Graph:
    """The graph whose floats are of this dtype, inputs included."""
    dtypes = tuple(dtype if each.is_floating_point else each for each in graph.input_dtypes)
    held = {name: x.to(dtype) if x.is_floating_point() else x for name, x in graph.initial.items()}
    return replace(graph, dtype=dtype, input_dtypes=dtypes, initial=held)


#: A call to write others in the place of, where it does not matter which.
LIKE = Call("call", "", lambda: None, (), {}, (), "", "")

#: Writes a form: (builder, value that it takes, call whose place it takes) -> the value that it gives.
Emit = Callable[[GraphBuilder, Ref, Call], Ref]
