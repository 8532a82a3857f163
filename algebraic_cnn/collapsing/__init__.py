"""Affine regions of a traced network, and the cheapest exact calls that compute them.

From the ground up:

    building, realisation, writing, dense    pieces as calls, with numbers that any ring can compute
    strips, elsewhere, lifting               what a border needs, and the same form at every image size
    cost, plans, cut                         which form is cheapest, by a model of time
    averages, forks, addends                 maps of channels moved to where they cost less
    dead, pruning                            channels that are 0, and the network without them
    passes                                   the passes of a collapse, in their order
    rewriting, region, tangles               the new network, its regions, and those that overlap
    kept                                     what must stay as it was, and why
    validation, exactly                      the proof that the new network is the same function; without chance
    sizes                                    how many numbers are kept
    measurement, contest, stopwatch          the last word, by the clock: of regions, of the whole; laps with names
    report, result, any_size                 what was done; what is given back; all image sizes at once
    folding                                  norms in convolutions, where lengths are not known
    infinities                               where infinite numbers may come, and must spread as they did
    job, pipeline                            one collapse; collapse
    certifying                               certify, which knows a collapse again
    watching, backend                        weights that change meanwhile; collapse inside torch.compile
"""

from __future__ import annotations
