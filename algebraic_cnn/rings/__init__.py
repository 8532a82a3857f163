"""Numbers: every computation of the library takes a ring, and this room is all that it knows of them.

From the ground up:

    arrays         NumPy arrays and torch tensors through the same few functions
    dyadic         floats as integers over powers of two, found once for all primes
    prime_field    F_p in float64: centred residues, exact as long as sums stay below 2^52
    residues       the weights of a network modulo one prime after the other
    primes         random primes: how large, how many, and how rarely one misleads
    crt            integers from their residues, and the floats nearest to rationals
    ring           Float, PrimeField and Rationals behind one protocol
    matrices       products and sums of matrices over a ring, dense or sparse
"""

from __future__ import annotations
