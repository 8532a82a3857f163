"""Activations of any model: found, faded by a strength s to s x + (1 - s) act(x), removed once s is 1.

    activation      a call from `POINTWISE`: a function of every entry by itself that is not affine
    gate            an activation whose value multiplies another that depends on the input, as in squeeze-and-excite;
                    no activation here, for even a linear gate would leave a product
    name            the call of the module that does nothing else, "layer1.0.relu", "layer1.0.relu@1" the second time;
                    else the module that calls the function and the function, "layer1.0.gelu"
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

from .flow import Flow, maker, op, sources, where
from .opening import Opened, Site, flow_of, removed, strengthened
from .strengths import POINTWISE, ActivationStrength, Strengths, set_strength, strengths, unique


@dataclass(frozen=True)
class Activation:
    """One activation of a model.

    Attributes:
        name: the call that computes it, such as "layer1.0.relu".
        strength: s, as the model stands; 0 where it carries none.
        function: the ATen name of act.
        where: the line of the model that calls it.
    """

    name: str
    strength: float
    function: str
    where: str


def find_activations(model: nn.Module, example: Any) -> list[Activation]:
    """The activations of a model, in the order in which they are computed.

    Args:
        model: in any mode.
        example: an input tensor (N, *in_shape), or a tuple of input tensors.

    Returns:
        Name, strength, function and source line of each.

    Raises:
        TraceError: if ``torch.export`` cannot take the model.

    >>> net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())
    >>> [(found.name, found.function) for found in find_activations(net, torch.zeros(1, 4))]
    [('1', 'relu'), ('3', 'tanh')]
    """
    return [site.found for site in _sites(flow_of(model, example))]


def with_activation_strength(model: nn.Module, example: Any, s: Strengths = 0.0) -> GraphModule:
    """A copy of the model whose activations carry a strength: every act(x) becomes s x + (1 - s) act(x).

    At s = 0 it computes bit for bit what the model computes, if no entry is infinite.  It trains, compiles and exports
    like the model, in both modes; its parameters keep their names, and s is saved and loaded with them.

    Args:
        model: in any mode.
        example: an input tensor (N, *in_shape), or a tuple of input tensors; the copy takes other batch sizes.
        s: one strength for all activations, or name to strength for some.

    Returns:
        The copy, as a graph of calls of the model's own modules.

    Raises:
        HomotopyError: if the model has no activations, or a strength is outside of [0, 1].
        UnknownNameError: if it has no activation of that name.
        TraceError: if ``torch.export`` cannot take the model.

    >>> x = torch.tensor([[-4.0, 4.0]])
    >>> with_activation_strength(nn.Sequential(nn.ReLU()), x, 0.25)(x)
    tensor([[-1.,  4.]])
    """
    return strengthened(model, example, ActivationStrength, s, _sites, _insert)


def activation_strengths(model: nn.Module) -> dict[str, float]:
    """Name to s, for the activations that carry a strength.

    Args:
        model: from `with_activation_strength`; any other has none.

    Returns:
        Name of the activation to s, in the order of execution; empty if none carries a strength.

    >>> activation_strengths(with_activation_strength(nn.Sequential(nn.ReLU()), torch.zeros(1, 2), 0.25))
    {'0': 0.25}
    """
    return strengths(model, ActivationStrength)


def set_activation_strength(model: nn.Module, s: Strengths) -> None:
    """Set s of all activations that carry a strength, or of those that are named.

    Args:
        model: from `with_activation_strength`; changed in place.
        s: one strength for all, or name to strength for some.

    Raises:
        HomotopyError: if none carries a strength, or a value is outside of [0, 1].
        UnknownNameError: if there is none of that name.

    >>> model = with_activation_strength(nn.Sequential(nn.ReLU()), torch.zeros(1, 2))
    >>> set_activation_strength(model, {"0": 0.5})
    >>> activation_strengths(model)
    {'0': 0.5}
    """
    set_strength(model, ActivationStrength, s)


def remove_activations(model: nn.Module, example: Any, only: Collection[str] | None = None) -> GraphModule:
    """A copy of the model without its activations of strength 1.

    No output changes: what is left out was 0 times a finite number.

    Args:
        model: in any mode.
        example: an input tensor (N, *in_shape), or a tuple of input tensors.
        only: names of the activations to remove; all if absent.

    Returns:
        The copy, as a graph of calls of the model's own modules.

    Raises:
        HomotopyError: if the model has no activations, or one that is to go has a strength other than 1.
        UnknownNameError: if it has no activation of that name.
        TraceError: if ``torch.export`` cannot take the model.

    >>> x = torch.tensor([[-4.0, 4.0]])
    >>> linear = with_activation_strength(nn.Sequential(nn.ReLU()), x, 1.0)
    >>> remove_activations(linear, x)(x)
    tensor([[-4.,  4.]])
    """
    return removed(model, example, ActivationStrength, only, _sites, _remove)


def _insert(twin: Opened, site: Site, carrier: str) -> None:
    graph, x, y = twin.module.graph, twin.image[site.value], twin.image[site.node]
    y.target = _on_a_copy(y.target)
    with graph.inserting_after(y):
        blend = graph.call_module(carrier)
    y.replace_all_uses_with(blend)
    blend.args = (x, y)


def _remove(twin: Opened) -> None:
    for site in twin.sites.values():
        twin.image[site.blend or site.node].replace_all_uses_with(twin.image[site.value])


def _sites(flow: Flow) -> list[Site]:
    found: list[Site] = []
    for node in flow.nodes:
        function = op(node).removesuffix("_")
        if function not in POINTWISE or _is_gate(flow, node):
            continue
        blend, carrier = _carrier(flow, node) or (None, None)
        taken = [site.found.name for site in found]
        name = carrier.name if carrier else unique(_called(flow, node, function), taken)
        activation = Activation(name, float(carrier.strength) if carrier else 0.0, function, where(node))
        found.append(Site(activation, node, next(sources(node)), blend=blend))
    return found


def _is_gate(flow: Flow, node: Node) -> bool:
    return any(op(user) in ("mul", "mul_") and all(n in flow.depth for n in sources(user)) for user in node.users)


def _carrier(flow: Flow, node: Node) -> tuple[Node, ActivationStrength] | None:
    """The blend that an activation goes into, and the module that carries its strength."""
    for user in node.users:
        module = flow.module_of(user)
        if isinstance(module, ActivationStrength):
            ends = [n for n in flow.nodes if maker(n) == maker(user)]
            return ends[-1], module
    return None


def _called(flow: Flow, node: Node, function: str) -> str:
    frame = maker(node)
    others = any(other is not node and maker(other) == frame for other in flow.nodes)
    parts = any(path.startswith(f"{frame.path}.") for path, _ in flow.model.named_modules())
    return f"{frame.path}.{function}".lstrip(".") if others or parts or not frame.path else frame.path


def _on_a_copy(target: Any) -> Any:
    """The function that returns a new value instead of changing the one it is given."""
    overload = target._overloadname
    return getattr(getattr(torch.ops.aten, target.overloadpacket.__name__.removesuffix("_")), overload)
