"""What torch 2.8 does otherwise than later ones while it exports a model, done as the later ones do it.

    as_later    context: while it holds, exports do so

* Of the calls within an interpreted graph, as that of a network with strengths, it notes the exporter's own list of
  modules at work, and not a copy: the list goes on changing, and is empty at the end for all of them.
* It refuses a model that assigns a tensor to an attribute in its forward pass, or makes an attribute there.  Later ones
  put the attributes back; whether that changes the function is seen by a comparison (agreement.py).

Whether a torch does so is asked of it, not of its version; where it does not, nothing changes.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn
from torch._functorch import aot_autograd
from torch.export import _trace
from torch.fx import Node
from torch.fx.experimental import proxy_tensor

#: Where torch keeps the context that watches attributes; it is imported from the one into the other.
_WATCHING = "_detect_attribute_assignment"


@contextlib.contextmanager
def as_later() -> Iterator[None]:
    """While this holds, an export notes modules, and lets models assign attributes, as a later torch does.

    >>> import torch
    >>> from torch.fx.traceback import preserve_node_meta
    >>> class Interpreted(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.act = nn.ReLU()
    ...     def forward(self, x):
    ...         self.made = True
    ...         with preserve_node_meta():
    ...             return self.act(x)
    >>> with as_later():
    ...     program = torch.export.export(Interpreted(), (torch.ones(1),), strict=False)
    >>> nodes = program.graph.find_nodes(op="call_function", target=torch.ops.aten.relu.default)
    >>> [list(node.meta["nn_module_stack"].values())[-1][0] for node in nodes]
    ['act']
    """
    with contextlib.ExitStack() as stack:
        tracer: Any = getattr(proxy_tensor, "_ModuleStackTracer", None)
        if tracer is not None:
            stack.enter_context(_set(tracer, "create_node", _with_own_stack(tracer.create_node)))
        if _refuses_attributes():
            for module in (_trace, aot_autograd):
                stack.enter_context(_set(module, _WATCHING, put_back))
        yield


@contextlib.contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    """While this holds, an attribute has another value."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _with_own_stack(create: Callable[..., Node]) -> Callable[..., Node]:
    """The method of a tracer that makes a node, each node with a list of modules of its own."""

    def create_node(self: Any, *args: Any, **kwargs: Any) -> Node:
        node = create(self, *args, **kwargs)
        if node.meta.get("nn_module_stack") is self.module_stack:
            node.meta["nn_module_stack"] = self.module_stack.copy()
        return node

    return create_node


@functools.cache
def _refuses_attributes() -> bool:
    """Whether this torch refuses a model that makes an attribute in its forward pass."""
    watching, probe = getattr(_trace, _WATCHING, contextlib.nullcontext), nn.Module()
    with contextlib.suppress(ValueError), watching(probe):
        vars(probe)["made"] = True
        return False
    return True


@contextlib.contextmanager
def put_back(model: nn.Module) -> Iterator[None]:
    """The attributes of a model and of its parts are after this what they were before.

    >>> model = nn.Module()
    >>> with put_back(model):
    ...     model.made = True
    >>> hasattr(model, "made")
    False
    """
    kept = [(vars(module), dict(vars(module))) for module in model.modules()]
    try:
        yield
    finally:
        for now, before in kept:
            for name in now.keys() - before.keys():
                del now[name]
            now.update(before)
