"""What is known of each ATen call: which are affine, how they are evaluated, what they round, their stencils.

From the ground up:

    step, interpolation    a call about to be evaluated; copies and means of neighbours
    rules                  the table of affine calls, over any ring
    sums, precision        what a call sums and how often it rounds; what it makes of numbers before that
    evaluate, watched      the interpreter of a graph over any ring, and one that shows every call
    source, mixing, spacing, resampling, atoms      calls as stencils
    layers/                single modules as explicit matrices
"""

from __future__ import annotations
