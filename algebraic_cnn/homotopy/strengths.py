"""Strengths: the two numbers in [0, 1] that the homotopies move, as buffers that save and load with their model.

    SkipStrength         x to t x, on its way into a residual sum: t = 1 is the residual network, t = 0 a plain one
    ActivationStrength   (x, y = act(x)) to s x + (1 - s) y: s = 0 is the network as it was, s = 1 has no activation
    name                 where in the model it stands: the module that a skip skips, the call of an activation
    end                  the strength at which it can go
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ..errors import HomotopyError, UnknownNameError
from ..ops.others import OTHERS

Strengths = float | Mapping[str, float]
#: The ATen names of activations: functions of every entry by itself that are not affine.
POINTWISE = frozenset(name for name, known in OTHERS.items() if known.activation)


class SkipStrength(nn.Module):
    """x to t x.

    Args:
        name: what the skip is called.
        t: its strength.

    >>> skip = SkipStrength("layer1.0", 0.5)
    >>> skip, skip(torch.ones(2)), list(skip.state_dict())
    (SkipStrength(layer1.0, 0.5), tensor([0.5000, 0.5000]), ['strength'])
    """

    word, symbol, end, kept = "skip", "t", 0, "in use"
    words, sought = "skip connections", "a sum of two ways, one of fewer layers"

    def __init__(self, name: str, t: float) -> None:
        super().__init__()
        self.name = name
        self.strength: Tensor
        self.register_buffer("strength", torch.tensor(t))

    def forward(self, x: Tensor) -> Tensor:
        """t x."""
        return x * self.strength

    def extra_repr(self) -> str:
        """What print shows."""
        return f"{self.name}, {float(self.strength.detach()):g}"


class ActivationStrength(nn.Module):
    """(x, y) to s x + (1 - s) y, where y = act(x).

    Args:
        name: what the activation is called.
        s: how much of it is faded.

    >>> ActivationStrength("relu", 0.25)(torch.tensor([-4.0, 4.0]), torch.tensor([0.0, 4.0]))
    tensor([-1.,  4.])
    """

    word, symbol, end, kept = "activation", "s", 1, "not linear"
    words, sought = "activations", ", ".join(sorted(POINTWISE))

    def __init__(self, name: str, s: float) -> None:
        super().__init__()
        self.name = name
        self.strength: Tensor
        self.register_buffer("strength", torch.tensor(s))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """s x + (1 - s) y."""
        return self.strength * x + (1 - self.strength) * y

    def extra_repr(self) -> str:
        """What print shows."""
        return f"{self.name}, {float(self.strength.detach()):g}"


CARRIERS = (SkipStrength, ActivationStrength)
Kind = type[SkipStrength] | type[ActivationStrength]


def in_range(value: float, what: str) -> float:
    """The number itself, if it is in [0, 1].

    Raises:
        HomotopyError: if it is not, NaN included.
    """
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise HomotopyError("a strength outside of its range", expected="0 <= strength <= 1", got=value, where=what)
    return float(value)


def carriers(model: nn.Module, kind: Kind) -> dict[str, SkipStrength | ActivationStrength]:
    """The modules of that kind in a model, by the name of what they scale.

    Raises:
        HomotopyError: if two of them share a name.
    """
    found: dict[str, SkipStrength | ActivationStrength] = {}
    for module in model.modules():
        if isinstance(module, kind):
            if module.name in found:
                raise HomotopyError(f"two strengths of one {kind.word}", got=module.name)
            found[module.name] = module
    return found


def strengths(model: nn.Module, kind: Kind) -> dict[str, float]:
    """Name to strength."""
    return {name: float(carrier.strength.detach()) for name, carrier in carriers(model, kind).items()}


def set_strength(model: nn.Module, kind: Kind, value: Strengths) -> None:
    """Set one strength for all, or those that are named.

    Raises:
        HomotopyError: if the model carries no strength of that kind, or a value is outside of [0, 1].
        UnknownNameError: if there is none of that name.
    """
    found = carriers(model, kind)
    if not found:
        what = f"no {kind.word} of this model carries a strength"
        raise HomotopyError(what, expected=f"a model from with_{kind.word}_strength")
    with torch.no_grad():  # one that is learned has a gradient
        for name, number in by_name(found, kind, value).items():
            found[name].strength.fill_(number)


def by_name(names: Iterable[str], kind: Kind, value: Strengths) -> dict[str, float]:
    """A value for every name, or for those that the mapping has.

    Raises:
        HomotopyError: if a value is outside of [0, 1].
        UnknownNameError: if the mapping has another name.
    """
    names = list(names)
    wanted = dict(value) if isinstance(value, Mapping) else dict.fromkeys(names, value)
    require_known(names, wanted, kind)
    return {name: in_range(number, f"{kind.word} {name!r}") for name, number in wanted.items()}


def carry(model: GraphModule, kind: Kind, name: str) -> str:
    """Give the model a carrier of that name, on its device, of its type, in its mode; return the carrier's path."""
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    path = f"{kind.word}_strengths.{name.replace('.', '_').replace('@', '_')}"
    path = unique(path, [other for other, _ in model.named_modules()])
    model.add_submodule(path, kind(name, 0.0).to(like.device, like.dtype))
    model.get_submodule(path.split(".")[0]).train(model.training)
    return path


def unique(name: str, taken: Collection[str]) -> str:
    """The name, with "@1", "@2" ... appended where it is taken, as torch.export does for repeated calls."""
    names = (f"{name}@{count}" if count else name for count in itertools.count())
    return next(candidate for candidate in names if candidate not in taken)


def require_known(names: Iterable[str], wanted: Iterable[str], kind: Kind) -> None:
    """Refuse a name that is not on the list.

    Raises:
        UnknownNameError: if there is one.
    """
    names = list(names)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UnknownNameError(f"no such {kind.word}", expected=" | ".join(names) or "none", got=unknown[0])
