"""What every reader of a traced call needs: the assembly so far, exact numbers, selections, refusals.

sample    one entry of the batch axis; a call that can be read treats all samples alike and apart
refusal   the error that says which call cannot be read, and why
spend     matrices are paid for from one memory budget
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from ..algebra.affine import Shape
from ..algebra.assembly import Assembly, Combination
from ..errors import NonFiniteError, NotAffineError
from ..ir.graph import Call, Graph
from ..toeplitz import bias_vector
from ..toeplitz.formats import check_budget
from ..toeplitz.selection import selection_matrix
from .precision import taken


@dataclass(eq=False)
class Reading:
    """A graph being read.

    Attributes:
        graph: the network.
        assembly: the layers read so far.
        left: what remains of the memory budget.
    """

    graph: Graph
    assembly: Assembly
    left: int

    @property
    def batch(self) -> int:
        """Samples in a batch that is sent through a call: two where any number goes, to see them kept apart."""
        return self.graph.batch or 2

    def refusal(self, call: Call, reason: str) -> NotAffineError:
        """The error that says why a call cannot be read."""
        return NotAffineError(f"{call.op} cannot be part of the recursion: {reason}", where=call.where)

    def shape(self, call: Call) -> Shape:
        """The shape of a call's result without its batch axis."""
        if not call.shape or call.shape[0] != self.graph.batch or None in call.shape[1:]:
            raise self.refusal(call, f"its result has no batch axis in front (shape {call.shape})")
        return tuple(int(n or 0) for n in call.shape[1:])

    def strength(self, call: Call, number: Any) -> Fraction:
        """A Python number or a tensor of one entry, exactly as the call takes it.

        Raises:
            NonFiniteError: if it is NaN or infinite.
        """
        value = self.numbers(call, number).item()
        if not math.isfinite(value):
            raise NonFiniteError("a strength must be finite", got=value, where="recursion_of")
        return Fraction(value)

    def numbers(self, call: Call, constant: Any) -> Tensor:
        """The numbers that the call computes with in the place of a constant."""
        return taken(call, constant, self.graph)

    def vector(self, call: Call, constant: Any, shape: Shape) -> np.ndarray:
        """A constant repeated over the shape, flat."""
        if not isinstance(constant, Tensor):
            return np.full(math.prod(shape), float(self.strength(call, constant)))
        array = float64(self.numbers(call, constant))
        if array.ndim > len(shape):
            if (array != array[:1]).any():
                raise self.refusal(call, "it treats the samples of a batch differently")
            array = array[0]
        return np.broadcast_to(array, shape).reshape(-1)

    def spend(self, matrix: Any) -> Any:
        """The matrix, its bytes taken off the budget."""
        self.left -= matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
        return matrix

    def expanded(self, call: Call, value: Combination, shape: Shape) -> Combination:
        """The value repeated along axes of length one until it has the shape."""
        if value.shape == shape:
            return value
        if len(value.shape) != len(shape):
            raise self.refusal(call, "it pairs the batch axis with another one")
        source = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape)
        return self.assembly.mapped(value, self.selection(source, value.size), shape)

    def selection(self, source: np.ndarray, size: int) -> Any:
        """The matrix that copies entry ``source[r]`` into entry r, None where that is the identity."""
        source = source.reshape(-1)
        if source.size == size and (source == np.arange(size)).all():
            return None
        return selection_matrix(source, size, dtype=None, format="csr", memory_budget=self.left)

    def along(self, A: Any, shape: Shape, axis: int) -> Any:
        """1 (x) A (x) 1: a matrix for one axis of an image, every other axis as it is.

        Raises:
            TooLargeError: if it is beyond the budget.
        """
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        size = (before * A.shape[0] * after, before * A.shape[1] * after)
        check_budget(size, before * A.nnz * after, A.dtype.itemsize, "csr", self.left)
        return sp.csr_array(sp.kron(sp.eye_array(before), sp.kron(A, sp.eye_array(after)), format="csr"))


def biases(tensor: Tensor | None, shape: Shape) -> np.ndarray | None:
    """A number for each channel, repeated over the image."""
    return None if tensor is None else bias_vector(float64(tensor), shape)


def float64(tensor: Tensor) -> np.ndarray:
    """The tensor as a float64 array, exactly."""
    return tensor.detach().double().cpu().numpy()
