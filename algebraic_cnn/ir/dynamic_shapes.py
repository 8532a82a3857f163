"""Image sizes as ``torch.export`` has them: ``dynamic_shapes`` on the way in, symbols on the way out.

per_argument   what a user asks, with the batch axis free unless the user says something of it
image_sizes    program -> the free axes of its inputs but the batch, and their ranges
binding        the line that a larger image breaks
violated       what torch says of a model that does not take the sizes that were asked, in our words
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ..errors import ShapeError
from .graph import Graph
from .image_sizes import ImageSizes, Side
from .refusal import line_of


def per_argument(model: torch.nn.Module, arguments: Sequence[Tensor], dynamic_shapes: Any) -> list[Any]:
    """For every argument {axis: what ``torch.export`` takes}, the batch axis free unless it is named.

    Args:
        model: its signature names the arguments.
        arguments: the example.
        dynamic_shapes: a tuple with an entry for each argument, or a dictionary by the arguments' names; an entry is
            None, {axis: Dim} or (Dim, ...).

    Raises:
        ShapeError: if it is of another kind, or does not have an entry for each argument.
    """
    given = dynamic_shapes
    if isinstance(given, Mapping):
        names = list(inspect.signature(model.forward).parameters)
        unknown = [name for name in given if name not in names]
        if unknown:
            what = "dynamic_shapes names arguments that the model does not have"
            raise ShapeError(what, expected=names, got=unknown, where="dynamic_shapes")
        given = [given.get(name) for name in names[: len(arguments)]]
    kinds = [parameter.kind for parameter in inspect.signature(model.forward).parameters.values()]
    if kinds == [inspect.Parameter.VAR_POSITIONAL] and isinstance(given, list | tuple) and len(given) == 1:
        given = given[0] if isinstance(given[0], list | tuple) and len(given[0]) == len(arguments) else given
    if given is None:
        given = [None] * len(arguments)
    if not isinstance(given, list | tuple) or len(given) != len(arguments):
        expected = f"a tuple with an entry for each of {len(arguments)} inputs, or a dictionary by their names"
        raise ShapeError("dynamic_shapes does not fit the example", expected=expected, got=given, where="collapse")
    axes = []
    for entry, argument in zip(given, arguments, strict=True):
        asked = dict(entry if isinstance(entry, Mapping) else enumerate(entry or ()))
        free = {0: Dim.AUTO} if argument.ndim and asked.get(0) is None else {}
        axes.append(free | {axis: dim for axis, dim in asked.items() if dim is not None} or None)
    return axes


def image_sizes(program: ExportedProgram) -> ImageSizes | None:
    """The free axes of a program's inputs, the batch axis not among them; None if there are none."""
    names = program.graph_signature.user_inputs
    inputs = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    shapes = {node.name: node.meta["val"].shape for node in inputs if isinstance(node.meta.get("val"), Tensor)}
    batch = {str(shape[0]) for shape in shapes.values() if len(shape) and fixed(shape[0]) is None}
    sides, values = {}, {}
    for name, shape in shapes.items():
        for axis, length in enumerate(shape):
            if fixed(length) is not None or not axis or str(length) in batch:
                continue
            expression = length.node.expr
            (symbol,) = expression.free_symbols
            start = int(expression.subs(symbol, 0))
            sides[name, axis] = Side(str(symbol), int(expression.subs(symbol, 1)) - start, start)
            values[str(symbol)] = between(program.range_constraints.get(symbol), least=2)
    return ImageSizes(sides, values) if sides else None


def dimensions(sizes: ImageSizes, inputs: Sequence[str], ranks: Sequence[int]) -> tuple[dict[int, Any], ...]:
    """The ``dynamic_shapes`` with which an export takes these sizes, and any batch.

    >>> sizes = ImageSizes({("x", 2): Side("h", 2)}, {"h": range(2, 33)})
    >>> dimensions(sizes, ["x"], [3])[0][2]
    2*h
    """
    dims = {}
    for symbol, values in sizes.values.items():
        ends = {} if values.stop == sys.maxsize else {"max": values[-1] // values.step}
        whole = Dim(symbol, min=values.start // values.step, **ends)
        dims[symbol] = _linear(whole, values.step, values.start % values.step)
    found = [{0: Dim.AUTO} if rank else {} for rank in ranks]
    for (name, axis), side in sizes.sides.items():
        found[list(inputs).index(name)][axis] = _linear(dims[side.symbol], side.slope, side.start)
    return tuple(found)


def _linear(dim: Any, slope: int, start: int) -> Any:
    dim = dim if slope == 1 else slope * dim
    return dim if start == 0 else dim + start


def fixed(length: Any) -> int | None:
    """The number that a length of a program is, or None if it is free; torch may keep a symbol for a known number."""
    return length if isinstance(length, int) else length.node.maybe_as_int()


def between(bounds: Any, *, least: int) -> range:
    """The values that torch allows a symbol, none below the least; without end where torch names none."""
    lower, upper = (least, None) if bounds is None else (bounds.lower, bounds.upper)
    end = sys.maxsize if upper is None or not _finite(upper) else int(upper) + 1
    return range(max(least, int(lower)), end)


def _finite(bound: Any) -> bool:
    try:
        return int(bound) < sys.maxsize - 1
    except (OverflowError, TypeError, ValueError, AttributeError):  # torch's own infinity
        return False


def violated(error: Exception) -> str | None:
    r"""What a model takes instead of the sizes that were asked for, or None if that is not what the error says.

    >>> violated(ValueError("Constraints violated (h)!  - ...\nSuggested fixes:\n  h = 2*_h\n\nThe error"))
    'h = 2*_h'
    """
    text = str(error)
    if "Constraints violated" not in text:
        return None
    fixes = re.search(r"Suggested fixes:\n((?:  .*\n?)+)", text)
    if fixes:
        return ", ".join(line.strip() for line in fixes.group(1).splitlines() if line.strip())
    constant = re.search(r"specialized it to be a constant \((\d+)\)", text)
    return f"the constant {constant.group(1)}" if constant else "other sizes"


def left_bound(model: Any, example: Any, dynamic_shapes: Any, graph: Graph) -> str:
    """Which of the axes that were asked to be free the export has bound, and the line that binds them; "" if none."""
    if dynamic_shapes is None or not isinstance(model, torch.nn.Module):
        return ""
    arguments = tuple(example) if isinstance(example, tuple | list) else (example,)
    asked = per_argument(model, arguments, dynamic_shapes)
    pairs = zip(graph.inputs, graph.input_shapes, asked, strict=False)  # buffers that are written come last
    bound = [
        f"axis {axis} of {name}: {shape[axis]} alone"
        for name, shape, axes in pairs
        for axis in axes or {}
        if axis and shape[axis] is not None
    ]
    line = binding(model, arguments) if bound else None
    return ", ".join(bound) + (f" (another breaks {line})" if line else "")


def binding(model: torch.nn.Module, arguments: Sequence[Tensor]) -> str | None:
    """The line, or else the module, of a model that refuses an image one longer along every axis, if one does."""
    longer = [torch.nn.functional.pad(a, [0, 1] * max(0, a.ndim - 2)) for a in arguments]
    entered: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: entered.append(name))
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad():
            model(*longer)
    except Exception as error:  # torch's refusals are of many classes
        inner = f"module {entered[-1]!r} ({type(model.get_submodule(entered[-1])).__name__})" if entered else None
        return line_of(error) or inner
    finally:
        for hook in hooks:
            hook.remove()
    return None
