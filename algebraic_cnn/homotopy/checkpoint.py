"""A training run on the disk: one ``.safetensors`` file, whole or not there, from which it goes on bit for bit.

The file carries a sum of every bit of it, so that a run does not go on from a damaged one.

    model/...       parameters and buffers
    momentum/...    the optimizer's momentum of each parameter
    more/...        what else the run has to remember
    notes           JSON: see `NOTES`
    sha256          of the file, with zeros where this sum stands
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import DataError
from ..files import limits, read_bytes, write_bytes
from ..files.plain_json import compact, parsed

Tensors = Mapping[str, torch.Tensor]
#: recipe: what decides the run; records: what it has achieved; companion: how far its schedules have come
NOTES = ("recipe", "records", "companion")
_ZEROS = 64 * "0"
_SUM = re.compile(rb'"sha256":"[0-9a-f]{64}"')


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        notes: `NOTES`, as JSON values.
        model: parameters and buffers by name.
        momentum: momentum by parameter.
        more: other tensors.
    """

    notes: Mapping[str, Any]
    model: Tensors
    momentum: Tensors
    more: Tensors


def write_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, notes: Mapping[str, Any], more: Tensors
) -> None:
    """Write a run, whole or not at all.

    Raises:
        DataError: if the file cannot be written.
    """
    from safetensors.torch import save

    parts = {"model": model.state_dict(), "momentum": momenta(model, optimizer), "more": more}
    tensors = {f"{part}/{name}": value.contiguous() for part, group in parts.items() for name, value in group.items()}
    metadata = {name: compact(note).decode() for name, note in notes.items()} | {"sha256": _ZEROS}
    write_bytes(path, _summed(save(tensors, metadata)))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a run.

    Raises:
        DataError: if the file is damaged, too large, or carries no sum of its content.
    """
    from safetensors.torch import load

    content = read_bytes(path, limit=limits.CHECKPOINT, expected="a checkpoint")
    with _told(path):
        length = int.from_bytes(content[:8], "little")
        if not 2 <= length <= min(len(content) - 8, limits.JSON):
            raise ValueError("its header is not as long as it says")
        if content != _summed(content):
            raise ValueError("its sum is wrong, or it carries none")
        metadata = parsed(content[8 : 8 + length], path)["__metadata__"]
        notes = {name: parsed(metadata[name].encode(), path) for name in NOTES}
        groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "momentum": {}, "more": {}}
        for key, tensor in load(content).items():
            part, _, name = key.partition("/")
            groups[part][name] = tensor
    return Checkpoint(notes, **groups)


def _summed(content: bytes) -> bytes:
    """The file with the sum of itself, where one stands or is to stand; else nothing."""
    empty, found = _SUM.subn(b'"sha256":"' + _ZEROS.encode() + b'"', content, count=1)
    total = hashlib.sha256(empty).hexdigest().encode()
    return _SUM.sub(b'"sha256":"' + total + b'"', empty, count=1) if found else b""


def restore(path: Path, checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put model and optimizer where the run was.

    Raises:
        DataError: if the checkpoint is of another model.
    """
    with _told(path):
        put_back(model, optimizer, checkpoint.model, checkpoint.momentum)


def momenta(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Parameter's name to its momentum; nothing before the first step."""
    state = {name: optimizer.state[p].get("momentum_buffer") for name, p in model.named_parameters()}
    return {name: buffer for name, buffer in state.items() if buffer is not None}


def put_back(model: nn.Module, optimizer: torch.optim.Optimizer, state: Tensors, momentum: Tensors) -> None:
    """Give a model its parameters and buffers, and its optimizer copies of the momenta."""
    model.load_state_dict(state)
    for name, parameter in model.named_parameters():
        optimizer.state[parameter].pop("momentum_buffer", None)
        if name in momentum:
            optimizer.state[parameter]["momentum_buffer"] = momentum[name].to(parameter.device, copy=True)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        what = f"not a checkpoint of this model, delete it to start anew ({reason})"
        raise DataError(what, where=path) from error
