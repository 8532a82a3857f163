"""The level "bounded": outputs differ by no more than rounding explains."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .affine import AffineMap
from .bounds import UNIT_ROUNDOFF, forward_error, gamma, majorant, roundings
from .certificate import Certificate, Witness
from .check import Check, Network, device, dtype, native


def bounded(check: Check) -> Certificate:
    """Whether outputs at random inputs differ by no more than rounding explains."""
    generator = np.random.default_rng(check.seed)
    x = torch.from_numpy(generator.standard_normal((check.points, *check.shape))).float().double()
    with ieee_kernels():
        outputs = [native(network, x) for network in (check.original, check.collapsed)]
    observed = abs(outputs[0] - outputs[1])
    bound = sum(_own_error(network, x) for network in (check.original, check.collapsed)) + _derivation_error(check, x)
    bound = torch.as_tensor(bound)
    finite = bool(torch.isfinite(bound).all())
    worst = int((observed - bound).argmax())
    ok = finite and bool((observed <= bound).all())
    witness = None
    if finite and not ok:
        row, place = divmod(worst, observed[0].numel())
        first, second = (float(output.reshape(-1)[worst]) for output in outputs)
        point = x[row].reshape(-1).tolist()
        witness = Witness(f"output {place} at the input recorded here", first, second, input=point)
    what = f"at {check.points} random inputs the outputs differ by no more than rounding explains."
    if not finite:
        what = f"no finite rounding bound exists at this depth in this precision; {what[:-1]} cannot be decided."
    largest = float(bound.reshape(-1)[worst]), float(observed.reshape(-1)[worst])
    return Certificate(what, "bounded", ok, bound=largest[0], observed=largest[1], witness=witness)


def _own_error(network: Network, x: Tensor) -> Tensor:
    """How far the network's own arithmetic can take it from its exact function."""
    if isinstance(network, AffineMap):
        magnitude = abs(np.asarray(network.to("dense").W)) @ abs(x.reshape(len(x), -1).numpy()).T
        rounds = len(network.b) + magnitude.shape[0] + x[0].numel()
        return torch.from_numpy(gamma(rounds, 2.0**-53) * 2 * (magnitude.T + abs(network.b)))
    return forward_error(network, x.to(device(network)), network.dtype).cpu().reshape(len(x), -1)


def _derivation_error(check: Check, x: Tensor) -> Tensor | float:
    """What one derivation in float64 and one rounding to the other's dtype can change."""
    if isinstance(check.original, AffineMap):
        return 0.0
    u = UNIT_ROUNDOFF[dtype(check.collapsed)]
    factor = (1 + u) * (1 + gamma(roundings(check.original), 2.0**-53)) - 1
    return factor * majorant(check.original, x.to(device(check.original))).cpu().reshape(len(x), -1)


@contextlib.contextmanager
def ieee_kernels() -> Iterator[None]:
    """TF32 off: the rounding bounds speak of IEEE products."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
