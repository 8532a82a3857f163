"""The levels "sampled" and "bounded": outputs compared in floating point, within what rounding explains and no more.

    bounded      at the inputs that the caller gives, or else at random ones
    sampled      at random inputs, and said to be a smoke test
    parts        networks with calls that are not affine are compared between these (parts.py)
    explained    a bound proved for each output (rounding.py): the arithmetic of both networks, one rounding of the
                 other's numbers, one derivation in float64.  A difference within the bound is not seen.

The other's numbers may have been rounded from the exact ones (W and b, or the weights of a fused layer).  A number that
is a product of few factors is off by a few roundings, less than twice what the arithmetic of its own call may lose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from ..derivation.samples import apart
from ..errors import NotAffineError, ShapeError
from ..ir.graph import Graph
from ..ops.evaluate import affine_obstacle
from ..ops.precision import UNIT_ROUNDOFF
from ..ops.sums import gamma
from .box import Box, over_a_box
from .certificate import Certificate, Witness
from .check import Check, Network, device, dtype, native, stated
from .parts import compared_by_parts, random_inputs, undecidable
from .rounding import RoundingError, forward_error, ieee_kernels, not_by_rows

_WITHIN, _BEYOND = "by no more than rounding explains", "by more than rounding explains"


def bounded(check: Check) -> Certificate:
    """Whether outputs at the given inputs, or at random ones, differ by no more than rounding explains."""
    if check.box is not None:
        found = over_a_box(check, Box.between(check.box, check.shape))
        return replace(found, statement=f"{found.statement} {kernels(check.original, check.collapsed)}")
    if (graphs := _split(check)) is not None:
        return _by_parts(check, graphs, "bounded", check.inputs)
    x = _random(check) if check.inputs is None else check.inputs.detach().cpu()
    kind = "random" if check.inputs is None else "given"
    what = f"at {len(x)} {kind} inputs the outputs differ {_WITHIN}."
    return _compared(check, x.to(_coarsest(check)).double(), Certificate(what, "bounded", True))


def sampled(check: Check) -> Certificate:
    """A smoke test: the same comparison, at random inputs only."""
    if (graphs := _split(check)) is not None:
        return _by_parts(check, graphs, "sampled", None)
    what = f"a smoke test: at {check.points} random inputs the outputs differ {_WITHIN}."
    return _compared(check, _random(check), Certificate(what, "sampled", True))


def _split(check: Check) -> tuple[Graph, Graph] | None:
    """The two networks, if they are graphs and one of them is no affine map of one sample to one output."""
    if not isinstance(check.original, Graph) or not isinstance(check.collapsed, Graph):
        return None
    graphs = check.original, check.collapsed
    return graphs if any(affine_obstacle(graph) or not _is_map(graph) for graph in graphs) else None


def _is_map(graph: Graph) -> bool:
    try:
        graph.single()
    except (NotAffineError, ShapeError):
        return False
    return next(not_by_rows(graph), None) is None and apart(graph, device(graph))


def _by_parts(check: Check, graphs: tuple[Graph, Graph], level: str, inputs: Tensor | None) -> Certificate:
    generator = np.random.default_rng(check.seed)
    found = random_inputs(graphs, inputs, check.points, generator)
    kind, moved = ("random", ", moved at random") if inputs is None else ("given", "")
    precision = str(_coarsest(check)).removeprefix("torch.")
    what = "the two networks make the same calls that are not affine, in the same order; on the values that the first "
    count = next((len(x) for x in found if x.ndim), 1)
    what += f"has at {count} {kind} inputs{moved}, every affine part between them gives the same but for what "
    what += f"rounding their numbers to {precision} explains."
    smoke = "a smoke test: " if level == "sampled" else ""
    return compared_by_parts(graphs, found, Certificate(smoke + what, level, True), generator if moved else None)


def _compared(check: Check, x: Tensor, holds: Certificate) -> Certificate:
    with ieee_kernels():
        first, second = (native(network, x) for network in (check.original, check.collapsed))
    observed = (first - second).abs()
    if not observed.numel():
        return replace(holds, bound=0.0, observed=0.0)
    error = _explained(check, x)
    worst = int((observed - error.bound).argmax())
    row, place = divmod(worst, observed.shape[1])
    likely = float(error.likely[row, place])
    what = f"{holds.statement} {kernels(check.original, check.collapsed)}"
    figures = {"bound": float(error.bound[row, place]), "observed": float(observed[row, place]), "likely": likely}
    figures["size"] = float(first[row, place].abs())
    outcome = replace(holds, statement=what, **figures)
    if not bool((first.isfinite() | second.isfinite()).all()):
        return undecidable(outcome, f"an output at one of {len(x)} inputs")
    if not bool(error.bound.isfinite().all()):
        what = f"no finite bound exists in this precision, so that outputs at {len(x)} inputs cannot be judged."
        return replace(outcome, statement=what, ok=False, undecided=True)
    if bool((observed <= error.bound).all()):
        return outcome
    values = float(first[row, place]), float(second[row, place])
    witness = Witness(f"output {place} at the input recorded here", *values, input=x[row].reshape(-1).tolist())
    return replace(outcome, statement=what.replace(_WITHIN, _BEYOND), ok=False, witness=witness)


def kernels(*networks: Network) -> str:
    """For which kernels a bound holds, in words."""
    if any(device(network).type == "cuda" for network in networks):
        return "TF32 and cuDNN, with its Winograd and FFT kernels, were switched off: with them this does not hold."
    return "This holds for kernels that sum rounded products, not for Winograd or FFT."


def _random(check: Check) -> Tensor:
    """Random inputs that are exact in both networks' precisions, as float64."""
    x = np.random.default_rng(check.seed).standard_normal((check.points, *check.shape))
    return torch.from_numpy(x).to(_coarsest(check)).double()


def _coarsest(check: Check) -> torch.dtype:
    return max((dtype(check.original), dtype(check.collapsed)), key=UNIT_ROUNDOFF.__getitem__)


def _explained(check: Check, x: Tensor) -> RoundingError:
    """What rounding explains of |original(x) - collapsed(x)|, each entry (N, m)."""
    errors = [_own(check.original, x), *[_own(check.collapsed, x)] * 3]
    if isinstance(check.original, AffineMap):
        errors.append(_own(check.original, x))
    elif stated(check.collapsed, check.memory_budget) is not None:
        errors += [_own(check.original, z, torch.float64) for z in (x, torch.zeros_like(x))]
    parts = [(error.bound, error.second_order, error.likely) for error in errors]
    bound, second, likely = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
    return RoundingError(bound, second, likely)


def _own(network: Network, x: Tensor, precision: torch.dtype | None = None) -> RoundingError:
    """How far the network's own arithmetic can take it from its exact function."""
    if not isinstance(network, AffineMap):
        return forward_error(network, x.to(device(network)), precision)
    dense = network.to("dense")
    W, b = (torch.from_numpy(np.asarray(array, dtype=np.float64)).abs() for array in (dense.W, dense.b))
    magnitude = x.flatten(1).abs() @ W.T + b
    count, u = W.shape[1] + 2, UNIT_ROUNDOFF[dtype(network)]
    return RoundingError(gamma(count, u) * magnitude, torch.zeros_like(magnitude), 3 * count**0.5 * u * magnitude)
