"""Affine pieces of a network as operators at one image size: which of them are one convolution, and with what numbers.

pieces      a piece with its form and its offset: one affine map between two images, exact in every pixel
folding     f(0) of a piece, and its linear part on an image
zeros       kernels with exact zeros in them as smaller ones
kernels     phases as the kernel of a transposed convolution
moves, phases      what passes through reshapes, and phases as channels
"""

from __future__ import annotations
