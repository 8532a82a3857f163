"""Which path a model takes: some do otherwise while they are exported (``torch.compiler.is_exporting()``).

    Path           what of a model is exported
    asking         context: while a model is exported, it is known whether it asks for that
    as_it_runs     context: while a model is exported, its forward pass sees what it sees when it runs
    as_exported    context: while a model runs, it sees what it sees when it is exported
    in_forward     context: while this holds, another context does in the model's forward pass
    note, noted    what a program has to say of itself if it is the exported path alone

torch keeps no public call to set its flags: these are its own two, as ``torch.export`` sets them, in torch 2.8 to 2.13.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

_FLAGS = ("_is_compiling_flag", "_is_exporting_flag")

_KEY = "algebraic_cnn.path"


class Path(enum.Enum):
    """What of a model is exported: all that torch sees, the path as it runs, or the one that it takes there alone.

    ASKING is all that torch sees of a model that does not ask whether it is exported.
    """

    ASKING = enum.auto()
    PLAIN = enum.auto()
    AS_IT_RUNS = enum.auto()
    AS_EXPORTED = enum.auto()


class _Asked(Exception):
    """A model asks whether it is exported."""


class Answer:
    """A flag of torch's that says yes to torch itself; from anybody else it takes the question as the end of a run.

    Attributes:
        asked: whether anybody did.
    """

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        asker = sys._getframe(1).f_globals.get("__name__", "")
        if asker.partition(".")[0] != "torch":
            self.asked = True
            raise _Asked(asker)
        return True


@contextlib.contextmanager
def _flags(*, exporting: bool | Answer) -> Iterator[None]:
    before = {name: getattr(torch.compiler, name) for name in _FLAGS}
    try:
        for name in _FLAGS:
            setattr(torch.compiler, name, exporting)
        yield
    finally:
        for name, value in before.items():
            setattr(torch.compiler, name, value)


def as_exported() -> contextlib.AbstractContextManager[None]:
    """While this holds, ``torch.compiler.is_exporting()`` and ``is_compiling()`` say yes.

    >>> with as_exported():
    ...     torch.compiler.is_exporting(), torch.compiler.is_compiling()
    (True, True)
    >>> torch.compiler.is_exporting()
    False
    """
    return _flags(exporting=True)


def as_it_runs(model: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """While this holds, the model's forward pass sees no export, whoever calls it."""
    return in_forward(model, lambda: _flags(exporting=False))


@contextlib.contextmanager
def asking(model: torch.nn.Module) -> Iterator[Answer]:
    """While this holds, a forward pass that asks whether it is exported ends there.

    >>> class Asks(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x if torch.compiler.is_exporting() else -x
    >>> model = Asks()
    >>> with asking(model) as answer, contextlib.suppress(Exception):
    ...     model(torch.ones(1))
    >>> answer.asked
    True
    """
    answer = Answer()
    with in_forward(model, lambda: _flags(exporting=answer)):
        yield answer


@contextlib.contextmanager
def in_forward(model: torch.nn.Module, context: Callable[[], contextlib.AbstractContextManager[Any]]) -> Iterator[None]:
    """While this holds, every forward pass of the model runs in a context of its own."""
    forward, own = model.forward, vars(model).get("forward")

    @functools.wraps(forward)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with context():
            return forward(*args, **kwargs)

    model.forward = inside
    try:
        yield
    finally:
        if own is None:
            del model.forward
        else:
            model.forward = own


def note(program: ExportedProgram, words: str) -> None:
    """Let a program say of itself that it is the exported path alone, and how that was compared with the model's."""
    program.graph_module.meta[_KEY] = words


def noted(program: ExportedProgram) -> str:
    """What a program says so of itself, "" if nothing."""
    return str(program.graph_module.meta.get(_KEY, ""))
