"""Weights of several networks, modulo one prime after the other: what a field alone would give, equal ones once."""

from __future__ import annotations

import copy
from fractions import Fraction

import torch
from torch import nn

from algebraic_cnn import PrimeField
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.rings.residues import Residues

EXAMPLE = torch.zeros(1, 3, 5, 5)


def test_every_prime_gives_the_residues_of_the_rationals_and_equal_weights_are_one() -> None:
    """A layer, its copy, a copy with one weight off by an ulp, and one whose memory runs through channels last."""
    layer = nn.Conv2d(3, 4, 3).eval()
    changed = copy.deepcopy(layer)
    changed.weight.data[0, 0, 0, 0] = torch.nextafter(layer.weight.data[0, 0, 0, 0], torch.tensor(9.0))
    last = copy.deepcopy(changed)
    last.weight.data = (2 * changed.weight.data).contiguous(memory_format=torch.channels_last)
    models = layer, copy.deepcopy(layer), changed, last
    graphs = [trace(model, EXAMPLE) for model in models]
    weights = [next(value for value in graph.constants.values() if value.ndim == 4) for graph in graphs]
    residues = Residues(*(graph.constants for graph in graphs))
    for p in (5, 65537, 67108859):
        embed = residues.modulo(PrimeField(p))
        found = [embed(weight) for weight in weights]
        assert found[0] is found[1]
        assert len({id(tensor) for tensor in found}) == 3
        for weight, tensor in zip(weights, found, strict=True):
            rationals = [Fraction(value) for value in weight.double().flatten().tolist()]
            expected = [value.numerator * pow(value.denominator, -1, p) % p for value in rationals]
            assert [int(value) % p for value in tensor.flatten().tolist()] == expected
            assert float(tensor.abs().max()) <= p // 2
        assert torch.equal(embed(torch.tensor([0.5, 3.0])), PrimeField(p).embed(torch.tensor([0.5, 3.0])))
