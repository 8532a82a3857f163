"""``algebraic-cnn toeplitz``: the matrix of a convolution, counted, drawn, saved, and written with letters."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import GeometryError, UnknownNameError
from ...files import distinct
from .options import AsJson, Device, MemoryBudget, bytes_of, device_of, per_axis, sizes
from .screen import print_json

_SCREEN = (40, 40)


def toeplitz_command(
    shape: Annotated[str, typer.Argument(help="Shape of the input, channels first: 1x5x5", show_default=False)],
    kernel: Annotated[str, typer.Option(help="Sizes of the kernel: 3 or 3x3.")] = "3",
    out_channels: Annotated[int, typer.Option(help="Output channels.", min=1)] = 1,
    weight: Annotated[Path | None, typer.Option(help="The weight (.npy); without it, taps are 1, 2, 3, ...")] = None,
    stride: Annotated[str, typer.Option(help="2 or 2x1")] = "1",
    padding: Annotated[str, typer.Option(help="1 or 1x0 or same or valid")] = "0",
    dilation: Annotated[str, typer.Option(help="2 or 2x1")] = "1",
    groups: Annotated[int, typer.Option(help="Groups of channels.", min=1)] = 1,
    padding_mode: Annotated[str, typer.Option(help="zeros, reflect, replicate or circular")] = "zeros",
    out: Annotated[Path | None, typer.Option(help="Where to write the matrix (SciPy's .npz).")] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw it (.png or .svg).")] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print it in LaTeX, with letters for taps that are not given.")
    ] = False,
    memory_budget: MemoryBudget = 4.0,
    seed: Annotated[int | None, typer.Option(help="Draw the weight from -9 .. 9 with this seed.", min=0)] = None,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Write a convolution as the doubly block Toeplitz matrix that it is."""
    input_shape = _input_shape(shape, groups)
    _require(device, out)
    distinct([weight], [out, picture])
    axes = len(input_shape) - 1
    values = _weight(weight, out_channels, input_shape[0] // groups, per_axis(kernel, axes, "the kernel"), axes, seed)
    how: dict[str, Any] = {
        "stride": per_axis(stride, axes, "the stride"),
        "padding": padding if padding in ("same", "valid") else per_axis(padding, axes, "the padding"),
        "dilation": per_axis(dilation, axes, "the dilation"),
        "groups": groups,
        "padding_mode": padding_mode,
        "memory_budget": bytes_of(memory_budget),
    }
    letters = _letters(values.shape) if latex and weight is None and seed is None else values
    _made(values, letters, input_shape, how, Wanted(out, picture, latex, json))


@dataclass(frozen=True)
class Wanted:
    """What is to be made of a matrix: files, a formula, JSON."""

    out: Path | None
    picture: Path | None
    latex: bool
    json: bool


def _input_shape(text: str, groups: int) -> tuple[int, ...]:
    """The input's shape, if it has axes and its channels fall into the groups."""
    input_shape = sizes(text, "the shape")
    if len(input_shape) < 2:
        raise GeometryError("the input has channels and at least one axis", expected="1x5x5", got=text)
    if input_shape[0] % groups:
        expected = f"a divisor of {input_shape[0]}"
        raise GeometryError("groups must divide the input channels", expected=expected, got=groups)
    return input_shape


def _require(device: str, out: Path | None) -> None:
    """Refuse what cannot be made before any work is done."""
    if device != "cpu":
        device_of(device)
        raise UnknownNameError("the matrix is built on the", expected="cpu", got=device)
    if out is not None and out.suffix != ".npz":
        raise UnknownNameError("a matrix is saved as .npz", expected=out.with_suffix(".npz").name, got=out.name)


def _made(values: Any, letters: Any, input_shape: tuple[int, ...], how: dict[str, Any], wanted: Wanted) -> None:
    """Build the matrix; write, draw and print what is wanted of it."""
    from ...toeplitz import conv_matrix

    matrix = conv_matrix(values, input_shape, **how)
    small = all(n <= limit for n, limit in zip(matrix.shape, _SCREEN, strict=True))
    if wanted.latex and not small:
        raise GeometryError("a formula is for small matrices", expected="at most 40 x 40", got=matrix.shape)
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    facts: dict[str, Any] = {"rows": matrix.shape[0], "columns": matrix.shape[1]}
    facts |= {"entries": int(matrix.nnz), "bytes": int(size)}
    if wanted.out is not None:
        _save(matrix, wanted.out)
        facts["out"] = str(wanted.out)
    if wanted.picture is not None:
        from ..plots import save_figure, spy_figure

        blocks = (matrix.shape[0] // values.shape[0], math.prod(input_shape[1:]))
        facts["picture"] = str(save_figure(spy_figure(matrix, blocks=blocks), wanted.picture))
    if wanted.latex:
        facts["latex"] = _latex(letters, input_shape, how)
    if wanted.json:
        print_json(facts | ({"matrix": matrix.toarray().tolist()} if small else {}))
        return
    if small and not wanted.latex:
        typer.echo(_drawn(matrix))
    for name, value in facts.items():
        typer.echo(f"{name:8} {value:,}" if isinstance(value, int) else f"{name:8} {value}")


def _weight(path: Path | None, c_out: int, c_in: int, taps: int | tuple[int, ...], axes: int, seed: int | None) -> Any:
    """The weight from a file, or drawn, or taps numbered 1, 2, 3, ... that show where each of them goes."""
    import numpy as np

    if path is None:
        shape = (c_out, c_in, *(taps if isinstance(taps, tuple) else (taps,) * axes))
        if seed is not None:
            return np.random.default_rng(seed).integers(-9, 10, size=shape).astype(float)
        return np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    from ...files.npz import read_npy

    return read_npy(path)


def _letters(shape: tuple[int, ...]) -> Any:
    """A letter w for every tap, with its indices; those of the channels only if there is more than one."""
    from ...algebra.symbolic import symbol_array

    return symbol_array("w", shape[2:] if shape[:2] == (1, 1) else shape).reshape(shape)


def _latex(weight: Any, input_shape: tuple[int, ...], how: dict[str, Any]) -> str:
    from sympy import latex

    from ...toeplitz import conv_matrix

    return latex(conv_matrix(weight, input_shape, **how, format="sympy"))


def _save(matrix: Any, path: Path) -> None:
    import scipy.sparse as sp

    from ...files import write_bytes

    buffer = io.BytesIO()
    sp.save_npz(buffer, matrix)
    write_bytes(path, buffer.getvalue())


def _drawn(matrix: Any) -> str:
    """A small matrix as text, a dot where nothing is stored."""
    words = [["." for _ in range(matrix.shape[1])] for _ in range(matrix.shape[0])]
    entries = matrix.tocoo()
    for r, c, value in zip(entries.row, entries.col, entries.data, strict=True):
        words[r][c] = f"{value:g}"
    width = max(len(word) for row in words for word in row)
    return "\n".join(" ".join(word.rjust(width) for word in row) for row in words)
