"""An ONNX file collapsed: its affine regions rewritten inside the file, everything else copied.

OnnxCollapse     the new file, what was done, and how it is known
collapse_onnx    .onnx -> OnnxCollapse
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..certification.certificate import Certificate
from ..derivation.definitions import network_of
from ..derivation.methods import MEMORY_BUDGET
from ..errors import UnknownNameError
from ..files import write_bytes
from ..ir.graph import Graph
from ..ir.image_sizes import ImageSizes
from ..ir.onnx.branches import with_branches
from ..ir.onnx.cleaning import cleaned, written_down
from ..ir.onnx.editing import edited
from ..ir.onnx.model import read_model, sealed
from ..ir.onnx.network import OnnxGraph, network
from ..ir.onnx.pen import Unwritten
from ..ir.onnx.spelling import has_spelling, nodes_of
from ..ir.onnx.tidying import tidied
from ..ir.onnx.weights import weighed, weightless
from ..ir.resizing import refused
from ..ir.spelling import plain
from ..ops.traits import Prices
from ..rings.ring import Float
from .any_size import sampled, starts_of
from .folding import bent, folded
from .infinities import staying
from .job import Job, named_level
from .kept import watched
from .onnx_bodies import nodes_in, with_bodies
from .report import Report, report_of
from .rewriting import Rewrite
from .validation import changed

#: Calls of ONNX Runtime: a convolution starts as fast as a matrix product.
ONNX_RUNTIME = Prices(kernel=0.0, norm=0.0)


@dataclass(frozen=True, eq=False)
class OnnxCollapse:
    """The result of ``collapse_onnx``.

    Attributes:
        model: the new file, a ModelProto.
        report: what was done.
        certificate: how it is known that nothing changed; None if it was not asked for.
        nodes: how many nodes the file had, and has, those inside its nodes too.
        left: why regions were not rewritten after all; "" where all were.
        inner: the results for branches and bodies of loops that are others now, each with its own certificate.
    """

    model: Any
    report: Report
    certificate: Certificate | None
    nodes: tuple[int, int]
    left: str = ""
    inner: Mapping[str, OnnxCollapse] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the new file, whole or not at all.

        Args:
            path: ends in .onnx.

        Raises:
            UnknownNameError: if it has another ending.
            DataError: if the file cannot be written.
        """
        if Path(path).suffix != ".onnx":
            raise UnknownNameError("a model is saved as", expected=".onnx", got=str(path), where="path")
        return write_bytes(Path(path), sealed(self.model))


def collapse_onnx(
    path: str | os.PathLike[str],
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    certify: str | None = "modular",
    method: str = "auto",
    prices: Prices | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> OnnxCollapse:
    """An ONNX file that computes what another computes, every affine region in its cheapest exact form.

    A node that is not affine is a boundary: it is copied, and need not be understood.  So every file that ONNX's
    checker takes can be collapsed.  Names of inputs, outputs and kept nodes, metadata and versions stay.

    Args:
        path: the file.
        shapes: of some inputs by name, for which forms are chosen; axes that are free in the file stay free.  Where
            the file takes one length alone along an axis that it calls free, nothing is rewritten unless that is said.
        certify: level of the certificate, "auto" being the modular one of every region; None for none.
        method: how dense maps are derived, as in ``derive``.
        prices: of the cost model; default those of an ordinary CPU.
        memory_budget: bytes that a dense map and its probes may take.

    Returns:
        The new file, report and certificate.

    Raises:
        MissingExtraError: if the extra "onnx" is not installed.
        DataError: if the file is missing, damaged or refused.
        UnknownNameError: if there is no such level or method.
        ShapeError: if a shape does not fit its input.
        UncertifiedError: if the certificate refutes the collapse.
        TooLargeError, NonFiniteError: as ``derive`` raises them.
    """
    level = named_level(method, certify)

    def collapsed(model: Any, where: str) -> OnnxCollapse:
        """A file, or a body as a file."""
        within, inner = with_bodies(model, collapsed)
        said = shapes if where == str(path) else None
        read = with_branches(network(within, said, where), said, where)
        result = _collapsed(read, level, method, prices or ONNX_RUNTIME, memory_budget)
        nodes = nodes_in(model.graph), nodes_in(result.model.graph)
        return replace(result, inner=inner, nodes=nodes, certificate=_speaking_of(result.certificate, inner))

    return collapsed(read_model(path), str(path))


def _speaking_of(certificate: Certificate | None, inner: Mapping[str, OnnxCollapse]) -> Certificate | None:
    """A certificate that says that bodies have certificates of their own."""
    if certificate is None or not inner:
        return certificate
    more = f" Inside nodes, {', '.join(inner)} changed as well: each has a certificate of its own."
    return replace(certificate, statement=certificate.statement + more)


def _collapsed(read: OnnxGraph, certify: str | None, method: str, prices: Prices, memory_budget: int) -> OnnxCollapse:
    """A file as it was read, with its regions rewritten."""
    model, pinned = read.model, []
    unsaid = ", ".join(read.inputs.unsaid)
    left = f"The length must be said of {unsaid}: forms would be right for that one alone." if unsaid else ""
    while True:
        job, written = _rewritten(read.with_outputs(pinned), certify, method, prices, memory_budget)
        sizes, certificate = (None, None) if certify is None else job.certificate(written, starts_of(written))
        after = written.rewritten.over(Float(), dtype=job.graph.dtype)
        report = replace(report_of(written, {}, method, {}), sizes=str(sizes or ""))
        try:
            new = edited(read.with_outputs(pinned), after, written.values)
        except Unwritten as error:
            if error.missing and error.missing not in pinned:
                pinned.append(error.missing)
                continue
            new, left = model, str(error)
        (new, merged), (plainly, merged_plainly) = map(_cleaned, (new, model))
        if len(new.graph.node) > len(plainly.graph.node):
            new, merged, left = plainly, merged_plainly, "Rewritten, the file would have more nodes."
        if certificate is not None and merged is not None:
            more = f" Then a clean-up took {merged} nodes away (equal ones, moves after moves, shapes that are known): "
            more += "these edits were not compared."
            certificate = replace(certificate, statement=certificate.statement + more)
        return OnnxCollapse(new, report, certificate, (len(model.graph.node), len(new.graph.node)), left)


def _cleaned(model: Any) -> tuple[Any, int | None]:
    """A file without what nobody reads, cleaned up, and how many nodes that took away; None where it changed none."""
    light, weights = weightless(model)
    bare = written_down(tidied(light))
    new = cleaned(bare, weights)
    same = list(new.graph.node) == list(bare.graph.node)
    return weighed(new, weights), None if same else len(bare.graph.node) - len(new.graph.node)


def stepped(graph: Graph, step: int) -> Graph:
    """The graph for sizes that go by steps, from that of the example on: the least step that the network takes."""
    sizes = graph.sizes or ImageSizes({}, {})
    example = sizes.of(graph.inputs, graph.example_shapes)
    for symbol, value in example.items():
        tried = (n for n in (1, 2, 4, 8, 16, 32) if n <= step)
        found = next((n for n in tried if refused(graph, {**example, symbol: value + n}) is None), step)
        sizes = sizes.narrowed(
            symbol, range(value % found or found, sys.maxsize, found) if found > 1 else range(2, sys.maxsize)
        )
    return replace(graph, sizes=sizes)


def _grown(written: Rewrite, read: OnnxGraph) -> dict[str, str]:
    """The calls of regions that would have more nodes than before, and why they stay."""
    shell = written.rewritten.shell()
    found = {}
    for pair in changed(written):
        before = {read.makers[call.name] for call in pair.original.calls if call.name in read.makers}
        after = sum(nodes_of(call) for call in pair.new(shell).calls)
        if after > len(before):
            found |= dict.fromkeys((call.name for call in pair.region.calls), "its form would have more nodes")
    return found


def _inseparable(graph: Graph, affine: Set[str], read: OnnxGraph) -> set[str]:
    """The affine calls of nodes that do more, where what is left of the node could not be written."""
    others = (call for call in graph.calls if call.name not in affine and nodes_of(call) and not has_spelling(call))
    whole = {read.makers[call.name] for call in others if call.name in read.makers}
    return {call.name for call in graph.calls if call.name in affine and read.makers.get(call.name) in whole}


def _rewritten(
    read: OnnxGraph, level: str | None, method: str, prices: Prices, memory_budget: int
) -> tuple[Job, Rewrite]:
    """The network with its regions rewritten; what would overflow stays."""
    graph = plain(read.graph)
    dtypes = Counter(call.dtype for call in graph.calls if call.dtype is not None and call.dtype.is_floating_point)
    graph = replace(graph, dtype=dtypes.most_common(1)[0][0]) if dtypes else graph
    sample = None if graph.sizes is None else sampled(stepped(graph, read.inputs.rung.step))
    here = graph if sample is None else sample.here
    affine = network_of(here).affine
    kept = watched(here, affine)
    other = {call.name for call in here.calls if call.name in affine and call.dtype not in (None, here.dtype)}
    kept |= dict.fromkeys(other - kept.keys(), "its dtype is not that of the network")
    kept |= dict.fromkeys(_inseparable(here, affine, read) - kept.keys(), "its node cannot be taken apart")
    folds = {name: call for call in here.calls if (name := folded(call, here))} if read.inputs.unsaid else {}
    if read.inputs.unsaid:  # the file may take other lengths than that of the example
        idle = affine - folds.keys() - {call.name for call in folds.values()}
        kept |= dict.fromkeys(idle, "a length of the inputs must be said")
    job = Job(here, here.dtype, method, level, prices, memory_budget, sample, kept, images=True)
    written = job.rewritten()
    if more := _grown(written, read) | (bent(written) if read.inputs.unsaid else {}):
        job = replace(job, kept={**job.kept, **more})
        written = job.rewritten()
    while beyond := staying(written, written.rewritten.over(Float(), dtype=here.dtype)):
        job = replace(job, kept={**job.kept, **beyond})
        written = job.rewritten()
    return job, written
