"""A network cut at its calls that are not affine, so that what lies between them can be compared.

    seam      a call that is not affine in what depends on the input: a ReLU, a max-pool, a comparison
    Cut       the affine rest as one graph: what a seam returns becomes an input, what it is given becomes an output
    unlike    why the seams of two networks are not the same calls

Two networks that make the same seam calls in the same order, and whose cuts are the same affine map, are the same
function: by induction every seam is given the same values, and so returns the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..errors import NotAffineError, ShapeError
from ..evaluate import Evaluator, obstacles, scalar
from ..graph import Call, Graph, Ref
from ..prime_field import PrimeField
from .trials import uniform

#: What an input of a cut stands for: (-1, i) the network's input i, (k, j) part j of what seam k returns.
Source = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Cut:
    """A network without its seams.

    Attributes:
        graph: the affine calls, from inputs and seams to seams and outputs.
        sources: what each input of ``graph`` stands for.
        seams: the calls that were cut out, in order of execution.
        places: what each output of ``graph`` is, in words.
    """

    graph: Graph
    sources: tuple[Source, ...]
    seams: tuple[Call, ...]
    places: tuple[str, ...]


def cut(graph: Graph) -> Cut:
    """Cut a network at every call that is not affine.

    Raises:
        NotAffineError: if a call draws random numbers; names it and its source line.

    >>> from algebraic_cnn.trace import trace
    >>> layers = torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)
    >>> pieces = cut(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 2)))
    >>> [call.op for call in pieces.graph.calls], [call.op for call in pieces.seams]
    (['linear', 'linear'], ['relu'])
    """
    foreign = {call.name for call, _ in obstacles(graph)}
    seams: dict[str, int] = {}
    sources: dict[str, Source] = {name: (-1, i) for i, name in enumerate(graph.inputs)}
    calls, seam_calls = [], []
    for call in graph.calls:
        if torch.Tag.nondeterministic_seeded in getattr(call.target, "tags", ()) and not _inert(call):
            raise NotAffineError(f"{call.op} draws random numbers", where=call.where)
        if call.op == "operator.getitem" and call.args[0].name in seams:
            sources[call.name] = (seams[call.args[0].name], call.args[1])
        elif call.name in foreign:
            seams[call.name] = len(seam_calls)
            sources[call.name] = (len(seam_calls), 0)
            seam_calls.append(call)
        else:
            calls.append(call)
    outputs, places = _outputs(graph, seam_calls)
    used = {name for call in calls for name in call.refs()} | {out.name for out in outputs if isinstance(out, Ref)}
    inputs = tuple(name for name in sources if name in used or name in graph.inputs)
    shapes = graph.shapes()
    rest = replace(
        graph,
        inputs=inputs,
        input_shapes=tuple(shapes[name] for name in inputs),
        calls=tuple(calls),
        outputs=tuple(outputs),
    )
    return Cut(rest, tuple(sources[name] for name in inputs), tuple(seam_calls), tuple(places))


def _inert(call: Call) -> bool:
    """Dropout in evaluation mode."""
    return not call.bound().get("train", True)


def _outputs(graph: Graph, seams: list[Call]) -> tuple[list[Any], list[str]]:
    """What the seams are given, sizes included, then the network's outputs; each with its place."""
    outputs: list[Any] = []
    places = []
    for call in seams:
        given = [name for name in call.refs() if name not in graph.constants]
        outputs += [Ref(name) for name in given]
        places += [f"what {_name(call)} is given [at {call.where}]"] * len(given)
    places += [f"output {i}" if len(graph.outputs) > 1 else "the output" for i in range(len(graph.outputs))]
    return [*outputs, *graph.outputs], places


def unlike(first: Cut, second: Cut) -> str:
    """The first pair of seams that are different calls, in words; "" if there is none."""
    for one, other in zip(first.seams, second.seams, strict=False):
        if _identity(one, first.graph) != _identity(other, second.graph):
            pair = (f"{_name(call)} [at {call.where}]" for call in (one, other))
            return f"{' and '.join(pair)} are different calls"
    if len(first.seams) != len(second.seams):
        counts = f"{len(first.seams)} and {len(second.seams)}"
        return f"they make different numbers of calls that are not affine, {counts}"
    return "" if len(first.places) == len(second.places) else "their calls are given different numbers of values"


def _name(call: Call) -> str:
    """The call and the module that makes it."""
    return f"{call.op} of {call.module}" if call.module else call.op


def _identity(call: Call, graph: Graph) -> tuple[Any, ...]:
    """What makes a seam the call that it is: its op, and its arguments but for the values that it is given."""

    def leaf_identity(leaf: Any) -> Any:
        if not isinstance(leaf, Ref):
            return repr(scalar(graph, leaf, call) if isinstance(leaf, float) else leaf)
        if leaf.name not in graph.constants:
            return "given"
        constant = graph.constants[leaf.name].detach().cpu()
        numbers = constant.double() if constant.is_floating_point() else constant
        return tuple(numbers.shape), numbers.numpy().tobytes()

    return call.op, tuple((name, pytree.tree_map(leaf_identity, value)) for name, value in call.bound().items())


def points(cuts: Sequence[Cut], field: PrimeField, generator: np.random.Generator) -> list[list[Tensor]]:
    """Random residues for the inputs of each cut, the same for what stands for the same source.

    Raises:
        ShapeError: if a source has different shapes in two cuts, or a symbolic axis that is not the batch.
    """
    drawn: dict[Source, np.ndarray] = {}
    rows = []
    for pieces in cuts:
        row = []
        for source, shape in zip(pieces.sources, pieces.graph.input_shapes, strict=True):
            size = tuple(_sizes(shape, pieces.graph.batch))
            if source not in drawn:
                drawn[source] = uniform(field, size, generator)
            if drawn[source].shape != size:
                raise ShapeError("the networks differ in the shape of a value", expected=drawn[source].shape, got=size)
            row.append(torch.from_numpy(drawn[source]))
        rows.append(row)
    return rows


def _sizes(shape: tuple[int | None, ...], batch: int | None) -> Iterator[int]:
    if None in shape[1:]:
        raise ShapeError("only the batch axis may be symbolic", got=shape)
    for n in shape:
        yield (batch or 1) if n is None else int(n)


def values(
    pieces: Cut, field: PrimeField, inputs: list[Tensor], device: Any, embed: Callable[[Tensor], Tensor] | None = None
) -> list[Any]:
    """The outputs of a cut modulo p, flat arrays; what is no tensor as it is.

    ``embed`` gives the residues of the weights, as those of ``Residues`` do.
    """
    with torch.no_grad():
        found = Evaluator(pieces.graph, field, device, embed).run([x.to(device) for x in inputs])
    return [value.cpu().numpy().ravel() if isinstance(value, Tensor) else value for value in found]
