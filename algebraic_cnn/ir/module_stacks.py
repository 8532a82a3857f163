"""Which modules were at work when a call was made, noted for each call by itself while a model is exported.

Calls made within an interpreted graph, as that of a network with strengths, are given the exporter's own list of
modules at work by torch 2.8, and not a copy: it goes on changing, and is empty at the end for all of them.

    own_stacks    context: while it holds, exports note a copy

Where torch makes the copy itself, nothing changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch.fx import Node
from torch.fx.experimental import proxy_tensor


@contextlib.contextmanager
def own_stacks() -> Iterator[None]:
    """While this holds, what an export notes of a call is not changed by the calls that follow.

    >>> import torch
    >>> from torch.fx.traceback import preserve_node_meta
    >>> class Interpreted(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.act = torch.nn.ReLU()
    ...     def forward(self, x):
    ...         with preserve_node_meta():
    ...             return self.act(x)
    >>> with own_stacks():
    ...     program = torch.export.export(Interpreted(), (torch.ones(1),), strict=False)
    >>> [list(n.meta["nn_module_stack"].values())[-1][0] for n in program.graph.find_nodes(
    ...     op="call_function", target=torch.ops.aten.relu.default)]
    ['act']
    """
    tracer: Any = getattr(proxy_tensor, "_ModuleStackTracer", None)
    if tracer is None:
        yield
        return
    before = tracer.create_node

    def create_node(self: Any, *args: Any, **kwargs: Any) -> Node:
        node = before(self, *args, **kwargs)
        if node.meta.get("nn_module_stack") is self.module_stack:
            node.meta["nn_module_stack"] = self.module_stack.copy()
        return node

    tracer.create_node = create_node
    try:
        yield
    finally:
        tracer.create_node = before
