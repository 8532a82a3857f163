"""What a call does with the channels of its values: which of them enter which, for calls of which that is known.

Role    what it does
role    of a call, by its name
"""

from __future__ import annotations

from enum import Enum

from .registry import traits


class Role(Enum):
    """What a call does with channels."""

    MAP = "mixes them: a filter for each that it gives, with an entry for each that it is given"
    NORM = "scales and shifts each"
    MEAN = "sums or averages over axes"
    JOIN = "puts those of several values one after the other"
    SUM = "adds those of two values"
    PRODUCT = "multiplies those of two values"
    REGROUP = "keeps all entries in their order in another shape"
    SIZE = "asks for a length alone"
    EACH = "takes each by itself"
    UNKNOWN = "something else"


_ROLES = {
    Role.MAP: "conv1d conv2d conv3d linear",
    Role.NORM: "batch_norm",
    Role.MEAN: "mean sum",
    Role.JOIN: "cat",
    Role.SUM: "add",
    Role.PRODUCT: "mul",
    Role.REGROUP: "flatten reshape",
    Role.SIZE: "sym_size",
}

_KNOWN = {name: role for role, names in _ROLES.items() for name in names.split()}


def role(op: str) -> Role:
    """What calls of a name do with channels.

    >>> role("conv2d").name, role("relu").name, role("sort").name
    ('MAP', 'EACH', 'UNKNOWN')
    """
    return _KNOWN.get(op) or (Role.EACH if traits(op).channelwise else Role.UNKNOWN)
