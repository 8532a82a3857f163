"""A file is whole or not there, whatever interrupts the writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from algebraic_cnn.errors import DataError
from algebraic_cnn.files import whole_file
from algebraic_cnn.plain_json import read_json, write_json


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_file_leaves_the_old_one_alone(tmp_path: Path, interruption: type[BaseException]) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(interruption), whole_file(path) as unfinished:
        unfinished.write_text("half")
        raise interruption
    assert read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_errors_of_the_disk_are_of_our_family(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{")
    with pytest.raises(DataError, match=r"cannot be written .*at .*file/a.json"):
        write_json(tmp_path / "file" / "a.json", 1)
    with pytest.raises(DataError, match="not JSON"):
        read_json(tmp_path / "file")
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "nowhere")
    with pytest.raises(DataError, match="of another kind"), whole_file(tmp_path / "b"):
        raise DataError("of another kind")
