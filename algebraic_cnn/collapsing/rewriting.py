"""A network rewritten: every definition computed by its cheapest plan, everything else kept as it is.

rewrite    network, cutter -> the new calls, with recipes for their numbers, and what became of every value
Rewrite    the result: a ``Rewritten`` graph and the plan of every definition
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from ..algebra.stencils.pieces import Scaling
from ..derivation.definitions import AffinePart, Definition
from ..ir.graph import Ref, needed
from ..ir.resizing import unbound
from .building import GraphBuilder, Rewritten
from .cut import Cutter, Plan
from .passes import PassReport
from .writing import together


@dataclass(frozen=True, eq=False)
class Rewrite:
    """A network rewritten.

    Attributes:
        network: the network, its definitions joined.
        rewritten: the new calls and their recipes.
        values: what the new calls name the values that they still compute, by the name that the network has for them.
        plans: of each definition's operands, by the definition's value; none where it is the call that it was.
        passes: what was done before, pass by pass.
    """

    network: AffinePart
    rewritten: Rewritten
    values: Mapping[str, Ref]
    plans: Mapping[str, tuple[Plan, ...]]
    passes: tuple[PassReport, ...] = ()


def rewrite(network: AffinePart, cutter: Cutter, careful: Set[str] = frozenset()) -> Rewrite:
    """The network with every definition computed by the cheapest plans of its operands.

    Args:
        network: its definitions joined.
        cutter: what decides.
        careful: values for which a form that spends more of any kind than the network's own calls does not count.
    """
    graph, dependent = network.graph, network.source.dependent
    sure = replace(cutter, sure=True)
    plans = {
        name: ()
        if definition.own
        else tuple((sure if name in careful else cutter).best(piece) for _, piece in definition.operands)
        for name, definition in network.definitions.items()
    }
    builder = GraphBuilder.of(graph)
    values: dict[str, Ref] = {}
    absorbed = _absorbed(network)
    for call in graph.calls:
        if call.name in plans:
            made = len(builder.calls)
            value = _definition(builder, network.definitions[call.name], plans, values)
            values[call.name] = _named(builder, call.name, value) if len(builder.calls) > made else value
        elif call.name not in absorbed or call.name not in dependent:
            builder.calls.append(call.renamed(values))
    outputs = tuple(values.get(out.name, out) if isinstance(out, Ref) else out for out in graph.outputs)
    calls, _ = needed(unbound(builder.calls), [out.name for out in outputs if isinstance(out, Ref)])
    rewritten = Rewritten(graph, calls, outputs, builder.recipes, builder.shapes, builder.paths)
    return Rewrite(network, rewritten, values, plans)


def _absorbed(network: AffinePart) -> set[str]:
    """Values that pieces pass over."""
    return network.affine - set(network.definitions)


def _definition(
    builder: GraphBuilder, definition: Definition, plans: Mapping[str, tuple[Plan, ...]], values: Mapping[str, Ref]
) -> Ref:
    call, terms = definition.call, []
    if definition.own:
        return builder.repeat(call, values)
    for (name, piece), plan in zip(definition.operands, plans[call.name], strict=True):
        x = values.get(name, Ref(name))
        number = piece.number if isinstance(piece, Scaling) else None
        terms.append((x, number) if number is not None else (plan.emit(builder, x, call), 1.0))
    axis = len(call.shape) - 1 if definition.last else 1
    return together(builder, definition.kind, terms, call, axis)


def _named(builder: GraphBuilder, name: str, value: Ref) -> Ref:
    """The value under the name that it had, if its call is the one just written and no other has the name."""
    taken = any(call.name == name for call in builder.calls[:-1])
    if not taken and builder.calls[-1].name == value.name and builder.calls[-1].shape == builder.shapes[name]:
        builder.calls[-1] = replace(builder.calls[-1], name=name)
        return Ref(name)
    return value
