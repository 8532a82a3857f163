"""W and B of a network, by independent methods, in floats or exactly, whole or where it is piecewise linear.

From the ground up:

    samples                      is every sample treated by itself, and all alike?
    rowwise, idle                calls that do the same with every row; calls that change nothing where they stand
    hoisting, splitting          a network cut at its calls that are not affine
    definitions                  affine values as sums and concatenations of pieces
    images                       a network as one map of images of every size
    colouring, bordering         W in as many passes as windows meet; W for every image size
    extract                      the paper's recursion read off a network
    methods                      derive: forward, adjoint, recursion, coloured, operator
    magnitudes/                  how large numbers can grow, and how far rounding can carry them
    exact                        W, B and outputs over the rational numbers
    function_space               the dimension of the functions that an architecture can express
    pinning, linear_region       the affine map of a piecewise-linear network at an input
"""

from __future__ import annotations
