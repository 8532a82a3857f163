"""The level "modular": identities decided modulo random primes at random points.

identical   the two networks are the same function over the rationals (identity.py)
claimed     what is known to the caller of how the one was made of the other, shown again (``Check.claim``)
rounded     W and b given are those of the original, derived in float64 and rounded once, equal to the last bit;
            and at least half of the bits of that derivation are right (accuracy.py)
Euler       that derivation is right as a computation over the rationals: f(x) = f_W(x) + f(0) and
            <u, f_W(x)> = <grad <u, f_W>(x), x>.  A polynomial map satisfies Euler's identity if and only if it is
            linear, and then its backward pass is its adjoint; so each probe gives a column or a row of W.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..algebra.affine import AffineMap
from ..ir.graph import Graph
from ..ops.evaluate import Evaluator
from ..rings.crt import nearest
from ..rings.prime_field import PrimeField
from .accuracy import HALF, lost
from .certificate import Certificate, Witness
from .check import Check, derived, device, dtype, stated
from .identity import identical
from .trials import Trials, difference


def modular(check: Check) -> Certificate:
    """Whether two networks are the same function over Q, or one is the other's map rounded once."""
    certificate = identical(check)
    if certificate.ok or certificate.interface:
        return certificate
    claimed = check.claim(check) if check.claim is not None else None
    if claimed is not None:
        return claimed
    if certificate.undecided or not check.alike:
        return certificate
    given = stated(check.collapsed, check.memory_budget)
    return certificate if given is None or given.W.dtype == object else _rounded(check, given)


def _rounded(check: Check, given: AffineMap) -> Certificate:
    """W and b are those of the original: exactly derived as its derivation goes, then in float64, then rounded once."""
    precision = str(dtype(check.collapsed)).removeprefix("torch.")
    expected = derived(check.original, check.method, check.memory_budget)
    witness = _wrong_entry(expected, given, dtype(check.collapsed))
    if witness is not None:
        what = "neither are the networks the same function over the rational numbers, nor is W, b the map of the first "
        what += f"as derived on this machine in float64 and rounded to {precision}. (Another machine may derive "
        what += "another last bit; level 'rational' decides without deriving in floating point.)"
        return Certificate(what, "modular", False, witness=witness)
    if isinstance(check.original, AffineMap):
        what = f"W and b are those of the original, rounded to {precision}, equal to the last bit."
        return Certificate(what, "modular", True, rounded=True)
    what = "the map derived from the network equals the network over the rational numbers, and the W and b given are "
    what += f"that derivation in float64, rounded to {precision}, equal to the last bit."
    graph = check.original
    bits = 10 * check.points + 1  # of both checks, so that the sum of their errors is half of that
    if not lost(graph, expected, np.random.default_rng(check.seed), bits).max(initial=0.0) <= HALF:
        what = "numbers cancel so far in the derivation of W and b in float64 that fewer than half of its bits are "
        rest = "those of the network's map over the rational numbers."
        return Certificate(what + rest, "modular", False, undecided=True)
    holds = Certificate(what, "modular", True, rounded=True)
    fails = replace(holds, statement="the derivation of W and b does not reproduce the network.", ok=False)
    trials = Trials((graph,), 2, bits)
    found = trials.run(lambda field, generator: _euler(graph, field, generator), check, holds, fails)
    return replace(found, error_probability=(found.error_probability or 0.0) + 2.0**-bits) if found.ok else found


def _euler(graph: Graph, field: PrimeField, generator: np.random.Generator) -> Witness | None:
    """One random x and one random cotangent u."""
    run = Evaluator(graph, field, device(graph))
    x, u = (field.uniform((1, *shape), generator) for shape in graph.single())
    point = torch.from_numpy(x).to(run.device).requires_grad_()
    with torch.enable_grad():
        linear = run(point, linear=True)
    (gradient,) = torch.autograd.grad(linear, point, torch.from_numpy(u).to(run.device))
    with torch.no_grad():
        values = run(torch.cat([point, torch.zeros_like(point)])).cpu().numpy()
    y, z = (tensor.detach().cpu().numpy() for tensor in (linear, gradient))
    first, second = (field.reduce(field.reduce(a * field.reduce(b)).sum()).reshape(1) for a, b in ((u, y), (x, z)))
    constant = field.reduce(values[0] - values[1]).ravel()
    return difference(field, first, second, "<u, f_W(x)> against <W^T u, x>", x) or difference(
        field, constant, y.ravel(), "f(x) - f(0) against f_W(x), output {}", x
    )


def _wrong_entry(expected: AffineMap, given: AffineMap, precision: torch.dtype) -> Witness | None:
    """The first entry of W or b that is not the expected one, rounded."""
    for name in ("W", "b"):
        exact, got = (np.asarray(getattr(network, name)) for network in (expected, given))
        name_of = str(precision).removeprefix("torch.")
        rounded = nearest(exact, name_of) if exact.dtype == object else torch.from_numpy(exact).to(precision).double()
        wanted = np.asarray(rounded, dtype=np.float64)
        for index in np.argwhere(wanted != got)[:1]:
            place = tuple(int(i) for i in index)
            return Witness(f"entry {place} of {name}", float(wanted[place]), float(got[place]))
    return None
