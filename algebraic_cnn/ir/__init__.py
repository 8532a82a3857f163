"""Networks as graphs of calls: from torch and from files, brought to one form, and back to torch and to files.

From the ground up:

    image_sizes, refusal         free sizes, and why a model cannot be exported
    graph                        Graph and Call: the network as a small frozen value
    dynamic_shapes, batch_sizes  sizes as torch.export has them, and for which batches a program speaks
    histories, agreement         is a program the model that it was exported from?
    inlining, nodes, inplace     regions, nodes and in-place calls of a program as ordinary calls
    unwritten                    memory that is overwritten before anybody reads it
    interpreter                  the one loop over the calls of a network
    choices                      what a collapse chose, carried by its result
    quick_shapes, later_torch    shapes found at once, and an export of torch 2.8 as a later one
    exporting, trace             from a model to a program, and to a Graph
    known_shapes                 what torch said of a call is remembered
    resizing, sized              the same network at other sizes, and at one batch size
    spelling, canonical          one form for what torch lets one write in many ways
    composites, factors          calls by those that define them: to the bit, or (real_definitions) as real functions
    fingerprints                 SHA-256 of everything that a network is
    dynamo                       graphs of torch.compile as modules; what torch does not promise to keep
    emission                     back to a torch module with the signature of the model
    programs/                    .pt2 files, read only if nothing in them would be executed
    onnx/                        ONNX files, read and written
    model_files                  networks in files, whichever kind
"""

from __future__ import annotations
