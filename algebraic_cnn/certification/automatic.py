"""The level "auto": what a user wants to know, by the strongest check that decides it.

    equal        the two networks are the same function over the rationals (modular.py)
    rounding     they are not, but differ by no more than rounding explains, by a bound computed from the weights
    different    they are given the same real numbers, and return other ones: these are shown
    undecided    neither was shown; what was tried is said
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..algebra.affine import AffineMap
from ..errors import AlgebraicError
from ..ir.graph import Call, Graph
from ..ir.interpreter import interpret
from .bounded import bounded
from .certificate import Certificate
from .check import Check, Network
from .identity import batches_of
from .modular import modular
from .parts import random_inputs

#: What a network computes in float64 is taken as known to this, beside what it computes in its own precision.
_MARGIN = 2.0**-40


def automatic(check: Check) -> Certificate:
    """Whether two networks are equal, equal but for rounding, or different."""
    exact = modular(check)
    if exact.ok:
        return replace(exact, level="auto")
    sizes = _sizes(check)
    near = _bounded(check, exact, sizes)
    if near.ok:
        tried = f" in batches of {', '.join(map(str, sizes))}" if len(sizes) > 1 else ""
        what = f"equal but for rounding{tried}: {near.statement}{_weak(near)}"
        return replace(near, level="auto", rounded=True, statement=what)
    shown = refuted(near if near.witness is not None else exact, check)
    if shown is not None:
        return replace(shown, level="auto")
    if exact.interface:
        return replace(exact, level="auto")
    what = f"{near.statement} Nor were outputs seen that differ by more than rounding."
    return replace(near, level="auto", undecided=True, statement=what, primes=exact.primes)


def refuted(found: Certificate, check: Check) -> Certificate | None:
    """The certificate that the two are different, as is seen at real inputs; None where nothing of the kind is seen."""
    seen = (observed(replace(check, points=n)) for n in _sizes(check))
    words = next(filter(None, seen), None)
    return replace(found, undecided=False, statement=f"{found.statement} {words}") if words else None


def _sizes(check: Check) -> tuple[int, ...]:
    """How many random inputs to look at together: several numbers where the batch size counts."""
    graphs = [network for network in _both(check) if isinstance(network, Graph)]
    tried = batches_of(graphs).tried if len(graphs) == 2 and check.inputs is None else ()
    return tried if len(tried) > 1 else (check.points,)


def _bounded(check: Check, exact: Certificate, sizes: tuple[int, ...]) -> Certificate:
    """Whether rounding explains the difference at all these batch sizes; that at the first where it does not."""
    found: list[Certificate] = []
    try:
        for points in sizes:
            found.append(bounded(replace(check, points=points)))
            if not found[-1].ok:
                break
    except AlgebraicError as error:
        what = f"rounding cannot be bounded: {error}."
        return replace(exact, ok=False, undecided=True, statement=what)
    return found[-1]


def _weak(near: Certificate) -> str:
    """A warning where the bound would let a large difference pass."""
    if near.bound is None or near.size is None or near.bound <= near.size:
        return ""
    return f" The bound is weak: it is larger than the value itself, {near.size:.3g}."


def observed(check: Check) -> str | None:
    """The output at a random real input in which the networks differ most, in words; None if rounding may explain it.

    What rounding makes of a network is seen by running it in its own precision and in float64.  Inputs of one sign are
    looked at too: a maximum over padding of zeros, say, is another one only where all entries are negative.  Integers,
    small at first, are then drawn larger.
    """
    inputs = _inputs(check)
    if check.inputs is not None:
        return _differing(check, inputs)
    signs = (lambda x: x, lambda x: -x.abs(), Tensor.abs)
    tried = [[sign(x) if x.is_floating_point() else x for x in inputs] for sign in signs]
    return next(filter(None, (_differing(check, x) for x in chain(tried, _larger(check, inputs)))), None)


def _larger(check: Check, inputs: list[Tensor]) -> Iterator[list[Tensor]]:
    """The inputs with larger and larger integers: they may choose any row of a table; torch refuses others.

    On a GPU that refusal would be its last word, so they stay as they are there.
    """
    graph = next((network for network in _both(check) if isinstance(network, Graph)), None)
    if graph is None or graph.device.type != "cpu":
        return
    generator = np.random.default_rng(check.seed)
    fixed = [x.is_floating_point() or x.dtype == torch.bool or name in graph.initial
             for name, x in zip(graph.inputs, inputs, strict=True)]  # fmt: skip
    lengths = {len(table) for table in graph.constants.values() if table.ndim == 2}
    for limit in () if all(fixed) else sorted(lengths | {8, 64}):
        yield [x if same else torch.as_tensor(generator.integers(0, limit, x.shape)).to(x.dtype)
               for same, x in zip(fixed, inputs, strict=True)]  # fmt: skip


def _differing(check: Check, inputs: list[Tensor]) -> str | None:
    """The output at these inputs in which the networks differ most, in words."""
    with torch.no_grad():
        runs = [_run(network, inputs, wide=wide) for network in _both(check) for wide in (True, False)]
    first, near, second, other = runs
    if first is None or near is None or second is None or other is None:
        return None
    worst, words = 0.0, None
    for number, (y, a, z, b) in enumerate(zip(first, near, second, other, strict=False)):
        if len({run.shape for run in (y, a, z, b)}) > 1 or not y.numel():
            continue
        gap = (y - z).abs() - _rounded(y, a) - _rounded(z, b) - _MARGIN * (y.abs() + z.abs())
        gap = torch.where((y == z) | (y.isnan() & z.isnan()), torch.zeros_like(gap), gap.nan_to_num(float("inf")))
        place = int(gap.argmax())
        if float(gap.flatten()[place]) > worst:
            worst = float(gap.flatten()[place])
            numbers = float(y.flatten()[place]), float(z.flatten()[place])
            words = f"At random real inputs entry {place} of output {number} is {numbers[0]!r} in the one "
            words += f"and {numbers[1]!r} in the other."
    return words


def _rounded(exact: Tensor, own: Tensor) -> Tensor:
    """What rounding may have made of an output: four times the most that was seen of it in any entry.

    One entry by itself may be right by chance, and a number that was folded is rounded in another place.
    """
    seen = (exact - own).abs()
    finite = seen[seen.isfinite()]
    return torch.maximum(seen, 4 * finite.max()) if finite.numel() else seen


def _both(check: Check) -> tuple[Network, Network]:
    return check.original, check.collapsed


def _inputs(check: Check) -> list[Tensor]:
    graphs = [network for network in _both(check) if isinstance(network, Graph)]
    generator = np.random.default_rng(check.seed)
    if graphs:
        return random_inputs(graphs, check.inputs, check.points, generator)
    return [torch.from_numpy(generator.standard_normal((check.points, *check.shape)))]


def _run(network: Network, inputs: list[Tensor], *, wide: bool) -> list[Tensor] | None:
    """The outputs as float64, computed in the network's own precision or in float64; None if torch refuses."""
    if isinstance(network, AffineMap):
        return [torch.from_numpy(np.asarray(network(inputs[0].numpy()), dtype=np.float64))]

    def cast(x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return x
        return x.to(torch.float64 if wide else network.dtype)

    values = {name: cast(x) if wide else x for name, x in network.constants.items()}
    values |= {name: cast(x.to(network.device)) for name, x in zip(network.inputs, inputs, strict=True)}

    def called(call: Call, values: Mapping[str, Any]) -> Any:
        args, kwargs = pytree.tree_map(
            lambda leaf: torch.float64 if wide and leaf == network.dtype else leaf, call.resolved(values)
        )
        return call.target(*args, **kwargs)

    try:
        values = interpret(network, values, called)
    except Exception:
        return None
    outputs = [values.get(getattr(out, "name", ""), out) for out in network.outputs]
    numbers = [torch.tensor(x) if isinstance(x, int | float) else x for x in outputs]
    return [x.double().cpu() for x in numbers if isinstance(x, Tensor) and not x.is_complex()]
