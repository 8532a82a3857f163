"""One planted mistake each: (model, data) -> None changes a LinearCNN in place, at a place that Hypothesis draws.

mutants     copies of a network with one mistake each, and their graphs
NoPlace     the network has no place for that mistake: it has no skip to drop, no bias, no convolution
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_CROP = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d}


class NoPlace(Exception):
    """There is nothing in the network that the mistake could be made in."""


def _drawn(places: Sequence, data: st.DataObject) -> object:
    if not places:
        raise NoPlace
    return data.draw(st.sampled_from(places), label="place of the mistake")


def _chosen(model: LinearCNN, data: st.DataObject, fits: Callable[[nn.Module], bool]) -> nn.Module:
    return _drawn([part for part in model.modules() if fits(part)], data)


def _weight(model: LinearCNN, data: st.DataObject) -> tuple[Tensor, int]:
    weight = _chosen(model, data, lambda part: isinstance(part, CONVOLUTIONS)).weight
    return weight.data.view(-1), data.draw(st.integers(0, weight.numel() - 1), label="entry")


def one_weight_by_one(model: LinearCNN, data: st.DataObject) -> None:
    flat, index = _weight(model, data)
    flat[index] += 1


def one_weight_by_one_ulp(model: LinearCNN, data: st.DataObject) -> None:
    flat, index = _weight(model, data)
    flat[index] = torch.nextafter(flat[index], torch.tensor(torch.inf, dtype=flat.dtype))


def flipped_kernel(model: LinearCNN, data: st.DataObject) -> None:
    def flipped(part: nn.Module) -> Tensor:
        return part.weight.data.flip(tuple(range(2, part.weight.ndim)))

    def asymmetric(part: nn.Module) -> bool:
        return isinstance(part, CONVOLUTIONS) and not torch.equal(flipped(part), part.weight)

    part = _chosen(model, data, asymmetric)
    part.weight.data = flipped(part)


def padding_off_by_one(model: LinearCNN, data: st.DataObject) -> None:
    """One position more before the last axis, one less after it."""
    firsts = [layer[0] if isinstance(layer, nn.Sequential) else layer for layer in model.layers]
    place = _drawn([i for i, first in enumerate(firsts) if isinstance(first, CONVOLUTIONS)], data)
    axes = firsts[place].weight.ndim - 2
    model.layers[place] = nn.Sequential(_CROP[axes]((1, -1, 0, 0)[: 2 * axes], 0.0), model.layers[place])


def dropped_skip(model: LinearCNN, data: st.DataObject) -> None:
    model.strengths[_drawn(sorted(edge for edge, t in model.strengths.items() if t), data)] = 0.0


def dropped_bias(model: LinearCNN, data: st.DataObject) -> None:
    def biased(part: nn.Module) -> bool:
        return getattr(part, "bias", None) is not None and bool(part.bias.any())

    _chosen(model, data, biased).bias.data.zero_()


MUTATIONS: dict[str, Callable[[LinearCNN, st.DataObject], None]] = {
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
    model: LinearCNN, graph: Graph, names: Sequence[str], data: st.DataObject
) -> Iterator[tuple[str, LinearCNN, Graph]]:
    """The name of the mistake, a copy of the model with it, and the copy's graph; only where there is a place for it.

    Tracing is what takes the time: where only numbers changed, the graph is the original's with those numbers.
    """
    for name in names:
        other = copy.deepcopy(model)
        try:
            MUTATIONS[name](other, data)
        except NoPlace:
            continue
        other.eval()
        if name in _IN_CALLS:
            yield name, other, trace(other, torch.zeros(2, *model.in_shape).to(graph.dtype))
            continue
        numbers = other.state_dict()
        constants = {key: numbers.get(graph.paths.get(key, ""), value) for key, value in graph.constants.items()}
        yield name, other, replace(graph, constants=constants)
