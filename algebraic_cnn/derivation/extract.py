"""The paper's recursion read off a traced network.

Each convolution, transposed convolution, linear call and BatchNorm is a layer; so is a product with a tensor, and a sum
with a constant.  What lies between two layers is a formal sum of earlier layers (algebra/assembly.py): additions and
multiples give the strengths t, moves (reshape, slice, pad, cat) and averages the resizings R.

    layer        (reading, call, arguments) -> the call's value; the registry has one for each kind of call
    move         a call that copies entries; its selection matrix is what it does to the numbers 1 .. n
    BatchNorm    W = diag(w / sqrt(var + eps)), r = -mean, b = bias: three vectors, no product of them rounded
"""

from __future__ import annotations

from typing import Any

from torch.utils import _pytree as pytree

from ..algebra.assembly import Assembly
from ..algebra.recursion import SkipRecursion
from ..ir.graph import Graph, Ref
from ..ops.evaluate import require_affine
from ..ops.reading import Reading
from ..ops.registry import OPS
from ..toeplitz import MEMORY_BUDGET


def recursion_of(graph: Graph, *, memory_budget: int = MEMORY_BUDGET) -> SkipRecursion:
    """The recursion f^(i) = W^(i) P^(i) (sum_k t R f^(k)) + b^(i) that a traced affine network computes [JV24, sec. 2].

    Args:
        graph: a traced network with one input and one output.
        memory_budget: bytes that the W and P of all layers may take together; each is counted before it is built.

    Returns:
        The recursion.  Its matrices are sparse float64, its strengths floats, or ``Fraction`` where no float is exact;
        no number was rounded, so over an exact ring it is the network itself.

    Raises:
        NotAffineError: if a call is not affine in the input, mixes the samples of a batch, or has no reader; names the
            call and its source line.
        NonFiniteError: if a strength or a constant is NaN or infinite.
        TooLargeError: if the matrices exceed the budget.

    >>> import torch
    >>> from algebraic_cnn.ir.trace import trace
    >>> class Residual(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv = torch.nn.Conv1d(1, 1, 3, padding=1)
    ...
    ...     def forward(self, x):
    ...         return self.conv(self.conv(x) + 0.5 * x)
    >>> recursion = recursion_of(trace(Residual().eval(), torch.zeros(1, 1, 5)))
    >>> len(recursion.layers), recursion.layers[0].P.shape, recursion.skips[0, 2].t
    (2, (7, 5), 0.5)
    """
    require_affine(graph)
    reading = Reading(graph, Assembly(graph.single()[0]), memory_budget)
    values: dict[str, Any] = {graph.inputs[0]: reading.assembly.input, **graph.constants}
    dependent = graph.dependent()

    def resolved(arguments: Any) -> Any:
        return pytree.tree_map(lambda leaf: values[leaf.name] if isinstance(leaf, Ref) else leaf, arguments)

    for call in graph.calls:
        if call.op.startswith("operator.") or (call.name not in dependent and call.op != "sym_size"):
            args, kwargs = call.resolved(values)
            values[call.name] = call.target(*args, **kwargs)
        elif call.op == "sym_size":
            a = resolved(call.bound())
            values[call.name] = (reading.batch, *a["self"].shape)[a["dim"]]
        elif (layer := OPS[call.op].layer) is not None:
            values[call.name] = layer(reading, call, resolved(call.bound()))
        else:
            raise reading.refusal(call, "it has no reader")
    (out,) = graph.outputs
    return reading.assembly.recursion(values[out.name])
