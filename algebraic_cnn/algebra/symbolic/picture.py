"""A formula as a picture, set by matplotlib's own mathematics: no LaTeX installation is needed."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import TooLargeError, UnknownNameError
from ...files import whole_file
from .display import to_latex
from .expansion import Part
from .skeleton import Skeleton

#: Letters with an index that one line holds, and lines that one picture holds.
LETTERS_PER_LINE, LINES = 16, 60


def lines(formula: str) -> list[str]:
    """A LaTeX formula broken before plus signs into lines, each a formula of its own.

    >>> for line in lines("W = " + " + ".join(["U^{(1)}"] * 18)):
    ...     print(line.count("U"), line[-8:])
    16 U^{(1)}$
    2 U^{(1)}$
    """
    line, *summands = formula.split(" + ")
    broken = []
    for summand in summands:
        if line.count("{(") + summand.count("{(") > LETTERS_PER_LINE:
            broken.append(line)
            line = r"\quad"
        line += " + " + summand
    return [f"${line}$" for line in [*broken, line]]


def save_formula(
    skeleton: Skeleton,
    path: str | os.PathLike[str],
    *,
    parts: tuple[Part, ...] = ("W", "B"),
    one_strength: bool = False,
    dpi: int = 200,
) -> Path:
    """Writes the expansion as a picture, whole or not at all; returns the path.

    Args:
        skeleton: the edges and letters of the recursion.
        path: a file ending in .png, .svg or .pdf.
        parts: which formulas, from the top: "f", "W", "B".
        one_strength: write t for the strength of every skip.
        dpi: dots per inch, where the format has dots.

    Raises:
        UnknownNameError: if the file's ending or a part is unknown.
        TooLargeError: if the formula is longer than a page.
        DataError: if the file cannot be written.
    """
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UnknownNameError("no such kind of picture", expected=".png, .svg or .pdf", got=path.suffix, where=path)
    text = [line for part in parts for line in lines(to_latex(skeleton, part, one_strength=one_strength))]
    if len(text) > LINES:
        raise TooLargeError("the formula is longer than a page", needed=len(text), budget=LINES, where="save_formula")
    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "\n".join(text), fontsize=14, linespacing=1.8, math_fontfamily="cm")
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, dpi=dpi, bbox_inches="tight", pad_inches=0.2)
    return path
