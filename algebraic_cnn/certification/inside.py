"""Graphs inside the nodes of two ONNX files, branches and bodies of loops: each compared as a network of its own.

    Inside     the second file with those bodies of the first that are the same functions, and what was seen of each
    inside     two ModelProtos, what compares two networks -> Inside

A node with graphs inside is the same call in both files where these graphs are the same.  Where a body of the second
file is the same function as that of a node of the first, by a certificate of its own, it may be written as that one
is: then the two files are compared as if no body had changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import AlgebraicError
from ..extras import required
from ..ir.model_files import Named, named_model
from ..ir.onnx.bodies import Body, as_model, bodies_of
from ..ir.onnx.network import inferred
from .certificate import Certificate

#: Bodies of the first file that one of the second is compared with, at most.
_TRIED = 3

#: Whether two networks are the same function.
Comparison = Callable[[Named, Named], Certificate]


@dataclass(frozen=True, eq=False)
class Inside:
    """What was seen of the bodies of two files.

    Attributes:
        model: the second file, its bodies those of the first where they are the same functions.
        found: by the names of bodies, the certificates.
    """

    model: Any
    found: Mapping[str, Certificate]

    def told(self, certificate: Certificate) -> Certificate:
        """A certificate of the two files that says what was seen inside."""
        if not self.found:
            return certificate
        near = certificate.ok and any(inner.rounded for inner in self.found.values())
        words = " ".join(f"Inside, {name}: {inner.statement}" for name, inner in self.found.items())
        if near:
            words += " What rounding inside does to what follows was not bounded."
        rounded = certificate.rounded or near
        return replace(certificate, statement=f"{certificate.statement} {words}", rounded=rounded)


def inside(first: Any, second: Any, compared: Comparison) -> Inside:
    """The bodies of two files, compared.

    Args:
        first: a file that is taken as right.
        second: the other one.
        compared: says whether two networks are the same function.
    """
    ours, known = list(bodies_of(first)), {_bits(body) for body in bodies_of(first)}
    changed = [body for body in bodies_of(second) if _bits(body) not in known]
    if not ours or not changed:
        return Inside(second, {})
    new = required("onnx", "onnx").ModelProto()
    new.CopyFrom(second)
    infos, found = _infos(first), {}
    for body in changed:
        for partner in _partners(first, ours, second, body):
            certificate = _compared(first, partner, second, body, infos, compared)
            if certificate is None:
                continue
            found[body.name] = certificate
            if certificate.ok and _put(new, body, first, partner):
                break
    return Inside(new, found)


def _bits(body: Body) -> bytes:
    return body.graph.SerializeToString(deterministic=True)


def _infos(model: Any) -> dict[str, Any]:
    known = inferred(model).graph
    return {value.name: value for value in (*known.value_info, *known.input)}


def _partners(first: Any, ours: list[Body], second: Any, body: Body) -> Iterator[Body]:
    """The bodies that may be this one: of a node of the same kind, first of one that makes a value of the same name."""
    node = second.graph.node[body.node]
    word = node.attribute[body.attribute].name
    alike = []
    for each in ours:
        other = first.graph.node[each.node]
        if (other.op_type, other.attribute[each.attribute].name) == (node.op_type, word):
            named = bool(set(other.output) & set(node.output))
            alike.append((not named, other.name != node.name, len(alike), each))
    yield from (each for *_, each in sorted(alike, key=lambda row: row[:3])[:_TRIED])


def _compared(
    first: Any, ours: Body, second: Any, theirs: Body, infos: Mapping[str, Any], compared: Comparison
) -> Certificate | None:
    """The certificate of two bodies; None where they cannot be read as networks of the same inputs."""
    held = [{tensor.name for tensor in model.graph.initializer} for model in (first, second)]
    more = [name for body, own in zip((ours, theirs), held, strict=True) for name in body.free if name not in own]
    models = [as_model(model, body, infos, more) for model, body in ((first, ours), (second, theirs))]
    if None in models or any(name in own for name in more for own in held):
        return None
    try:
        one, other = (named_model(model, body.name) for model, body in zip(models, (ours, theirs), strict=True))
        found = inside(one.model, other.model, compared)
        other = named_model(found.model, theirs.name) if found.found else other
        return found.told(compared(_by_place(one, ours), _by_place(other, theirs)))
    except AlgebraicError:  # a body that cannot be read, or not at the sizes that were tried
        return None


def _by_place(named: Named, body: Body) -> Named:
    """A body whose own inputs and outputs are known by their places: only those from outside have names."""
    inner = [value.name for value in body.graph.input]
    outer = [value.name for value in body.graph.output]
    inputs = tuple(f"input {inner.index(name)}" if name in inner else name for name in named.inputs)
    return replace(named, inputs=inputs, outputs=tuple(f"output {outer.index(name)}" for name in named.outputs))


def _put(model: Any, body: Body, first: Any, partner: Body) -> bool:
    """Write a body as its partner is written; False where a constant that it reads is called otherwise."""
    theirs = {tensor.name: tensor for tensor in model.graph.initializer}
    needed = [tensor for tensor in first.graph.initializer if tensor.name in partner.free]
    made = {name for node in model.graph.node for name in node.output}
    if any(tensor.name in made or tensor != theirs.get(tensor.name, tensor) for tensor in needed):
        return False
    model.graph.node[body.node].attribute[body.attribute].g.CopyFrom(partner.graph)
    model.graph.initializer.extend(tensor for tensor in needed if tensor.name not in theirs)
    return True
