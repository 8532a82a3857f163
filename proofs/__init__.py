"""The theorems behind ``algebraic_cnn``: each stated, proved in words, derived with symbols, and checked exactly.

One file for each theorem, ``pNN_name.py``: its docstring is the statement and the proof; its ``prove()`` derives what
can be derived with symbols, checks random instances over exact rings, and returns a ``Record`` or raises ``Refuted``.
What it is about (a matrix builder, the collapse, a formula) is an argument of ``prove``, so that the tests can hand
it a wrong one and see it refused.  ``python -m proofs`` prints the table.  ``proofs/rocq`` holds the proofs for all
sizes, checked by machine; TRUST.md says what rests on what.
"""

from __future__ import annotations
