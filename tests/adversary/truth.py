"""What torch says: what a network returns and leaves behind, and how far two networks are apart.

    Seen        one call: every leaf of what it returns by its path, and what it left in its inputs and buffers
    observe     calls at several batch sizes and kinds of input, each twice in a row, as forward may write its state
    noise       how far the same network moves when every number and input moves by one unit in the last place
    compare     the first difference that there is: structure, shape, dtype, value, state; its size counted in noise
    gradients   the same for the gradients of a random combination of the outputs

Nothing here is the library's: a distance counts in what torch itself does to a network when its numbers are rounded.
"""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.node import map_aggregate
from torch.utils import _pytree as pytree

from algebraic_cnn.errors import AlgebraicError

from .corpus import Snippet, silent

#: How many samples, and what kind of input; the first is the example's.
TRIALS = ((2, "normal"), (1, "normal"), (5, "whole"), (2, "large"), (7, "normal"), (2, "small"))
#: What is seen at one trial: two calls, and the state that they leave.
PER_TRIAL = 3
_CASTS = frozenset("to _to_copy type_as float double half bfloat16".split())
#: Up to so many times what one unit in the last place does is rounding; from so many times on it is another function.
ROUNDING, BEYOND = 2.0**6, 2.0**12


@dataclass(frozen=True)
class Seen:
    """What one call did; ``raised`` is the name of the exception where it raised one, ``ours`` if it is our own."""

    samples: int
    leaves: dict[str, Any]
    left: dict[str, Tensor]
    raised: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Gap:
    """How far two networks are apart: "" or what differs, and how many times the rounding of one unit that is."""

    what: str
    size: float

    @property
    def different(self) -> bool:
        """Beyond doubt."""
        return self.what in ("raises", "structure", "shape", "dtype", "constant") or self.size >= BEYOND

    @property
    def same(self) -> bool:
        """But for rounding."""
        return self.what in ("", "value", "state") and self.size <= ROUNDING


def leaves(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of an output, the path of containers with their types before it."""
    if isinstance(found, dict):
        yield f"{path}{type(found).__name__}", len(found)
        for key in sorted(found, key=repr):
            yield from leaves(found[key], f"{path}[{key!r}]")
    elif isinstance(found, list | tuple):
        yield f"{path}{type(found).__name__}", len(found)
        for i, each in enumerate(found):
            yield from leaves(each, f"{path}[{i}]")
    else:
        yield path, found.detach().clone() if isinstance(found, Tensor) else found


def in_dtype(net: nn.Module, dtype: torch.dtype, native: torch.dtype) -> nn.Module:
    """A copy of its own in that dtype; where its calls name the native dtype, they name the other."""
    twin = copy.deepcopy(net)
    if dtype == native:
        return twin
    for tensor in [*twin.parameters(), *twin.buffers()]:
        if tensor.is_floating_point() or tensor.is_complex():
            tensor.data = tensor.data.to(torch.complex128 if tensor.is_complex() else dtype)
    for part in twin.modules():
        if isinstance(part, GraphModule):
            for node in part.graph.nodes:
                node.args = map_aggregate(node.args, lambda each: dtype if each is native else each)
                node.kwargs = map_aggregate(node.kwargs, lambda each: dtype if each is native else each)
            part.recompile()
    return twin


def casts(net: nn.Module) -> bool:
    """Whether a graph names a dtype or casts to one, so that in another precision it is another program."""
    nodes = [node for part in net.modules() if isinstance(part, GraphModule) for node in part.graph.nodes]
    leaves = pytree.tree_leaves([(node.args, node.kwargs) for node in nodes])
    packets = {getattr(getattr(node.target, "overloadpacket", None), "__name__", "") for node in nodes}
    return any(isinstance(leaf, torch.dtype) for leaf in leaves) or not packets.isdisjoint(_CASTS)


@contextlib.contextmanager
def default_dtype(setting: Setting) -> Iterator[None]:
    """What torch makes without being told a dtype has the one in which a network runs, if that is not its own."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if setting.dtype == torch.float64 != setting.native else before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@dataclass(frozen=True)
class Setting:
    """How a network is observed: what draws its inputs, its own dtype, and the dtype in which it runs."""

    made: Snippet
    native: torch.dtype
    dtype: torch.dtype


def observe(net: nn.Module, setting: Setting, *, ulps: int = 0, side: int = 0) -> list[Seen]:
    """What two calls of a fresh copy do, at every one of ``TRIALS``; ``ulps`` moves numbers and inputs, drawn by it.

    What is random differs from ``side`` to ``side``.
    """
    with default_dtype(setting):
        return _observed(net, setting, ulps, side)


def _observed(net: nn.Module, setting: Setting, ulps: int, side: int) -> list[Seen]:
    made, dtype, found = setting.made, setting.dtype, []
    pristine = in_dtype(net, dtype, setting.native)
    if ulps:
        _moved([*pristine.parameters(), *pristine.buffers()], ulps)
    before = dict(pristine.named_buffers())
    twin = copy.deepcopy(pristine)
    for number, (samples, kind) in enumerate(TRIALS):
        for call in range(2):
            x = made.batch(samples, kind, dtype, 100 * number + call)
            if ulps:
                _moved(x, ulps + call)
            torch.default_generator.manual_seed(1000 * side + number)
            found.append(_called(twin, x, samples))
        written = {name.removeprefix("net."): tensor for name, tensor in twin.named_buffers()
                   if name not in before or not _equal(tensor, before[name])}  # fmt: skip
        found.append(Seen(samples, {}, written))
        twin = copy.deepcopy(pristine) if written else twin
    return found


def _called(net: nn.Module, x: Sequence[Tensor], samples: int) -> Seen:
    given = [tensor.clone() for tensor in x]
    try:
        with silent():
            returned = dict(leaves(net(*given)))
    except Exception as error:  # what torch raises is what was seen
        return Seen(samples, {}, {}, type(error).__name__, isinstance(error, AlgebraicError))
    return Seen(samples, returned, {str(i): tensor for i, tensor in enumerate(given)})


def _moved(tensors: Sequence[Tensor], number: int) -> None:
    """Every float to a neighbour, or not, as drawn."""
    generator = torch.Generator().manual_seed(number)
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            away = torch.randint(-1, 2, tensor.shape, generator=generator)
            tensor.data.mul_(1 + away.to(tensor.dtype) * torch.finfo(tensor.dtype).eps)


def _equal(one: Tensor, two: Tensor) -> bool:
    same = one.shape == two.shape and one.dtype == two.dtype
    return same and bool(((one == two) | (one.isnan() & two.isnan())).all())


@dataclass(frozen=True)
class Observed:
    """A network in one dtype: what it does, and what it does with numbers and inputs that were moved."""

    seen: list[Seen]
    moved: tuple[list[Seen], ...]

    @classmethod
    def of(cls, net: nn.Module, setting: Setting) -> Observed:
        """What it does, and what two of its neighbours do."""
        moved = tuple(observe(net, setting, ulps=ulps) for ulps in (10, 20))
        return cls(observe(net, setting), moved)

    def noise(self, number: int, name: str, part: str) -> float:
        """The most that a leaf moved."""
        base = getattr(self.seen[number], part)[name]
        if not base.is_floating_point() and not base.is_complex():
            return 0.0
        finite = base[base.isfinite()]
        floor = float(finite.abs().max()) * torch.finfo(base.dtype).eps if finite.numel() else 0.0
        others = [getattr(moved[number], part).get(name) for moved in self.moved if number < len(moved)]
        return max([floor, *(_distance(base, each) for each in others if isinstance(each, Tensor))])


def _distance(one: Tensor, two: Tensor) -> float:
    """The greatest difference of entries; infinite where one is not finite and the other is something else."""
    if one.shape != two.shape:
        return math.inf
    kind = torch.complex128 if one.is_complex() or two.is_complex() else torch.float64
    one, two = one.to(kind), two.to(kind)
    apart = ~((one == two) | (one.isnan() & two.isnan()))
    if not apart.any():
        return 0.0
    return float((one - two)[apart].abs().nan_to_num(math.inf, math.inf).max())


def compare(base: Observed, other: list[Seen], least: int = 1) -> Gap:
    """The first difference of kind, or the greatest of size, in batches of ``least`` samples or more."""
    worst = Gap("", 0.0)
    for number, (one, two) in enumerate(zip(base.seen, other, strict=True)):
        if one.samples < least:
            continue
        if one.raised or two.raised:
            if bool(one.raised) != bool(two.raised):
                return Gap("raises", math.inf)
            continue
        if one.leaves.keys() != two.leaves.keys():
            return Gap("structure", math.inf)
        if not one.leaves and one.left.keys() != two.left.keys():
            return Gap("state", math.inf)
        for part, what in (("leaves", "value"), ("left", "state")):
            for name, y in getattr(one, part).items():
                gap = _leaf(base, number, name, part, y, getattr(two, part).get(name))
                if gap.what not in ("", "value"):
                    return gap
                if gap.size > worst.size:
                    worst = Gap(what, gap.size)
    return worst


def _leaf(base: Observed, number: int, name: str, part: str, y: Any, z: Any) -> Gap:
    if not isinstance(y, Tensor) or not isinstance(z, Tensor):
        return Gap("", 0.0) if type(y) is type(z) and (y == z or y != y) else Gap("constant", math.inf)
    if y.shape != z.shape:
        return Gap("shape", math.inf)
    if y.dtype != z.dtype:
        return Gap("dtype", math.inf)
    distance = _distance(y, z)
    if not distance:
        return Gap("", 0.0)
    noise = base.noise(number, name, part)
    return Gap("value", 0.0 if math.isinf(noise) else distance / noise if noise else math.inf)


def gradients(net: nn.Module, setting: Setting, *, ulps: int = 0) -> list[Tensor] | str:
    """The gradients of a random combination of the outputs by every float input; or what was raised, in a word."""
    with default_dtype(setting):
        twin = in_dtype(net, setting.dtype, setting.native)
        x = setting.made.batch(*TRIALS[0], setting.dtype, 7)
        if ulps:
            _moved([*twin.parameters(), *twin.buffers()], ulps)
            _moved(x, ulps)
        x = [tensor.requires_grad_(tensor.is_floating_point()) for tensor in x]
        torch.default_generator.manual_seed(0)
        try:
            return _slopes(twin, x)
        except AlgebraicError:
            return "refused"
        except Exception as error:  # what torch raises is what was seen
            return type(error).__name__


def _slopes(net: nn.Module, x: Sequence[Tensor]) -> list[Tensor]:
    total = torch.zeros((), dtype=torch.float64)
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for y in _floats(net(*(tensor.clone() for tensor in x))):
            total = total + (y.double() * torch.cos(torch.arange(y.numel()).reshape(y.shape) + 0.5)).sum()
        wanted = [tensor for tensor in x if tensor.requires_grad]
        if not wanted or not total.requires_grad:
            return [torch.zeros_like(tensor) for tensor in wanted]
        found = torch.autograd.grad(total, wanted, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g.detach() for t, g in zip(wanted, found, strict=True)]


def _floats(found: Any) -> Iterator[Tensor]:
    """The float leaves, attached to what they were computed from."""
    if isinstance(found, dict):
        for key in sorted(found, key=repr):
            yield from _floats(found[key])
    elif isinstance(found, list | tuple):
        for each in found:
            yield from _floats(each)
    elif isinstance(found, Tensor) and found.is_floating_point():
        yield found


def slopes_differ(net: nn.Module, other: nn.Module, setting: Setting) -> bool | None:
    """Whether gradients differ beyond what moved numbers explain; None where there are none to compare."""
    one, two = gradients(net, setting), gradients(other, setting)
    if isinstance(one, str) or isinstance(two, str):
        return None if isinstance(one, str) or two == "refused" else True
    moved = [gradients(net, setting, ulps=ulps) for ulps in (10, 20)]
    for i, (g, h) in enumerate(zip(one, two, strict=True)):
        floor = float(g.abs().nan_to_num().max()) * torch.finfo(g.dtype).eps if g.numel() else 0.0
        noise = max([floor, *(_distance(g, each[i]) for each in moved if not isinstance(each, str))])
        if _distance(g, h) > BEYOND * noise:
            return True
    return False
