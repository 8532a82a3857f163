"""``algebraic-cnn collapse`` and ``certify``: programs in, programs, maps and certificates out."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import NotAffineError
from .options import LEVELS, AsJson, Device, MemoryBudget, Seed, bytes_of, chosen, device_of, print_json

METHODS = ("auto", "forward", "adjoint", "recursion")
DTYPES = ("float16", "bfloat16", "float32", "float64")

Program = Annotated[Path, typer.Argument(help="A program that torch.export.save wrote (.pt2).", show_default=False)]


def collapse_command(
    model: Program,
    out: Annotated[Path, typer.Option(help="Where to write the collapsed program (.pt2).", show_default=False)],
    map: Annotated[Path | None, typer.Option(help="Where to write W and B (.npz).")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Where to write the certificate (.json).")] = None,
    level: Annotated[str, typer.Option(help="How to certify: modular, bounded or none.")] = "modular",
    method: Annotated[str, typer.Option(help="How to derive: auto, forward, adjoint or recursion.")] = "auto",
    dtype: Annotated[str | None, typer.Option(help="Of the result: float32, ... Default: the model's own.")] = None,
    memory_budget: MemoryBudget = 4.0,
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Collapse a program to the form that predicts fastest, and prove that nothing changed."""
    chosen("level", level, (*LEVELS, "none"))
    chosen("method", method, METHODS)
    if dtype is not None:
        chosen("dtype", dtype, DTYPES)

    import torch

    from .. import collapse
    from ..programs import require_pt2, save_program
    from ..trace import export

    require_pt2(out)
    torch.manual_seed(seed)
    program = _program(model, device)
    result = collapse(
        program,
        dtype=None if dtype is None else getattr(torch, dtype),
        method=method,
        certify=None if level == "none" else level,
        memory_budget=bytes_of(memory_budget),
    )
    if map is not None and result.report.boundaries:
        first = result.report.boundaries[0]
        reason = f"a map was asked for, but {first.call} is not affine in the input: {first.reason}"
        raise NotAffineError(reason, where=first.where)
    affine = result.affine if map is not None else None  # derived before anything is written: it may be too large
    written = {"model": str(out)}
    save_program(export(_still(result.model), _example(result, program)), out)
    if map is not None and affine is not None:
        written["map"] = str(affine.save(map))
    if certificate is not None and result.certificate is not None:
        written["certificate"] = str(result.certificate.save(certificate))
    if json:
        verdict = result.certificate and json_module.loads(result.certificate.to_json())
        print_json({"report": json_module.loads(result.report.to_json()), "certificate": verdict, "files": written})
        return
    typer.echo(str(result.report))
    if result.certificate is not None:
        typer.echo(str(result.certificate))
    typer.echo("\n".join(f"{kind:12} {path}" for kind, path in written.items()))


def certify_command(
    original: Program,
    other: Annotated[Path, typer.Argument(help="A program (.pt2) or a map (.npz).", show_default=False)],
    level: Annotated[str, typer.Option(help="How: modular or bounded.")] = "modular",
    points: Annotated[int, typer.Option(help="Random points; more of them, smaller odds of an error.", min=1)] = 8,
    save: Annotated[Path | None, typer.Option(help="Where to write the certificate (.json).")] = None,
    memory_budget: MemoryBudget = 4.0,
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Say whether two programs compute the same affine map; exit code 1 if they do not."""
    chosen("level", level, LEVELS)

    from .. import AffineMap, certify

    networks = [AffineMap.load(path) if path.suffix == ".npz" else _program(path, device) for path in (original, other)]
    budget = bytes_of(memory_budget)
    certificate = certify(*networks, level=level, points=points, seed=seed, memory_budget=budget)
    if save is not None:
        certificate.save(save)
    typer.echo(certificate.to_json() if json else str(certificate))
    raise typer.Exit(0 if certificate.ok else 1)


def _program(path: Path, device: str) -> Any:
    """The program in a file, on a device."""
    from torch.export.passes import move_to_device_pass

    from ..programs import load_program

    place = device_of(device)
    program = load_program(path)
    return program if place.type == "cpu" else move_to_device_pass(program, place)


def _example(result: Any, program: Any) -> Any:
    """Inputs of the collapsed model: the program's own, in the dtype of its numbers."""
    import torch

    numbers = next(result.model.parameters(), torch.zeros(()))
    return tuple(
        x.to(numbers.device, numbers.dtype if x.is_floating_point() else None) for x in program.example_inputs[0]
    )


def _still(model: Any) -> Any:
    """The module in evaluation mode, also if it came from a program, whose mode is fixed but not marked so."""
    for part in model.modules():
        part.training = False
    return model
