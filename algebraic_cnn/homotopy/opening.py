"""A model opened for surgery: a graph of calls of its own modules, and of single ATen calls where it was opened.

Only the modules in which something is to be changed are opened.  All others stay whole and are called as before, so
that BatchNorm and Dropout still know training from evaluation and every parameter keeps its name.

    site            where a strength can stand; every module that was at work when its value was made is opened
    strengthened    a copy whose sites carry strengths
    removed         a copy without sites whose strength is at the end of its way
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.traceback import preserve_node_meta

from ..errors import HomotopyError, TraceError
from ..ir.trace import export
from .flow import Flow, stack
from .rolling import Rolling, whole
from .script import require_same
from .strengths import CARRIERS, Kind, Strengths, by_name, carry, require_known, set_strength, strengths


@dataclass(frozen=True, eq=False)
class Site:
    """Where a strength stands, or can stand.

    Attributes:
        found: what a user is told of it: its name, its strength, and more.
        node: the call in which it shows: a skip's addition, an activation.
        value: what a strength scales: a skip's term, an activation's argument.
        index: of the skip's term in its addition.
        blend: the mixture of an activation with its argument, where there is one.
    """

    found: Any
    node: Node
    value: Node
    index: int = 0
    blend: Node | None = None


@dataclass(frozen=True, eq=False)
class Opened:
    """A model opened at some sites.

    Attributes:
        module: the model as a graph; same parameters' names, same outputs in both modes.
        sites: name to site, in the program of training mode.
        image: node of that program to node of the graph; of a whole module's inside, its result only.
    """

    module: GraphModule
    sites: Mapping[str, Site]
    image: Mapping[Node, Node]


Find = Callable[[Flow], Sequence[Site]]
Insert = Callable[[Opened, Site, str], None]
Remove = Callable[[Opened], None]
Names = Collection[str]


def strengthened(
    model: nn.Module, example: Any, kind: Kind, given: Strengths, find: Find, insert: Insert
) -> GraphModule:
    """A copy of the model whose sites carry the strengths that are given; `insert` sets a carrier, by path, to work."""
    flow = flow_of(copy.deepcopy(model), example)
    values = by_name(_found(flow, kind, find), kind, given)
    twin = opened(flow, find, values)
    carrying = strengths(twin.module, kind)
    for name, site in twin.sites.items():
        if name not in carrying:
            insert(twin, site, carry(twin.module, kind, name))
    set_strength(twin.module, kind, values)
    return finished(twin.module)


def removed(
    model: nn.Module, example: Any, kind: Kind, only: Names | None, find: Find, remove: Remove
) -> GraphModule:
    """A copy of the model without its sites, or without those that are named.

    Raises:
        HomotopyError: if there are none, or the strength of one is not the end.
    """
    flow = flow_of(copy.deepcopy(model), example)
    found = _found(flow, kind, find)
    require_known(found, only or (), kind)
    names = list(found if only is None else only)
    for name in names:
        if found[name] != kind.end:
            expected, got = (f"{kind.symbol} = {value}" for value in (kind.end, found[name]))
            raise HomotopyError(f"{kind.word} {name!r} is {kind.kept}", expected=expected, got=got)
    twin = opened(flow, find, names)
    remove(twin)
    return finished(twin.module)


def _found(flow: Flow, kind: Kind, find: Find) -> dict[str, float]:
    """Name to strength of the sites of a flow, at least one."""
    found = {site.found.name: site.found.strength for site in find(flow)}
    if not found:
        raise HomotopyError(f"no {kind.words} found", expected=kind.sought, got="none")
    return found


@contextlib.contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Every part of the model in training or in evaluation mode for a while; then each in its own again."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, before in modes:
            module.training = before


def flow_of(model: nn.Module, example: Any) -> Flow:
    """The flow of a model's program in evaluation mode, whatever mode it is in.

    Raises:
        TraceError: if ``torch.export`` cannot take the model.
    """
    with mode(model, training=False):
        return Flow(export(_as_module(model), example), model, example)


def opened(flow: Flow, find: Find, names: Names) -> Opened:
    """A model as a graph, opened at the sites of those names; it shares modules and parameters with the model.

    Args:
        flow: of the model in evaluation mode.
        find: the sites in a flow of the model, the same ones in training and in evaluation mode.
        names: of the sites to be opened, as `find` names them in evaluation mode.

    Raises:
        TraceError: if ``torch.export`` cannot take the model in training mode; if what an opened module does depends
            on the mode; if a whole module gives away a value other than by returning it.
    """
    model, sites = flow.model, find(flow)
    modes = {name: module.training for name, module in model.named_modules()}
    open_paths = {""}.union(*(_around(site, flow) for site in sites if site.found.name in names))
    with mode(model, training=True):
        signatures = _may_be_whole(flow, open_paths)
        program = export(_as_module(model), flow.example, training=True, signatures=signatures)
    trained = Flow(program, model, flow.example)
    rolling = Rolling(trained, open_paths)
    module = finished(rolling.module)
    require_same(flow, flow_of(module, flow.example))
    for name, part in module.named_modules():
        part.training = modes.get(name, model.training)
    again = find(trained)
    if len(again) != len(sites):
        raise TraceError("training and evaluation mode differ", expected=f"{len(sites)} sites", got=len(again))
    pairs = zip(sites, again, strict=True)
    return Opened(module, {site.found.name: twin for site, twin in pairs if site.found.name in names}, rolling.image)


def _around(site: Site, flow: Flow) -> set[str]:
    """The modules at work in a site; a carrier of a strength is never opened."""
    paths = (frame.path for frame in stack(site.node) if not frame.gone)
    return {path for path in paths if not isinstance(flow.module_at(path), CARRIERS)}


def finished(module: GraphModule) -> GraphModule:
    """The graph module after surgery: what no output needs is gone, layers and their parameters included."""
    graph = module.graph
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output") and not _writes_a_buffer(node):
            graph.erase_node(node)
    graph.lint()
    module.recompile()
    module.delete_all_unused_submodules()
    return module


def _as_module(model: nn.Module) -> nn.Module:
    """The model itself; a graph module as a plain one, for ``torch.export`` does not see which modules a graph calls.

    The graph's own calls keep the modules and the lines that they came from.
    """
    if not isinstance(model, GraphModule):
        return model

    def forward(self: nn.Module, *inputs: Any) -> Any:
        with preserve_node_meta():
            return _mutable(Interpreter(model).run(*inputs))

    plain = type(type(model).__name__, (nn.Module,), {"forward": forward})()
    vars(plain).update({name: vars(model)[name] for name in ("training", "_parameters", "_buffers", "_modules")})
    return plain


def _mutable(value: Any) -> Any:
    """A nested result of plain lists and dictionaries; a graph holds it in immutable ones."""
    if isinstance(value, dict):
        return {key: _mutable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_mutable(part) for part in value]
    return tuple(_mutable(part) for part in value) if type(value) is tuple else value


def _may_be_whole(flow: Flow, open_paths: set[str]) -> list[str]:
    """Modules whose calls may become one node: not opened, and not inside of one that is called and stays whole."""
    called = {whole(node, open_paths).path for node in flow.program.graph.nodes} - {""}
    paths = [path for path, _ in flow.model.named_modules(remove_duplicate=False)]
    inside = tuple(f"{path}." for path in called)
    return [path for path in paths if path not in open_paths and not path.startswith(inside)]


def _writes_a_buffer(node: Node) -> bool:
    """Whether a call changes what the model keeps; a change of a passing value shows in the value it returns."""
    schema = getattr(node.target, "_schema", None)
    into = node.args[0] if node.args else None
    return schema is not None and schema.is_mutable and isinstance(into, Node) and into.op == "get_attr"
