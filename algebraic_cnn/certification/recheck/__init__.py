"""Certificates as files that a small program re-checks: it was extracted from a proof, and needs no Python.

From the ground up:

    layers      convolutions as the proof knows them
    maps        explicit maps W X + b as one such layer
    writer      what every spelling of a call needs
    patterns    calls that meet positions in ways of their own
    spelling    a traced network as such layers
    file        the bytes of a .cert file
    regions     networks that are not affine, region by region
    reader      the same read back, by other code
    weights     whether the numbers are those of a model's file
    claims      what is claimed of two networks
    program     running the checker
"""

from __future__ import annotations
