r"""The recursion as formulas: its paths, the words of W and B, the polynomial in t, entries that are polynomials.

skeleton      which layer feeds which; paths, listed or only counted
expansion     the recursion over a polynomial ring: one monomial for each word
display       words as SymPy and LaTeX in the notation of the paper, and as rows of a table
picture       a formula as PNG, SVG or PDF
polynomial    f_t = sum_d t^d f_d, collapsed once for every skip strength
entries       the ring Q[k00, k01, ...] as one more ring of numbers
"""

from __future__ import annotations

from .display import expansion_table, to_latex, to_sympy
from .entries import Polynomials, entry_map, ring_of, symbol_array
from .expansion import Part, Term, expand
from .picture import save_formula
from .polynomial import HomotopyPolynomial
from .skeleton import Skeleton

__all__ = [
    "HomotopyPolynomial",
    "Part",
    "Polynomials",
    "Skeleton",
    "Term",
    "entry_map",
    "expand",
    "expansion_table",
    "ring_of",
    "save_formula",
    "symbol_array",
    "to_latex",
    "to_sympy",
]
