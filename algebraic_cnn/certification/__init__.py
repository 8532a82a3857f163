"""What is known of two networks, how, and with what odds of being wrong.

From the ground up:

    certificate    the one result type: statement, level, bound or probability, witness
    check          the two networks to be compared, and the inputs
    interface      everything that a user of them sees, compared before their numbers
    trials         independent random trials modulo primes, and their odds
    matching       which call of one network is which of the other
    identity       the same function over the rationals?
    coefficients   every coefficient of it, without chance
    rounding       the error that rounding explains, proved
    parts, box     between calls that are not affine; over a box of inputs
    bounded, accuracy, modular, rational, automatic    the levels, and how far float64 is from the exact map
    comparison     compare, which certify asks (collapsing/certifying.py)
    recheck        certificates as files, decided anew by a program that was extracted from a proof
"""

from __future__ import annotations
