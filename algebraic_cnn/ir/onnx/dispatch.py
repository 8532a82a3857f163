"""What a node is, by the tables of its domain: calls of a graph, a function on tensors, or neither.

read          Builder, node, what it is given -> its values, by the readers of the tables
function_of   node -> the function of tensors that computes it, where there is one
domain_of     the domain of a node as the tables have it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...extras import required
from .builder import Builder
from .nodes import Attributes, Given, Node, attribute, require_read
from .opaque import subgraphs
from .tables.blocked import BLOCKED, in_blocks
from .tables.boundaries import BOUNDARIES
from .tables.constants import CONSTANTS
from .tables.entries import ENTRIES
from .tables.functions import FUNCTIONS as _FUNCTIONS
from .tables.indexing import INDEXING
from .tables.moves import MOVES
from .tables.quantized import QUANTIZED
from .tables.recurrent import RECURRENT
from .tables.resizing import RESIZING
from .tables.runtime import OWN, RUNTIME
from .tables.spectra import SPECTRA
from .tables.sums import SUMS
from .tables.trees import TREES
from .tables.windows import WINDOWS
from .values import Unread

#: By domain; of ONNX Runtime's own, what it writes when it optimises a graph.
TABLE = {**BOUNDARIES, **CONSTANTS, **MOVES, **RESIZING, **SUMS, **WINDOWS}
TABLES = {
    "": {**TABLE, **{name: RUNTIME[name] for name in OWN & RUNTIME.keys()}},
    "com.microsoft": RUNTIME,
    "com.microsoft.nchwc": BLOCKED,
}

#: By domain, what torch computes without one call for it.
FUNCTIONS = {"": {**_FUNCTIONS, **ENTRIES, **INDEXING, **QUANTIZED, **RECURRENT, **SPECTRA}, ".ml": TREES}


def domain_of(node: Any) -> str:
    """The domain of a node: "" for ONNX's own."""
    return node.domain.removeprefix("ai.onnx")


def read(b: Builder, proto: Any, given: tuple[Given, ...], versions: Mapping[str, int]) -> list[Given]:
    """What a node gives, by the tables.

    Args:
        b: what its calls are written with.
        proto: the node.
        given: its inputs.
        versions: of the operators of every domain.

    Raises:
        Unread: if the tables do not read it.
        LookupError, TypeError, ValueError, AttributeError, ArithmeticError: if its attributes or inputs are not those
            of its operator.
    """
    table = TABLES.get(domain_of(proto), {})
    if proto.op_type not in table or next(subgraphs(proto), None) is not None:
        raise Unread("the tables do not have it")
    if any(each and value is None for each, value in zip(proto.input, given, strict=True)):
        raise Unread("it is given what is not known")
    node = Node(proto.op_type, versions.get("", 1), attributes_of(proto), given, _named(proto), b)
    found = in_blocks(b, node, table[proto.op_type]) if b.blocks and not proto.domain else table[proto.op_type](b, node)
    require_read(node.attributes)
    return found if isinstance(found, list) else [found]


def function_of(proto: Any, versions: Mapping[str, int]) -> Callable[..., Any] | None:
    """What computes a node from tensors; None where nothing does."""
    domain = domain_of(proto)
    table = FUNCTIONS.get(domain, {})
    if proto.op_type not in table:
        return None
    try:
        return table[proto.op_type](attributes_of(proto), versions.get(domain, 1))
    except (LookupError, TypeError, ValueError, AttributeError, Unread):  # attributes that are not the operator's
        return None


def attributes_of(proto: Any) -> Attributes:
    """The attributes of a node as Python has them."""
    helper = required("onnx", "onnx").helper
    return Attributes({a.name: attribute(helper.get_attribute_value(a)) for a in proto.attribute})


def _named(proto: Any) -> int:
    return len([name for name in proto.output if name])
