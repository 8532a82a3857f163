"""Translation-equivariant affine maps as matrices of Laurent polynomials.

lattice     positions on a grid: shifts, strides and phases
stencil     a matrix of Laurent polynomials and its algebra
kernels     between a stencil and a convolution's kernel
reading     an operator at one image size as a stencil
pieces      a stencil with its border and its offset: one affine map between two images, exact in every pixel
folding     two pieces one after the other, or side by side, as one
zeros       kernels with exact zeros in them as smaller ones
moves, circular, phases      what passes through reshapes and circles, and phases as channels
"""

from __future__ import annotations
