"""``collapse``: a network becomes an equivalent one that predicts faster, with the proof that nothing changed.

region     a part of the network that is one affine map; here the whole network
form       how the region is computed afterwards (forms.py), or "as given" where nothing would be faster
cost       multiply-adds, plus a price for every call
report     what became of every region, and why
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from .affine import AffineMap
from .certificate import Certificate
from .certification import certify as certify_networks
from .derivation import MEMORY_BUDGET, Progress, cheapest, derive_graph
from .errors import UncertifiedError
from .evaluate import call_terms
from .forms import Dense
from .graph import Graph
from .ring import Float
from .trace import trace

#: What one call costs beside its arithmetic, in multiply-adds (some microseconds of dispatch on a CPU).
CALL_COST = 50_000


@dataclass(frozen=True)
class Region:
    """What became of one affine part of a network.

    Attributes:
        where: source line of its last call.
        module: dotted path of the module that made its last call, "" for the model itself.
        calls: how many calls it had.
        form: "dense", or "as given".
        cost_before: multiply-adds per sample, plus the price of its calls.
        cost_after: the same afterwards.
        reason: why this form.
    """

    where: str
    module: str
    calls: int
    form: str
    cost_before: int
    cost_after: int
    reason: str


@dataclass(frozen=True)
class Report:
    """What a collapse did.

    Attributes:
        regions: what became of every affine part.
        method: how W and B were derived.
        seconds: how long tracing, derivation and certification took.
    """

    regions: tuple[Region, ...]
    method: str
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def __str__(self) -> str:
        lines = [f"{r.calls} calls up to {r.where}: {r.form} ({r.reason})" for r in self.regions]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Collapse:
    """The result of ``collapse``.

    Attributes:
        model: the faster module; same signature, same outputs, same device.
        report: what was done.
        certificate: how it is known that nothing changed, or None if it was not asked for.
        affine: W and B in float64, when the whole model is affine.
    """

    model: nn.Module
    report: Report
    certificate: Certificate | None
    affine: AffineMap | None


def collapse(
    model: nn.Module | ExportedProgram,
    example: Any = None,
    *,
    dtype: torch.dtype | None = None,
    method: str = "auto",
    certify: str | None = "modular",
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> Collapse:
    """A module that computes f(x) = W x + B where the model computed f layer by layer [JV24, Thm 3.1].

    Args:
        model: an affine network in evaluation mode, or an exported program.
        example: an input tensor (N, *in_shape); not needed for a program.
        dtype: of the result; default that of the model.  W and B are derived in float64 and rounded once.
        method: how to derive them: "auto", "forward", "adjoint" or "recursion".
        certify: level of the certificate, or None for none.
        memory_budget: bytes that W and the probes may take.
        progress: called with (probes done, probes in all).

    Returns:
        Model, report, certificate and map.

    Raises:
        NotAffineError: if a call is not affine in the input; names the call and its source line.
        UncertifiedError: if the certificate refutes the collapse; the message carries the witness.
        TrainingModeError, TraceError, TooLargeError, NonFiniteError, UnknownNameError: as ``derive`` raises them.

    >>> twice = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)).eval()
    >>> result = collapse(twice, torch.zeros(1, 4))
    >>> result.model, result.certificate.ok
    (Dense((4,) -> (2,)), True)
    """
    clock = [time.perf_counter()]
    graph = trace(model, example)
    clock.append(time.perf_counter())
    device = next((tensor.device for tensor in graph.constants.values()), torch.device("cpu"))
    affine = derive_graph(graph, Float(), method, device=device, memory_budget=memory_budget, progress=progress)
    clock.append(time.perf_counter())
    dense = Dense.of(affine, dtype=dtype or graph.dtype, device=device)
    certificate = None
    if certify is not None:
        certificate = certify_networks(
            graph, dense, _example(graph, dense), level=certify, method=method, memory_budget=memory_budget
        )
        if not certificate.ok:
            raise UncertifiedError("the collapse is not the network", got=str(certificate), where="collapse")
    clock.append(time.perf_counter())
    region = _region(graph)
    spans = [after - before for before, after in itertools.pairwise(clock)]
    seconds: dict[str, float] = dict(zip(("trace", "derive", "certify"), spans, strict=True))
    report = Report((region,), cheapest(graph) if method == "auto" else method, seconds)
    return Collapse(dense if region.form == "dense" else _as_given(model), report, certificate, affine)


def _example(graph: Graph, dense: Dense) -> torch.Tensor:
    """An input of the dense form, in its dtype, which need not be the network's."""
    return dense.weight.new_zeros(graph.batch or 1, *dense.in_shape)


def _as_given(model: nn.Module | ExportedProgram) -> nn.Module:
    return model.module() if isinstance(model, ExportedProgram) else model


def _region(graph: Graph) -> Region:
    """The whole network as one region: dense where that is cheaper."""
    in_shape, out_shape = graph.single()
    before = cost(graph)
    after = math.prod(in_shape) * math.prod(out_shape) + CALL_COST
    last = graph.calls[-1] if graph.calls else None
    dense = after <= before
    reason = f"{after:,} against {before:,} multiply-adds, calls included"
    where, module = (last.where, last.module) if last else ("the input", "")
    calls = len(call_terms(graph))
    return Region(where, module, calls, "dense" if dense else "as given", before, after if dense else before, reason)


def cost(graph: Graph) -> int:
    """Multiply-adds of one sample through the graph, plus ``CALL_COST`` for every call on the input."""
    terms = call_terms(graph)
    shapes = graph.shapes()
    return sum(CALL_COST + count * math.prod(n or 1 for n in shapes[name]) for name, count in terms.items())
