"""``algebraic-cnn collapse`` and ``certify``: programs in, programs, maps, pictures and certificates out."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import NotAffineError, chosen
from ...files import distinct
from .options import LEVELS, AsJson, Device, MemoryBudget, Seed, bytes_of, device_of
from .report_table import show_report
from .screen import print_json

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from ...collapsing.result import Collapse

METHODS = ("auto", "forward", "adjoint", "recursion", "coloured", "operator", "stencil")
DTYPES = ("float16", "bfloat16", "float32", "float64")
Network = Annotated[
    Path, typer.Argument(help="A program (.pt2), an ONNX model (.onnx) or a map (.npz).", show_default=False)
]


def collapse_command(
    model: Annotated[
        Path, typer.Argument(help="A program of torch.export (.pt2), or an ONNX model (.onnx).", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Where to write the collapsed program (.pt2) or model (.onnx).", show_default=False)
    ],
    map: Annotated[Path | None, typer.Option(help="Where to write W and B (.npz).")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Where to write the certificate (.json).")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Where to draw the regions before and after (.png or .svg).")
    ] = None,
    onnx: Annotated[Path | None, typer.Option(help="Where to write the collapsed program for others (.onnx).")] = None,
    level: Annotated[
        str, typer.Option("--level", "--certify", help="auto, sampled, bounded, modular, rational or none.")
    ] = "modular",
    method: Annotated[str, typer.Option(help="How to derive W and B: " + ", ".join(METHODS) + ".")] = "auto",
    dtype: Annotated[str | None, typer.Option(help="Of the result: float32, ... Default: the model's own.")] = None,
    measure: Annotated[
        bool, typer.Option(help="Time doubtful forms; without it, the same result on every machine.")
    ] = True,
    prefer: Annotated[str, typer.Option(help="speed; or size: of the forms that take no more bytes.")] = "speed",
    shape: Annotated[
        list[str] | None, typer.Option(help="Of an input of an ONNX model, where forms are chosen: x:1x3x320x320.")
    ] = None,
    memory_budget: MemoryBudget = 4.0,
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Collapse a program to the form that predicts fastest, and prove that nothing changed."""
    chosen("level", level, (*LEVELS, "none"))
    chosen("method", method, METHODS)
    chosen("preference", prefer, ("speed", "size"))
    if model.suffix == ".onnx":
        from .collapse_onnx import collapse_onnx_command

        others = {"map": map, "onnx": onnx, "dtype": dtype, "prefer": None if prefer == "speed" else prefer}
        how = {"method": method, "memory_budget": bytes_of(memory_budget)}
        how |= {"certify": None if level == "none" else level}
        given = {"model": out, "certificate": certificate, "picture": picture}
        collapse_onnx_command(model, given, shape or [], others, how, as_json=json)
        return
    if dtype is not None:
        chosen("dtype", dtype, DTYPES)
    files = {"model": out, "map": map, "certificate": certificate, "picture": picture, "onnx": onnx}
    _require_endings(files)
    distinct([model], files.values())

    import torch

    from ...collapsing.pipeline import collapse

    torch.manual_seed(seed)
    program = _program(model, device)
    how: dict[str, Any] = {"method": method, "measure": measure, "prefer": prefer}
    how |= {"memory_budget": bytes_of(memory_budget)}
    how |= {"dtype": dtype and getattr(torch, dtype), "certify": None if level == "none" else level}
    result = collapse(program, **how)
    written = _write(result, files, title=model.stem)
    _show(result, written, as_json=json)


def certify_command(
    original: Network,
    other: Network,
    level: Annotated[str, typer.Option(help="How: auto, sampled, bounded, modular or rational.")] = "auto",
    points: Annotated[int, typer.Option(help="Random points; more of them, smaller odds of an error.", min=1)] = 8,
    save: Annotated[Path | None, typer.Option(help="Where to write the certificate (.json).")] = None,
    cert: Annotated[Path | None, typer.Option(help="Where to write it for the extracted checker (.cert).")] = None,
    check: Annotated[Path | None, typer.Option(help="A certificate (.json) that must be of these networks.")] = None,
    memory_budget: MemoryBudget = 4.0,
    seed: Annotated[int | None, typer.Option(help="Repeats a check; default: drawn from the system.", min=0)] = None,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Say whether two networks are the same function.

    Exit code 0: equal, or equal but for rounding (it says which). 1: different. 2: undecided, or bad input.
    """
    chosen("level", level, LEVELS)
    distinct([original, other, check], [save, cert])

    from ...certification.certificate import Certificate
    from ...collapsing.certifying import certify
    from ...ir.model_files import aligned, load_pair

    first, second = load_pair(original, other, device_of(device))
    networks = (first.network, aligned(first, second))
    if check is not None:
        Certificate.load(check).require_networks(*networks)
    budget = bytes_of(memory_budget)
    certificate = certify(first, second, level=level, points=points, seed=seed, memory_budget=budget)
    if save is not None:
        certificate.save(save)
    if cert is not None:
        certificate.write(cert)
    typer.echo(certificate.to_json() if json else str(certificate))
    raise typer.Exit({"different": 1, "undecided": 2}.get(certificate.verdict, 0))


Files = Mapping[str, Path | None]


def _require_endings(files: Files) -> None:
    """Refuse a name that cannot be written before any work is done."""
    from ...ir.onnx.writing import require_onnx
    from ...ir.programs import require_pt2
    from ..plots import require_picture

    for kind, require in (("model", require_pt2), ("picture", require_picture), ("onnx", require_onnx)):
        path = files[kind]
        if path is not None:
            require(path)


def _write(result: Collapse, files: Files, *, title: str) -> dict[str, str]:
    """Write what was asked for and what there is; kind and path of every file."""
    from ...ir.onnx.writing import save_onnx
    from ...ir.programs import save_program
    from ..plots import save_figure
    from ..report_figure import report_figure

    affine = None if files["map"] is None else _affine(result)  # before anything is written: it may be too large
    small = result.exported()
    certificate = result.certificate
    writers = {
        "model": lambda path: save_program(small, path),
        "map": lambda path: affine.save(path) if affine is not None else None,
        "certificate": lambda path: certificate.save(path) if certificate is not None else None,
        "picture": lambda path: save_figure(report_figure(result.report, title=title), path),
        "onnx": lambda path: save_onnx(small, None, path),
    }
    written = {kind: writers[kind](path) for kind, path in files.items() if path is not None}
    return {kind: str(path) for kind, path in written.items() if path is not None}


def _affine(result: Collapse) -> Any:
    """The map of a wholly affine program.

    Raises:
        NotAffineError: if the program is not affine.
    """
    if result.report.boundaries:
        first = result.report.boundaries[0]
        reason = f"a map was asked for, but {first.call} is not affine in the input: {first.reason}"
        raise NotAffineError(reason, where=first.where)
    return result.affine


def _show(result: Collapse, written: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        verdict = result.certificate and json_module.loads(result.certificate.to_json())
        print_json({"report": json_module.loads(result.report.to_json()), "certificate": verdict, "files": written})
        return
    from rich.console import Console

    screen = Console(width=None if sys.stdout.isatty() else 120)
    show_report(result.report, screen)
    if result.certificate is not None:
        typer.echo(str(result.certificate))
    typer.echo("\n".join(f"{kind:12} {path}" for kind, path in written.items()))


def _program(path: Path, device: str) -> ExportedProgram:
    """The program in a file, on a device."""
    from torch.export.passes import move_to_device_pass

    from ...ir.programs import load_program

    place = device_of(device)
    program = load_program(path)
    return program if place.type == "cpu" else move_to_device_pass(program, place)

