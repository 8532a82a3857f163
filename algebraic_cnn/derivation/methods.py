"""W and B of an affine network: the theorem as a computation, by independent methods.

    forward      W = f_W(identity), B = f(0): the theorem read literally, one probe per input [JV24, Thm 3.1]
    adjoint      one backward pass per output; what a classifier wants
    recursion    Toeplitz matrices through the skip recursion: no torch kernel involved
    coloured     one pass for all inputs whose windows do not meet; what an image wants, borders included
    operator     the rows of the map of every size, each class composed once: no torch kernel either
    auto         the cheapest of these but the recursion, by counting passes; then W is dense

All run over any ring: in float64 for use, modulo a prime for checking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from ..errors import GeometryError, ShapeError, TooLargeError, UnknownNameError
from ..ir.graph import Graph
from ..ir.trace import trace
from ..ops.evaluate import Evaluator, Progress
from ..rings.ring import Float, Ring
from ..toeplitz import MEMORY_BUDGET
from ..toeplitz.arguments import bytes_allowed
from .colouring import coloured, colours_of, passes
from .extract import recursion_of
from .images import image_of, sized_map
from .samples import require_samples_apart

#: So few passes that looking for fewer would take longer.
_FEW = 64

#: A backward pass costs about two forward passes, and its tape needs one more.
_ADJOINT_COST = 3

#: The blocks of every class are kept for every layer, so they must be few.
_OPERATOR_COST = 4


def derive(
    model: Any,
    example: Any = None,
    *,
    method: str = "auto",
    dtype: Any = "float64",
    ring: Ring | None = None,
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> AffineMap:
    """The map f(x) = W x + B of an affine network in evaluation mode [JV24, Thm 3.1].

    Args:
        model: a module, an exported program, or a traced ``Graph``.
        example: an input tensor (N, *in_shape); not needed for a program or a graph.
        method: "auto", "forward", "adjoint", "recursion", "coloured" or "operator" (also called "stencil"); W is
            sparse for the last two.
        dtype: floating dtype to compute in, by name or as torch dtype.
        ring: another ring to compute in, such as ``PrimeField(p)``; then W and B are its carriers.
        memory_budget: bytes that W and the batches of probes may take.
        progress: called with (probes done, probes in all).

    Returns:
        The map, W dense of shape (prod(out_shape), prod(in_shape)); sparse where the recursion keeps it so.

    Raises:
        NotAffineError: if a call is not affine in the input, or samples of a batch influence each other; names the
            call and its source line.
        TrainingModeError: if the model is in training mode.
        TraceError: if ``torch.export`` cannot take the model.
        ShapeError: if the example is no tensor or has no sample, input and output have no batch axis, or the budget
            is no number.
        TooLargeError: if W would not fit the budget; nothing was allocated.
        UnknownNameError: if there is no such method or dtype.
        NonFiniteError: if a weight is NaN or infinite.

    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 2, bias=False), torch.nn.Flatten()).eval()
    >>> _ = network[0].weight.data.copy_(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    >>> derive(network, torch.zeros(1, 1, 2, 3)).W
    array([[1., 2., 0., 3., 4., 0.],
           [0., 1., 2., 0., 3., 4.]])
    """
    graph = model if isinstance(model, Graph) else trace(model, example)
    name = str(dtype).removeprefix("torch.")
    return derive_graph(graph, ring or Float(name), method, memory_budget=memory_budget, progress=progress)


def derive_graph(
    graph: Graph,
    ring: Ring,
    method: str = "auto",
    *,
    device: torch.device | str = "cpu",
    memory_budget: int = MEMORY_BUDGET,
    progress: Progress | None = None,
) -> AffineMap:
    """``derive`` for a graph that is already traced, on any device.

    Raises:
        NotAffineError, ShapeError, TooLargeError, UnknownNameError, NonFiniteError: as ``derive`` raises them.
    """
    if method not in METHODS and method != "auto":
        raise UnknownNameError("no such method", expected=("auto", *METHODS), got=method, where="derive")
    memory_budget = bytes_allowed(memory_budget)
    run = Evaluator(graph, ring, device)
    require_samples_apart(graph, device)
    in_shape, out_shape = graph.single()
    n, m = math.prod(in_shape), math.prod(out_shape)
    auto, method = method == "auto", cheapest(graph) if method == "auto" else method
    item = 8 if ring.exact else torch.empty(0, dtype=getattr(torch, ring.dtype)).element_size()  # pyright: ignore[reportAttributeAccessIssue]
    if (auto or method in ("forward", "adjoint")) and n * m * item > memory_budget:
        what = f"a dense W of shape ({m}, {n}) is beyond the budget (methods 'operator' and 'coloured' keep it sparse)"
        raise TooLargeError(what, needed=n * m * item, budget=memory_budget)
    found = METHODS[method](run, memory_budget, progress or (lambda done, total: None))
    return found.to("dense") if auto else found


def cheapest(graph: Graph) -> str:
    """The name of the method with the least work: passes times the size of the image that they run on.

    "forward" takes n passes, "adjoint" m of three times the work, "coloured" one for each channel and tap of the
    composed kernel, "operator" as much for each class of rows alone.
    """
    in_shape, out_shape = graph.single()
    work = {"forward": float(math.prod(in_shape)), "adjoint": float(_ADJOINT_COST * math.prod(out_shape))}
    if min(work.values()) > _FEW:
        work |= _of_images(graph)
    return min(work, key=lambda name: work[name])


def _of_images(graph: Graph) -> dict[str, float]:
    """The work of the methods that need a map of images, where the network is one."""
    try:
        f, sizes = image_of(graph)
        axes = colours_of(f, sizes)
    except (ShapeError, GeometryError):
        return {}
    few = math.prod(count / len(axis.low) for count, axis in zip(f.classes(*sizes), axes, strict=True))
    total = float(passes(f, axes))
    return {"coloured": total, "operator": _OPERATOR_COST * few * total}


def _forward(run: Evaluator, memory_budget: int, progress: Progress) -> AffineMap:
    in_shape, out_shape = run.graph.single()
    n, m = math.prod(in_shape), math.prod(out_shape)
    columns = [torch.zeros(0, m, dtype=_carrier(run.ring), device=run.device)]
    with torch.no_grad():
        for part in _chunks(n, _bytes_per_sample(run.graph), memory_budget):
            probes = torch.zeros(len(part), n, dtype=_carrier(run.ring), device=run.device)
            probes[torch.arange(len(part)), torch.tensor(part)] = 1
            columns.append(run(probes.reshape(-1, *in_shape), linear=True).reshape(len(part), m))
            progress(part[-1] + 1, n)
    return _map(run, torch.cat(columns).T)


def _adjoint(run: Evaluator, memory_budget: int, progress: Progress) -> AffineMap:
    in_shape, out_shape = run.graph.single()
    n, m = math.prod(in_shape), math.prod(out_shape)
    rows = [torch.zeros(0, n, dtype=_carrier(run.ring), device=run.device)]
    for part in _chunks(m, _bytes_per_sample(run.graph), memory_budget):
        x = torch.zeros(len(part), *in_shape, dtype=_carrier(run.ring), device=run.device, requires_grad=True)
        with torch.enable_grad():
            y = run(x, linear=True).reshape(len(part), m)
        cotangents = torch.zeros_like(y)
        cotangents[torch.arange(len(part)), torch.tensor(part)] = 1
        (gradient,) = torch.autograd.grad(y, x, cotangents)
        rows.append(run.ring.reduce(gradient).reshape(len(part), n))
        progress(part[-1] + 1, m)
    return _map(run, torch.cat(rows))


def _recursion(run: Evaluator, memory_budget: int, progress: Progress) -> AffineMap:
    return recursion_of(run.graph, memory_budget=memory_budget).collapse(run.ring)


def _coloured(run: Evaluator, memory_budget: int, progress: Progress) -> AffineMap:
    f, sizes = image_of(run.graph)
    axes = colours_of(f, sizes)
    needed = 2 * 16 * math.prod(run.graph.single()[1]) * passes(f, axes)
    if needed > memory_budget:
        raise TooLargeError("the entries of W are beyond the budget", needed=needed, budget=memory_budget)
    return coloured(run, _chunk(run.graph, memory_budget), progress, f, axes)


def _operator(run: Evaluator, memory_budget: int, progress: Progress) -> AffineMap:
    return sized_map(run.graph, run.ring, memory_budget)


METHODS: dict[str, Callable[[Evaluator, int, Progress], AffineMap]] = {
    "forward": _forward,
    "adjoint": _adjoint,
    "recursion": _recursion,
    "coloured": _coloured,
    "operator": _operator,
    "stencil": _operator,
}


def _map(run: Evaluator, W: Tensor) -> AffineMap:
    in_shape, out_shape = run.graph.single()
    with torch.no_grad():
        b = run(torch.zeros(1, *in_shape, dtype=_carrier(run.ring), device=run.device)).reshape(-1)
    return AffineMap(np.ascontiguousarray(W.cpu().numpy()), b.cpu().numpy(), in_shape, out_shape)


def _carrier(ring: Ring) -> torch.dtype:
    return torch.float64 if ring.exact else getattr(torch, ring.dtype)  # pyright: ignore[reportAttributeAccessIssue]


def _bytes_per_sample(graph: Graph) -> int:
    """Bytes of all intermediate values of one sample in float64: what the tape of a backward pass keeps."""
    return 8 * sum(math.prod(n or 1 for n in shape) for shape in (*graph.input_shapes, *(c.shape for c in graph.calls)))


def _chunk(graph: Graph, memory_budget: int) -> int:
    return max(1, memory_budget // _bytes_per_sample(graph))


def _chunks(total: int, bytes_each: int, budget: int) -> Iterator[range]:
    size = max(1, min(total, budget // max(bytes_each, 1)))
    return (range(start, min(start + size, total)) for start in range(0, total, size))
