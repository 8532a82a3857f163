"""A call about to be evaluated, and what a rule says of its kind.

Step         carriers for what depends on the network's input, ring elements for constants
step[name]   an argument in the ring
step.offset  an added constant: 0 in the linear part f_W, where the biases are dropped
Rule         how to compute a kind of call, and the arguments in which it is jointly affine
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..rings.ring import Ring


@dataclass(frozen=True, eq=False)
class Step:
    """One call with its arguments resolved.

    Attributes:
        target: the ATen callable.
        raw: every argument by name; constants as the model has them.
        ringed: the tensor and scalar arguments in the ring.
        dependent: names of the arguments that depend on the network's input.
        ring: the ring.
        linear: whether added constants are dropped.
        dtype: the network's own, in which torch chooses nearest neighbours.
    """

    target: Callable[..., Any]
    raw: Mapping[str, Any]
    ringed: Mapping[str, Any]
    dependent: frozenset[str]
    ring: Ring
    linear: bool = False
    dtype: torch.dtype = torch.float64

    def __getitem__(self, name: str) -> Any:
        return self.ringed.get(name, self.raw.get(name))

    def offset(self, name: str) -> Any:
        """An argument that is added: itself if it depends on the input, else 0 in the linear part; None if absent."""
        value = self[name]
        return value if value is None or not self.linear or name in self.dependent else value * 0

    def call(self, **changes: Any) -> Any:
        """The ATen kernel on the carriers, some arguments changed."""
        named = {name: self[name] for name in self.raw} | changes
        schema = self.target._schema  # pyright: ignore[reportFunctionMemberAccess]
        positional = [named.pop(a.name) for a in schema.arguments if not a.kwarg_only]
        return self.target(*positional, **named)


@dataclass(frozen=True, eq=False)
class Rule:
    """How one kind of call is affine.

    Attributes:
        apply: computes the call over the step's ring.
        affine_in: arguments that may depend on the network's input, jointly.
        bilinear: whether exactly one of ``affine_in`` may depend on it.
        contraction: name of the constant whose products are summed, or "".
        accepts: a reason why this call is not affine after all, or "".
    """

    apply: Callable[[Step], Any]
    affine_in: tuple[str, ...] = ("self",)
    bilinear: bool = False
    contraction: str = ""
    accepts: Callable[[Mapping[str, Any]], str] = lambda raw: ""
