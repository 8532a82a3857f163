"""Is this network the same function as that one?  An exact answer where the field has a tolerance.

    modular     both are run modulo random primes at random points, with the very numbers that the floats are.  Equal
                residues: the same function over the rationals, but for a stated probability.  Unequal: different, and
                the point is a witness.  A collapse rounds W and B once, which is no identity; then the derivation is
                checked modulo the primes and W, B are checked to be that derivation in float64, to the last bit.
    bounded     outputs differ by no more than rounding explains, by a bound computed from the weights

The names of the checks are the keys of ``LEVELS``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .affine import AffineMap
from .bounds import UNIT_ROUNDOFF, forward_error, gamma, height, majorant, roundings
from .certificate import Certificate, Witness, fingerprint
from .derivation import MEMORY_BUDGET, METHODS, Progress, cheapest, derive_graph
from .errors import ShapeError, UnknownNameError
from .evaluate import Evaluator, terms
from .graph import Graph
from .prime_field import PrimeField
from .primes import prime_interval, random_prime, unlucky
from .ring import Float
from .trace import trace

Network = Graph | AffineMap


def certify(
    original: Any,
    collapsed: Any,
    example: Any = None,
    *,
    level: str = "modular",
    points: int = 8,
    seed: int = 0,
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> Certificate:
    """Whether two networks in evaluation mode are the same affine function.

    Args:
        original: a module, an exported program, a traced ``Graph`` or an ``AffineMap``.
        collapsed: the other one, likewise.
        example: an input tensor (N, *in_shape); not needed where neither is a module.
        level: "modular" or "bounded".
        points: how many random inputs, each with a prime of its own at level "modular".
        seed: seed of the primes and inputs.
        memory_budget: bytes that a derivation may take.
        progress: called with (points done, points in all).

    Returns:
        The certificate; ``ok`` is the verdict, ``str`` the sentence, ``witness`` a difference if there is one.

    Raises:
        NotAffineError: if one of them is not affine; names the call and its source line.
        ShapeError: if their input or output shapes differ, or ``points`` is not positive.
        UnknownNameError: if there is no such level.
        TrainingModeError, TraceError, TooLargeError, NonFiniteError: as ``derive`` raises them.

    >>> layer = torch.nn.Linear(2, 1).double().eval()
    >>> certify(layer, layer, torch.zeros(1, 2).double()).ok
    True
    """
    if level not in LEVELS:
        raise UnknownNameError("no such level", expected=tuple(LEVELS), got=level, where="certify")
    if points < 1:
        raise ShapeError("a check needs points", expected="at least 1", got=points, where="certify")
    start = time.perf_counter()
    networks = [_network(model, example) for model in (original, collapsed)]
    shapes = [_shapes(network) for network in networks]
    if shapes[0] != shapes[1]:
        raise ShapeError("the networks differ in their shapes", expected=shapes[0], got=shapes[1], where="certify")
    check = Check(networks[0], networks[1], points, seed, memory_budget, progress or (lambda done, total: None))
    certificate = LEVELS[level](check)
    prints = (fingerprint(networks[0]), fingerprint(networks[1]))
    return replace(certificate, fingerprints=prints, points=points, seed=seed, seconds=time.perf_counter() - start)


@dataclass(frozen=True, eq=False)
class Check:
    """What a level is given: the two networks and how hard to look."""

    original: Network
    collapsed: Network
    points: int
    seed: int
    memory_budget: int
    progress: Progress

    @property
    def shape(self) -> tuple[int, ...]:
        """The common input shape, without batch axis."""
        return _shapes(self.original)[0]


def _network(model: Any, example: Any) -> Network:
    return model if isinstance(model, Graph | AffineMap) else trace(model, example)


def _shapes(network: Network) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (network.in_shape, network.out_shape) if isinstance(network, AffineMap) else network.single()


def _modular(check: Check) -> Certificate:
    generator = np.random.default_rng(check.seed)
    sums = max(_terms(check.original), _terms(check.collapsed))
    primes: list[int] = []
    identical = derived = True
    witness = None
    for point in range(check.points):
        field = PrimeField(random_prime(sums, generator))
        primes.append(field.p)
        x = generator.integers(-field.half, field.half + 1, size=(1, *check.shape)).astype(np.float64)
        values = _run(check.original, field)(x)
        if identical:
            witness = _difference(field, x, values, _run(check.collapsed, field)(x))
            identical = witness is None
        if not identical:
            again = _rederived(check, field)(x)
            failure = _difference(field, x, values, again)
            witness, derived = (failure, False) if failure else (witness, derived)
        if not derived:
            break
        check.progress(point + 1, check.points)
    low, _ = prime_interval(sums)
    bits = _height(check.original) + _height(check.collapsed)
    chance = (unlucky(bits, sums) + 1 / low) ** len(primes)
    outcome = Certificate("", "modular", True, error_probability=min(1.0, chance), primes=tuple(primes))
    if identical:
        return replace(outcome, statement="the two networks are the same function over the rational numbers.")
    if not derived:
        what = "the derivation of W and B does not reproduce the network."
        return replace(outcome, statement=what, ok=False, witness=witness, error_probability=None)
    return _rounded(check, outcome, witness)


def _rounded(check: Check, outcome: Certificate, witness: Witness | None) -> Certificate:
    """Not the same function over Q; still right if W and B are the derivation's, rounded once."""
    expected = _own_map(check.original, check)
    given = _own_map(check.collapsed, check)
    dtype = _dtype(check.collapsed)
    entry = None
    for name in ("W", "b"):
        wanted = torch.from_numpy(np.asarray(getattr(expected, name))).to(dtype).double().numpy()
        got = np.asarray(getattr(given, name), dtype=np.float64)
        for index in np.argwhere(wanted != got)[:1]:
            place = tuple(int(i) for i in index)
            entry = entry or Witness(f"entry {place} of {name}", float(wanted[place]), float(got[place]))
    if entry is None:
        what = (
            "the map derived from the network equals the network over the rational numbers, and the W and B given are "
            f"that derivation in float64, rounded to {str(dtype).removeprefix('torch.')}, equal to the last bit."
        )
        return replace(outcome, statement=what)
    what = "the networks are not the same function over the rational numbers, nor is one the other's map rounded once."
    return replace(outcome, statement=what, ok=False, witness=entry or witness, error_probability=None)


def _rederived(check: Check, field: PrimeField) -> Callable[[np.ndarray], np.ndarray]:
    """x -> W_p x + B_p with W_p, B_p derived from the original modulo p by the method that ``derive`` takes."""
    if isinstance(check.original, AffineMap):
        return _run(check.original, field)
    run = Evaluator(check.original, field, _device(check.original))
    derived = METHODS[cheapest(check.original)](run, check.memory_budget, lambda done, total: None)
    return lambda x: field.reduce(field.matmul(derived.W, x.reshape(len(x), -1).T) + derived.b[:, None]).T


def _run(network: Network, field: PrimeField) -> Callable[[np.ndarray], np.ndarray]:
    """The network modulo p, from inputs (N, *in_shape) to flat outputs (N, m)."""
    if isinstance(network, AffineMap):
        W, b = field.embed(network.to("dense").W), field.embed(network.b)
        return lambda x: field.reduce(field.matmul(W, x.reshape(len(x), -1).T) + b[:, None]).T
    run = Evaluator(network, field, _device(network))

    def on_arrays(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return run(torch.from_numpy(x).to(_device(network))).reshape(len(x), -1).cpu().numpy()

    return on_arrays


def _difference(field: PrimeField, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Witness | None:
    for index in np.argwhere(field.reduce(y - z) != 0)[:1]:
        place = tuple(int(i) for i in index)
        what = f"output {place[1]} at the integer input recorded here"
        return Witness(what, float(y[place]), float(z[place]), field.p, x.ravel().tolist())
    return None


def _bounded(check: Check) -> Certificate:
    generator = np.random.default_rng(check.seed)
    x = torch.from_numpy(generator.standard_normal((check.points, *check.shape))).float().double()
    with _ieee_kernels():
        outputs = [_native(network, x) for network in (check.original, check.collapsed)]
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


def _native(network: Network, x: Tensor) -> Tensor:
    """What the network computes in its own dtype, as float64."""
    if isinstance(network, AffineMap):
        return torch.from_numpy(np.asarray(network(x.numpy()), dtype=np.float64)).reshape(len(x), -1)
    with torch.no_grad():
        run = Evaluator(network, Float(str(network.dtype).removeprefix("torch.")), _device(network))
        return run(x.to(_device(network), network.dtype)).double().cpu().reshape(len(x), -1)


def _own_error(network: Network, x: Tensor) -> Tensor:
    """How far the network's own arithmetic can take it from its exact function."""
    if isinstance(network, AffineMap):
        magnitude = abs(np.asarray(network.to("dense").W)) @ abs(x.reshape(len(x), -1).numpy()).T
        rounds = len(network.b) + magnitude.shape[0] + x[0].numel()
        return torch.from_numpy(gamma(rounds, 2.0**-53) * 2 * (magnitude.T + abs(network.b)))
    return forward_error(network, x.to(_device(network)), network.dtype).cpu().reshape(len(x), -1)


def _derivation_error(check: Check, x: Tensor) -> Tensor | float:
    """What one derivation in float64 and one rounding to the other's dtype can change."""
    if isinstance(check.original, AffineMap):
        return 0.0
    u = UNIT_ROUNDOFF[_dtype(check.collapsed)]
    factor = (1 + u) * (1 + gamma(roundings(check.original), 2.0**-53)) - 1
    return factor * majorant(check.original, x.to(_device(check.original))).cpu().reshape(len(x), -1)


LEVELS: dict[str, Callable[[Check], Certificate]] = {"modular": _modular, "bounded": _bounded}


def _own_map(network: Network, check: Check) -> AffineMap:
    if isinstance(network, AffineMap):
        return network.to("dense")
    return derive_graph(network, Float(), device=_device(network), memory_budget=check.memory_budget)


def _terms(network: Network) -> int:
    return network.W.shape[1] + 1 if isinstance(network, AffineMap) else terms(network)


def _height(network: Network) -> float:
    if not isinstance(network, AffineMap):
        return height(network)
    W = np.concatenate([np.asarray(network.to("dense").W, dtype=np.float64).ravel(), network.b])
    _, exponents = np.frexp(W[W != 0])
    return float(53 + np.ptp(exponents) + np.log2(W.size)) if exponents.size else 0.0


def _dtype(network: Network) -> torch.dtype:
    return torch.as_tensor(network.b).dtype if isinstance(network, AffineMap) else network.dtype


def _device(network: Graph) -> torch.device:
    return next((tensor.device for tensor in network.constants.values()), torch.device("cpu"))


@contextlib.contextmanager
def _ieee_kernels() -> Iterator[None]:
    """TF32 off: the rounding bounds speak of IEEE products."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
