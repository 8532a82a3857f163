"""What is known of each affine ATen call, one file per family: how it is evaluated, its operator, what it rounds.

From the ground up:

    precision            what a call makes of numbers before it computes
    zeros                where the zeros of a call get their signs
    denominators         common denominators of the numbers of a call
    source, reading      what a call needs in order to be an operator, or a layer of the recursion
    imaging, rows        a call as an operator, its map of images of every size; as a piece, from the rows of that
    traits               Traits: what is known of any call, affine or not; the prices of the cost model
    op                   Op: everything that is known of one kind of call; CallSite: a call about to be evaluated
    conv, linear, norm, pointwise, pool, moves, pad, rearrange, resize      the families: an entry for each call
    others               calls that are not affine
    registry             OPS: all of them by name
    sums                 what a network sums, and how often it rounds
    evaluate, watched    the interpreter of a graph over any ring, and one that shows every call
    layers/              single modules as explicit matrices
"""

from __future__ import annotations
