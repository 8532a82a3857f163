"""The functions that an architecture can express, as a variety: its dimension, its symmetries, and the way back.

From the ground up:

    elimination      ranks modulo a prime by blocks; kernels of sparse systems over Q
    architecture     a network with letters for its weights, as a list of steps
    jacobian         the derivative of the function by the weights, modulo a prime, by one adjoint for each probe
    absorption, conditions      which skips a layer takes in, and the equations of such symmetries
    symmetries       the ways of changing weights that leave the function alone, and which of them a skip breaks
    dimension        the rank of the Jacobian: a certain lower bound, and with what probability more
    factoring        a filter as a composition of layers: from a collapsed filter back to a network
    polynomial_map   a network with polynomial activations as a polynomial map, its coefficients exact
"""

from __future__ import annotations
