"""How a value was made, as far as it decides what its number does not: the sign of a zero, bits, strides.

    Making    digests of how the values of a cut were made: where numbers and digests are equal, so are the bits

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
from typing import Any

from torch.utils import _pytree as pytree

from ..derivation.splitting import BoundaryCall, Cut
from ..ir.canonical import bits, canonical_call
from ..ir.graph import Call, Ref
from ..ops.precision import SIGN_OF_ZERO, read_bits_of
from ..ops.zeros import carries, gives_no_minus, has_no_minus, never_minus

#: A value, and whether only the signs of its zeros are asked for.
_Key = tuple[str, bool]


@dataclass(eq=False)
class Making:
    """How the values of one cut were made.

    Attributes:
        section: the cut.
        partner: by the number of a boundary, that of its entry, which stands for the same call in both networks.
    """

    section: Cut
    partner: Mapping[int, int]
    _digests: dict[_Key, str] = field(default_factory=dict)

    def of(self, boundary: BoundaryCall) -> list[str]:
        """A digest for each value of which a call that is not affine reads more than the number."""
        if not boundary.reads:
            return []
        given = [out for out in (self.section.graph.outputs[i] for i in boundary.given) if isinstance(out, Ref)]
        read = {leaf.name for leaf in pytree.tree_leaves(read_bits_of(boundary.call)) if isinstance(leaf, Ref)}
        names = [out.name for out in given if out.name in read] or [out.name for out in given]
        return [self._digest((name, boundary.reads == SIGN_OF_ZERO)) for name in names]

    def _digest(self, key: _Key) -> str:
        """That of one value; those of all that it is made of come first, however many there are."""
        asked = [key]
        while asked:
            what, parts = self._parts(*asked[-1])
            missing = [part for part in parts if part not in self._digests]
            if not missing:
                made = what, [self._digests[part] for part in parts]
                self._digests[asked.pop()] = hashlib.sha256(repr(made).encode()).hexdigest()
            asked += missing
        return self._digests[key]

    def _parts(self, name: str, signs: bool) -> tuple[Any, list[_Key]]:
        """What made a value, and of what."""
        graph = self.section.graph
        if signs and (name in self._positive or has_no_minus(graph.constants.get(name), graph.constants)):
            return "never -0", []
        if name in graph.constants:
            return bits(graph.constants[name]), []
        if name in graph.inputs:
            number, part = self.section.sources[graph.inputs.index(name)]
            given = [graph.outputs[i] for i in self.section.boundaries[number].given] if number >= 0 else []
            return (self.partner.get(number, number), part), [(out.name, signs) for out in given]
        call = self._calls[name]
        form, names = canonical_call(call, self.section.whole, self.section.values)
        return form, [(each, signs and carries(call, graph.constants)) for each in names]

    @cached_property
    def _calls(self) -> dict[str, Call]:
        return {call.name: call for call in self.section.graph.calls}

    @cached_property
    def _positive(self) -> frozenset[str]:
        """The values whose zeros are never -0."""
        section = self.section
        sources = ((name, n) for name, (n, _) in zip(section.graph.inputs, section.sources, strict=True) if n >= 0)
        return never_minus(section.graph, (x for x, n in sources if gives_no_minus(section.boundaries[n].call)))
