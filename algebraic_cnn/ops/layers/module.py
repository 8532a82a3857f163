"""One affine module, or a ``Sequential`` of them, as an ``AffineMap``: checked, then looked up in the table.

Every rule reads the module's own attributes and builds W with ``toeplitz``; the output shape is the one that the module
itself gives for zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ...algebra.affine import AffineMap, Shape
from ...errors import GeometryError, NotAffineError, ShapeError, TrainingModeError
from ...toeplitz import MEMORY_BUDGET
from ...toeplitz.arguments import shape_of
from ...toeplitz.filling import entry_dtype
from .table import EntryType, rules


def affine_map(
    module: Any,
    input_shape: Sequence[int],
    *,
    dtype: DTypeLike = np.float64,
    memory_budget: int = MEMORY_BUDGET,
) -> AffineMap:
    """The map x -> W x + b that an affine module computes in evaluation mode.

    Args:
        module: a convolution, transposed convolution, linear layer, batch normalisation, average pooling, padding,
            upsampling, pixel or channel shuffle, unfold, fold, flatten, unflatten, identity, dropout, or a
            ``Sequential`` of these.  Batch normalisation enters with the float64 scale weight / sqrt(var + eps).
        input_shape: (c, *spatial), no batch axis.
        dtype: of W and b; ``object`` gives exact fractions in dense arrays.
        memory_budget: bytes that W, or the W of each part, may take.

    Returns:
        The map from ``input_shape`` to the module's output shape, W sparse (a linear layer's and exact ones dense).

    Raises:
        NotAffineError: the module is none of these, overrides ``forward``, has hooks, or normalises by its batch.
        TrainingModeError: batch normalisation, dropout, or a parametrized module in training mode.
        GeometryError: arguments that torch refuses too, or a module that does not keep the batch axis.
        ShapeError: an input shape that does not fit, or complex weights where ``dtype`` is real.
        TooLargeError: W would take more than ``memory_budget`` bytes.
        NonFiniteError: a parameter is NaN or infinite.
        UnknownNameError: NumPy has no such dtype.

    >>> import torch
    >>> f = affine_map(torch.nn.ConstantPad1d(1, 7.0), (1, 2))
    >>> f.b
    array([7., 0., 0., 7.])
    """
    from torch import nn

    if not isinstance(module, nn.Module):
        raise NotAffineError("there is no module", expected="a torch.nn.Module", got=module, where="module")
    shape, numbers = shape_of(input_shape), EntryType(entry_dtype(dtype, "dense"), memory_budget)
    if module._forward_hooks or module._forward_pre_hooks:
        raise NotAffineError("the module has forward hooks, which may compute anything", got=module, where="module")
    if module.training and hasattr(module, "parametrizations"):
        raise TrainingModeError("a parametrized module may change", expected="eval mode", got=module, where="module")
    if _computes_like(module, nn.Sequential) and list(module.children()):
        return _composed(module, shape, numbers)
    rule = next((rule for known, rule in rules().items() if _computes_like(module, known)), None)
    if rule is None:
        names = ", ".join(sorted(known.__name__ for known in rules()))
        what, got = "no affine rule for this module (derive takes whole networks)", type(module).__name__
        raise NotAffineError(what, expected=names, got=got, where="module")
    W, b = rule(module, shape, numbers)
    out_shape = _output_shape(module, shape)
    return AffineMap(W, numbers.array(np.broadcast_to(b, out_shape)).reshape(-1), shape, out_shape)


def _composed(modules: Any, shape: Shape, numbers: EntryType) -> AffineMap:
    maps: list[AffineMap] = []
    for module in modules:
        inner = maps[-1].out_shape if maps else shape
        maps.append(affine_map(module, inner, dtype=numbers.dtype, memory_budget=numbers.memory_budget))
    return reduce(lambda f, g: g @ f, maps)


def _output_shape(module: Any, shape: Shape) -> Shape:
    """The shape that the module gives for zeros of its own type and device, with two of them in a batch."""
    import torch

    held = (*module.parameters(), *module.buffers())
    like = next((tensor for tensor in held if tensor.is_floating_point()), torch.zeros(()))
    with torch.no_grad():
        try:
            out = module(torch.zeros(2, *shape, dtype=like.dtype, device=like.device))
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise ShapeError(f"the module refuses its input: {reason}", got=shape, where="input_shape") from error
    if out.shape[:1] != (2,):
        raise GeometryError("the module does not keep the batch axis", got=module, where="module")
    return tuple(out.shape[1:])


def _computes_like(module: Any, known: Any) -> bool:
    """Whether the module is of the known type and does not override what that computes."""
    return isinstance(module, known) and getattr(module.forward, "__func__", None) is known.forward
