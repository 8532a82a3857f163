"""Programs as files: what is saved comes back, and no file gets to run anything."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from algebraic_cnn.errors import DataError, UnknownNameError
from algebraic_cnn.programs import load_program, save_program
from algebraic_cnn.trace import export


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    return export(model.eval(), torch.zeros(1, 1, 4, 4))


@pytest.fixture
def path(program: torch.export.ExportedProgram, tmp_path: Path) -> Path:
    return save_program(program, tmp_path / "model.pt2")


def test_a_program_comes_back_with_its_free_batch_and_its_example(
    program: torch.export.ExportedProgram, path: Path
) -> None:
    again, x = load_program(path), torch.arange(80.0).reshape(5, 1, 4, 4)
    assert torch.equal(again.module()(x), program.module()(x))
    assert again.example_inputs[0][0].shape[1:] == (1, 4, 4)
    assert [file.name for file in path.parent.iterdir()] == ["model.pt2"]


def rewrite(path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Write the archive anew, each record as ``change`` gives it back (None: left out), sums and all."""
    with zipfile.ZipFile(path) as archive:
        records = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for record in records:
            if record is not None:
                archive.writestr(*record)


class Bomb:
    """An object whose unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


def pickled(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    torch.save(((bomb,), {}), buffer)
    return buffer.getvalue()


def sample_inputs(bomb: Bomb) -> Callable:
    return lambda name, old: (name, pickled(bomb) if name.endswith("sample_inputs/model.pt") else old)


def bare_pickle(bomb: Bomb) -> Callable:
    return lambda name, old: (name, pickle.dumps((bomb,)) if name.endswith("sample_inputs/model.pt") else old)


def pickled_weight(bomb: Bomb) -> Callable:
    def change(name: str, old: bytes) -> tuple[str, bytes]:
        if name.endswith("weights_config.json"):
            config = json.loads(old)
            next(iter(config["config"].values()))["use_pickle"] = True
            return name, json.dumps(config).encode()
        return name, pickled(bomb) if name.endswith("/weight_0") else old

    return change


def old_weights(bomb: Bomb) -> Callable:
    def change(name: str, old: bytes) -> tuple[str, bytes]:
        return (name[: -len("weight_0")] + "model.pt", pickled(bomb)) if name.endswith("/weight_0") else (name, old)

    return change


def custom_object(bomb: Bomb) -> Callable:
    def change(name: str, old: bytes) -> tuple[str, bytes]:
        if name.endswith("constants_config.json"):
            payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
            return name, json.dumps({"config": {"c": payload}}).encode()
        return (name[: -len("byteorder")] + "data/constants/opaque_obj_0", pickle.dumps(bomb)) if name.endswith(
            "byteorder"
        ) else (name, old)

    return change


def library(bomb: Bomb) -> Callable:
    return lambda name, old: (name.replace("byteorder", "data/aotinductor/model/x.so"), old)


def expression(bomb: Bomb) -> Callable:
    code = f"__import__('pathlib').Path('{bomb.mark}').touch()".encode()
    return lambda name, old: (name, old.replace(b"Symbol(", code + b"+Symbol("))


def expression_in_a_text(bomb: Bomb) -> Callable:
    code = f"""S('__import__(\\"pathlib\\").Path(\\"{bomb.mark}\\").touch()')""".encode()
    return lambda name, old: (name, old.replace(b"Symbol(", code + b"+Symbol("))


@pytest.mark.parametrize(
    "attack",
    [
        sample_inputs,
        bare_pickle,
        pickled_weight,
        old_weights,
        custom_object,
        library,
        expression,
        expression_in_a_text,
    ],
)
def test_a_file_that_would_run_code_is_refused(path: Path, attack: Callable) -> None:
    before, mark = path.read_bytes(), path.parent / "mark"
    rewrite(path, attack(Bomb(mark)))
    assert path.read_bytes() != before
    with pytest.raises(DataError, match="refused, for reading it could run code"):
        load_program(path)
    assert not mark.exists()


def test_the_bomb_goes_off_when_it_is_unpickled(tmp_path: Path) -> None:
    torch.load(io.BytesIO(pickled(Bomb(tmp_path / "mark"))), weights_only=False)
    assert (tmp_path / "mark").exists()


def flip_a_weight(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        record = next(record for record in archive.infolist() if record.filename.endswith("/weight_0"))
        weight = archive.read(record)
    content = path.read_bytes()
    at = content.index(weight)
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a program"),
    "text": (lambda path: path.write_text("hello, hello"), "not a program"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-500]), "not a program"),
    "one bit": (flip_a_weight, "damaged: the sum of"),
    "no graph": (lambda path: rewrite(path, lambda n, old: None if n.endswith("model.json") else (n, old)), "not a"),
    "not json": (lambda path: rewrite(path, lambda n, old: (n, b"{" if n.endswith(".json") else old)), "not a program"),
    "other zip": (lambda path: rewrite(path, lambda n, old: ("a/b", b"c") if n.endswith("order") else None), "format"),
    "empty zip": (lambda path: rewrite(path, lambda n, old: None), "not a program"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name(path: Path, damage: str) -> None:
    apply, words = DAMAGES[damage]
    apply(path)
    with pytest.raises(DataError, match=words) as caught:
        load_program(path)
    assert path.name in str(caught.value)


def test_a_folder_and_another_ending_are_refused(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_program(tmp_path)
    with pytest.raises(UnknownNameError, match=r"expected model\.pt2, got model\.pth"):
        save_program(program, tmp_path / "model.pth")
