"""Skip connections of any residual model: found, given a strength t, removed once t is 0 [JV24, section 4].

    sum         additions, in place or not, that feed nothing but each other; its terms are what they add up
    main        the term with the most layers since the input
    skip        any other term R(x) of main's shape, where main is computed from x by more layers than R, and R is a
                chain of calls with at most one layer: none at all for an identity
    strength    t in main + t R(x): a carrier's buffer, a factor in the model's source, else 1
    name        of a skip: the module that it skips, what the calls from x to main have in common of their paths
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.fx import GraphModule, Node

from .flow import Flow, is_layer, maker, op, sizes, sources, stack, where
from .opening import Opened, Site, flow_of, removed, strengthened
from .strengths import CARRIERS, SkipStrength, Strengths, set_strength, strengths, unique


@dataclass(frozen=True)
class SkipConnection:
    """One skip of a model.

    Attributes:
        name: the module that it skips, such as "layer1.0".
        strength: t, as the model stands.
        kind: "identity" where R is, else "projected".
        layers: layers of the main way.
        where: the line of the model that adds it.
    """

    name: str
    strength: float
    kind: str
    layers: int
    where: str


def find_skips(model: nn.Module, example: Any) -> list[SkipConnection]:
    """The skips of a model, in the order in which they are added.

    Args:
        model: in any mode.
        example: an input tensor (N, *in_shape), or a tuple of input tensors.

    Returns:
        Name, strength, kind, number of skipped layers and source line of each.

    Raises:
        TraceError: if ``torch.export`` cannot take the model.

    >>> import torch
    >>> from algebraic_cnn.models import resnet18
    >>> [(skip.name, skip.kind, skip.layers) for skip in find_skips(resnet18(), torch.zeros(1, 1, 28, 28))[1:3]]
    [('layer1.1', 'identity', 2), ('layer2.0', 'projected', 2)]
    """
    return [site.found for site in _sites(flow_of(model, example))]


def with_skip_strength(model: nn.Module, example: Any, t: Strengths = 1.0) -> GraphModule:
    """A copy of the model whose skips carry a strength: every main + skip becomes main + t skip.

    At t = 1 it computes bit for bit what a model of plain sums computes.  It trains, compiles and exports like the
    model, in both modes; its parameters keep their names, and t is saved and loaded with them.

    Args:
        model: in any mode.
        example: an input tensor (N, *in_shape), or a tuple of input tensors; the copy takes other batch sizes.
        t: one strength for all skips, or name to strength for some.

    Returns:
        The copy, as a graph of calls of the model's own modules.

    Raises:
        HomotopyError: if the model has no skips, or a strength is outside of [0, 1].
        UnknownNameError: if it has no skip of that name.
        TraceError: if ``torch.export`` cannot take the model.

    References:
        [JV24, sec. 4], where t is one number for all skips of a ResNet34.

    >>> import torch
    >>> from algebraic_cnn.models import resnet18
    >>> model = with_skip_strength(resnet18(), torch.zeros(1, 1, 28, 28), {"layer1.0": 0.5})
    >>> skip_strengths(model)
    {'layer1.0': 0.5}
    """
    return strengthened(model, example, SkipStrength, t, _sites, _insert)


def skip_strengths(model: nn.Module) -> dict[str, float]:
    """Name to t, for the skips that carry a strength.

    Args:
        model: from `with_skip_strength`; any other has none.

    Returns:
        Name of the module that is skipped to t, in the order of execution; empty if no skip carries a strength.

    >>> skip_strengths(nn.Linear(1, 1))
    {}
    """
    return strengths(model, SkipStrength)


def set_skip_strength(model: nn.Module, t: Strengths) -> None:
    """Set t of all skips that carry a strength, or of those that are named.

    Args:
        model: from `with_skip_strength`; changed in place.
        t: one strength for all, or name to strength for some.

    Raises:
        HomotopyError: if none carries a strength, or a value is outside of [0, 1].
        UnknownNameError: if there is none of that name.

    >>> import torch
    >>> from algebraic_cnn.models.resnet import BasicBlock
    >>> model = with_skip_strength(nn.Sequential(BasicBlock(1, 1, 1, False, 1.0)), torch.zeros(1, 1, 4, 4))
    >>> set_skip_strength(model, 0.5)
    >>> skip_strengths(model)
    {'0': 0.5}
    """
    set_strength(model, SkipStrength, t)


def remove_skips(model: nn.Module, example: Any, only: Collection[str] | None = None) -> GraphModule:
    """A copy of the model without its skips of strength 0, and without the layers that only they had.

    No output changes: what is left out was 0 times a finite number.

    Args:
        model: in any mode.
        example: an input tensor (N, *in_shape), or a tuple of input tensors.
        only: names of the skips to remove; all if absent.

    Returns:
        The copy, as a graph of calls of the model's own modules.

    Raises:
        HomotopyError: if the model has no skips, or one that is to go has a strength other than 0.
        UnknownNameError: if it has no skip of that name.
        TraceError: if ``torch.export`` cannot take the model.

    >>> import torch
    >>> from algebraic_cnn.models.resnet import BasicBlock
    >>> x = torch.ones(1, 1, 4, 4)
    >>> model = with_skip_strength(BasicBlock(1, 1, 1, True, 1.0), x, 0.0).eval()
    >>> torch.equal(remove_skips(model, x)(x), model(x))
    True
    """
    return removed(model, example, SkipStrength, only, _sites, _remove)


def _insert(twin: Opened, site: Site, carrier: str) -> None:
    graph, addition = twin.module.graph, twin.image[site.node]
    with graph.inserting_before(addition):
        scaled = graph.call_module(carrier, (twin.image[site.value],))
    addition.update_arg(site.index, scaled)
    addition.kwargs = {} if site.index else addition.kwargs


def _remove(twin: Opened) -> None:
    gone = {(twin.image[site.node], site.index) for site in twin.sites.values()}
    empty: set[Node] = set()
    for addition in filter(_is_addition, list(twin.module.graph.nodes)):
        left = [n for i, n in enumerate(addition.args) if (addition, i) not in gone and n not in empty]
        if len(left) == 1:
            addition.replace_all_uses_with(left[0])  # pyright: ignore[reportArgumentType]
        elif not left:
            empty.add(addition)


def _sites(flow: Flow) -> list[Site]:
    inner = {node for node in flow.nodes if _is_addition(node) and _feeds_an_addition(node)}
    found: list[Site] = []
    for total in flow.nodes:
        if not _is_addition(total) or total in inner:
            continue
        terms = [term for term in _terms(total, inner) if term[2] in flow.depth and sizes(term[2]) == sizes(total)]
        main = max((value for _, _, value in terms), key=lambda value: flow.depth[value], default=total)
        for addition, index, value in terms:
            x, skipped = _skipped(flow, value, main)
            if skipped and (index or _alpha(addition) == 1):
                name, t, scaled = _strength(flow, addition, index, value)
                name = name or unique(_common(flow, skipped, total), [site.found.name for site in found])
                kind = "identity" if scaled is x else "projected"
                skip = SkipConnection(name, t, kind, skipped[main], where(addition))
                found.append(Site(skip, addition, scaled, index))
    return found


def _skipped(flow: Flow, value: Node, main: Node) -> tuple[Node, dict[Node, int]]:
    """(x, the values from x to main with their layers since x) if the value is a skip R(x), else (value, nothing)."""
    earlier = flow.before(main)
    x, layers = value, 0
    while x not in earlier:
        before = [n for n in sources(x) if n in flow.depth]
        if value is main or len(before) != 1:
            return value, {}
        layers += is_layer(x)
        x = before[0]
    between = flow.layers(x, main)
    return x, between if layers <= 1 and layers < between[main] else {}


def _is_addition(node: Node) -> bool:
    return op(node) in ("add", "add_")


def _feeds_an_addition(node: Node) -> bool:
    users = list(node.users)
    alone = len(users) == 1 and _is_addition(users[0]) and sizes(users[0]) == sizes(node)
    return alone and _alpha(users[0]) == 1


def _alpha(addition: Node) -> float:
    """What an addition multiplies its second term by."""
    alpha: Any = addition.kwargs.get("alpha", 1)
    return float(alpha)


def _terms(total: Node, inner: set[Node]) -> Iterator[tuple[Node, int, Node]]:
    """(addition, index of the argument, term) for every term of a sum."""
    for index, value in enumerate(total.args[:2]):
        if isinstance(value, Node) and value in inner:
            yield from _terms(value, inner)
        elif isinstance(value, Node):
            yield total, index, value


def _strength(flow: Flow, addition: Node, index: int, value: Node) -> tuple[str, float, Node]:
    """(name of its carrier or "", t, what t scales) of a term."""
    module = flow.module_of(value)
    if isinstance(module, SkipStrength):
        return module.name, float(module.strength), next(n for n in sources(value) if n in flow.depth)
    factor = _alpha(addition) if index == 1 else 1.0
    scaled = op(value) in ("mul", "mul_") and len(value.users) == 1 and stack(value) == stack(addition)
    if scaled and isinstance(value.args[1], int | float):
        return "", factor * value.args[1], next(sources(value))
    return "", factor, value


def _common(flow: Flow, skipped: Collection[Node], total: Node) -> str:
    """The module that the skipped calls have in common; the one that adds where no other is at work."""
    adding = {frame.path for frame in stack(total)}
    paths = [maker(node).path for node in list(skipped)[1:] if not isinstance(flow.module_of(node), CARRIERS)]
    inside = [path.split(".") for path in paths if path not in adding]
    common = [parts[0] for parts in itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*inside, strict=False))]
    return ".".join(common) or maker(total).path or "model"
