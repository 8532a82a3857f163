"""The algebra, without torch: affine maps, stencils, the skip recursion and its expansion.

From the ground up:

    affine         AffineMap(W, b): f(x) = W x + b, closed under + and @
    forms          the same as torch modules that can be deployed
    recursion      the skip recursion of [JV24] and its collapse to one affine map
    assembly       a skip recursion under construction
    operators/     maps of images of every size: finitely many classes of rows along each axis
    stencils/      affine pieces of a network as operators: which of them are one convolution, and with what numbers
    varieties/     the functions an architecture can express: dimension, symmetries, factorisations
    symbolic/      the recursion as formulas: paths, words of W and B, the polynomial in t
"""

from __future__ import annotations
