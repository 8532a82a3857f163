"""How much a file may ask of its reader: every limit, in one place, with its reason.

A file that is larger is refused before its content is held or unpacked.  The limits are far above what the networks of
this library need and below what hurts a small machine; who needs more changes a number here.
"""

from __future__ import annotations

GIB = 2**30

#: A program with its weights: held in memory three times while torch reads it.
PROGRAM = 4 * GIB
#: The graph of a program as JSON: a network of 100,000 calls has some tens of MB.
GRAPH = GIB // 16
#: Inputs that a program brings as its example: a batch of large images, not a data set.
SAMPLES = GIB
#: Entries of an archive: one for each weight, and a few more.
MEMBERS = 100_000
#: A map W, b: what `memory_budget` allows an explicit array by default.
MAP = 4 * GIB
#: A checkpoint: parameters and momenta.
CHECKPOINT = 8 * GIB
#: An ONNX file: protobuf's own limit.
ONNX = 2 * GIB - 1
#: Images or labels, unpacked: MNIST has 47 MB.
IMAGES = GIB // 4
#: Certificates and tables: a witness lists its input, which may be an image of some million pixels.
JSON = GIB // 16
#: A file of records: some thousand trainings of a kilobyte each.
RECORDS = GIB // 4
#: Brackets within brackets: a graph inside a branch of a graph adds about ten.
JSON_DEPTH = 200
#: Digits of an integer in JSON: a seed may have 128 bits.
DIGITS = 40
#: Names, and other short texts, of a file.
NAME = 1_000
#: Letters of the expression of one size, or of a guard: sizes through a long chain of resizings stay below a thousand.
EXPRESSION = 4_000
#: Letters of all expressions of a program: torch reads some 40,000 a second.
EXPRESSIONS = 4_000_000
#: Calls inside calls in an expression.
EXPRESSION_DEPTH = 40
#: Bits of the value of an expression at the largest sizes that torch knows (63 bits): products of sixteen of them.
EXPRESSION_BITS = 1_024
#: Terms that an expression has when it is multiplied out, which SymPy may do.
EXPRESSION_TERMS = 2_000
#: Arguments of maxima and minima in an expression, each of which SymPy compares with every other.
COMPARED = 32
#: The number in the name of a symbol: torch counts up to it.
SYMBOL = 99_999
#: Axes of an array.
AXES = 64
