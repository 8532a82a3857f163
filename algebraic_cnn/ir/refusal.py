"""Why a model cannot be exported, in our words, and at which of its lines.

    quiet       while torch is at work: what it would print goes nowhere
    refusal     torch's error -> our error
    line_in     text of a stack trace -> the line of the model
    line_of     error -> the line of the model that raised it

Torch raises errors of a dozen unrelated classes, with the whole graph as their text; a user wants one line.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from torch import Tensor

from ..errors import TraceError

#: Every call that a model makes passes through this file, so that no line of it is one of the model.
_FOLLOWING = Path(__file__).parent / "histories.py"
#: What torch's errors mean, by the name of their class.
_WORDS = {
    "GuardOnDataDependentSymNode": "its control flow depends on the numbers in a tensor",
    "DynamicOutputShapeException": "the shape of a result depends on the numbers in a tensor",
    "DataDependentOutputException": "a Python number is read out of a tensor",
    "UnsupportedOperatorException": "it makes a custom call that torch.library.register_fake has not described",
    "UnsupportedFakeTensorException": "a value in it cannot be followed without its numbers",
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """torch prints the whole graph of a model that it refuses; our error carries the reason instead."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def refusal(error: Exception, example: Sequence[Tensor]) -> TraceError:
    """The error that says why the model cannot be exported with an example, and where.

    >>> import torch
    >>> print(refusal(ValueError("no such mode"), [torch.zeros(2, 3)]))
    torch.export cannot take the model with an example of shape (2, 3): ValueError (no such mode)
    """
    name, text = type(error).__name__, str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = f"{_WORDS.get(name, name)} ({lines[0] if lines else 'no reason given'})"
    shapes = ", ".join(str(tuple(x.shape)) for x in example)
    what = f"torch.export cannot take the model with an example of shape {shapes}: {reason}"
    return TraceError(what, where=line_in(text) or line_of(error))


def line_in(stack: str) -> str | None:
    """The innermost frame of the text of a stack trace that is not torch's own."""
    frames = [frame for frame in _FRAME.findall(stack) if not _is_torch(frame[0])]
    return _written(*frames[-1]) if frames else None


def line_of(error: BaseException) -> str | None:
    """The innermost line that torch called and that is not torch's own: a line of the model."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if Path(frame.filename) != _FOLLOWING]
    first = next((place for place, frame in enumerate(frames) if _is_torch(frame.filename)), len(frames))
    inner = [frame for frame in frames[first:] if not _is_torch(frame.filename)]
    return _written(inner[-1].filename, inner[-1].lineno, inner[-1].name, inner[-1].line or "") if inner else None


_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\w+)\n\s*(.*)')


def _is_torch(path: str) -> bool:
    """Whether a file is torch's, or one of ours through which a model's calls pass."""
    return re.search(r"[\\/]torch[\\/]|[\\/]algebraic_cnn[\\/]ir[\\/](dynamo|readings).py$", "/" + path) is not None


def _written(path: str, line: object, function: str, text: str) -> str:
    return f"{PurePath(path).name}:{line} in {function}: {text.strip()}"
