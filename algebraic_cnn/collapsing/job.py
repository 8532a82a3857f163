"""One collapse: what was asked for, the network in its cheapest forms, and the certificate of it.

Job        what ``collapse`` was asked for, or what a result says that it was made by
Said       the choices that a result carries, as plain data
fitted     the network rewritten, in numbers that its dtype can hold
affirmed   a certificate that says yes
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..algebra.forms import floating
from ..certification.certificate import Certificate
from ..certification.check import Asked, is_map, stated
from ..certification.comparison import LEVELS, compare
from ..derivation.definitions import network_of
from ..derivation.methods import METHODS
from ..derivation.samples import apart
from ..errors import DataError, UncertifiedError, UnknownNameError
from ..files.plain_json import built, spelled
from ..ir.choices import Choices, FreeAxis, free_axes
from ..ir.graph import Graph
from ..ir.image_sizes import ImageSizes
from ..ir.spelling import plain
from ..ops.traits import Prices
from ..rings.ring import Float
from ..toeplitz.arguments import bytes_allowed
from .any_size import Sampled, proven, sampled, starts_of
from .cut import Cutter
from .elsewhere import Elsewhere
from .exactly import exactly
from .infinities import staying
from .kept import require_finite, watched
from .passes import PassReport, arranged
from .pruning import Pruned, pruned
from .rewriting import Rewrite, rewrite
from .sizes import grown
from .tangles import untangled
from .validation import Examples, changed, validated

#: What is wrong where a certificate says no, and where it says nothing.
NOT_THE_NETWORK = "the collapse is not the network"
UNDECIDED = "the collapse cannot be certified at this level; another, or none (certify=None), may do"


@dataclass(frozen=True)
class Said:
    """What a result says of how it was made.

    Attributes:
        dtype: of its numbers, by name.
        method: how dense maps were derived.
        memory_budget: bytes that they might take.
        prices: of the cost model.
        careful: values for which only forms counted that spend more of nothing.
        prefer: what a form must be good at.
        free: axes that stayed free beside the batch.
        example: the shapes of the inputs at which forms were then chosen.
        pruned: whether dead channels went first.
    """

    dtype: str
    method: str
    memory_budget: int
    prices: Prices
    careful: tuple[str, ...] = ()
    prefer: str = "speed"
    free: tuple[FreeAxis, ...] = ()
    example: tuple[tuple[int, ...], ...] = ()
    pruned: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """What ``collapse`` was asked for; of a network whose dead channels went, ``pruned`` is how."""

    graph: Graph
    dtype: torch.dtype
    method: str
    level: str | None
    prices: Prices
    memory_budget: int
    sample: Sampled | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    prefer: str = "speed"
    images: bool = False
    pruned: Pruned | None = None

    @property
    def less(self) -> Pruned | None:
        """How dead channels went, if any did."""
        return self.pruned if self.pruned is not None and self.pruned.gone else None

    @property
    def given(self) -> Graph:
        """The network with all its channels."""
        return self.less.before if self.less else self.graph

    @classmethod
    def of(cls, graph: Graph, dtype: torch.dtype, **asked: Any) -> Job:
        """What was asked for of a graph whose numbers are finite; what is watched stays as it is.

        Raises:
            NonFiniteError: if an affine call has a number that is not finite, or is not in the dtype.
        """
        affine = network_of(graph).affine
        require_finite(graph, affine, dtype)
        return cls(graph, dtype, kept=watched(graph, affine), **asked)

    @classmethod
    def repeating(cls, choices: Choices, traced: Graph, memory_budget: int) -> tuple[Job, frozenset[str]]:
        """A collapse as its result says that it was made, of a network as ``trace`` gives it; where it was careful.

        Args:
            choices: as ``choices`` says them, from an unknown hand.
            traced: the network; with the free axes that the choices speak of, if it is to keep them.
            memory_budget: bytes that may be taken, whatever the choices say.

        Raises:
            DataError: if they are no choices.
            NonFiniteError, TraceError: as ``collapse`` raises them.
        """
        try:
            said = built(Said, choices)
        except ValueError as error:
            raise DataError(f"no choices of a collapse ({error})", where="choices") from error
        budget = min(bytes_allowed(said.memory_budget), memory_budget)
        method = said.method if said.method in METHODS else "auto"
        asked = {"method": method, "prices": said.prices, "memory_budget": budget, "prefer": said.prefer}
        graph, dtype = plain(traced), floating(said.dtype)
        less = pruned(graph) if said.pruned else Pruned(graph, graph)
        graph, asked["pruned"] = less.graph, less
        if graph.sizes is None:
            return cls.of(graph, dtype, level=None, **asked), frozenset(said.careful)
        fits = [len(shape) for shape in said.example] == [len(shape) for shape in graph.input_shapes]
        sample = sampled(replace(graph, example_shapes=said.example if fits else graph.example_shapes))
        return cls.of(sample.here, dtype, level="modular", sample=sample, **asked), frozenset(said.careful)

    def choices(self, careful: Set[str]) -> Choices:
        """What ``repeating`` needs, as plain data."""
        dtype = str(self.dtype).removeprefix("torch.")
        free = () if self.sample is None else free_axes(self.sample.asked, self.sample.free.inputs)
        example = () if self.sample is None else self.sample.here.example_shapes
        more = (tuple(sorted(careful)), self.prefer, free, example, self.less is not None)
        return spelled(Said(dtype, self.method, self.memory_budget, self.prices, *more))

    def rewritten(self, careful: Set[str] = frozenset()) -> Rewrite:
        """The network in its cheapest forms; for some values only in forms that spend more of nothing."""
        cutter = Cutter.of(self.graph, prices=self.prices, memory_budget=self.memory_budget, method=self.method)
        cutter = replace(cutter, small=self.prefer == "size", images=self.images)
        if self.sample is not None:
            cutter = replace(cutter, elsewhere=Elsewhere.of(self.sample.others))
        network, passes = arranged(network_of(self.graph, self.kept), cutter)
        written = rewrite(network, cutter, careful)
        simpler = untangled(written, cutter, careful)
        written = written if simpler is None else rewrite(simpler, cutter, careful)
        report = (self.less.report,) if self.less else ()
        tangles = 0 if simpler is None else len(network.definitions) - len(simpler.definitions)
        does = "regions whose skips overlap become one matrix, where that costs less"
        return replace(written, passes=(*report, *passes, PassReport("untangle", does, tangles), _cut(written)))

    def is_dense(self, written: Rewrite) -> bool:
        """Whether the whole network became one matrix."""
        plans = [plan for plans in written.plans.values() for plan in plans]
        mergers = [merger.form for plan in plans for merger in plan.mergers]
        single = len(self.graph.inputs) == len(self.graph.outputs) == 1
        affine = single and not written.network.boundaries and not written.network.missed
        return affine and mergers == ["dense"] and len(plans) == 1 and apart(self.graph, self.graph.device)

    def certificate(self, written: Rewrite, starts: Examples) -> tuple[ImageSizes | None, Certificate | None]:
        """The image sizes that the result takes, if more than one, and the certificate that was asked for.

        Raises:
            UncertifiedError: if it does not say yes.
        """
        if self.sample is not None:
            alike = self.level in (None, "modular") and not changed(written)  # every call is as it was
            few = self.level == "rational"
            sizes, certificate = proven(self.sample, written, self._judge, few=few, alike=alike)
            return sizes, affirmed(certificate) if self.level else None
        if self.level is None:
            return None, None
        if self.level == "modular":
            return None, affirmed(validated(written, starts))
        return None, affirmed(self._judge(written))

    def _judge(self, written: Rewrite) -> Certificate:
        """The certificate of one image size; modular where none was asked for, as sizes depend on it."""
        if self.level in (None, "modular"):
            return validated(written, starts_of(written))
        before = written.network.graph
        if self.level == "rational" and not (is_map(before) and self._states(written)):
            return exactly(written, starts_of(written), self.memory_budget)
        after = written.rewritten.over(Float(), dtype=before.dtype)
        found = compare(before, after, None, Asked(level=self.level or "modular", memory_budget=self.memory_budget))
        if self.dtype == before.dtype:
            return found
        said = f" Its numbers are then rounded to {str(self.dtype).removeprefix('torch.')}."
        return replace(found, statement=found.statement + said)

    def _states(self, written: Rewrite) -> bool:
        """Whether the new network states W and b in its own numbers, which are then compared as they are."""
        return stated(written.rewritten.over(Float(), dtype=self.graph.dtype), self.memory_budget) is not None


def fitted(job: Job, careful: Set[str], written: Rewrite | None = None) -> tuple[Job, Rewrite, Graph]:
    """The network rewritten, with its numbers in the result's dtype.

    Regions stay where these would be beyond it, where an infinite number may reach them and would spread otherwise, or
    where they would be more than before and size is preferred.

    Args:
        job: what was asked for.
        careful: values for which only forms count that spend more of nothing.
        written: the network rewritten so, if it is known.

    Returns:
        The job with what has to stay, the network rewritten, and the same with numbers.
    """
    written = job.rewritten(careful) if written is None else written
    after = written.rewritten.over(Float(), dtype=job.dtype)
    while beyond := staying(written, after) or (job.prefer == "size" and grown(written)):
        job = replace(job, kept={**job.kept, **beyond})
        written = job.rewritten(careful)
        after = written.rewritten.over(Float(), dtype=job.dtype)
    return job, written, after


def _cut(written: Rewrite) -> PassReport:
    """What became of the pieces: how many were merged into another form, and why the others were not."""
    plans = [plan for plans in written.plans.values() for plan in plans]
    missed = dict.fromkeys(reason for plan in plans for reason in plan.refusals)
    does = "every piece is computed in its cheapest form"
    return PassReport("cut", does, sum(bool(plan.mergers) for plan in plans), tuple(missed))


def affirmed(certificate: Certificate) -> Certificate:
    """The certificate, if it says yes.

    Raises:
        UncertifiedError: if it does not.
    """
    if not certificate.ok:
        what = UNDECIDED if certificate.undecided else NOT_THE_NETWORK
        raise UncertifiedError(what, got=str(certificate), where="collapse")
    return certificate


def named_level(method: str, level: str | None) -> str | None:
    """The level that a name stands for, both names being known.

    Raises:
        UnknownNameError: if there is no such method or level.
    """
    for name, names in ((method, ("auto", *METHODS)), (level, (None, *LEVELS))):
        if name not in names:
            raise UnknownNameError("no such method or level", expected=names, got=name, where="collapse")
    return "modular" if level == "auto" else level
