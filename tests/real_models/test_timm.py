"""Twelve networks of timm beside timm's own conversion: no BatchNorm is left, and no convolution more.

They need the extra "models".  Numbers are float64, weights random, statistics of BatchNorms drawn; no time is measured.
What is chosen for them is kept, or changed on purpose: ``frozen.json`` has, for each, its affine calls before and
after, how often each form stands in the result, and a sum over the names and shapes of the numbers of the result.
``python -m tests.real_models.test_timm`` writes it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.reparameterised import MODELS, converted, counts, example, network
from algebraic_cnn.collapsing.result import Collapse
from algebraic_cnn.errors import MissingExtraError

try:
    network("resnet34")
except MissingExtraError:
    pytest.skip("timm is not installed", allow_module_level=True)

FROZEN = Path(__file__).with_name("frozen.json")

#: Convolutions where timm merges none: as many as the network has.
AS_GIVEN = {
    "resnet34": 36,
    "shvit_s1": 77,
    "levit_128s": 4,
    "efficientvit_m0": 116,
    "tiny_vit_5m_224": 27,
    "nextvit_small": 93,
}


@pytest.mark.parametrize("name", MODELS)
def test_as_few_convolutions_as_by_hand_and_no_batch_norm(name: str) -> None:
    model, x = network(name).double(), example().double()
    result = collapse(model, x, measure=False)
    convolutions, norms = counts(result.model, x)
    by_hand = MODELS[name] or counts(converted(network(name)), example())[0]
    assert by_hand == AS_GIVEN.get(name, by_hand)
    assert convolutions <= by_hand
    assert norms == 0
    with torch.no_grad():
        expected, got = model(x), result.model(x)
    assert (got - expected).abs().max() <= 1e-12 * expected.abs().max()
    assert result.certificate is not None
    assert result.certificate.ok
    assert chosen(result) == json.loads(FROZEN.read_text("utf-8"))[name]


def chosen(result: Collapse) -> dict[str, Any]:
    numbers = sorted((name, list(x.shape)) for name, x in result.model.state_dict().items())
    return {
        "calls": list(result.report.calls),
        "forms": dict(sorted(Counter(", ".join(sorted(r.form.split(", "))) for r in result.report.regions).items())),
        "numbers": hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:16],
    }


def test_each_of_the_twelve_is_frozen() -> None:
    assert json.loads(FROZEN.read_text("utf-8")).keys() == MODELS.keys()


if __name__ == "__main__":
    found = {}
    for name in MODELS:
        made = collapse(network(name).double(), example().double(), measure=False, certify=None)
        found[name] = chosen(made)
    FROZEN.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
