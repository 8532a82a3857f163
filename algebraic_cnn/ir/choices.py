"""What a collapse chose, as plain data that travels with its result: in the module, in its program, in its file.

A result alone does not say which of its calls were raced and kept, or under which prices its forms were chosen.  With
these choices the collapse can be made again and compared, bit for bit.  They are hints, and nothing is believed.

    choices_of    module or program -> what it carries, if that is plain data
    carrying      writes choices to a module or a program
    spelled, read    the same as the bytes of a file's entry
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import fx
from torch.export import ExportedProgram

from ..files import limits
from ..files.plain_json import parsed

Choices = Mapping[str, Any]
_KEY = "algebraic_cnn.choices"


def choices_of(model: Any) -> Choices | None:
    """What a module or a program carries, None if it is nothing of the kind."""
    held = model.graph_module if isinstance(model, ExportedProgram) else model
    found = held.meta.get(_KEY) if isinstance(held, fx.GraphModule) else None
    return found if isinstance(found, Mapping) else None


def carrying(model: Any, choices: Choices | None) -> None:
    """Let a module or a program carry choices, if there are any."""
    held = model.graph_module if isinstance(model, ExportedProgram) else model
    if choices is not None and isinstance(held, fx.GraphModule):
        held.meta[_KEY] = dict(choices)


def spelled(choices: Choices) -> bytes:
    """Choices as an entry of a file."""
    return json.dumps(dict(choices), sort_keys=True).encode()


def read(content: bytes, where: object) -> Choices | None:
    """Choices from an entry of a file.

    Raises:
        DataError: if it is no JSON.
    """
    found = parsed(content, where, limit=limits.JSON)
    return found if isinstance(found, Mapping) else None
