"""Affine maps of images of EVERY size: quasi-Toeplitz operators.

    (f x)[o, p] = sum over i, r of K_c[o, i, r] x[i, position of read r] + b_c[o],      c = the classes of row p

From the ground up:

    axes        one axis as a rule n -> rows, integers alone
    compositions    composition and sum of such rules
    rules       the rules of layers: windows, transposed windows, averages, resizing, shuffles
    products    products of block diagonal matrices over a ring
    blocks      for every choice of classes a block of numbers and a bias vector, over any ring, when asked for
    writing     W of one image size as a sparse matrix: a few strided writes for every class
    forms       whether the map is ONE convolution, where, in which phases, with which bias
    operator    Operator: the map as a value with an algebra
    layers      convolutions, poolings and the like as operators
"""

from __future__ import annotations
