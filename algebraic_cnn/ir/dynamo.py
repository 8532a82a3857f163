"""A graph of ``torch.compile`` as a module that ``torch.export`` takes: weights inside, inputs those of the user.

Dynamo hands a backend one graph and its arguments: weights, tensors that are new at every call (*free*), and the
sizes that are to stay symbols.  The file has everything that torch does not promise to keep:

    captured     graph, arguments -> Captured; the free tensors are its inputs, its sizes are read off their shapes
    outside      while this holds, nothing that is traced counts as a part of the compilation under way
    compiler     the name of a backend -> the function (graph, arguments) -> callable
    plain        a module -> the same with tensors for arguments and a tuple of tensors for result, as backends have it
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._dynamo import list_backends, lookup_backend
from torch._guards import tracing
from torch.fx.graph import CodeGen
from torch.fx.traceback import preserve_node_meta
from torch.utils import _pytree as pytree

from ..errors import TraceError, UnknownNameError
from .dynamic_shapes import fixed
from .emission import emit
from .trace import trace

#: A backend: a graph and its arguments -> what is called with such arguments.
Compiler = Callable[[fx.GraphModule, Any], Any]


class Captured(nn.Module):
    """A graph of Dynamo as a function of its free tensors alone.

    Attributes:
        inner: the graph.
        weights: by position among the graph's arguments, the tensors that are constants here.
        free: positions of the tensors that are inputs here.
        sizes: by position of a symbol among the arguments, the free tensor (by number) and axis whose length it is.
        axes: of every free tensor, the axes whose lengths are symbols.
    """

    def __init__(
        self,
        inner: fx.GraphModule,
        weights: Mapping[int, Tensor],
        free: Sequence[int],
        sizes: Mapping[int, tuple[int, int]],
        axes: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.inner = fx.GraphModule(inner, inner.graph)
        self.weights, self.free, self.sizes, self.axes = dict(weights), list(free), dict(sizes), axes
        names = [node.name for node in inner.graph.find_nodes(op="placeholder")]
        self.names = {place: names[place] for place in weights}
        for place, value in weights.items():
            self.register_buffer(self.names[place], value.detach())

    def forward(self, *tensors: Tensor) -> Any:
        """What the graph returns."""
        arguments = dict(zip(self.free, tensors, strict=True))
        arguments |= {place: getattr(self, name) for place, name in self.names.items()}
        arguments |= {place: tensors[number].shape[axis] for place, (number, axis) in self.sizes.items()}
        with preserve_node_meta():  # so that an export knows the user's lines
            return fx.Interpreter(self.inner).run(*(arguments[place] for place in range(len(arguments))))

    @property
    def constants(self) -> list[Tensor]:
        """The tensors that are constants here, and the user's to change: weights first, then the graph's own."""
        return [*self.weights.values(), *self.inner.parameters(), *self.inner.buffers()]

    def given(self, arguments: Sequence[Any]) -> Captured:
        """The same graph with the weights of other arguments."""
        weights = {place: arguments[place] for place in self.weights}
        return Captured(self.inner, weights, self.free, self.sizes, self.axes).eval()


def captured(graph: fx.GraphModule, arguments: Sequence[Any]) -> Captured:
    """A graph of Dynamo and the arguments of its first call, as a module in evaluation mode.

    Args:
        graph: has one placeholder for each argument.
        arguments: tensors, and symbols of sizes.

    Raises:
        TraceError: if an argument is a number that is no size of a tensor, or no ordinary tensor; if gradients are
            asked for, or ``torch.autocast`` is on; or if the graph calls a module in training mode.
    """
    nodes = graph.graph.find_nodes(op="placeholder")
    for node, value in zip(nodes, arguments, strict=True):
        if isinstance(value, Tensor):
            _require_ordinary(value, node.name)
    _require_inference(graph, arguments)
    weights = {i: x for i, x in enumerate(arguments) if isinstance(x, Tensor) and _is_an_attribute(x)}
    free = [i for i, x in enumerate(arguments) if isinstance(x, Tensor) and i not in weights]
    if not free:
        raise TraceError("the graph is given no tensor", expected="at least one", where="torch.compile")
    shapes = [nodes[i].meta["example_value"].shape for i in free]
    found = {
        str(length): (number, axis)
        for number, shape in enumerate(shapes)
        for axis, length in enumerate(shape)
        if isinstance(length, torch.SymInt)
    }
    sizes = {}
    for place, value in enumerate(arguments):
        if not isinstance(value, Tensor):
            if str(value) not in found:
                what = "the graph is given a number that is no size of its tensors"
                raise TraceError(what, got=f"{nodes[place].name} = {value}", where="torch.compile")
            sizes[place] = found[str(value)]
    axes = [[axis for axis, length in enumerate(shape) if fixed(length) is None] for shape in shapes]
    return _evaluating(Captured(graph, weights, free, sizes, axes))


def _is_an_attribute(x: Tensor) -> bool:
    """Whether Dynamo took the tensor from a module, and not from what a user passed."""
    return getattr(x, "_dynamo_static_input_type", None) is not None


def _require_ordinary(x: Tensor, name: str) -> None:
    ordinary = type(x) in (Tensor, nn.Parameter) and x.layout is torch.strided and not x.is_quantized
    if not ordinary or x.is_complex() or (x.is_inference() and _is_an_attribute(x)):
        expected = "ordinary tensors of real numbers, weights not made in torch.inference_mode()"
        raise TraceError("the graph is given a tensor of another kind", expected=expected, where=name)


def _require_inference(graph: fx.GraphModule, arguments: Sequence[Any]) -> None:
    outputs = [x.meta["example_value"] for x in graph.graph.output_node().all_input_nodes]
    if any(isinstance(x, Tensor) and x.requires_grad for x in outputs):
        raise TraceError("gradients are asked for", expected="torch.no_grad()", where="torch.compile")
    if any(torch.is_autocast_enabled(x.device.type) for x in arguments if isinstance(x, Tensor)):
        raise TraceError("torch.autocast is on", expected="a model of the dtype that is meant", where="torch.compile")


def _evaluating(module: Captured) -> Captured:
    """The module in evaluation mode, without touching the user's own."""
    for name, part in module.named_modules():
        if part is module or isinstance(part, fx.GraphModule):
            part.training = False
        elif part.training:
            raise TraceError("a module is in training mode", expected="model.eval()", where=f"module {name!r}")
    return module


def outside() -> Any:
    """While this holds, an export does not add its guards to those of the compilation under way."""
    return tracing(None)


def compiler(then: str | Compiler, *, mode: str | None = None, freezing: bool = False) -> Compiler:
    """The function behind the name of a backend.

    Args:
        then: the name, or the function itself.
        mode: of inductor, as ``torch.compile`` takes it.
        freezing: whether inductor may store weights as its kernels like them.

    Raises:
        UnknownNameError: if there is no such backend or mode, or a mode is asked of another backend than inductor.

    >>> compiler("eager")(fx.symbolic_trace(nn.ReLU()), [torch.zeros(1)])(-torch.ones(2))
    tensor([0., 0.])
    """
    if isinstance(then, str) and then not in list_backends(None):
        raise UnknownNameError("no such backend", expected=list_backends(None), got=then, where="torch.compile")
    if not mode and not freezing:
        return lookup_backend(then)
    if then != "inductor":
        what = "modes and freezing are inductor's"
        raise UnknownNameError(what, expected="then='inductor'", got=repr(then), where="torch.compile")
    modes = torch._inductor.list_mode_options()
    if mode and mode not in modes:
        raise UnknownNameError("no such mode", expected=sorted(modes), got=mode, where="torch.compile")
    patches = {**(modes[mode] if mode else {}), **({"freezing": True} if freezing else {})}
    inductor: Any = lookup_backend("inductor")
    return functools.partial(inductor, config_patches=patches)


def plain(module: nn.Module, example: Sequence[Tensor], like: fx.GraphModule) -> fx.GraphModule:
    """A module as backends have it: tensors for arguments, a tuple of tensors for result, no number that is trained.

    Args:
        module: any.
        example: its inputs.
        like: a graph of Dynamo; results that lie channels last in memory there do so here.
    """
    with outside():  # the guards of another function's arguments would never hold
        drawn = module if isinstance(module, fx.GraphModule) else emit(trace(module, tuple(example)))
    output = drawn.graph.output_node()
    with drawn.graph.inserting_before(output):
        values = zip(pytree.tree_leaves(output.args), pytree.tree_leaves(like.graph.output_node().args), strict=True)
        output.args = (tuple(_lying_as(drawn.graph, value, other) for value, other in values),)
    drawn.graph.set_codegen(CodeGen())
    drawn.recompile()
    return drawn.requires_grad_(False)


#: Memory formats in which the channels come last, by the number of axes.
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def _lying_as(graph: fx.Graph, value: Any, other: Any) -> Any:
    """A value, brought to the memory format of another."""
    known = other.meta["example_value"] if isinstance(other, fx.Node) else None
    form = _CHANNELS_LAST.get(known.ndim) if isinstance(known, Tensor) else None
    if known is None or form is None or known.is_contiguous() or not known.is_contiguous(memory_format=form):
        return value
    return graph.call_function(torch.ops.aten.contiguous.default, (value,), {"memory_format": form})
