"""A training run on the disk: one ``.safetensors`` file, whole or not there, from which it goes on bit for bit.

    model/...       parameters and buffers
    momentum/...    the optimizer's momentum of each parameter
    more/...        what else the run has to remember
    notes           JSON: see `NOTES`
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .errors import DataError
from .files import whole_file

Tensors = Mapping[str, torch.Tensor]
#: recipe: what decides the run; records: what it has achieved; companion: how far what goes along with it has come
NOTES = ("recipe", "records", "companion")


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
    from safetensors.torch import save_file

    parts = {"model": model.state_dict(), "momentum": momenta(model, optimizer), "more": more}
    tensors = {f"{part}/{name}": value.contiguous() for part, group in parts.items() for name, value in group.items()}
    with whole_file(path) as unfinished:
        save_file(tensors, unfinished, metadata={name: json.dumps(note) for name, note in notes.items()})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a run.

    Raises:
        DataError: if the file is damaged.
    """
    from safetensors import safe_open

    with _told(path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        notes = {name: json.loads(metadata[name]) for name in NOTES}
        groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "momentum": {}, "more": {}}
        for key in file.keys():  # noqa: SIM118
            part, _, name = key.partition("/")
            groups[part][name] = file.get_tensor(key)
    return Checkpoint(notes, **groups)


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
