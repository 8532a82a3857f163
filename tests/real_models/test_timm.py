"""Twelve networks of timm beside timm's own conversion: no BatchNorm is left, and no convolution more.

They need the extra "models".  Numbers are float64, weights random, statistics of BatchNorms drawn; no time is measured.
"""

from __future__ import annotations

import pytest
import torch

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.reparameterised import MODELS, converted, counts, example, network
from algebraic_cnn.errors import MissingExtraError

try:
    network("resnet34")
except MissingExtraError:
    pytest.skip("timm is not installed", allow_module_level=True)

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
