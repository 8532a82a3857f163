"""``algebraic-cnn collapse`` for ONNX: a model in, a model out, everything that is not affine copied."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from ...errors import ShapeError, UnknownNameError
from ...files import distinct
from .options import sizes
from .screen import print_json


def collapse_onnx_command(
    model: Path,
    files: Mapping[str, Path | None],
    shapes: Sequence[str],
    others: Mapping[str, Any],
    how: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Collapse an ONNX model, and write what was asked for.

    Args:
        model: the file.
        files: where model, certificate and picture go.
        shapes: of inputs, each as NAME:1x3x320x320.
        others: options that an ONNX model does not have, each None.
        how: options of ``collapse_onnx``.
        as_json: whether to print JSON.
    """
    from ...collapsing.onnx_files import collapse_onnx

    for name, value in others.items():
        if value is not None:
            raise UnknownNameError("an ONNX model has no such option", expected="--out", got=f"--{name}")
    if files["model"] is None or files["model"].suffix != ".onnx":
        raise UnknownNameError("an ONNX model is written as", expected="a path that ends in .onnx", got=files["model"])
    if files["picture"] is not None:
        from ..plots import require_picture

        require_picture(files["picture"])
    distinct([model], files.values())
    result = collapse_onnx(model, shapes=dict(map(_shape, shapes)), **how)
    written = {kind: str(path) for kind, path in _write(result, files, model.stem)}
    _show(result, written, as_json=as_json)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """A name and lengths."""
    name, colon, lengths = text.rpartition(":")
    if not colon:
        raise ShapeError("a shape has the name of its input", expected="x:1x3x320x320", got=text, where="--shape")
    return name, sizes(lengths, "the shape")


def _write(result: Any, files: Mapping[str, Path | None], title: str) -> list[tuple[str, Path]]:
    written = [("model", result.save(files["model"]))]
    if files["certificate"] is not None and result.certificate is not None:
        written.append(("certificate", result.certificate.save(files["certificate"])))
    if files["picture"] is not None:
        from ..plots import save_figure
        from ..report_figure import report_figure

        written.append(("picture", save_figure(report_figure(result.report, title=title), files["picture"])))
    return written


def _show(result: Any, written: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        verdict = result.certificate and json_module.loads(result.certificate.to_json())
        report = json_module.loads(result.report.to_json())
        print_json({"report": report, "certificate": verdict, "nodes": list(result.nodes), "files": written})
        return
    typer.echo(str(result.report))
    typer.echo(f"{result.nodes[0]} nodes became {result.nodes[1]}." + (f" {result.left}" if result.left else ""))
    for name, body in result.inner.items():
        typer.echo(f"Inside, {name}: {body.nodes[0]} nodes became {body.nodes[1]}. {body.certificate or ''}".rstrip())
    if result.certificate is not None:
        typer.echo(str(result.certificate))
    typer.echo("\n".join(f"{kind:12} {path}" for kind, path in written.items()))
