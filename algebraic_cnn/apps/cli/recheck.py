"""``algebraic-cnn recheck``: a certificate decided anew, by a program extracted from a proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson
from .screen import print_json


def recheck_command(
    certificate: Annotated[
        Path, typer.Argument(help="A file that Certificate.write or certify --cert wrote (.cert).", show_default=False)
    ],
    seed: Annotated[int | None, typer.Option(help="Repeats a run; default: drawn from the system.", min=0)] = None,
    bits: Annotated[int, typer.Option(help="A false claim passes at most once in 2^BITS.", min=1, max=4096)] = 80,
    modulo: Annotated[bool, typer.Option(help="Modulo random primes, however small the networks are.")] = False,
    json: AsJson = False,
) -> None:
    """Re-check a certificate with the checker that was extracted from the machine-checked proof (make checker).

    Exit code 0: every claim holds. 1: one is false. 2: a file that is damaged or not well-formed, or no checker.

    Example: algebraic-cnn recheck resnet.cert
    """
    from ...certification.recheck.program import recheck

    found = recheck(certificate, seed=seed, bits=bits, modulo=modulo)
    if json:
        print_json({"ok": found.ok, "lines": list(found.lines)})
    else:
        typer.echo(str(found))
    raise typer.Exit(0 if found.ok else 1)
