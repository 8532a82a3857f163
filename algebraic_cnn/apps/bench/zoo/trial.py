"""One public network: exported, collapsed, compared in float64, timed.

    Trial    what was found
    tried    network, inputs -> Trial; a failure is a record as well

Times are processor times of one thread; the peak of memory is that of the process, which runs nothing else.
"""

from __future__ import annotations

import copy
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ....algebra.forms import Dense
from ....collapsing.measurement import interleaved_seconds
from ....collapsing.pipeline import collapse
from ....collapsing.report import GIVEN
from ....collapsing.result import Collapse
from ....ir.nodes import op_of
from ....ops.registry import traits


@dataclass(frozen=True)
class Trial:
    """What was found of one network.

    Attributes:
        package: that it is from.
        name: of the architecture.
        seed: of its numbers.
        stage: what failed: "build", "run", "export", "collapse", "compare"; "" if it worked.
        cause: of the failure, in torch's or our words.
        error: largest difference of the collapsed network's float32 outputs from the float64 network's, over their
            largest entry, and over five inputs; None where the network does not run in float64.
        own_error: of the network's own float32 outputs.
        certified: whether the certificate says yes.
        export: seconds of ``torch.export.export`` alone.
        collapse: seconds of the collapse without certificate and races, over those of the export.
        certificate: with the certificate.
        memory: peak of the collapse, over that of the model and its export, both less what the process had before.
        kernels: calls that compute something, before and after.
        norms: BatchNorms, before and after.
        numbers: parameters and buffers, before and after.
        latency: seconds of a prediction after over before, at batch 1.
        regions: changed by the collapse.
    """

    package: str
    name: str
    seed: int
    stage: str = ""
    cause: str = ""
    error: float | None = None
    own_error: float | None = None
    certified: bool = False
    export: float = 0.0
    collapse: float = 0.0
    certificate: float = 0.0
    memory: float = 0.0
    kernels: tuple[int, int] = (0, 0)
    norms: tuple[int, int] = (0, 0)
    numbers: tuple[int, int] = (0, 0)
    latency: float | None = None
    regions: int = 0

    @property
    def worked(self) -> bool:
        """Whether the collapse is the network: certified, and its float32 outputs as near to float64 as its own."""
        return not self.stage and self.certified and self.near

    @property
    def near(self) -> bool:
        """Whether the error is at most four times that of the network itself, or of one rounding of its largest."""
        return self.error is None or self.error <= 4 * max(self.own_error or 0.0, torch.finfo(torch.float32).eps)


def tried(
    network: nn.Module, inputs: Sequence[Tensor], about: dict[str, Any], low: int, *, seconds: float = 0.0
) -> Trial:
    """The trial of a network.

    Args:
        network: in evaluation mode.
        inputs: one sample.
        about: package, name and seed.
        low: peak of memory before the network was made, in KiB.
        seconds: to spend on the latency, if any.
    """
    stage = "run"
    try:
        with torch.no_grad():
            given = _tensors(network(*inputs))
        start = time.process_time()
        stage = "export"
        torch.export.export(network, tuple(inputs))
        export, high = time.process_time() - start, peak()
        stage = "collapse"
        start = time.process_time()
        result = collapse(network, tuple(inputs))
        spent, top = time.process_time() - start, peak()
        stage = "compare"
        found = _compared(network, result, inputs, given)
    except Exception as error:  # whatever a package's network does
        return Trial(**about, stage=stage, cause=f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
    spans = result.report.seconds
    share = {name: span / sum(spans.values()) for name, span in spans.items()}
    bare = share["trace"] + share["derive"]
    return Trial(
        **about,
        **found,
        certified=bool(result.certificate and result.certificate.ok),
        export=export,
        collapse=spent * bare / export,
        certificate=spent * (bare + share["certify"]) / export,
        memory=max(top - low, 1) / max(high - low, 1),
        latency=_latency(network, result.model, inputs, seconds) if seconds else None,
        regions=sum(region.form != GIVEN for region in result.report.regions),
    )


def peak() -> int:
    """The most memory that this process had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _compared(network: nn.Module, result: Collapse, inputs: Sequence[Tensor], given: list[Tensor]) -> dict[str, Any]:
    before = [call.op for call in result.graph.calls if _computes(call.op)]
    after = _calls(result.model, before)
    with torch.no_grad():
        ours = _tensors(result.model(*inputs))
    if len(ours) != len(given) or any(y.shape != z.shape for y, z in zip(ours, given, strict=True)):
        raise ValueError("the collapsed network gives outputs of other shapes")
    errors = [_errors(network, result.model, sample) for sample in _samples(inputs)]
    known = None not in errors
    held = [sum(x.numel() for x in (*m.parameters(), *m.buffers())) for m in (network, result.model)]
    return {
        "error": max(pair[0] for pair in errors if pair) if known else None,
        "own_error": max(pair[1] for pair in errors if pair) if known else None,
        "kernels": (len(before), len(after)),
        "norms": tuple(sum(traits(op).normalises for op in side) for side in (before, after)),
        "numbers": tuple(held),
    }


#: Inputs on which errors are compared: of one alone a small network's own may be a single rounding, by luck.
_SAMPLES = 5


def _samples(inputs: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """The inputs, and others of their shapes."""
    yield tuple(inputs)
    generator = torch.Generator().manual_seed(1)
    for _ in range(_SAMPLES - 1):
        yield tuple(torch.rand(x.shape, generator=generator) for x in inputs)


def _errors(network: nn.Module, after: nn.Module, inputs: Sequence[Tensor]) -> tuple[float, float] | None:
    """The error of the collapsed network beside float64, and that of the network itself; None where it has none."""
    with torch.no_grad():
        truth = _in_float64(network, inputs)
        if truth is None or not all(bool(y.isfinite().all()) for y in truth):
            return None
        return _error(_tensors(after(*inputs)), truth), _error(_tensors(network(*inputs)), truth)


def _calls(model: nn.Module, before: list[str]) -> list[str]:
    """What a collapsed network computes, call by call; a copy of the model computes what that did."""
    if isinstance(model, Dense):
        return ["linear"]
    if not isinstance(model, torch.fx.GraphModule):
        return before
    targets = [node.target for node in model.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    return [op for op in map(op_of, targets) if _computes(op)]


def _computes(op: str) -> bool:
    known = traits(op)
    return not (known.idle or known.view)


def _in_float64(network: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor] | None:
    """The network's outputs in float64; None where it has float32 written into it."""
    try:
        return _tensors(copy.deepcopy(network).double()(*(x.double() for x in inputs)))
    except Exception:
        return None


def _error(outputs: list[Tensor], truth: list[Tensor]) -> float:
    pairs = [(y.double(), z.double()) for y, z in zip(outputs, truth, strict=True) if z.numel()]
    found = [float((y - z).abs().max()) / max(float(z.abs().max()), 1e-300) for y, z in pairs]
    return max(found, default=0.0)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def _latency(before: nn.Module, after: nn.Module, inputs: Sequence[Tensor], seconds: float) -> float | None:
    def run(model: nn.Module) -> None:
        with torch.no_grad():
            model(*inputs)

    sides = {"before": lambda: run(before), "after": lambda: run(after)}
    found = interleaved_seconds(sides, seconds=seconds, clock=time.process_time)
    return found["after"] / found["before"] if all(found.values()) else None  # a process's clock may stand still
