"""``collapse``: a network becomes an equivalent one that predicts faster, with the proof that nothing changed.

region     a connected affine part of the network
form       how a part of it is computed afterwards: one convolution, one matrix, ..., or as given
report     what became of every region, and why

Trace, read the affine calls as pieces (derivation/definitions.py), rearrange them pass by pass (passes.py), choose cuts
and forms (cut.py), write the new calls (rewriting.py), race what spends more of something (measurement.py), prove each
region right (validation.py), and only then hand it over.  A network that is one matrix is derived and certified whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from ..algebra.forms import Dense, floating
from ..certification.certificate import Certificate
from ..certification.check import Asked
from ..certification.check import device as device_of
from ..certification.comparison import compare
from ..derivation.methods import MEMORY_BUDGET, cheapest, derive_graph
from ..errors import chosen
from ..ir.choices import carrying
from ..ir.dynamic_shapes import left_bound
from ..ir.emission import emit
from ..ir.fingerprints import fingerprint
from ..ir.graph import Graph
from ..ir.spelling import plain
from ..ir.trace import trace
from ..ops.evaluate import Progress
from ..ops.precision import out_of_range
from ..ops.traits import Prices
from ..rings.ring import Float
from ..toeplitz.arguments import bytes_allowed
from .any_size import sampled
from .building import in_dtype
from .contest import as_given, comparable, slower
from .job import Job, affirmed, fitted, named_level
from .measurement import Race, doubtful, race, runner, timed, values_of
from .pruning import pruned
from .report import report_of
from .result import Collapse
from .rewriting import Rewrite
from .stopwatch import Stopwatch
from .validation import changed, parameters, vanishing

#: What a form must be good at.
PREFERENCES = ("speed", "size")


def collapse(
    model: nn.Module | ExportedProgram,
    example: Any = None,
    *,
    dynamic_shapes: Any = None,
    dtype: torch.dtype | str | None = None,
    method: str = "auto",
    certify: str | None = "modular",
    measure: bool = True,
    prefer: str = "speed",
    prices: Prices | None = None,
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> Collapse:
    """A module that computes what the model computes, every affine region in its cheapest exact form.

    A wholly affine model becomes f(x) = W x + B where that is cheaper [JV24, Thm 3.1].  Numbers are folded in float64
    and rounded once.  What is not affine stays as it is.

    Args:
        model: any model in evaluation mode that ``torch.export`` takes, or an exported program.
        example: an input tensor (N, *in_shape) or a tuple of input tensors; not needed for a program.
        dynamic_shapes: axes that stay free, as ``torch.export`` takes them; a program has those of its export.  Forms
            are chosen at the example's size; a least length that is not said is what they need, as the report says.
        dtype: of the result, or its name; default that of the model.
        method: how dense maps are derived, as in ``derive``.
        certify: level of the certificate, "auto" being the modular one of every region; None for none.
        measure: whether a form that spends more of something (multiply-adds, bytes or calls) must also stand a race
            against the calls that it replaces, and the whole network one against the model, at one sample and, if a
            form does spend more, at eight; where nothing pays the result is a copy of the model.  Without it the
            result depends on the cost model alone, the same on every machine.
        prefer: "speed", or "size": of the forms that keep no more numbers than before, the fastest; the network as a
            whole then stands no race.
        prices: of the cost model; default those of an ordinary CPU.
        memory_budget: bytes that a dense map and its probes may take.
        progress: called with (probes done, probes in all).

    Returns:
        Model, report, certificate, and the map of a wholly affine model.

    Raises:
        UncertifiedError: if the certificate refutes the collapse; the message carries the witness.
        UnknownNameError: if there is no such method, level, preference or floating dtype.
        ShapeError: if the example has no sample, the budget is no number, or the model does not take the sizes that
            ``dynamic_shapes`` says.
        TrainingModeError, TraceError, TooLargeError, NonFiniteError: as ``derive`` raises them.

    >>> block = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
    >>> result = collapse(block.eval(), torch.zeros(1, 3, 16, 16), measure=False)
    >>> print(result.report)
    0, 1: 2 calls became conv2d 3x3 (...)
    2 affine calls in 1 region became 1; 240 parameters became 224, 1,024 bytes 896.
    1 call between them is not affine: relu.
    >>> result.certificate.ok
    True

    >>> free = {2: torch.export.Dim.AUTO}                           # images of any height
    >>> str(collapse(block, torch.zeros(1, 3, 16, 16), dynamic_shapes=(free,), measure=False).sizes)
    'axis 2 of input: 2 or more'
    """
    chosen("preference", prefer, PREFERENCES, where="prefer")
    asked = {"method": method, "level": named_level(method, certify), "prefer": prefer, "prices": prices or Prices()}
    dtype, memory_budget = None if dtype is None else floating(dtype), bytes_allowed(memory_budget)
    watch = Stopwatch()
    traced = trace(model, example, dynamic_shapes=dynamic_shapes)
    less, bound = pruned(plain(traced)), left_bound(model, example, dynamic_shapes, traced)
    graph = less.graph
    sample = None if graph.sizes is None else sampled(graph)
    graph = graph if sample is None else sample.here
    watch.lap("trace")
    job = Job.of(graph, dtype or graph.dtype, sample=sample, memory_budget=memory_budget, pruned=less, **asked)
    written, careful = job.rewritten(), frozenset[str]()
    if sample is None and not bound and job.is_dense(written) and _takes_every_batch(graph):
        found = _densely(job, written, traced, measure, progress, watch)
        if found is not None:
            return found
        # The network is one region, whose form was slower or cannot be derived.  As with every region that loses its
        # race, what takes its place must spend more of nothing, so that it needs no race of its own.
        careful = frozenset(written.network.affine)
        written = job.rewritten(careful)
    return _partly(job, written, traced, careful, model if measure else None, bound, watch)


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A network whose regions stood their races.

    Attributes:
        job: what was asked for, with what has to stay.
        written: the network rewritten.
        after: the same with numbers.
        careful: values for which only forms count that spend more of nothing.
        races: those that were run, by the names of the region.
    """

    job: Job
    written: Rewrite
    after: Graph
    careful: frozenset[str]
    races: Mapping[frozenset[str], Race]


#: (samples, names) -> these values of a network.
_Values = Callable[[int, Any], Any]


def _values(graph: Graph) -> _Values:
    """The values of a network, those of one number of samples and one choice of names computed once."""
    return lru_cache(lambda batch, names: values_of(graph, names, batch))


def _partly(
    job: Job, written: Rewrite, traced: Graph, careful: frozenset[str], model: Any, bound: str, watch: Stopwatch
) -> Collapse:
    """The network with its regions rewritten, raced against the model if there is one.

    Where the whole is slower than the model all the same, every affine call stays as it is.  Nothing is changed then,
    and nothing is left that could lose: one more attempt is enough.
    """
    values = _values(job.graph)
    found = _attempted(job, written, careful, values, watch, measure=model is not None)
    if model is not None and job.prefer == "speed" and (changed(found.written) or found.job.less):
        why = slower(model, emit(found.after), job.graph, doubtful=bool(found.races))
        if why:
            kept = {**found.job.kept, **dict.fromkeys(found.written.network.affine, why)}
            job = replace(found.job, kept=kept, graph=found.job.given, pruned=None)
            values = _values(job.graph)
            found = _attempted(job, job.rewritten(), found.careful, values, watch, measure=False)
    watch.lap("measure")
    return _handed_over(found, traced, model, values, bound, watch)


def _attempted(
    job: Job, written: Rewrite, careful: frozenset[str], values: _Values, watch: Stopwatch, *, measure: bool
) -> _Attempt:
    """The regions in forms that stand their races, in numbers that the dtype can hold."""
    pairs = doubtful(changed(written), written.rewritten.shell(), job.prices) if measure else []
    watch.lap("derive")
    races: Sequence[Race] = ()
    if pairs:
        tried = written.rewritten.over(Float(), dtype=job.graph.dtype)
        races = timed(pairs, tried, values(job.graph.least, written.network.starts))
    times = {pair.region.names: race for pair, race in zip(pairs, races, strict=True)}
    slow = {name for names, race in times.items() if race.lost for name in names}
    careful |= slow
    job, written, after = fitted(job, careful, None if slow else written)
    return _Attempt(job, written, replace(after, parameters=parameters(written)), careful, times)


def _handed_over(
    found: _Attempt, traced: Graph, model: Any, values: _Values, bound: str, watch: Stopwatch
) -> Collapse:
    """An attempt that stood, certified, reported and written as a module."""
    job, written, after, graph, sample = found.job, found.written, found.after, found.job.graph, found.job.sample
    sizes, certificate = job.certificate(written, lambda batch: values(batch, written.network.starts))
    lost = vanishing(written, after)
    after = after if sample is None else replace(after, input_shapes=sample.free.input_shapes, sizes=sizes)
    watch.lap("certify")
    taken = ", ".join(text for text in (str(sizes or ""), sample.bound if sample else "", bound) if text)
    report = replace(report_of(written, found.races, job.method, watch.seconds(), job.given), sizes=taken)
    if certificate is not None:
        prints = (fingerprint(traced), fingerprint(in_dtype(after, job.dtype)))
        speaks = (job.given, after) if sample is None else None
        certificate = replace(
            certificate,
            statement=_statement(certificate, lost, traced) + (job.less.statement if job.less else ""),
            fingerprints=prints,
            networks=speaks,
            recipes=written.rewritten.recipes,
        )
    same = job.dtype == graph.dtype and not (changed(written) or job.less) and comparable(model, graph)
    module = as_given(model) if same else None
    if module is None:
        module = emit(after, dtype=None if job.dtype == graph.dtype else job.dtype)
        carrying(module, job.choices(found.careful))
    return Collapse(module, report, certificate, job.given, job.method, job.memory_budget, sizes, job.kept)


def _takes_every_batch(graph: Graph) -> bool:
    """Whether a matrix, which takes any number of samples, may stand for a network at all of them."""
    return graph.batch is not None or (*graph.batch_sizes, graph.batch_step) == (1, None, 1)


def _densely(
    job: Job, written: Rewrite, traced: Graph, measure: bool, progress: Progress | None, watch: Stopwatch
) -> Collapse | None:
    """The whole network as one ``Dense`` module; None if a race finds that it is slower, or no float64 derives it."""
    graph, device = job.graph, device_of(job.graph)
    affine = derive_graph(graph, Float(), job.method, device=device, memory_budget=job.memory_budget, progress=progress)
    dense = Dense.of(affine, dtype=job.dtype, device=device).requires_grad_(any(graph.parameters.values()))
    if not all(bool(parameter.isfinite().all()) for parameter in dense.parameters()):
        return None
    watch.lap("derive")
    if measure:
        x = [torch.zeros(graph.batch or 1, *dense.in_shape, dtype=graph.dtype, device=device)]
        same = dense if job.dtype == graph.dtype else Dense.of(affine, dtype=graph.dtype, device=device)
        if race(runner(emit(graph), x), runner(same, x)).lost:
            return None
    watch.lap("measure")
    certificate = None
    if job.level is not None:
        example = dense.weight.new_zeros(graph.batch or 1, *dense.in_shape)
        asked = Asked(level=job.level, method=job.method, memory_budget=job.memory_budget)
        certificate = compare(graph, dense, example, asked)
        if not certificate.ok and certificate.witness is None:
            return None  # the numbers of the map cancel too far to be derived in float64
        affirmed(certificate)
        W, b = (torch.from_numpy(np.asarray(array, dtype=np.float64)) for array in (affine.to("dense").W, affine.b))
        said = _statement(certificate, out_of_range(torch.cat([W.flatten(), b]), job.dtype), traced)
        prints = (fingerprint(traced), certificate.fingerprints[1])
        certificate = replace(certificate, statement=said, fingerprints=prints)
    watch.lap("certify")
    method = cheapest(graph) if job.method == "auto" else job.method
    report = report_of(written, {}, method, watch.seconds())
    return Collapse(dense, report, certificate, graph, job.method, job.memory_budget, derived=affine)


def _statement(certificate: Certificate, lost: str, traced: Graph) -> str:
    """What a certificate says, which new numbers are beyond the dtype of the result, and what the network notes."""
    beyond = f"Of the new numbers, {lost}." if lost else ""
    return " ".join(text for text in (certificate.statement, beyond, traced.note) if text)
