"""``torch.compile(model, backend="algebraic_cnn")``: collapse what Dynamo captured, and let another backend compile it.

backend     options -> Backend
Backend     (graph, arguments) -> callable; everything that it was given, and what became of it, is in ``reports``
Compiled    one graph, with the weights that were folded

Weights become constants of the collapse, so every call first looks whether they are what they were.  If they are not,
the graph is collapsed again; after `AGAIN` times it runs as it is.  What cannot be collapsed is compiled as it is.
"""

from __future__ import annotations

import functools
import inspect
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import Dim

from ..certification.certificate import Certificate
from ..certification.comparison import LEVELS
from ..errors import AlgebraicError, TraceError, UnknownNameError, chosen
from ..ir.dynamo import Captured, Compiler, captured, compiler, outside, plain
from ..ir.graph import Ref
from .pipeline import collapse
from .report import GIVEN, Report
from .result import Collapse
from .watching import CONTENTS, Watch

#: How often one graph is collapsed again because its weights changed: as often as torch compiles one again.
AGAIN = 8


@dataclass(frozen=True)
class GraphReport:
    """What became of one graph.

    Attributes:
        why: it was not collapsed; "" if it was.
        report: of the collapse.
        certificate: of the collapse, if one was asked for.
        seconds: that it took.
        changed: whether the graph had been collapsed before, with other weights.
    """

    why: str = ""
    report: Report | None = None
    certificate: Certificate | None = None
    seconds: float = 0.0
    changed: bool = False

    def __str__(self) -> str:
        head = "its weights changed: " if self.changed else ""
        return head + (f"as it was, for {self.why}" if self.report is None else str(self.report))


@dataclass(frozen=True, eq=False)
class Backend:
    """A backend of ``torch.compile`` that collapses a graph before another one compiles it.

    Attributes:
        then: name of that other one, or itself.
        certify: level of the certificate, "auto" being the modular one of every region; None for none.
        freezing: whether inductor may store weights as its kernels like them.
        measure: whether doubtful forms are raced, as in ``collapse``.
        contents: how much of the weights is compared in every call, "sample" or "all".
        reports: what became of each graph, the last one last.
    """

    then: str | Compiler = "inductor"
    certify: str | None = "auto"
    freezing: bool = False
    measure: bool = True
    contents: str = "sample"
    reports: list[GraphReport] = field(default_factory=list)

    def __call__(self, graph: fx.GraphModule, arguments: Sequence[Any], mode: str | None = None) -> Callable[..., Any]:
        """What torch calls: with a graph, the arguments of its first call, and the ``mode`` of ``torch.compile``."""
        as_it_is = compiler(self.then, mode=mode)
        try:
            network = captured(graph, arguments)
            compiled = Compiled(self, network, compiler(self.then, mode=mode, freezing=self.freezing))
            compiled.renew(network, [arguments[place] for place in network.free])
        except Exception as error:  # whatever it is, the model runs without a collapse
            self.reports.append(GraphReport(_reason(error)))
            return as_it_is(graph, arguments)
        return compiled

    def collapsed(self, network: Captured, example: Sequence[Tensor]) -> Collapse:
        """The collapse of a graph.

        Raises:
            TraceError: if there is nothing to collapse, or the result would not do all that the graph does.
            AlgebraicError: as ``collapse`` raises it.
        """
        zeros = tuple(torch.zeros_like(x, requires_grad=False) for x in example)
        free = tuple(dict.fromkeys(axes, Dim.AUTO) for axes in network.axes)
        images = any(axis for axes in network.axes for axis in axes)
        with outside(), torch.inference_mode(False):
            shapes = free if images else None
            result = collapse(network, zeros, dynamic_shapes=shapes, certify=self.certify, measure=self.measure)
        for loss in _losses(network, result):
            raise TraceError(loss, where="torch.compile")
        return result


def _losses(network: Captured, result: Collapse) -> Iterator[str]:
    """What a graph does and its collapse would not."""
    graph = result.graph
    if all(region.form == GIVEN for region in result.report.regions):
        yield "no part of the graph becomes cheaper"
    if graph.writes:
        yield "the graph writes what it is given"
    if any(not isinstance(out, Ref) or out.name in (*graph.inputs, *graph.constants) for out in graph.outputs):
        yield "the graph returns what it is given"
    lengths = zip(graph.inputs, graph.input_shapes, network.axes, strict=True)
    for name, shape, axes in lengths:
        for axis in axes:
            values = result.sizes.lengths(name, axis) if result.sizes and (name, axis) in result.sizes.sides else ()
            if shape[axis] is not None if axis == 0 else len(values[:2]) < 2:
                yield "the graph takes several sizes, and its collapse one"


def _reason(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text if isinstance(error, AlgebraicError) else f"{type(error).__name__}: {text}"


class Compiled:
    """A graph whose weights are folded, for as long as they are what they were.

    Args:
        backend: collapses.
        network: the graph.
        follow: compiles what is left.
    """

    def __init__(self, backend: Backend, network: Captured, follow: Compiler) -> None:
        self.backend, self.network, self.follow = backend, network, follow
        self.count, self.weights, self.free = 0, list(network.weights), network.free

    def renew(self, network: Captured, example: Sequence[Tensor]) -> None:
        """Collapse the graph with the weights of now."""
        started, again = time.perf_counter(), self.count > 0
        self.count, self.network, self.fast, self.constants = self.count + 1, network, None, network.constants
        self.watch = Watch(self.constants, self.backend.contents)
        result = self.backend.collapsed(network, example)
        with torch.no_grad():
            module = plain(result.model, example, network.inner)
            if again and any(network.axes):  # the symbols of the first compilation are gone
                self.fast = torch.compile(module, backend=self.follow, dynamic=True)
            else:
                self.fast = self.follow(module, example)
        seconds = time.perf_counter() - started
        self.backend.reports.append(GraphReport("", result.report, result.certificate, seconds, again))

    def __call__(self, *arguments: Any) -> Any:
        """What the graph returns."""
        tensors = [arguments[place] for place in self.free]
        if not self._as_it_was(arguments):
            self._again(arguments, tensors)
        return self.network.inner(*arguments) if self.fast is None else self.fast(*tensors)

    def _as_it_was(self, arguments: Sequence[Any]) -> bool:
        given = (arguments[place] for place in self.weights)
        return all(map(operator.is_, given, self.constants)) and self.watch.unchanged()

    def _again(self, arguments: Sequence[Any], tensors: Sequence[Tensor]) -> None:
        """Collapse the graph with other weights; if it cannot be, or was too often, it runs as it is."""
        if self.count > AGAIN:
            self.fast = None
            return
        try:
            self.renew(self.network.given(arguments), tensors)
        except Exception as error:  # as in Backend
            self.fast = None
            self.backend.reports.append(GraphReport(_reason(error), changed=True))


def backend(
    then: str | Compiler = "inductor",
    certify: str | None = "auto",
    freezing: bool = False,
    *,
    measure: bool = True,
    contents: str = "sample",
) -> Backend:
    """A backend of ``torch.compile`` that collapses what Dynamo captures, and hands what is left to another.

    The name "algebraic_cnn" stands for ``backend(**options)`` with the ``options`` of ``torch.compile``.  Weights are
    looked at in every call: a graph whose weights were written or replaced is collapsed again.  A graph that cannot be
    collapsed, or of which gradients are asked, goes to the other backend as it is.

    Args:
        then: the other backend, as ``torch.compile`` takes it.
        certify: level of the certificate, "auto" being the modular one of every region; None for none.
        freezing: whether inductor may store the new weights as its kernels like them.
        measure: whether doubtful forms are raced, as in ``collapse``.
        contents: what of the weights every call compares beside their versions and places: a "sample" of 32 entries of
            each, or "all".  Only writes that torch does not count, through ``.data`` or NumPy, need it: one that
            changes every entry is always noticed, one of a few entries surely by "all" alone.

    Returns:
        The backend, the same one for the same options; its ``reports`` say what became of each graph.

    Raises:
        UnknownNameError: if there is no such backend, level or choice of contents, or ``freezing`` is asked of another
            one than inductor.

    >>> algebraic = backend("eager", measure=False)
    >>> layers = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
    >>> model = torch.compile(torch.nn.Sequential(*layers).eval(), backend=algebraic)
    >>> with torch.no_grad():
    ...     model(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    >>> algebraic.reports[-1].report.calls                          # affine calls before and after
    (2, 1)
    """
    compiler(then, freezing=freezing)
    if certify not in (None, *LEVELS):
        raise UnknownNameError("no such level", expected=(None, *LEVELS), got=certify, where="backend")
    chosen("contents", contents, CONTENTS, where="backend")
    return _standing(then, certify, freezing, measure, contents)


@functools.cache
def _standing(then: str | Compiler, certify: str | None, freezing: bool, measure: bool, contents: str) -> Backend:
    return Backend(then, certify, freezing, measure, contents)


def named(
    graph: fx.GraphModule, arguments: Sequence[Any], mode: str | None = None, options: dict[str, Any] | None = None
) -> Callable[..., Any]:
    """What torch calls for the name "algebraic_cnn", with the ``mode`` and the ``options`` of ``torch.compile``.

    Raises:
        UnknownNameError: if there is no such option of ``backend``, or as that raises it.
    """
    known, given = set(inspect.signature(backend).parameters), options or {}
    if not known.issuperset(given):
        raise UnknownNameError("no such option", expected=sorted(known), got=sorted(given), where="torch.compile")
    return backend(**given)(graph, arguments, mode)
