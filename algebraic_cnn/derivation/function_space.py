"""The function space of a network that somebody has: its architecture, read off, and the dimension of that.

letters        the weights and biases of convolutions, Linear layers and BatchNorms, where they stand in the network;
               a BatchNorm's scale is a letter, for it is its weight times a constant that is not 0
given          what else is affine: pools, paddings, resizings; as rationals, exactly
strengths      of a `LinearCNN` and of a `SkipRecursion` by (k, i), of a `SkipStrength` in a model by its name
activations    polynomials only: each activation of a model counts as the one that is given
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..algebra.recursion import SkipRecursion
from ..algebra.varieties.architecture import Architecture, Draft, Integers, Strengths
from ..algebra.varieties.dimension import Dimension, Progress, dimension_of
from ..algebra.varieties.symmetries import Symmetries, symmetries_of
from ..errors import NotAffineError, TooLargeError
from ..files.limits import MAP
from ..ir.graph import Call, Graph, Ref
from ..ir.trace import trace
from ..models import LinearCNN
from ..ops.registry import OPS, traits
from .exact import exact_map

#: Entries of the matrix of a call that has no letters.
_LARGEST = 2**22


def function_space_dimension(
    network: Any,
    example: Any = None,
    *,
    strengths: Strengths = "given",
    activation: Any = None,
    primes: int = 2,
    seed: int | None = None,
    memory_budget: int = MAP,
    progress: Progress | None = None,
) -> Dimension:
    """The dimension of the space of functions that a network's architecture can express, whatever its weights.

    It is the generic rank of the derivative of the function by the weights, found at random integers modulo random
    primes.  That is a certain lower bound; where it meets the number of parameters minus the symmetries that were
    counted, or fills the space of all maps of these degrees, it is the dimension for certain, and `reason` says so.

    Args:
        network: an `Architecture`, a `SkipRecursion` (every nonzero entry of a W and every entry of a b a parameter), a
            `LinearCNN`, or a module in evaluation mode.
        example: an input tensor (N, *in_shape) of a module; not needed for the others.
        strengths: of skips: "given", "free" (parameters too), or name to a strength or "free".
        activation: what every activation counts as, of a recursion or of a `LinearCNN` one after every layer but the
            last: a power r for x^r, or coefficients from the constant one on; none if absent.
        primes: how many random primes are tried, unless the first is certain already.
        seed: of primes and points; nobody's choice if absent.
        memory_budget: bytes that the Jacobian may take.
        progress: called with (primes done, primes in all).

    Returns:
        The dimension, what it was compared with, and how sure it is.

    Raises:
        NotAffineError: if a call is neither affine nor a polynomial activation; names its source line.
        TooLargeError: if the Jacobian, or a matrix on the way to it, would not fit.
        GeometryError: if there is no prime to try, or strengths are neither.
        TrainingModeError, TraceError: as ``derive`` raises them.

    References:
        Kohn, Montúfar, Shahverdi, Trager, arXiv:2304.05752: sum k - (L - 1) for linear 1-D CNNs of one channel.

    >>> layers = [nn.Conv1d(1, 1, 3, stride=2, bias=False), nn.Conv1d(1, 1, 2, bias=False)]
    >>> function_space_dimension(LinearCNN((1, 5), layers), seed=0)
    Dimension(value=4, parameters=5, symmetries=1, ambient=5, error_probability=0.0, reason='it is parameters ...')
    """
    architecture = architecture_of(network, example, strengths=strengths, activation=activation)
    return dimension_of(architecture, primes=primes, seed=seed, memory_budget=memory_budget, progress=progress)


def symmetries(
    network: Any, example: Any = None, *, strengths: Strengths = "given", activation: Any = None
) -> Symmetries:
    """The scalings and the GL(c) of channels, and the shifts of biases, that leave a network's function alone.

    Args:
        network: as for `function_space_dimension`.
        example: an input tensor (N, *in_shape) of a module.
        strengths: of skips: "given", "free", or name to a strength or "free".
        activation: what every activation counts as.

    Returns:
        The families, those that each skip breaks when it alone is there, and the skips that are no more than other
        weights of the layer they skip.

    Raises:
        NotAffineError: if a call is neither affine nor a polynomial activation.
        TooLargeError: if a matrix on the way would not fit.
        GeometryError: if strengths are neither.

    >>> layers = [nn.Conv1d(2, 2, 3, padding=1, bias=False) for _ in range(3)]
    >>> found = symmetries(LinearCNN((2, 5), layers, {(0, 3): 1.0}))
    >>> found.families, found.broken
    ((Family(kind='GL', behind=(1,), dimension=4),), {(0, 3): (Family(kind='GL', behind=(2,), dimension=4),)})
    """
    return symmetries_of(architecture_of(network, example, strengths=strengths, activation=activation))


def architecture_of(
    network: Any, example: Any = None, *, strengths: Strengths = "given", activation: Any = None
) -> Architecture:
    """A network with letters for its weights; arguments and errors of `symmetries`.

    >>> architecture_of(nn.Linear(3, 2).eval(), torch.zeros(1, 3)).parameters
    8
    """
    if isinstance(network, Architecture):
        return network
    if isinstance(network, SkipRecursion):
        return Architecture.of_recursion(network, strengths=strengths, activation=activation)
    if isinstance(network, LinearCNN):
        return _of_linear_cnn(network, strengths, activation)
    graph = trace(network, example)
    in_shape, _ = graph.single()
    reader = _Reader(Draft(in_shape[0], math.prod(in_shape[1:])), strengths, activation, network)
    reader.read(graph, 0, "")
    return reader.draft.architecture()


def _of_linear_cnn(network: LinearCNN, strengths: Strengths, activation: Any) -> Architecture:
    shape = network.in_shape
    reader = _Reader(Draft(shape[0], math.prod(shape[1:])), strengths, None, network)
    draft, values = reader.draft, [0]
    was_training = network.training
    network.eval()
    try:
        for i, layer in enumerate(network.layers, 1):
            terms = []
            for k, t, R in network.terms(i):
                term = reader.read_module(R, values[k], network.shapes[k], f"resizings.{k}_{i}.")
                given = k == i - 1 and (k, i) not in network.strengths
                terms.append(term if given else draft.strength(term, (k, i), t, strengths))
            entering = _entering(network, i)
            value = reader.read_module(layer, draft.sum(terms), entering, f"layers.{i - 1}.")
            values.append(draft.activation(value, activation) if i < len(network.layers) else value)
    finally:
        network.train(was_training)
    return draft.architecture()


def _entering(network: LinearCNN, i: int) -> tuple[int, ...]:
    """The shape of what enters layer i: that of the feed, resized if it is."""
    for k, _, R in network.terms(i):
        if k == i - 1:
            with torch.no_grad():
                like = next(network.parameters(), torch.zeros(()))
                return tuple(R(torch.zeros(1, *network.shapes[k], dtype=like.dtype, device=like.device)).shape[1:])
    return network.shapes[i - 1]


@dataclass(eq=False)
class _Reader:
    """Writes the calls of graphs into a draft; the letters of a weight are known by its path in the model."""

    draft: Draft
    strengths: Strengths
    act: Any
    model: Any
    letters: dict[Hashable, Integers] = field(default_factory=dict)

    def read_module(self, module: nn.Module, source: int, shape: tuple[int, ...], prefix: str) -> int:
        """A module on a value of that shape."""
        if isinstance(module, nn.Identity):
            return source
        like = next((p for p in self.model.parameters() if p.is_floating_point()), torch.zeros(()))
        example = torch.zeros(2, *shape, dtype=like.dtype, device=like.device)
        return self.read(trace(module, example), source, prefix)

    def read(self, graph: Graph, source: int, prefix: str) -> int:
        """The calls of a graph; the value of its output."""
        graph.single()
        values, dependent = {graph.inputs[0]: source}, graph.dependent()
        for call in graph.calls:
            if call.name in dependent:
                values[call.name] = self._call(call, graph, values, prefix)
        return values[graph.outputs[0].name]

    def _call(self, call: Call, graph: Graph, values: dict[str, int], prefix: str) -> int:
        arguments = call.bound()
        sources = [values[name] for name in call.refs() if name in values]
        first = next((v for v in arguments.values() if isinstance(v, Ref) and v.name in values), None)
        shape = tuple(int(n or 0) for n in graph.shapes()[first.name][1:]) if first else ()
        if call.op == "add" and len(sources) == 2 and arguments.get("alpha", 1) == 1:
            return self.draft.sum([values[arguments[name].name] for name in ("self", "other")])
        if len(sources) != 1:
            raise NotAffineError(f"{call.op} combines values in a way that has no letters", where=call.where)
        (source,) = sources
        known = traits(call.op)
        if known.ordered:
            return source
        if known.activation:
            if self.act is None:
                expected = "activation=, a power or coefficients, to count it as"
                raise NotAffineError(f"{call.op} is no polynomial", expected=expected, where=call.where)
            return self.draft.activation(source, self.act)
        if power := known.power(arguments):
            return self.draft.activation(source, power)
        weight = arguments.get("weight")
        if isinstance(weight, Ref) and weight.name in graph.constants:
            return self._weights(call, graph, source, shape, prefix)
        if (found := self._scalar(call, graph, values)) is not None:
            return self.draft.strength(source, *found)
        return self._given(call, graph, source)

    def _scalar(self, call: Call, graph: Graph, values: dict[str, int]) -> tuple[Hashable, Any, Strengths] | None:
        """Name, t and treatment of a factor, where it is a `SkipStrength`'s."""
        if call.op not in OPS or not OPS[call.op].bilinear:
            return None
        for value in call.bound().values():
            if isinstance(value, Ref) and value.name not in values:
                path = graph.paths.get(value.name, "").removesuffix(".strength")
                module = dict(self.model.named_modules()).get(path) if isinstance(self.model, nn.Module) else None
                if type(module).__name__ == "SkipStrength":
                    return getattr(module, "name", path), float(graph.constants[value.name]), self.strengths
        return None

    def _letters(self, ref: Any, graph: Graph, prefix: str) -> Integers | None:
        """The letters of a constant, the same wherever it stands."""
        if not isinstance(ref, Ref):
            return None
        path = prefix + graph.paths.get(ref.name, ref.name)
        if path not in self.letters:
            self.letters[path] = self.draft.fresh(graph.constants[ref.name].numel())
        return self.letters[path]

    def _weights(self, call: Call, graph: Graph, source: int, shape: tuple[int, ...], prefix: str) -> int:
        arguments = call.bound()
        weight, bias = arguments["weight"], arguments.get("bias")
        letters, biases = self._letters(weight, graph, prefix), self._letters(bias, graph, prefix)
        kernel = 1.0 + np.arange(graph.constants[weight.name].numel()).reshape(graph.constants[weight.name].shape)
        placed = OPS[call.op].placed if call.op in OPS else None
        pattern = None if placed is None else placed(kernel, shape, arguments)
        if pattern is None:
            raise NotAffineError(f"{call.op} has no letters here", where=call.where)
        channels = int(call.shape[1] or 0)
        positions = pattern.shape[0] // channels
        bias_of = None if biases is None else biases.repeat(positions)
        if letters is None:
            raise NotAffineError(f"the weight of {call.op} is no constant", where=call.where)
        return self.draft.weights(source, pattern, letters, bias_of, channels)

    def _given(self, call: Call, graph: Graph, source: int) -> int:
        """The matrix of a call without letters, exactly."""
        (name,) = {name for name in call.refs() if name in graph.dependent()}
        shape = graph.shapes()[name]
        constants = {key: value for key, value in graph.constants.items() if key in set(call.refs())}
        alone = replace(graph, inputs=(name,), input_shapes=(shape,), calls=(call,), outputs=(Ref(call.name),),
                        constants=constants, example_shapes=(), input_dtypes=(), sizes=None)  # fmt: skip
        entries = math.prod(n or 1 for n in shape) * math.prod(n or 1 for n in call.shape)
        if entries > _LARGEST:
            what = f"the matrix of {call.op} is beyond what is written down exactly"
            raise TooLargeError(what, needed=64 * entries, budget=64 * _LARGEST, where=call.where)
        f = exact_map(alone)
        if any(f.b):
            raise NotAffineError(f"{call.op} adds a constant, which has no letter", where=call.where)
        return self.draft.matrix(source, f.W, int(call.shape[1] or 1))
