"""What fusing tools leave of small patterns, side by side: the table of ``algebraic-cnn bench patterns``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ...errors import MissingExtraError, TraceError
from .patterns import PATTERNS, Pattern
from .tools import TOOLS, left_by


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
    patterns: Sequence[Pattern] = PATTERNS, tools: Sequence[str] = tuple(TOOLS), *, seed: int = 0, batch: int = 2
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
