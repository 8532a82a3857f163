"""An operator at one image size as a stencil: the rows that are the middle one are told by its taps.

axis_of        one axis; rows that are not the middle one, or what the ends leave of it, are its ring (``Axis.ring``)
stencil_of     footprint and form; the form's kernel has the taps
"""

from __future__ import annotations

from collections.abc import Sequence

from ..operators.forms import AxisForm, Form, axis_form
from ..operators.operator import Operator
from .lattice import Axis
from .stencil import Footprint


def axis_of(form: AxisForm) -> Axis:
    """An axis of a stencil; a phase that reads nothing uses no tap.

    >>> from ..operators.rules import spread, windows
    >>> axis_of(axis_form(windows(3, padding=(1, 1), mode="reflect"), 5))
    Axis(n=5, m=5, down=1, up=1, start=-1, width=3, step=1, ring=(1, 1), used=())
    >>> axis_of(axis_form(spread(1, 2), 3)).used
    ((0, 0), (1, -1))
    """
    used = []
    for _, reads in form.phases:
        taps = [(i - form.start) // form.step for i in reads]
        used.append((max(0, min(taps)), min(form.width - 1, max(taps))) if taps else (form.width, -1))
    first, stop = form.told if form.told[0] < form.told[1] else (form.m, form.m)
    every = () if set(used) == {(0, form.width - 1)} else tuple(used)
    ring = first, form.m - stop
    return Axis(form.n, form.m, form.down, form.up, form.start, form.width, form.step, ring, every)


def stencil_of(f: Operator, sizes: Sequence[int]) -> tuple[Footprint, Form]:
    """The footprint of an operator on images of these sizes, and what has its taps, ``kernel(ring)``.

    Raises:
        GeometryError: if an image of this size has no output.
    """
    forms = tuple(axis_form(axis, n) for axis, n in zip(f.blocks.axes, sizes, strict=True))
    blocks = f.blocks
    footprint = Footprint(blocks.c_in, blocks.c_out, blocks.groups, tuple(map(axis_of, forms)))
    return footprint, Form(forms, "", "", blocks)
