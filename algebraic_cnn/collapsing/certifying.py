"""``certify``: is this network the same function as that one?  It also knows the collapses of this library again.

A collapse rounds its new numbers once, and no identity over the rationals holds of rounded numbers.  What holds is the
statement that the collapse made: each region over the rationals, then one rounding.  It is shown from the ground up:
the collapse is made again as its result says that it was made; if that is the result bit for bit, the proof of the
collapse is repeated with fresh primes.  Nothing that the result says is believed: other choices make another network.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from ..certification.certificate import Certificate
from ..certification.check import Asked, Check, silent
from ..certification.comparison import compare
from ..derivation.methods import MEMORY_BUDGET
from ..errors import AlgebraicError
from ..ir.choices import Choices
from ..ir.fingerprints import fingerprint
from ..ir.graph import Graph
from ..ops.evaluate import Progress
from ..rings.primes import entropy
from ..toeplitz.arguments import bytes_allowed
from .any_size import starts_of
from .building import in_dtype
from .job import Job, fitted
from .validation import validated


def certify(
    original: Any,
    collapsed: Any,
    example: Any = None,
    *,
    level: str = "auto",
    points: int = 8,
    seed: int | None = None,
    method: str = "auto",
    inputs: Tensor | None = None,
    box: tuple[Any, Any] | None = None,
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> Certificate:
    """Whether two networks in evaluation mode are the same function.

    Args:
        original: a module, an exported program, a traced ``Graph``, an ``AffineMap``, or the path of a .pt2, .onnx or
            .npz file.  Where both are ONNX files, inputs and outputs of the same names belong together.
        collapsed: the other one, likewise.
        example: an input tensor (N, *in_shape); not needed where neither is a module.
        level: "auto", "sampled", "bounded", "modular" or "rational".
        points: how hard to look.  At level "modular" the probability of error is at most 2^(-10 points), whatever
            number of random primes and inputs that takes; at other levels the number of random inputs.
        seed: seed of the primes and inputs; the stated probability is over it.  None draws it from the system.  Whoever
            knows the seed beforehand can make two different networks that pass: give one only to repeat a check.
        method: how ``collapsed`` was derived, as ``derive`` was told; only then can it be equal to the last bit.
        inputs: the inputs (N, *in_shape) at which level "bounded" compares outputs; default ``points`` random ones.
        box: two bounds, numbers or tensors of shape in_shape; level "bounded" then speaks of all inputs between them.
        memory_budget: bytes that a derivation may take.
        progress: called with (points done, points in all).

    Returns:
        The certificate; ``ok`` is the verdict, ``str`` the sentence, ``witness`` a difference if there is one.

    Raises:
        NotAffineError: if one of them is not affine; names the call and its source line.
        ShapeError: if their input or output shapes differ, ``points`` is not positive, ``seed`` is negative, or inputs
            or box do not fit.
        UnknownNameError: if there is no such level or method, or a path has another ending.
        DataError, MissingExtraError: as ``load_network`` raises them.
        TrainingModeError, TraceError, TooLargeError, NonFiniteError: as ``derive`` raises them.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 1).double().eval()
    >>> certify(layer, layer, torch.zeros(1, 2).double()).ok
    True
    """
    asked = Asked(
        level=level,
        points=points,
        seed=entropy() if seed is None else seed,
        method=method,
        inputs=inputs,
        box=box,
        memory_budget=bytes_allowed(memory_budget),
        progress=progress or silent,
    )
    return compare(original, collapsed, example, asked, claim=lambda choices: partial(again, choices))


def again(choices: Choices, check: Check) -> Certificate | None:
    """The certificate of a collapse, made anew; None if the second network is not that collapse of the first.

    Args:
        choices: what the second network says of how it was made.
        check: the two networks.
    """
    before, after = check.free or (check.original, check.collapsed)
    if not isinstance(before, Graph) or not isinstance(after, Graph):
        return None
    try:
        job, careful = Job.repeating(choices, before, check.memory_budget)
        job, written, made = fitted(job, careful)
        found = None
        if job.sample is None:
            found = validated(written, starts_of(written), seed=check.seed, error=2.0 ** (-10 * check.points))
        else:
            sizes, found = job.certificate(written, starts_of(written))
            made = replace(made, input_shapes=job.sample.free.input_shapes, sizes=sizes)
        if found is None or fingerprint(in_dtype(made, job.dtype)) != fingerprint(after):
            return None
    except AlgebraicError:
        return None
    speaks = {"networks": (before, made), "recipes": written.rewritten.recipes}
    less = "" if job.pruned is None else job.pruned.statement
    return replace(found, statement=found.statement + less, rounded=True, **speaks) if found.ok else None
