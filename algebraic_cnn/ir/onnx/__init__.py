"""ONNX files: read into the graph of calls, run by torch, and written again with what was not rewritten as it was.

From the ground up:

    outside, model             bytes -> ModelProto, bounded and checked; numbers in other files of its folder
    values, builder            what values are while a file is read; calls written one by one
    nodes, opaque              a node while it is read; a node that is not read
    functions, sequences       functions of ONNX and of a file; sequences of tensors
    dispatch, evaluating       a node by the tables of its domain; a file on numbers, node after node
    inputs                     the inputs, and which of their sizes are free
    tables/                    what is made of every operator, one file for each family
    network, reading           a file as a graph, and as a torch module
    bodies, branches           graphs inside nodes as files of their own; branches in the place of their node
    cuts                       what the nodes are that no call of the graph is
    pen, spelling              what writes nodes; ATen calls as nodes
    lengths, sheet, entries    what is known of shapes; nodes while they are changed; integers that say shapes
    chains, cleaning           moves after moves as one; equal nodes once
    weights                    large numbers set aside while nodes are cleaned up
    tidying, editing           nodes and numbers put together; a file whose graph was rewritten
    writing                    torch's own exporter, with a sum of all of it
"""

from __future__ import annotations
