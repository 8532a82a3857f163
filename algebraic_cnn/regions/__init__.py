"""Affine regions of a traced network, and the cheapest exact calls that compute them.

source, mixing, spacing, atoms    calls read as stencils
spelling, junctions, region       the network as sums and concatenations of pieces, and as regions between seams
drafting, realisation, dense      pieces as calls, with numbers that any ring can compute
cost, cut, measurement            which form is cheapest: by a model, then by the clock
rewriting, emission, warrant      the new network, as a module, and the proof that it is the same function
"""

from __future__ import annotations
