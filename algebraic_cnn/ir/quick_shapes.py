"""Shapes of common calls while an export keeps the batch free, found at once.

torch finds the shape of a call whose sizes have letters by carrying out a decomposition in Python: thirty steps for a
BatchNorm, a dozen for a hard swish.  What comes out is known beforehand: a call entry by entry, or one that normalises,
gives a tensor of the shape that it takes.  Nothing else is left to these rules: only tensors in plain order of memory,
of one floating dtype; all others go torch's way.

    quick_shapes    context: while it holds, exports find these shapes so

torch keeps the table of its own short cuts private: where it has none, nothing changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch._subclasses import fake_impls
from torch._subclasses.fake_tensor import FakeTensor

_ENTRYWISE = "hardswish hardsigmoid silu gelu mish hardtanh leaky_relu elu sigmoid relu6 softplus".split()

#: Calls that decompose, and what torch does with the tensors beside the first.
_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default


@contextlib.contextmanager
def quick_shapes() -> Iterator[None]:
    """While this holds, an export whose sizes have letters takes the short cuts of this file.

    >>> net, x = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Hardswish()).eval(), torch.ones(3, 2)
    >>> with quick_shapes():
    ...     program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("n")},))
    >>> [int(node.meta["val"].shape[1]) for node in program.graph.nodes if node.name == "hardswish"]
    [2]
    """
    table = getattr(fake_impls, "get_fast_op_impls", dict)()
    before = dict(table)
    try:
        table.update((target, rule) for target, rule in _rules() if target not in before)
        yield
    finally:
        table.clear()
        table.update(before)


def _rules() -> Iterator[tuple[Any, Callable[..., Any]]]:
    for name in _ENTRYWISE:
        packet = getattr(torch.ops.aten, name)
        if packet.default in decomposition_table:
            yield packet.default, partial(_found, packet.default, _like)
        inplace = getattr(torch.ops.aten, f"{name}_", None)
        if inplace is not None and inplace.default in decomposition_table:
            yield inplace.default, partial(_found, inplace.default, _itself)
    if _NORM in decomposition_table:
        yield _NORM, partial(_found, _NORM, _normed)


def _found(target: Any, rule: Callable[..., Any], mode: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """What a rule says where it is sure, else what torch's decomposition does."""
    if _plain(x) and all(each is None or each.dtype == x.dtype for each in args if isinstance(each, Tensor | None)):
        return rule(mode, x)
    with mode:
        return decomposition_table[target](x, *args, **kwargs)


def _plain(x: Any) -> bool:
    """Whether a tensor of floating numbers lies in memory as its shape says."""
    return isinstance(x, FakeTensor) and x.is_floating_point() and x.layout is torch.strided and x.is_contiguous()


def _like(mode: Any, x: Tensor) -> Tensor:
    return _new(mode, x, x.shape)


def _itself(mode: Any, x: Tensor) -> Tensor:
    return x


def _normed(mode: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _new(mode, x, x.shape), _new(mode, x, (0,)), _new(mode, x, (0,))


def _new(mode: Any, x: Tensor, shape: Any) -> Tensor:
    return FakeTensor(mode, torch.empty(shape, dtype=x.dtype, device="meta"), x.device)
