"""What an older torch does otherwise, where a test shows it.

torch 2.8 takes for true on its way what later ones leave open: that ``x[3:]`` has three samples to leave out, that half
of two samples is one.  Its programs speak of fewer batch sizes, and the package says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
import torch

#: (2, 13) for 2.13.0.
RELEASE = tuple(map(int, torch.__version__.split(".")[:2]))
#: 2.8, before sizes of programs were what they are now.
OLD = RELEASE < (2, 9)


def but_for(old: Mapping[str, str], names: Iterable[str]) -> list[object]:
    """Cases by name, those that torch 2.8 cannot have expected to fail there, each with its reason."""
    marks = {name: pytest.mark.xfail(OLD, reason=f"torch 2.8 {why}") for name, why in old.items()}
    return [pytest.param(name, marks=marks[name]) if name in marks else name for name in names]
