"""Which path a model takes: some do otherwise while they are exported (``torch.compiler.is_exporting()``).

    Path           what of a model is exported
    as_it_runs     context: while a model is exported, its forward pass sees what it sees when it runs
    as_exported    context: while a model runs, it sees what it sees when it is exported
    note, noted    what a program has to say of itself if it is the exported path alone

torch keeps no public call to set its flags: these are its own two, as ``torch.export`` sets them, in torch 2.8 to 2.13.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

_FLAGS = ("_is_compiling_flag", "_is_exporting_flag")

_KEY = "algebraic_cnn.path"


class Path(enum.Enum):
    """What of a model is exported: all that torch sees, the path as it runs, or the one that it takes there alone."""

    PLAIN = enum.auto()
    AS_IT_RUNS = enum.auto()
    AS_EXPORTED = enum.auto()


@contextlib.contextmanager
def _flags(*, exporting: bool) -> Iterator[None]:
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


@contextlib.contextmanager
def as_it_runs(model: torch.nn.Module) -> Iterator[None]:
    """While this holds, the model's forward pass sees no export, whoever calls it."""
    forward, own = model.forward, vars(model).get("forward")

    @functools.wraps(forward)
    def unseen(*args: Any, **kwargs: Any) -> Any:
        with _flags(exporting=False):
            return forward(*args, **kwargs)

    model.forward = unseen
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
