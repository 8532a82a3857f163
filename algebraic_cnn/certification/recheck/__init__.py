"""Certificates as files that a small program re-checks: it was extracted from a proof, and needs no Python.

From the ground up:

    layers      convolutions as the proof knows them
    maps        explicit maps W X + b as one such layer
    spelling    a traced network as such layers
    file        the bytes of a .cert file
    claims      what is claimed of two networks
    program     running the checker
"""

from __future__ import annotations
