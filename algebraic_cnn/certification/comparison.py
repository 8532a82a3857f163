"""Is this network the same function as that one?  An exact answer where the field has a tolerance.

    auto        the strongest of the others that decides: equal, equal but for rounding, different, or undecided
    modular     both are run modulo random primes at random points, with the very numbers that the floats are.  Equal
                residues: the same function over the rationals, but for a stated probability.  Unequal: different, and
                the point is a witness.  A collapse rounds W and B once, which is no identity; then its derivation is
                checked modulo the primes and W, B are checked to be that derivation in float64, to the last bit.
    rational    W and B of both are computed over the rationals, and compared entry by entry, or those of every affine
                part between calls that are not affine; chance plays no part
    bounded     outputs differ by no more than rounding explains, by a bound computed from the weights
    sampled     the same at random inputs: a smoke test, and said to be one

Where a level cannot decide, networks are different all the same if their outputs at real inputs are.

The names of the checks are the keys of ``LEVELS``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from ..derivation.samples import require_samples_apart
from ..errors import AlgebraicError, ShapeError, chosen
from ..ir.choices import Choices, choices_of, dynamic_shapes
from ..ir.graph import Graph
from ..ir.model_files import Named, aligned, load_network, load_pair, named_model
from ..ir.onnx.inputs import agreed, onnx_shapes
from ..ir.resizing import at
from ..ir.sized import sized
from ..ir.trace import trace
from ..ops.evaluate import affine_obstacle
from .automatic import automatic, refuted
from .bounded import bounded, sampled
from .certificate import Certificate, fingerprint
from .check import Asked, Check, Claim, Network, device, signature
from .identity import batches_of
from .inside import Inside, inside
from .interface import unlike_inputs, unlike_outputs
from .modular import modular
from .rational import rational

#: Of a network that says of itself that it is a collapse, where rounding had to be bounded.
_UNCLAIMED = " The other carries the choices of a collapse, but is not, bit for bit, what they make of the original."

LEVELS: dict[str, Callable[[Check], Certificate]] = {
    "auto": automatic,
    "sampled": sampled,
    "bounded": bounded,
    "modular": modular,
    "rational": rational,
}


def compare(
    original: Any,
    collapsed: Any,
    example: Any = None,
    asked: Asked | None = None,
    *,
    claim: Callable[[Choices], Claim] | None = None,
) -> Certificate:
    """Whether two networks in evaluation mode are the same function: ``certify``, which says more of the arguments.

    Args:
        original: a network.
        collapsed: the other one.
        example: an input tensor; not needed where neither is a module.
        asked: how hard to look, and where.
        claim: what can be shown of the two if the second carries these choices of a collapse.

    Raises:
        ShapeError, UnknownNameError, NotAffineError, TrainingModeError, TraceError: as ``certify`` says.
        DataError, MissingExtraError, TooLargeError, NonFiniteError: likewise.
    """
    asked = asked or Asked()
    chosen("level", asked.level, LEVELS, where="level")
    start = time.perf_counter()
    first, second = _pair(original, collapsed, example)
    prints = (fingerprint(first.network), fingerprint(aligned(first, second)))
    bodies = _bodies(first.model, second.model, replace(asked, inputs=None, box=None))
    if bodies is not None and bodies.found:
        second = named_model(bodies.model, collapsed, agreed(onnx_shapes(original), onnx_shapes(collapsed)))
    networks, free, words = _at_one_size((first.network, aligned(first, second)), example)
    torn = _torn(first, second, asked.level)
    if torn is None:
        _require_comparable(networks, asked.level)
    shown = None if claim is None or second.choices is None else claim(second.choices)
    certificate = torn or _decided(Check(*networks, claim=shown, free=free, **vars(asked)))
    certificate = certificate if bodies is None else bodies.told(certificate)
    return replace(
        certificate,
        statement=_statement(certificate, words or _at_sizes(first, second), free is not None, shown, networks),
        fingerprints=prints,
        points=asked.points,
        seed=asked.seed,
        seconds=time.perf_counter() - start,
        networks=certificate.networks or networks,
    )


def _statement(
    certificate: Certificate, sizes: str, free: bool, claim: Claim | None, networks: Sequence[Network]
) -> str:
    """What a certificate says, and what it must say as well.

    At which sizes the networks were, unless the certificate is of those whose sizes are free: it then says so itself;
    what the networks themselves note; and, where rounding was bounded, that it is not the collapse that it claims.
    """
    spoken = certificate.networks and free
    unclaimed = claim is not None and certificate.bound is not None
    return certificate.statement + ("" if spoken else sizes) + _notes(networks) + (_UNCLAIMED if unclaimed else "")


def _decided(check: Check) -> Certificate:
    """What the level finds; where it finds nothing, what real inputs refute."""
    certificate = _unlike(check) or LEVELS[check.level](check)
    if certificate.undecided and check.level != "auto" and check.box is None:
        return refuted(certificate, check) or certificate
    return certificate


def _pair(original: Any, collapsed: Any, example: Any) -> tuple[Named, Named]:
    """The two networks, traced or read."""
    if isinstance(original, str | os.PathLike) and isinstance(collapsed, str | os.PathLike):
        return load_pair(original, collapsed)
    given = example if isinstance(example, tuple | list) else (example,)
    free = dynamic_shapes(choices_of(collapsed), [getattr(x, "ndim", 0) for x in given])
    if free is not None:
        with contextlib.suppress(AlgebraicError):
            return _named(original, example, free), _named(collapsed, example, free)
    return _named(original, example), _named(collapsed, example)


def _bodies(first: Any, second: Any, asked: Asked) -> Inside | None:
    """What is inside the nodes of two ONNX files; None where they are no files."""
    if first is None or second is None:
        return None
    return inside(first, second, lambda one, other: compare(one, other, asked=asked))


_FREE = " The free sizes were those of the inputs {}."


def _at_sizes(*networks: Named) -> str:
    """At which sizes a file was looked at that takes others as well."""
    found = next((named.sizes for named in networks if named.sizes), "")
    return _FREE.format(found) if found else ""


def _at_one_size(
    given: tuple[Network, Network], example: Any
) -> tuple[tuple[Network, Network], tuple[Graph, Graph] | None, str]:
    """Two networks at the image size of the example, these before that if both are free, and the size in words."""
    one, other = given
    if not isinstance(one, Graph) or not isinstance(other, Graph) or (one.sizes, other.sizes) == (None, None):
        return given, None, ""
    tensors = example if isinstance(example, tuple | list) else (example,)
    shapes = [tuple(x.shape) for x in tensors if isinstance(x, Tensor)]
    shapes = shapes or list(one.example_shapes or other.example_shapes)
    graphs = []
    for graph in (one, other):
        users = graph.inputs[: len(graph.inputs) - len(graph.state)]
        if graph.sizes is not None and len(shapes) < len(users):
            what = "the image sizes at which to compare are not known"
            raise ShapeError(what, expected="an example", got=shapes, where="certify")
        known = None if graph.sizes is None else graph.sizes.of(users, shapes[: len(users)])
        graphs.append(graph if known is None else at(graph, known))
    words = _FREE.format(", ".join("x".join(map(str, shape[1:])) for shape in shapes))
    return (graphs[0], graphs[1]), (one, other) if one.sizes and other.sizes else None, words


def _notes(networks: Sequence[Network]) -> str:
    """What a statement about two networks must say as well."""
    found = dict.fromkeys(network.note for network in networks if isinstance(network, Graph) and network.note)
    return "".join(f" {note}" for note in found)


def _unlike(check: Check) -> Certificate | None:
    """The certificate that what two networks return, or write, is not of the same kind; None if it is."""
    graphs = [network for network in (check.original, check.collapsed) if isinstance(network, Graph)]
    if len(graphs) < 2:
        return None
    reasons = (unlike_outputs(*(sized(graph, n) for graph in graphs)) for n in batches_of(graphs).tried)
    reason = next(filter(None, reasons), "")
    what = f"the networks are different: {reason}."
    return Certificate(what, check.level, False, interface=True) if reason else None


def _torn(first: Named, second: Named, level: str) -> Certificate | None:
    """The certificate that nothing was decided where nodes whose shapes nobody knows are not the same in both files."""
    if first.taken == second.taken:
        return None
    pairs = zip(first.taken, second.taken, strict=False)
    found = next((one for one, other in pairs if one != other), (*first.taken, *second.taken)[0])
    what = "an input that need not be given is then another number in the one."
    if found.kind != "usual":
        what = f"nodes whose shapes are not known, {found.title} among them, are not the same in both, "
        what += "or not given the same."
    return Certificate(what, level, False, undecided=True)


def _require_comparable(networks: Sequence[Network], level: str) -> None:
    """Refuse networks of which the one cannot be given what the other is given.

    Raises:
        ShapeError: if they cannot.
        NotAffineError: if a level that compares maps of one sample is asked for networks that mix samples.
    """
    first, second = networks
    if isinstance(first, Graph) and isinstance(second, Graph):
        reason = unlike_inputs(first, second)
        if reason:
            raise ShapeError(f"the networks differ in their inputs: {reason}", where="certify")
        if level in ("auto", "modular", "rational") or any(affine_obstacle(graph) for graph in (first, second)):
            return
    shapes = [signature(network) for network in networks]
    if shapes[0] != shapes[1]:
        raise ShapeError("the networks differ in their shapes", expected=shapes[0], got=shapes[1], where="certify")
    for network in networks:
        if isinstance(network, Graph):
            require_samples_apart(network, device(network))


def _named(model: Any, example: Any, free: Any = None) -> Named:
    """The traced network; the example takes the model's dtype, so that two precisions can be compared."""
    if isinstance(model, Named):
        return model
    if isinstance(model, Graph | AffineMap):
        return Named(model)
    if isinstance(model, str | os.PathLike):
        return load_network(model)
    floats = [p for p in getattr(model, "parameters", tuple)() if p.is_floating_point()]

    def cast(x: Any) -> Any:
        return x.to(floats[0].dtype) if floats and isinstance(x, Tensor) and x.is_floating_point() else x

    given = tuple(map(cast, example)) if isinstance(example, tuple | list) else cast(example)
    shapes = free if isinstance(model, torch.nn.Module) else None
    return Named(trace(model, given, dynamic_shapes=shapes), choices=choices_of(model))
