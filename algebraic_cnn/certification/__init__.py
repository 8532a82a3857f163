"""What is known of two networks, how, and with what odds of being wrong.

certificate   the one result type: statement, level, bound or probability, witness
check         the two networks to be compared, and the inputs
trials        independent random trials modulo primes, and their odds
seams         networks cut at their calls that are not affine
identity      the same function over the rationals?
bounded, modular, rational    one file for each kind of level
rounding      the error that rounding explains, proved
"""

from __future__ import annotations
