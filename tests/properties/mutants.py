"""One planted mistake each: (model, choose) -> None changes a LinearCNN in place, at a place that is chosen.

mutants     copies of a network with one mistake each, and their graphs
Choose      one of several places: the first, or the one that Hypothesis draws
NoPlace     the network has no place for that mistake: it has no skip to drop, no bias, no convolution
every_place a small network with a place for every mistake, each of which makes another function of it
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.testing import Network

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_CROP = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d}


class NoPlace(Exception):
    """There is nothing in the network that the mistake could be made in."""


Choose = Callable[[Sequence], Any]


def drawn_by(data: st.DataObject) -> Choose:
    return lambda places: data.draw(st.sampled_from(places), label="place of the mistake")


def first(places: Sequence) -> Any:
    return places[0]


def every_place(dtype: torch.dtype) -> Network:
    layers = [nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 3, padding=1), nn.Linear(4, 2)]
    model = LinearCNN((1, 4), layers, {(1, 3): 0.5})
    for number, parameter in enumerate(model.parameters()):
        parameter.data = torch.arange(1.0, 1 + parameter.numel()).reshape(parameter.shape) + number
    return Network(model.to(dtype).eval(), torch.arange(1.0, 9).reshape(2, 1, 4).to(dtype))


def _drawn(places: Sequence, choose: Choose) -> Any:
    if not places:
        raise NoPlace
    return choose(places)


def _chosen(model: LinearCNN, choose: Choose, fits: Callable[[nn.Module], bool]) -> nn.Module:
    return _drawn([part for part in model.modules() if fits(part)], choose)


def _weight(model: LinearCNN, choose: Choose) -> tuple[Tensor, int]:
    weight = _chosen(model, choose, lambda part: isinstance(part, CONVOLUTIONS)).weight
    return weight.data.view(-1), choose(range(weight.numel()))


def one_weight_by_one(model: LinearCNN, choose: Choose) -> None:
    flat, index = _weight(model, choose)
    flat[index] += 1


def one_weight_by_one_ulp(model: LinearCNN, choose: Choose) -> None:
    flat, index = _weight(model, choose)
    flat[index] = torch.nextafter(flat[index], torch.tensor(torch.inf, dtype=flat.dtype))


def flipped_kernel(model: LinearCNN, choose: Choose) -> None:
    def flipped(part: nn.Module) -> Tensor:
        return part.weight.data.flip(tuple(range(2, part.weight.ndim)))

    def asymmetric(part: nn.Module) -> bool:
        return isinstance(part, CONVOLUTIONS) and not torch.equal(flipped(part), part.weight)

    part = _chosen(model, choose, asymmetric)
    part.weight.data = flipped(part)


def padding_off_by_one(model: LinearCNN, choose: Choose) -> None:
    """One position more before the last axis, one less after it."""
    firsts = [layer[0] if isinstance(layer, nn.Sequential) else layer for layer in model.layers]
    place = _drawn([i for i, first in enumerate(firsts) if isinstance(first, CONVOLUTIONS)], choose)
    axes = firsts[place].weight.ndim - 2
    model.layers[place] = nn.Sequential(_CROP[axes]((1, -1, 0, 0)[: 2 * axes], 0.0), model.layers[place])


def dropped_skip(model: LinearCNN, choose: Choose) -> None:
    model.strengths[_drawn(sorted(edge for edge, t in model.strengths.items() if t), choose)] = 0.0


def dropped_bias(model: LinearCNN, choose: Choose) -> None:
    def biased(part: nn.Module) -> bool:
        return getattr(part, "bias", None) is not None and bool(part.bias.any())

    _chosen(model, choose, biased).bias.data.zero_()


MUTATIONS: dict[str, Callable[[LinearCNN, Choose], None]] = {
    "one weight by 1": one_weight_by_one,
    "one weight by 1 ulp": one_weight_by_one_ulp,
    "flipped kernel": flipped_kernel,
    "padding off by one": padding_off_by_one,
    "dropped skip": dropped_skip,
    "dropped bias": dropped_bias,
}

#: Mistakes in the calls and not only in the numbers of a network.
_IN_CALLS = ("padding off by one", "dropped skip")


def mutants(
    model: LinearCNN, graph: Graph, names: Sequence[str], choose: Choose
) -> Iterator[tuple[str, LinearCNN, Graph]]:
    """The name of the mistake, a copy of the model with it, and the copy's graph; only where there is a place for it.

    Tracing is what takes the time: where only numbers changed, the graph is the original's with those numbers.
    """
    for name in names:
        other = copy.deepcopy(model)
        try:
            MUTATIONS[name](other, choose)
        except NoPlace:
            continue
        other.eval()
        if name in _IN_CALLS:
            yield name, other, trace(other, torch.zeros(2, *model.in_shape).to(graph.dtype))
            continue
        numbers = other.state_dict()
        constants = {key: numbers.get(graph.paths.get(key, ""), value) for key, value in graph.constants.items()}
        yield name, other, replace(graph, constants=constants)
