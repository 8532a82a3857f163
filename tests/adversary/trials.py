"""One pair of networks put to ``certify``, one network put to ``collapse``, and the answer held against the truth.

Subject     a program of a snippet, and what torch says of it
judged      the pair (program, changed program): what is true, what was said, what that makes of it
collapsed   a network and its collapse: right, refused, or wrong
"""

from __future__ import annotations

import math
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

import algebraic_cnn
from algebraic_cnn.collapsing.job import NOT_THE_NETWORK
from algebraic_cnn.errors import AlgebraicError, UncertifiedError

from .changes import changes
from .corpus import DRESSES, Snippet, copied, module_of, program_of, silent
from .edits import Change
from .rewritings import rewritings
from .truth import BEYOND, PER_TRIAL, Gap, Observed, Setting, casts, compare, observe, slopes_differ

Record = dict[str, Any]
#: Called when the library is asked, so that a crash has an owner: the search sets it in its children.
TOLD: list[Callable[[], Any]] = []
PACKAGE = Path(algebraic_cnn.__file__).parent
#: How the question is asked: mostly as most people ask it.
_LEVELS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {},
    {"level": "modular"},
    {"level": "modular"},
    {"level": "modular"},
    {"level": "modular"},
    {"level": "rational", "memory_budget": 2**20},
    {"level": "bounded"},
    {"level": "bounded"},
]
_COLLAPSES: list[dict[str, Any]] = [{}, {}, {}, {"certify": None}, {"certify": "rational"}, {"certify": "bounded"}]


#: A rewriting that is none in floating point.
_CANCELS = "plus c minus c"

#: Of what float64 rounds anyway, so many times is a rewriting's own rounding: 2^-22 of a value.
_ROUNDED = 2.0**30


@dataclass(frozen=True, eq=False)
class Subject:
    """A program of a snippet in one of its dresses."""

    made: Snippet
    dress: str

    @property
    def native(self) -> torch.dtype:
        """The dtype in which it was written."""
        return DRESSES[self.dress]

    @cached_property
    def program(self) -> ExportedProgram:
        """As ``torch.export`` gives it."""
        return program_of(self.made, self.dress)

    @property
    def least(self) -> int:
        """The fewest samples that the program says it takes: torch mostly says 2."""
        return max((int(allowed.lower) for allowed in self.program.range_constraints.values()), default=1)

    @cached_property
    def module(self) -> GraphModule:
        """As a module whose graph can be changed."""
        return module_of(self.program)

    @cached_property
    def all_changes(self) -> list[Change]:
        """Everything that can be done to it."""
        return [*changes(self.module), *rewritings(self.module)]

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """In float64 and as it is written."""
        dtypes = dict.fromkeys((torch.float64, self.native))
        return tuple(Setting(self.made, self.native, dtype) for dtype in dtypes)

    @cached_property
    def observed(self) -> tuple[Observed, ...]:
        """What it does in each of the settings."""
        return tuple(Observed.of(self.module, setting) for setting in self.settings)

    def fresh(self) -> GraphModule:
        """A copy that may be changed."""
        return copied(self.module, self.module.graph)

    def example(self, samples: int) -> Any:
        """What ``certify`` and ``collapse`` are given."""
        args = tuple(self.made.batch(samples, "normal", self.native, 5))
        return args if len(args) > 1 else args[0]


def changed(subject: Subject, change: Change, then: str = "") -> nn.Module:
    """The program with that change, and with a rewriting after it where one is named."""
    net = change.edit(subject.fresh())
    if then and isinstance(net, GraphModule):
        again = next(each for each in rewritings(net) if each.what == then)
        net = again.edit(net)
    return net


def second(subject: Subject, change: Change) -> str:
    """For every fourth change the rewriting that is done after it; "" for none."""
    chance = zlib.crc32(f"{subject.made.name} {subject.dress} {change.what}".encode())
    if chance % 4:
        return ""
    net = change.edit(subject.fresh())
    found = rewritings(net) if isinstance(net, GraphModule) else []
    return found[chance // 4 % len(found)].what if found else ""


def gaps(subject: Subject, net: nn.Module, least: int = 1) -> list[Gap]:
    """How far a network is from the subject in each of the settings, in batches of ``least`` samples or more.

    What casts is another program in float64: where its own dtype shows no difference, there is none.
    """
    found = [
        compare(base, observe(net, setting, side=1), least)
        for base, setting in zip(subject.observed, subject.settings, strict=True)
    ]
    own = not found[-1].what and (casts(subject.module) or casts(net))
    return found[-1:] * len(found) if own else found


def truth(subject: Subject, change: Change, found: list[Gap], then: str = "") -> str:
    """What is so: "different", "same", "undecided" where torch cannot tell, "partial" where one does not run.

    A number that torch rounds away in the network's own dtype, to the same bits everywhere, decides nothing.  Nor does
    the dtype of the constants where no input has one: that is the same network in another precision.
    """
    precise = change.kind == "constant dtype" and all(drawn.most for drawn in subject.made.inputs)
    if precise and found[-1].what == "dtype" and found[0].same:
        return "undecided"
    if any(gap.what == "raises" for gap in found):
        return "partial"
    cancels = _CANCELS in f"{change.what} {then}"
    if change.preserving and any(gap.different for gap in found) and _rounded(found, cancels):
        return "undecided"
    if any(gap.different for gap in found):
        return "different" if found[-1].what or beyond_rounding(subject, found) else "undecided"
    return "same" if change.preserving and all(gap.same for gap in found) else "undecided"


def _rounded(found: list[Gap], cancels: bool) -> bool:
    """Whether a rewriting differs by its own rounding: in float64 by little, though a sort may make much of it.

    + c - c loses what is small beside c, which may be all of a small number.
    """
    values = all(gap.what in ("", "value") for gap in found)
    return values and (found[0].size < _ROUNDED or (cancels and not math.isinf(found[0].size)))


def beyond_rounding(subject: Subject, found: list[Gap]) -> bool:
    """Whether a difference is more than rounding in the network's own dtype explains."""
    for gap, setting in zip(found, subject.settings, strict=True):
        unit = torch.finfo(setting.dtype).eps / torch.finfo(subject.native).eps
        if gap.different and (math.isinf(gap.size) or gap.size * unit >= BEYOND):
            return True
    return False


def judged(subject: Subject, change: Change, certify: Any = algebraic_cnn.certify) -> Record:
    """What is true of a pair, what ``certify`` says of it, and what that makes: "wrong yes", "false alarm", ..."""
    start = time.perf_counter()
    record: Record = {
        "task": "certify", "network": subject.made.name, "dress": subject.dress, "kind": change.kind,
        "op": change.op, "what": change.what, "then": "", "truth": "not runnable", "verdict": "not counted",
    }  # fmt: skip
    try:
        with silent():
            record["then"] = second(subject, change)
            net = changed(subject, change, record["then"])
            net(*subject.made.batch(2, "normal", subject.native, 1))
    except Exception as error:  # a change that torch does not take is no pair
        return record | {"error": f"{type(error).__name__}: {error}"[:200]}
    chance = zlib.crc32(f"{change.what} {subject.dress}".encode())
    first, least = (subject.program, subject.least) if chance % 8 else (subject.module, 1)
    found = gaps(subject, net, least)
    true = truth(subject, change, found, record["then"])
    record |= {"truth": true, "gap": [gap.what for gap in found], "size": [f"{gap.size:.2g}" for gap in found]}
    if true not in ("different", "same") and chance // 512 % 4:  # no verdict on it is wrong: asked for errors only
        return record
    example = subject.example((2, 1, 3)[chance // 8 % 3])
    options = _LEVELS[chance // 24 % len(_LEVELS)]
    said, more = asked(lambda: certify(first, net, example, **options))
    said = "rounding" if said == "equal" and options == {"level": "bounded"} else said
    record |= {"said": said, **options, **more}
    record["verdict"] = verdict(true, said, beyond_rounding(subject, found))
    if record["verdict"] == "false alarm" and rounds(record):
        record["verdict"] = "not counted"
    if said == "equal" and true != "different":
        record["slopes"] = slopes_differ(subject.module, net, subject.settings[0])
    return record | {"seconds": round(time.perf_counter() - start, 2)}


def rounds(record: Record) -> bool:
    """Whether an exact level was asked of a rewriting that rounds: of numbers, no alarm is false there."""
    return record.get("level") in ("modular", "rational") and _CANCELS in f"{record['what']} {record['then']}"


def verdict(true: str, said: str, much: bool) -> str:
    """What an answer is worth."""
    if said in ("refused", "raw", "undecided"):
        return "refused" if said == "undecided" else said
    if true == "different":
        wrong = said == "equal" or (said == "rounding" and much)
        return "wrong yes" if wrong else "right"
    if true == "same":
        return "false alarm" if said == "different" else "right"
    return "not counted"


def asked(question: Any) -> tuple[str, Record]:
    """The word of a certificate, or how it was refused: (word, what more there is to keep)."""
    for tell in TOLD:
        tell()
    try:
        with warnings.catch_warnings(), silent(), torch.enable_grad():
            certificate = question()
    except AlgebraicError as error:
        return "refused", {"error": f"{type(error).__name__}: {error}"[:300]}
    except Exception as error:  # anything else is a defect
        return "raw", {"error": f"{type(error).__name__}: {error}"[:300], "place": place(error)}
    said = getattr(certificate, "verdict", None) or ("equal" if getattr(certificate, "ok", True) else "different")
    return said, {} if said == "equal" else {"error": str(certificate)[:300]}


def place(error: BaseException) -> str:
    """The last line of the package that an error passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if str(PACKAGE) in frame.filename]
    return f"{Path(frames[-1].filename).relative_to(PACKAGE)}:{frames[-1].lineno}" if frames else "torch"


def collapsed(subject: Subject, change: Change | None, collapse: Any = algebraic_cnn.collapse) -> Record:
    """What ``collapse`` makes of a network: "right", "refused", or what is wrong with it."""
    start = time.perf_counter()
    record: Record = {
        "task": "collapse", "network": subject.made.name, "dress": subject.dress, "kind": "collapse",
        "op": change.kind if change else "itself", "what": change.what if change else "", "verdict": "not counted",
    }  # fmt: skip
    setting = subject.settings[-1]
    try:
        with silent():
            net = changed(subject, change) if change else subject.made.make().to(subject.native)
            base = Observed.of(net, setting)
    except Exception as error:  # a change that torch does not take is no network
        return record | {"error": f"{type(error).__name__}: {error}"[:200]}
    if base.seen[0].raised:
        return record
    chance = zlib.crc32(f"{record['what']} {subject.made.name}".encode())
    given = subject.program if change is None and chance % 2 else net
    result: list[Any] = []
    options = _COLLAPSES[chance // 6 % len(_COLLAPSES)]

    def question() -> Any:
        result.append(collapse(given, subject.example((2, 1, 3)[chance // 2 % 3]), measure=False, **options))
        return result[0].certificate or result[0].report

    said, more = asked(question)
    if said in ("refused", "raw"):
        refuted = more["error"].startswith(f"{UncertifiedError.__name__}: {NOT_THE_NETWORK}")
        return record | {"verdict": "refuted itself" if refuted else said, **options, **more}
    record |= options
    slopes = net if given is net else subject.module  # what an export does to gradients is torch's
    record["verdict"], record["gap"] = outcome(net, result[0].model, base, setting, slopes)
    return record | {"seconds": round(time.perf_counter() - start, 2)}


def outcome(
    net: nn.Module, model: nn.Module, base: Observed, setting: Setting, slopes: nn.Module
) -> tuple[str, str]:
    """Whether a collapse is the network: its verdict, and how it differs; in gradients from ``slopes``."""
    seen = observe(model, setting)
    pairs = list(zip(base.seen, seen, strict=True))
    refused = {number // PER_TRIAL for number, (one, two) in enumerate(pairs) if two.ours and not one.raised}
    sizes = sorted({pairs[number * PER_TRIAL][0].samples for number in refused})
    gap = compare(base, [one if number // PER_TRIAL in refused else two for number, (one, two) in enumerate(pairs)])
    if gap.different:
        return "wrong collapse", f"{gap.what} {gap.size:.2g}"
    if slopes_differ(slopes, model, setting):
        return "other gradient", "gradient"
    return ("right at some sizes", f"not at {sizes}") if sizes else ("right", "")
