"""Between phases and the kernel of a transposed convolution.

weight_of_phases      the weight of the transposed convolution that has these taps
transposed_padding    the padding that goes with it
"""

from __future__ import annotations

import numpy as np

from ..operators.forms import AxisForm
from .pieces import Array, Form


def weight_of_phases(taps: Array, form: Form) -> Array:
    """The inverse: the weight, without dilation, of the transposed convolution with these taps; axes need ``down`` 1.

    Output up j + q reads x[j + start + t] through weight tap q + up (width - 1 - t) - idle.

    Returns:
        (c_in, c_out / groups, *kernel), kernel = up width less the idle taps; ``transposed_padding`` goes with it.
    """
    axes, groups = form.axes, form.groups
    d = len(axes)
    order = [d, d + 1, *(axis for i in range(d) for axis in (d + 2 + i, i))]
    flipped = np.flip(taps, tuple(range(d + 2, 2 * d + 2))).transpose(order)
    kernel = flipped.reshape(form.c_out, -1, *(axis.up * axis.width for axis in axes))
    kernel = kernel[(..., *(slice(a.idle[0], a.up * a.width - a.idle[1]) for a in axes))]
    kernel = kernel.reshape(groups, -1, *kernel.shape[1:]).swapaxes(1, 2)
    return kernel.reshape(form.c_in, -1, *kernel.shape[3:])


def transposed_padding(axis: AxisForm) -> tuple[int, int]:
    """Padding and output padding of the transposed convolution with ``weight_of_phases``; either may be impossible."""
    padding = axis.up * (axis.width - 1 + axis.start) - axis.idle[0]
    length = (axis.n - 1) * axis.up - 2 * padding + axis.up * axis.width - sum(axis.idle)
    return padding, axis.m - length
