"""How a value was made, as far as it decides what its number does not: the sign of a zero, bits, strides.

    Making        digests of how the values of a cut were made: where numbers and digests are equal, so are the bits
    NEVER_MINUS   that of a value whose zeros are never -0

Some calls read more of what they are given than its number (``ops.precision.READS_BITS``).  Two networks that give them
equal numbers are the same only if what is read is equal too.  What the same calls made of the same bits has the same
bits and strides; so a digest names the calls, back to the inputs, through the calls that are not affine as well.

Where the sign of a zero alone is read, less is needed.

    a sum with a summand that is never -0, such as a bias, is never -0, however it was made (ops/zeros.py)
    a zero that was moved, or multiplied by a number, comes from a zero: its sign is decided by that one's sign

Of any other sum the digest names all calls.  Of two networks whose values are equal as numbers, digests that are equal
therefore mean zeros of equal signs: by induction over the calls, the same that is given to the same is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torch import Tensor
from torch.utils import _pytree as pytree

from ..derivation.splitting import BoundaryCall, Cut
from ..ir.canonical import bits, canonical_call
from ..ir.graph import Call, Ref
from ..ops.precision import SIGN_OF_ZERO, read_bits_of
from ..ops.registry import traits
from ..ops.zeros import carries, gives_no_minus, has_no_minus, is_blind, keeps_no_minus, never_minus

_NEVER = "never -0"

#: A value, and what is asked of it: the signs of its zeros, where its numbers are known to be equal; its numbers and
#: these signs; all bits and strides.
_Key = tuple[str, Literal["signs", "numbers", "bits"]]


def _digest(what: Any, parts: list[str]) -> str:
    return hashlib.sha256(repr((what, parts)).encode()).hexdigest()


NEVER_MINUS = _digest(_NEVER, [])


@dataclass(eq=False)
class Making:
    """How the values of one cut were made.

    Attributes:
        section: the cut.
        partner: by the number of a boundary, that of its entry, which stands for the same call in both networks.
        orders: by the number of a boundary that has its rows in another order than its entry, that order.
    """

    section: Cut
    partner: Mapping[int, int]
    orders: Mapping[int, Tensor]
    _digests: dict[_Key, str] = field(default_factory=dict)

    def of(self, boundary: BoundaryCall) -> list[str]:
        """A digest for each value of which a call that is not affine reads more than the number."""
        if not boundary.reads:
            return []
        given = [out for out in (self.section.graph.outputs[i] for i in boundary.given) if isinstance(out, Ref)]
        read = {leaf.name for leaf in pytree.tree_leaves(read_bits_of(boundary.call)) if isinstance(leaf, Ref)}
        names = [out.name for out in given if out.name in read] or [out.name for out in given]
        return [self._digest((name, "signs" if boundary.reads == SIGN_OF_ZERO else "bits")) for name in names]

    def _digest(self, key: _Key) -> str:
        """That of one value; those of all that it is made of come first, however many there are."""
        key = self._behind(key)
        asked = [key]
        while asked:
            what, parts = self._parts(*asked[-1])
            parts = list(map(self._behind, parts))
            missing = [part for part in parts if part not in self._digests]
            if not missing:
                self._digests[asked.pop()] = _digest(what, [self._digests[part] for part in parts])
            asked += missing
        return self._digests[key]

    def _behind(self, key: _Key) -> _Key:
        """The value before calls that leave every entry at its place: its zeros have the same signs."""
        name, asked = key
        while asked != "bits" and (call := self._calls.get(name)) and traits(call.op).ordered:
            given = list(call.refs())
            if len(given) != 1:
                break
            (name,) = given
        return name, asked

    def _parts(self, name: str, asked: Literal["signs", "numbers", "bits"]) -> tuple[Any, list[_Key]]:
        """What made a value, and of what."""
        graph = self.section.graph
        if asked == "signs" and (name in self._positive or has_no_minus(graph.constants.get(name), graph.constants)):
            return _NEVER, []
        if name in graph.constants:
            return bits(graph.constants[name]), []
        if name in graph.inputs:
            number, part = self.section.sources[graph.inputs.index(name)]
            boundary = self.section.boundaries[number] if number >= 0 else None
            read = () if boundary is None or (asked != "bits" and is_blind(boundary.call)) else boundary.given
            given = [graph.outputs[i] for i in read]
            order = bits(self.orders[number]) if number in self.orders else ""
            return (self.partner.get(number, number), part, order), [(out.name, asked) for out in given]
        call = self._calls[name]
        form, names = canonical_call(call, self.section.whole, self.section.values)
        if asked == "signs" and not carries(call, graph.constants):
            asked = "numbers"
        return form, [(each, asked) for each in names]

    @cached_property
    def _calls(self) -> dict[str, Call]:
        return {call.name: call for call in self.section.graph.calls}

    @cached_property
    def _positive(self) -> frozenset[str]:
        """The values whose zeros are never -0."""
        section = self.section
        sources = [(name, section.boundaries[n]) for name, (n, _) in
                   zip(section.graph.inputs, section.sources, strict=True) if n >= 0]  # fmt: skip
        given = {name for name, boundary in sources if gives_no_minus(boundary.call)}
        while True:
            found = never_minus(section.graph, given)
            more = {name for name, boundary in sources if name not in given and self._keeps(boundary, found)}
            if not more:
                return found
            given |= more

    def _keeps(self, boundary: BoundaryCall, positive: frozenset[str]) -> bool:
        """Whether a call gives no -0, since none is among what it is given or its own constants."""
        values = (self.section.graph.outputs[i] for i in boundary.given)
        own = self.section.whole.constants
        plain = all(has_no_minus(Ref(name), own) for name in boundary.call.refs() if name in own)
        return keeps_no_minus(boundary.call) and plain and all(out.name in positive for out in values)
