"""A thousand random damages of each format end in an error of ours, or in what equals the original."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .damages import FORMATS, Format, alarm, outcomes

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
#: Torch rebuilds most forged programs, which takes its time.
FEWER = {"program, forged": 150, "program, one value": 150}


@pytest.mark.parametrize("name", FORMATS)
def test_a_damage_is_noticed_or_harmless(tmp_path: Path, name: str) -> None:
    count = 10_000 if DEEP else FEWER.get(name, 1_000)
    found: Counter[str] = Counter()
    for word, content, new in outcomes(name, tmp_path, count):
        found[word] += 1
        if word == "a part":
            assert content.startswith(new), "records are lost only where the file was cut off"
        if word == "another":
            assert not FORMATS[name].summed, found
    assert found.keys() <= {"refused", "alike", "a part", "another"}, found
    assert found["refused"] > count / 3


def trusting(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_reader_that_trusts_its_file_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind: Format = dataclasses.replace(FORMATS["certificate"], read=trusting, same=dict.__eq__)
    monkeypatch.setitem(FORMATS, "certificate", kind)
    found = Counter(word for word, _, _ in outcomes("certificate", tmp_path, 200))
    assert found["another"]
    assert any("JSONDecodeError" in word for word in found)


def test_a_reader_without_end_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError), alarm(0.05):
        while True:
            pass
