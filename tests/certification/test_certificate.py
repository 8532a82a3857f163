"""A certificate reads as a sentence, travels as JSON, and speaks of the networks whose hashes it carries."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import AffineMap, Certificate, Witness, certify
from algebraic_cnn.certification.certificate import fingerprint
from algebraic_cnn.errors import DataError
from algebraic_cnn.files.plain_json import sealed
from algebraic_cnn.ir.trace import trace

WITNESS = Witness("output 3 at the integer input recorded here", 5.0, -7.0, 101, [1.0, -50.0])
YES = Certificate("the two networks are the same function.", "modular", True, 2.0**-82, primes=(101, 103), points=8)
NO = Certificate("the two networks are the same function.", "modular", False, witness=WITNESS, primes=(101,))


@pytest.mark.parametrize("certificate", [YES, NO], ids=["yes", "no"])
def test_what_is_saved_is_loaded(certificate: Certificate, tmp_path: Path) -> None:
    path = certificate.save(tmp_path / "certificate.json")
    assert Certificate.load(path) == certificate
    assert json.loads(path.read_text()) == json.loads(certificate.to_json())


def test_it_reads_as_a_sentence() -> None:
    assert str(YES) == (
        "Yes (modular): the two networks are the same function. "
        "A false statement would pass with probability at most 2.1e-25."
    )
    assert str(NO).startswith("No (modular): ")
    assert "Witness: output 3 at the integer input recorded here: 5.0 in the original, -7.0 in the other" in str(NO)
    assert str(WITNESS).endswith("modulo 101")
    measured = Certificate("outputs differ by rounding.", "bounded", True, bound=0.5, observed=0.25)
    assert str(measured) == "Yes (bounded): outputs differ by rounding. Observed 0.25, bound 0.5."


@pytest.mark.parametrize(
    "text",
    ["", "not JSON", "[]", "3", "{}", '{"statement": "x"}', YES.to_json().replace('"ok"', '"okay"'), NO.to_json()[:-9]],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "certificate.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"certificate\.json"):
        Certificate.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        Certificate.load(tmp_path / "none.json")


@pytest.mark.parametrize("field", ["statement", "ok", "primes", "fingerprints", "witness", "error_probability"])
def test_a_file_whose_entries_have_other_types_is_refused(tmp_path: Path, field: str) -> None:
    value = json.loads(NO.to_json()) | {field: {"a": [1]}}
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(sealed(value)))
    with pytest.raises(DataError, match="not a certificate"):
        Certificate.load(path)


def test_the_fingerprint_sees_every_number_and_every_call() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)).eval()
    example = torch.zeros(1, 1, 4, 4)
    prints = {fingerprint(trace(model, example))}
    assert fingerprint(trace(copy.deepcopy(model), example)) in prints
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            changed = copy.deepcopy(model)
            flat = changed.state_dict()[name].view(-1)
            flat[-1] = torch.nextafter(flat[-1], torch.tensor(9.0))
            prints.add(fingerprint(trace(changed, example)))
    for change in ({"padding": 2}, {"stride": 2}):
        changed = copy.deepcopy(model)
        changed[0].__dict__.update({name: (value, value) for name, value in change.items()})
        prints.add(fingerprint(trace(changed, example)))
    assert len(prints) == 1 + 6 + 2


def test_one_number_of_any_stride_has_a_fingerprint() -> None:
    class Scaled(nn.Module):
        def __init__(self, scale: torch.Tensor) -> None:
            super().__init__()
            self.scale = nn.Parameter(scale)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    numbers = torch.arange(1.0, 5.0)
    prints = [
        fingerprint(trace(Scaled(n).eval(), torch.zeros(2, 3))) for n in (numbers[:1], numbers[::2][:1], numbers[1:2])
    ]
    assert prints[0] == prints[1] != prints[2]


def test_the_fingerprint_of_a_map_sees_every_entry_and_the_shapes() -> None:
    W, b = np.arange(6.0).reshape(2, 3), np.zeros(2)
    f = AffineMap(W, b, (3,), (2,))
    assert fingerprint(f) == fingerprint(f.to("csr"))
    others = [AffineMap(W + np.eye(2, 3), b, (3,), (2,)), AffineMap(W, b + 1, (3,), (2,)),
              AffineMap(W, b, (1, 3), (2,)), AffineMap(W.astype(np.float32), b, (3,), (2,))]  # fmt: skip
    assert len({fingerprint(g) for g in (f, *others)}) == 5


def test_a_certificate_speaks_of_its_networks_only() -> None:
    layer = nn.Linear(2, 2).eval()
    example = torch.zeros(1, 2)
    certificate = certify(layer, layer, example)
    assert certificate.speaks_of(trace(layer, example), trace(layer, example))
    other = copy.deepcopy(layer)
    other.bias.data[0] += 1
    assert not certificate.speaks_of(trace(layer, example), trace(other, example))
    certificate.require_networks(trace(layer, example), trace(layer, example))
    with pytest.raises(DataError, match="SHA-256 of the other differs"):
        certificate.require_networks(trace(layer, example), trace(other, example))
    with pytest.raises(DataError, match="SHA-256 of the original differs"):
        certificate.require_networks(trace(other, example), trace(layer, example))
