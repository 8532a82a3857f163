"""Archives written anew, as a forger would: with right sums, where the file has any.

records, rewritten    .pt2 -> its entries without their folder, and back
Bomb, pickled         an object whose unpickling leaves a mark
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from algebraic_cnn.files.archives import sha256

SEAL = "extra/algebraic_cnn.sha256"
GRAPH = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


def records(path: Path) -> tuple[str, dict[str, bytes]]:
    """The folder of an archive and its entries."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return names[0].split("/")[0], {name.partition("/")[2]: archive.read(name) for name in names}


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Change the entries, and write them with right sums."""
    root, content = records(path)
    sealed = content.pop(SEAL, None) is not None
    change(content)
    if sealed:
        content[SEAL] = sha256(content)
    stored(path, [(f"{root}/{name}", data) for name, data in content.items()])


def stored(path: Path, entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]], **how: Any) -> None:
    """An archive of these entries, as they are."""
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, data in entries:
            archive.writestr(name, data)


def graph_changed(path: Path, change: Callable[[dict[str, Any]], object], name: str = GRAPH) -> None:
    """Change what the JSON of a program says."""

    def apply(content: dict[str, bytes]) -> None:
        graph = json.loads(content[name])
        change(graph)
        content[name] = json.dumps(graph).encode()

    rewritten(path, apply)


class Bomb:
    """An object whose unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


def pickled(bomb: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(((bomb,), {}), buffer)
    return buffer.getvalue()
