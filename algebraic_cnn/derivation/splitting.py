"""A network cut at its calls that are not affine, so that what lies between them can be compared.

boundary        a call that is not affine in what depends on the input: a ReLU, a max-pool, a comparison
BoundaryCall    the call, its form (ir/canonical.py), and which outputs of the cut are what it is given
Cut             the affine rest as one graph: what a boundary returns becomes an input, what it is given an output
points          random residues for the inputs of cuts; what stands for the same source is the same
values          the outputs of a cut modulo p; modulo: the function that gives them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NotAffineError
from ..ir.canonical import CanonicalCall, canonical_call
from ..ir.composites import decomposed
from ..ir.graph import Call, Graph, Ref
from ..ir.sized import SizeFloat, SizeNumber, sized
from ..ops.evaluate import Evaluator, obstacles
from ..ops.precision import STRIDES, reads_bits
from ..ops.registry import OPS, traits
from ..rings.prime_field import PrimeField
from .hoisting import hoisted

#: Calls whose sizes say how entries are arranged, and nothing of their numbers.
_RESHAPES = frozenset("view _unsafe_view reshape unflatten expand".split())

#: What an input of a cut stands for: (-1, i) the network's input i, (k, j) part j of what boundary k returns.
Origin = tuple[int, int]


@dataclass(frozen=True, eq=False)
class BoundaryCall:
    """A call that is not affine.

    Attributes:
        call: the call.
        form: what it is, but for the numbers that it is given.
        given: places among the outputs of the cut, in the order of the form.
        reads: what it reads beside numbers, in words; "" if it reads numbers alone.
    """

    call: Call
    form: CanonicalCall
    given: tuple[int, ...]
    reads: str = ""

    @property
    def name(self) -> str:
        """The call, the module that makes it, and its source line."""
        made = f" of {self.call.module}" if self.call.module else ""
        return f"{self.call.op}{made} [at {self.call.where}]"

    @property
    def given_name(self) -> str:
        """What it is given, in words."""
        return f"what {self.name.replace(' [at ', ' is given [at ', 1)}"


@dataclass(frozen=True, eq=False)
class Cut:
    """A network without its boundaries.

    Attributes:
        graph: the affine calls, from inputs and boundaries to boundaries and outputs.
        sources: what each input of ``graph`` stands for.
        boundaries: the calls that were cut out, in order of execution.
        places: what each output of ``graph`` is, in words.
        whole: the network with its boundaries, as it was cut.
        values: every value of it without its numbers.
    """

    graph: Graph
    sources: tuple[Origin, ...]
    boundaries: tuple[BoundaryCall, ...]
    places: tuple[str, ...]
    whole: Graph
    values: Mapping[str, Any]

    @property
    def given(self) -> int:
        """How many outputs of ``graph`` boundaries are given; the others are the network's own."""
        return len(self.places) - len(self.whole.outputs)


def boundary_calls(graph: Graph) -> set[str]:
    """Names of the calls that are not affine in what depends on the input, or whose numbers the sizes enter.

    Raises:
        NotAffineError: if a call draws random numbers; names it and its source line.
    """
    for call in graph.calls:
        if torch.Tag.nondeterministic_seeded in getattr(call.target, "tags", ()) and not _inert(call):
            raise NotAffineError(f"{call.op} draws random numbers", where=call.where)
    dependent = graph.dependent()
    counted = {
        call.name
        for call in graph.calls
        if call.name in dependent and call.op not in ("operator.getitem", *_RESHAPES) and _is_sized(call)
    }
    return counted | {call.name for call, _ in obstacles(graph)}


def _is_sized(call: Call) -> bool:
    """Whether a number of the call comes from the sizes of the inputs."""
    return any(isinstance(leaf, SizeNumber | SizeFloat) for leaf in call.leaves())


def _inert(call: Call) -> bool:
    """A call that draws in training only, or with a probability of 0."""
    arguments = call.bound()
    idle = [arguments[name] for name in ("train", "training", "dropout_p", "p") if name in arguments]
    return bool(idle) and not idle[0]


def cut(
    graph: Graph, batch: int = 1, *, flat: bool = True, moved: bool = True, defined: bool = False, real: bool = False
) -> Cut:
    """Cut a network at every call that is not affine.

    Args:
        graph: a network.
        batch: the number of samples of which it is looked at; its own where it has one.
        flat: whether a boundary that acts entry by entry is taken on one axis, so that shapes around it do not matter.
        moved: whether such a boundary is taken before the moves that lead to it; else every call stays under its name.
        defined: whether calls are written as those by which torch defines them.
        real: whether they are then written as others that are the same functions of real numbers, too.

    Raises:
        NotAffineError: if a call draws random numbers; names it and its source line.
        ShapeError: if torch refuses a call with this batch, or an axis that is not the batch is free.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layers = torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)
    >>> section = cut(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 2)))
    >>> [call.op for call in section.graph.calls if call.op != "reshape"], [b.call.op for b in section.boundaries]
    (['linear', 'linear'], ['relu'])
    """
    here = sized(graph, graph.batch or batch)
    here = decomposed(here, real=real) if defined else here
    strided = any(reads_bits(call, here.graph.dependent()) == STRIDES for call in here.graph.calls)
    whole = hoisted(here.graph, flat=flat) if moved and not strided else here.graph
    added = (call for call in whole.calls if call.name not in here.values)
    values = {**here.values, **{call.name: _shell(call) for call in added}}
    foreign, dependent = boundary_calls(whole), whole.dependent()
    moving = {call.name for call in whole.calls if _moves(call)}
    foreign -= moving
    sources: dict[str, Origin] = {name: (-1, i) for i, name in enumerate(whole.inputs)}
    boundaries, calls, outputs, places = [], [], [], []
    numbers: dict[str, int] = {}
    for call in whole.calls:
        if call.op == "operator.getitem" and call.args[0].name in numbers:
            sources[call.name] = (numbers[call.args[0].name], call.args[1])
        elif call.name in foreign:
            form, names = canonical_call(call, whole, values)
            numbers[call.name] = len(boundaries)
            sources[call.name] = (len(boundaries), 0)
            given = tuple(range(len(outputs), len(outputs) + len(names)))
            boundaries.append(BoundaryCall(call, form, given, reads_bits(call, dependent)))
            outputs += [Ref(name) for name in names]
            places += [boundaries[-1].given_name] * len(names)
        else:
            calls.append(replace(call, dtype=None) if call.name in moving else call)
    several = len(whole.outputs) > 1
    places += [f"output {i}" if several else "the output" for i in range(len(whole.outputs))]
    outputs += whole.outputs
    used = {name for call in calls for name in call.refs()} | {out.name for out in outputs if isinstance(out, Ref)}
    inputs = tuple(name for name in sources if name in used or name in whole.inputs)
    shapes = {**whole.shapes(), **{name: tuple(values[name].shape) for name in inputs}}
    rest = replace(
        whole,
        inputs=inputs,
        input_shapes=tuple(shapes[name] for name in inputs),
        calls=tuple(calls),
        outputs=tuple(outputs),
        writes=(),  # what is written is an output like the others here
    )
    return Cut(rest, tuple(sources[name] for name in inputs), tuple(boundaries), tuple(places), whole, values)


def _moves(call: Call) -> bool:
    """Whether a call moves numbers that are not real: what they are does not matter."""
    real = call.dtype is None or call.dtype.is_floating_point
    moves = call.op in OPS and OPS[call.op].exact and not traits(call.op).casts
    return moves and not real and not call.counted and len(set(call.refs())) == 1


def _shell(call: Call) -> Tensor:
    return torch.empty([n or 0 for n in call.shape], dtype=call.dtype, device="meta")


def unlike(first: Cut, second: Cut) -> str:
    """The first pair of boundaries that are different calls, in words; "" if there is none."""
    for one, other in zip(first.boundaries, second.boundaries, strict=False):
        if one.form != other.form:
            return f"{one.name} and {other.name} are different calls{_difference(one.form, other.form)}"
    if len(first.boundaries) != len(second.boundaries):
        counts = f"{len(first.boundaries)} and {len(second.boundaries)}"
        return f"they make different numbers of calls that are not affine, {counts}"
    return ""


def _difference(one: CanonicalCall, other: CanonicalCall) -> str:
    """In what two calls of one name differ."""
    if one.op != other.op:
        return ""
    ours, theirs = dict(one.arguments), dict(other.arguments)
    names = [name for name in dict.fromkeys((*ours, *theirs)) if ours.get(name) != theirs.get(name)]
    names += [word for word, a, b in (("what it is given", one.given, other.given),
                                      ("what it returns", one.result, other.result)) if a != b]  # fmt: skip
    return f" (in {', '.join(names)})"


def points(cuts: Sequence[Cut], field: PrimeField, generator: np.random.Generator) -> list[list[Tensor]]:
    """Random residues for the inputs of each cut, the same for what stands for the same source."""
    drawn: dict[Origin, Tensor] = {}
    rows = []
    for section in cuts:
        for source, shape in zip(section.sources, section.graph.input_shapes, strict=True):
            if source not in drawn:
                drawn[source] = torch.from_numpy(field.uniform(tuple(int(n or 0) for n in shape), generator))
        rows.append([drawn[source] for source in section.sources])
    return rows


def values(
    section: Cut, field: PrimeField, inputs: list[Tensor], device: Any, embed: Callable[[Tensor], Tensor] | None = None
) -> list[Any]:
    """The outputs of a cut modulo p, flat arrays; what is no tensor as it is, and what is a constant as a tensor.

    ``embed`` gives the residues of the weights, as those of ``Residues`` do.
    """
    return modulo(section, field, device, embed)(inputs)


def modulo(
    section: Cut, field: PrimeField, device: Any, embed: Callable[[Tensor], Tensor] | None = None
) -> Callable[[list[Tensor]], list[Any]]:
    """The function from the inputs of a cut to its outputs modulo p, as ``values`` gives them."""
    varying = section.graph.dependent()
    run = Evaluator(section.graph, field, device, embed)

    def at(inputs: list[Tensor]) -> list[Any]:
        with torch.no_grad():
            outs = zip(section.graph.outputs, run.run([x.to(device) for x in inputs]), strict=True)
        return [y.cpu().numpy().ravel() if isinstance(out, Ref) and out.name in varying else y for out, y in outs]

    return at
