"""What fusing tools leave of a network: each is given the module, and says how many calls remain and what they compute.

    Left          convolutions and matrices, BatchNorms, and all calls that remain; and the outputs
    TOOLS         name -> the function of (module, batch) that asks the tool
    left_by       one of them, its failures as errors of this library
    pattern_rows  several of them on several patterns: the table of ``algebraic-cnn bench patterns``

A tool that is not installed raises ``MissingExtraError``.  Inductor and OpenVINO write a BatchNorm that they do not
fold as arithmetic: they leave none by name, but more calls.
"""

from __future__ import annotations

import copy
import importlib
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...collapsing.pipeline import collapse
from ...errors import AlgebraicError, MissingExtraError, TraceError, chosen
from ...ir.onnx.writing import quiet, save_onnx, session
from ...ir.trace import trace
from .patterns import PATTERNS, LayerPattern


@dataclass(frozen=True, eq=False)
class Left:
    """What a tool made of a network.

    Attributes:
        products: convolutions and matrix products that remain.
        norms: BatchNorms that remain by name.
        calls: all calls that remain.
        outputs: for the batch.
        kept: why more than one product, or a BatchNorm, was left, where the tool says it.
    """

    products: int
    norms: int
    calls: int
    outputs: Tensor
    kept: str = ""


def left_by(tool: str, model: nn.Module, batch: Tensor) -> Left:
    """What a tool leaves of a model.

    Args:
        tool: one of ``TOOLS``.
        model: in evaluation mode; it stays as it is.
        batch: inputs (N, *in_shape).

    Raises:
        UnknownNameError: if there is no such tool.
        MissingExtraError: if it is not installed.
        TraceError: if it fails on this model.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    >>> left = left_by("torch.fx fuse", model, torch.zeros(1, 1, 4, 4))
    >>> left.products, left.norms, left.calls
    (1, 0, 1)
    """
    ask = TOOLS[chosen("tool", tool, TOOLS)]
    try:
        with quiet(), torch.no_grad():
            return ask(copy.deepcopy(model), batch)
    except AlgebraicError:
        raise
    except Exception as error:  # tools of others raise errors of any class
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise TraceError(f"{tool} fails ({reason})") from error


def _counted(names: Iterable[str], outputs: Tensor) -> Left:
    words = [name.lower().replace("_", "") for name in names]
    products = sum(_PRODUCT.search(word) is not None for word in words)
    return Left(products, sum("batchnorm" in word for word in words), len(words), outputs)


#: Names of convolutions and matrix products; "convert" is none, nor is an interpolation.
_PRODUCT = re.compile(r"conv(?!ert)|(?<!bi)(?<!tri)linear|addmm|matmul|gemm|fullyconnected|aten\.b?mm")


def _traced(model: nn.Module, batch: Tensor) -> Left:
    calls = [call.op for call in trace(model, batch).calls if not call.op.startswith(("operator.", "sym_size"))]
    return _counted(calls, model(batch))


def _ours(model: nn.Module, batch: Tensor) -> Left:
    result = collapse(model, batch, measure=False)
    left = _traced(result.model, batch)
    if left.products <= 1 and not left.norms:
        return left
    return replace(left, kept="; ".join(region.reason for region in result.report.regions if region.reason))


def _fx(model: nn.Module, batch: Tensor) -> Left:
    from torch.fx.experimental.optimization import fuse

    return _traced(fuse(model).eval(), batch)


def _inductor(model: nn.Module, batch: Tensor) -> Left:
    from torch._inductor import config

    graphs: list[list[str]] = []

    def note(graph: Any) -> None:
        called = [str(node.target) for node in graph.nodes if node.op == "call_function"]
        graphs.append([name for name in called if not name.startswith(("prims.inductor_force", "<built-in"))])

    torch._dynamo.reset()
    with config.patch(freezing=True, post_grad_custom_post_pass=note), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = torch.compile(model)(batch)
    return _counted([name for graph in graphs for name in graph], outputs)


def _onnx(model: nn.Module, batch: Tensor, simplify: Callable[[Any], Any] | None = None) -> Left:
    onnx = _extra("onnx")
    with tempfile.TemporaryDirectory() as folder:
        given, run = Path(folder, "given.onnx"), Path(folder, "run.onnx")
        save_onnx(model, batch, given)
        if simplify is None:
            ready = session(given, level="extended", saved=str(run))
        else:
            onnx.save(simplify(onnx.load(given)), run)
            ready = session(run, level="none")
        kinds = [node.op_type for node in onnx.load(run).graph.node]
        outputs = ready.run(None, {ready.get_inputs()[0].name: batch.numpy()})[0]
    return _counted([kind for kind in kinds if kind not in ("Constant", "Identity")], torch.from_numpy(outputs))


def _onnxsim(model: nn.Module, batch: Tensor) -> Left:
    return _onnx(model, batch, lambda graph: _extra("onnxsim").simplify(graph)[0])


def _onnxslim(model: nn.Module, batch: Tensor) -> Left:
    return _onnx(model, batch, lambda graph: _extra("onnxslim").slim(graph))


def _openvino(model: nn.Module, batch: Tensor) -> Left:
    openvino = _extra("openvino")
    with tempfile.TemporaryDirectory() as folder:
        path = save_onnx(model, batch, Path(folder, "given.onnx"))
        network = openvino.convert_model(path)
        compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = torch.from_numpy(compiled(batch.numpy())[0].copy())
    return _counted(_executed(compiled.get_runtime_model().get_ops()), outputs)


def _executed(operations: Iterable[Any]) -> list[str]:
    """The kinds of the operations that compute something from the input, changes of layout apart."""

    def kind(operation: Any) -> str:
        return operation.get_rt_info()["layerType"].astype(str)

    fed = [op for op in operations if any(kind(x.get_source_output().get_node()) != "Const" for x in op.inputs())]
    return [name for name in map(kind, fed) if name not in ("Output", "Reorder")]


def _extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed", expected=f"pip install {name}") from error


TOOLS: dict[str, Callable[[nn.Module, Tensor], Left]] = {
    "given": _traced,
    "ours": _ours,
    "torch.fx fuse": _fx,
    "inductor, frozen": _inductor,
    "ONNX Runtime": _onnx,
    "onnxsim": _onnxsim,
    "onnxslim": _onnxslim,
    "OpenVINO": _openvino,
}


@dataclass(frozen=True)
class Row:
    """What one tool left of one pattern.

    Attributes:
        pattern: its name.
        tool: its name.
        products: convolutions and matrix products that remain; None if the tool did not finish.
        norms: BatchNorms that remain by name.
        calls: all calls that remain.
        error: largest difference from the outputs in float64, over their largest magnitude.
        note: why there is no result, if there is none.
        kept: why more than one product, or a BatchNorm, was left, where the tool says it: a decision, no failure.
    """

    pattern: str
    tool: str
    products: int | None = None
    norms: int | None = None
    calls: int | None = None
    error: float | None = None
    note: str = ""
    kept: str = ""


def pattern_rows(
    patterns: Sequence[LayerPattern] = PATTERNS, tools: Sequence[str] = tuple(TOOLS), *, seed: int = 0, batch: int = 2
) -> Iterator[Row]:
    """Every tool on every pattern, in float32, one row after the other as they are made.

    Args:
        patterns: what the tools are given.
        tools: some of ``TOOLS``; one that is not installed says so in its row.
        seed: of weights and inputs.
        batch: how many inputs.

    >>> [(row.tool, row.products) for row in pattern_rows(PATTERNS[3:4], ["given", "ours"])]
    [('given', 2), ('ours', 1)]
    """
    for pattern in patterns:
        x = pattern.example(batch, seed)
        with torch.no_grad():
            exact = pattern.network(seed).double()(x.double())
        for tool in tools:
            try:
                left = left_by(tool, pattern.network(seed), x)
            except (MissingExtraError, TraceError) as error:
                yield Row(pattern.name, tool, note=error.what)
                continue
            error = float((left.outputs.detach().double() - exact).abs().max() / exact.abs().max())
            yield Row(pattern.name, tool, left.products, left.norms, left.calls, error, kept=left.kept)
