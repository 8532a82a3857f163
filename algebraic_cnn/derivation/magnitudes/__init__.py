"""How large the numbers of a network can grow, and how far rounding can carry them.

bounds      a majorant of every value
heights     sizes of the exact numerators and denominators: how many primes are unlucky, how many are needed
norms       norms of kernels and matrices, enclosed from above
gains       how much each call's error counts in the outputs: the adjoint bound
"""

from __future__ import annotations
