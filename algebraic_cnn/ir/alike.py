"""Are the two paths of a model one function, the one that it runs and the one that it takes while it is exported?

    alike    model, program -> how their numbers compare at the example, in words

No history can say so: the calls differ.  So the numbers are compared, as bits; where these differ, in float64, in which
both must agree as closely as float32 can tell: within what rounding its own numbers to float32 does to the program.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .agreement import Memory, own_chance

_NOTE = "The model takes another path while it is exported; what is spoken of is that path"


def alike(model: torch.nn.Module, program: ExportedProgram, arguments: Sequence[Tensor], memory: Memory) -> str | None:
    """How the numbers of a model and of its exported path compare at the example; None if they are others.

    Args:
        model: in evaluation mode.
        program: its exported path.
        arguments: the example.
        memory: of the model as it was before any run.
    """
    sides = model, program.module()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _compared(sides, arguments)
    except Exception:  # a model may raise anything in another precision
        return None
    finally:
        memory.restore()


def _compared(sides: tuple[torch.nn.Module, torch.nn.Module], arguments: Sequence[Tensor]) -> str | None:
    names = sorted(dict(sides[0].named_buffers()).keys() & dict(sides[1].named_buffers()).keys())
    first, second = (_values(side, names, arguments, None) for side in sides)
    if [(x.shape, x.dtype) for x in first] != [(x.shape, x.dtype) for x in second]:
        return None
    if all(bool(((x == y) | (x.isnan() & y.isnan())).all()) for x, y in zip(first, second, strict=True)):
        return f"{_NOTE}; at the example both give the same numbers."
    model, exported = (_values(side, names, arguments, torch.float64) for side in sides)
    rounded = _values(sides[1], names, arguments, torch.float32)
    found, most = _largest(model, exported), _largest(rounded, exported)
    if not all(x <= y for x, y in zip(found, most, strict=True)):
        return None
    what = f"at the example the two differ by at most {max(found):.1e} in float64"
    return f"{_NOTE}; {what}, and by {max(most):.1e} after rounding to float32."


def _largest(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[float]:
    pairs = zip(first, second, strict=True)
    return [float((x.double() - y.double()).abs().max()) if x.numel() else 0.0 for x, y in pairs]


def _values(
    side: torch.nn.Module, names: Sequence[str], arguments: Sequence[Tensor], dtype: torch.dtype | None
) -> list[Tensor]:
    """What a copy of a network in a precision returns, and its arguments and the named buffers afterwards."""
    side = copy.deepcopy(side)
    side = side if dtype is None else side.to(dtype)

    def cast(x: Tensor) -> Tensor:
        return x.detach().to(dtype or x.dtype, copy=True) if x.is_floating_point() else x.detach().clone()

    given = list(map(cast, arguments))
    with own_chance(arguments):
        outputs: Any = side(*given)
    kept = dict(side.named_buffers())
    leaves = (*pytree.tree_leaves((outputs, given)), *(kept.get(name) for name in names))
    return [x for x in leaves if isinstance(x, Tensor)]
