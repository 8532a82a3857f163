"""Dead channels go: a network without the channels that are 0, and without the filters that made them.

A channel goes where nothing can tell it from nothing.  Its value is 0 and a convolution or a linear map reads it, which
then loses a column; or a call that takes every channel by itself reads it, and its result goes as well.  And it must
be possible not to make it: a filter, an entry of a BatchNorm is left out.  What goes is the greatest set of channels
that obeys this in every call.  No number is computed: the new weights are entries of the old ones.

    Pruned      the network before and after, and which channels of which values went
    pruned      graph -> Pruned
    require_entries    the check: what is left are the old entries, and what went was multiplied by 0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import UncertifiedError
from ..ir.graph import Call, Graph, Ref
from ..ops.channels import Role, role
from .dead import Known, channels, number, suspect
from .passes import PassReport

Gone = Mapping[str, Tensor]
Uses = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Pruned:
    """A network without its dead channels.

    Attributes:
        before: the network.
        graph: the network without them.
        gone: which channels of which values went, where any did.
        known: what was known of the channels.
    """

    before: Graph
    graph: Graph
    gone: Gone = field(default_factory=dict)
    known: Known = field(default_factory=dict)

    @property
    def modules(self) -> dict[str, int]:
        """How many filters of which module went, or of the line of a network that has no modules."""
        found = {}
        for call in self.before.calls:
            if role(call.op) is Role.MAP and call.name in self.gone:
                found[call.module or call.where] = int(self.gone[call.name].sum())
        return found

    def __str__(self) -> str:
        where = ", ".join(f"{count} of {name}" for name, count in self.modules.items())
        total = sum(self.modules.values())
        return f"{total:,} dead {'filter' if total == 1 else 'filters'} went ({where})" if total else ""

    @property
    def report(self) -> PassReport:
        """What went, as the report of a pass."""
        return PassReport("prune", str(self), sum(self.modules.values()))

    @property
    def statement(self) -> str:
        """What a certificate has to say of it, "" if nothing went."""
        if not self.gone:
            return ""
        return (
            f" This is said of the network without {sum(self.modules.values()):,} dead filters, which gives the same "
            "for all finite inputs: a ReLU makes 0 of what they give, by the exact sign of a constant, and all that is "
            "left of the weights around them are their own entries, compared one by one."
        )


def pruned(graph: Graph) -> Pruned:
    """The network without its dead channels.

    Args:
        graph: the network, each idea spelled in one way.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layers = torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)
    >>> with torch.no_grad():
    ...     _ = layers[0].weight[2].zero_(), layers[0].bias[2].fill_(-1)
    >>> print(pruned(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 1, 5, 5))))
    1 dead filter went (1 of 0)
    """
    if graph.sizes is not None or graph.state or not suspect(graph):
        return Pruned(graph, graph)
    known = channels(graph)
    gone = _greatest(graph, known) if any(bool(each.zero.any()) for each in known.values()) else {}
    if not gone:
        return Pruned(graph, graph)
    result = Pruned(graph, _without(graph, gone, known), gone, known)
    require_entries(result)
    return result


def _greatest(graph: Graph, known: Known) -> dict[str, Tensor]:
    """The most that can go: everything that is known, less what some call forbids, until no call forbids any more."""
    uses = Counter(name for call in graph.calls for name in call.refs())
    fixed = {out.name for out in graph.outputs if isinstance(out, Ref)}
    gone = {name: torch.full((len(each),), name not in fixed) for name, each in known.items()}
    before: Counter[str] = Counter()
    while (now := Counter({name: int(each.sum()) for name, each in gone.items()})) != before:
        before = now
        for call in reversed(graph.calls):
            for name in call.refs():
                if name in gone:
                    gone[name] = gone[name] & _read(call, name, graph, known, gone, uses)
        for call in graph.calls:
            if call.name in gone:
                gone[call.name] = gone[call.name] & _made(call, graph, known, gone, uses)
        for each in gone.values():
            each[:1] &= not bool(each.all())
    return {name: each for name, each in gone.items() if bool(each.any())}


def _single(call: Call) -> bool:
    """Whether a convolution is of one channel each."""
    return role(call.op) is Role.MAP and call.bound().get("groups", 1) > 1


def _own(call: Call, graph: Graph, uses: Uses) -> bool:
    """Whether a call has its weights for itself, and knows them."""
    names = [name for name in call.refs() if name in graph.constants]
    depthwise = not _single(call) or graph.constants[call.bound()["weight"].name].shape[0] == call.bound()["groups"]
    return depthwise and all(uses[name] == 1 and graph.constants[name].ndim for name in names)


def _read(call: Call, name: str, graph: Graph, known: Known, gone: Gone, uses: Uses) -> Tensor:
    """Which channels of a value a call can do without."""
    given, after = known[name], gone.get(call.name)
    nothing = torch.zeros(len(given), dtype=torch.bool)
    if role(call.op) is Role.MAP and not _single(call):
        a = call.bound()
        axis, weight = 1 if "groups" in a else len(call.shape) - 1, number(a["weight"], graph)
        fits = a["input"] == Ref(name) and given.axis == axis and weight is not None and bool(weight.isfinite().all())
        return given.zero if fits and _own(call, graph, uses) else nothing
    if role(call.op) is Role.SIZE:
        return torch.full_like(nothing, call.args[1] == 0)
    if after is None or not _own(call, graph, uses):
        return nothing
    if role(call.op) is Role.JOIN:
        names = [x.name for x in call.bound()["tensors"]]
        parts = after.split([len(known[each]) for each in names])
        return torch.stack([part for each, part in zip(names, parts, strict=True) if each == name]).all(0)
    if role(call.op) is Role.REGROUP:
        return after.reshape(len(given), -1).all(1)
    return after if len(after) == len(given) else nothing


def _made(call: Call, graph: Graph, known: Known, gone: Gone, uses: Uses) -> Tensor:
    """Which channels of its result a call can leave out."""
    nothing = torch.zeros(len(known[call.name]), dtype=torch.bool)
    if not _own(call, graph, uses):
        return nothing
    if role(call.op) is Role.MAP and not _single(call):
        return torch.ones_like(nothing)
    given = [gone.get(name) for name in call.refs() if name not in graph.constants and name in known]
    present = [each for each in given if each is not None]
    if not given or len(present) < len(given):
        return nothing
    if role(call.op) is Role.JOIN:
        return torch.cat([gone[x.name] for x in call.bound()["tensors"]])
    if role(call.op) is Role.REGROUP:
        return gone[call.args[0].name].repeat_interleave(len(nothing) // len(gone[call.args[0].name]))
    result = torch.ones_like(nothing)
    for each in present:
        result &= each
    return result


def _without(graph: Graph, gone: Gone, known: Known) -> Graph:
    """The graph whose values have only the channels that stay."""
    constants, calls = dict(graph.constants), []
    for call in graph.calls:
        for name, places in _slices(call, gone).items():
            value = constants[name].detach()
            for axis, stays in places:
                value = value.index_select(axis, stays.nonzero().flatten().to(value.device))
            constants[name] = value.contiguous()
        calls.append(_narrowed(call, gone, known))
    return replace(graph, calls=tuple(calls), constants=constants)


def _slices(call: Call, gone: Gone) -> dict[str, list[tuple[int, Tensor]]]:
    """Which entries of which constants of a call stay, along which axes."""
    after = gone.get(call.name)
    if role(call.op) is Role.MAP:
        a = call.bound()
        before = None if _single(call) else gone.get(a["input"].name)
        places = [(0, ~after)] if after is not None else []
        found = {a["weight"].name: [*places, *([(1, ~before)] if before is not None else [])]}
        return found | ({a["bias"].name: places} if a["bias"] is not None else {})
    if role(call.op) is Role.NORM and after is not None:
        names = ("weight", "bias", "running_mean", "running_var")
        return {call.bound()[name].name: [(0, ~after)] for name in names if call.bound()[name] is not None}
    return {}


def _narrowed(call: Call, gone: Gone, known: Known) -> Call:
    """A call with the shape, the groups and the sizes that are left."""
    if call.name not in gone:
        return call
    axis, count = known[call.name].axis, int((~gone[call.name]).sum())
    call = replace(call, shape=(*call.shape[:axis], count, *call.shape[axis + 1 :]))
    if _single(call):
        return _with(call, groups=count)
    if "shape" in call.bound():
        return _with(call, shape=[*call.bound()["shape"][:-1], count])
    return call


def _with(call: Call, **changes: Any) -> Call:
    """A call with other arguments."""
    named = call.bound() | changes
    schema = call.target._schema  # pyright: ignore[reportFunctionMemberAccess]
    args = tuple(named.pop(a.name) for a in schema.arguments if not a.kwarg_only)
    return replace(call, args=args, kwargs={name: value for name, value in named.items() if name in call.kwargs})


def require_entries(found: Pruned) -> None:
    """Compare the two networks number by number, from what went alone.

    Raises:
        UncertifiedError: if a number that is left is not the old one, or a filter reads a channel that is not 0.
    """
    for old, new in zip(found.before.calls, found.graph.calls, strict=True):
        same = (old.name, old.target, list(old.refs())) == (new.name, new.target, list(new.refs()))
        for name in (name for name in old.refs() if name in found.before.constants):
            value, left = found.before.constants[name], found.graph.constants[name]
            stays = dict(_slices(old, found.gone).get(name, ()))
            places = [~stays[axis] if axis in stays else torch.zeros(n).bool() for axis, n in enumerate(value.shape)]
            entries = [(~place).nonzero().flatten().to(value.device) for place in places]
            expected = value[torch.meshgrid(*entries, indexing="ij")] if entries else value
            same &= torch.equal(expected, left)
            if role(old.op) is Role.MAP and 1 in stays:
                same &= not bool((places[1] & ~found.known[old.bound()["input"].name].zero).any())
        if not same:
            what = "a network without dead channels is not the network"
            raise UncertifiedError(what, expected="the old entries", got=old.name, where=old.where or "collapse")
