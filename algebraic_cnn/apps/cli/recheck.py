"""``algebraic-cnn recheck``: a certificate decided anew, by a program extracted from a proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, on_cpu
from .screen import print_json


def recheck_command(
    certificate: Annotated[
        Path, typer.Argument(help="A file that Certificate.write or certify --cert wrote (.cert).", show_default=False)
    ],
    seed: Annotated[int | None, typer.Option(help="Repeats a run; default: drawn from the system.", min=0)] = None,
    bits: Annotated[int, typer.Option(help="A false claim passes at most once in 2^BITS.", min=1, max=4096)] = 80,
    modulo: Annotated[bool, typer.Option(help="Modulo random primes, however small the networks are.")] = False,
    work: Annotated[
        int | None, typer.Option(help="Steps for every byte of the file; default: 500,000.", min=1, max=2**62 - 1)
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A .pt2 file whose weights the certificate has to carry.")] = None,
    device: Annotated[str, on_cpu("The checker runs on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Re-check a certificate with the checker that was extracted from the machine-checked proof (make checker).

    With --model the weights in the certificate are compared with those of a .pt2 file, both read without torch;
    torch 2.8 pickles them, and its files are refused.
    Exit code 0: every claim holds. 1: one is false, or a weight is another.
    2: a file that is damaged or not well-formed, or no checker.
    """
    from ...certification.recheck.program import recheck
    from ...certification.recheck.weights import origins

    found = recheck(certificate, seed=seed, bits=bits, modulo=modulo, work=work)
    weights = None if model is None else origins(certificate, model)
    ok = found.ok and (weights is None or weights.ok)
    lines = [*found.lines, *([] if weights is None else [str(weights)])]
    if json:
        print_json({"ok": ok, "lines": lines})
    else:
        typer.echo("\n".join(lines))
    raise typer.Exit(0 if ok else 1)
