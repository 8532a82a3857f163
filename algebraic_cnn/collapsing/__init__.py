"""Affine regions of a traced network, and the cheapest exact calls that compute them.

source, mixing, spacing, resampling, atoms    calls read as stencils
spelling, junctions, region                   the network as sums and concatenations of pieces, and between seams
forks, addends, averages, tangles             what is moved or joined before and after that
kept                                          what must stay as it was, and why
drafting, realisation, dense, writing         pieces as calls, with numbers that any ring can compute
bordering, rings, whole, colouring            what a border needs, and W and b from a small image
cost, plans, cut, measurement                 which form is cheapest: by a model, then by the clock
elsewhere, lifting                            the same form at every image size
rewriting, emission, warrant                  the new network, as a module, and the proof that it is the same function

The proof stands on the certificates, and these on what reads the network here: the order of the files is one list
(tests/test_house.py), not that of the folders.
"""

from __future__ import annotations
