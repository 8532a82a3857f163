"""What each text in a program's file may be.

torch turns a program into Python source and runs that: names of values and of inputs, paths of weights and keys of
dictionaries are written into it as they are.  A name is therefore an identifier, and no other text has quotes.

    name, quiet, free       an identifier; text without quotes; any text (an argument, of which torch writes the repr)
    operator                what a node calls: registered operators, arithmetic on sizes, control flow
    of_kinds                its arguments that name a dtype or a layout
    tree                    the nesting of inputs and outputs, of which torch imports classes and calls factories
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ...errors import DataError
from ...files import limits
from ...files.plain_json import parsed

#: Arithmetic on sizes.  Not powers (see `powers`) and shifts: their values have no bound.
ARITHMETIC = frozenset(
    [f"_operator.{name}" for name in "add sub mul floordiv truediv mod neg pos eq ne le ge lt gt and_ or_ pow".split()]
    + [f"torch.{name}" for name in "sym_float sym_int sym_ite sym_max sym_min sym_not sym_sum _sym_sqrt".split()]
    + ["math.trunc", "math.floor", "math.ceil"]
)
#: Calls that hold graphs.  Others hold compiled code, assembly, or objects.
CONTROL_FLOW = frozenset(
    "cond while_loop scan associative_scan map_impl wrap_with_set_grad_enabled wrap_with_autocast invoke_subgraph "
    "wrap_activation_checkpoint tag_activation_checkpoint strict_mode out_dtype auto_functionalized "
    "auto_functionalized_v2 hints_wrapper flex_attention with_effects".split()
)
#: Operators of torch that do more than compute: they talk to other processes, profile, or call Python.
_NO_MATHEMATICS = frozenset(
    "prim profiler c10d symm_mem _c10d_functional _c10d_functional_autograd _dtensor debugprims debug_mode_ops rpc "
    "static_runtime inductor aoti_torch triton _test".split()
)
_ON_DISK = frozenset("filename file file_name path url".split())
_KINDS = ("ScalarType", "MemoryFormat", "Layout")
_LOUD = re.compile(r"[\x00-\x1f\x7f'\"\\`{}\[\]]")
_TREES = frozenset(
    "builtins.tuple builtins.list builtins.dict collections.OrderedDict collections.deque torch.Size "
    "torch.fx.immutable_collections.immutable_list torch.fx.immutable_collections.immutable_dict".split()
)


class ForeignOperator(ValueError):
    """An operator that torch does not know: perhaps of a library that is to be imported first."""


def name(text: str) -> str:
    """The text, if it can be the name of a value in Python.

    Raises:
        ValueError: if it is none.

    >>> name("x_1")
    'x_1'
    """
    if not text.isidentifier() or keyword.iskeyword(text) or text in ("self", "torch") or len(text) > limits.NAME:
        raise ValueError(f"{text[:40]!r} is no name")
    return text


def name_or_nothing(text: str) -> str:
    """A name, the name of an argument (which may be a keyword of Python), or nothing.

    Raises:
        ValueError: if it is none of these.
    """
    return text if text == "" or keyword.iskeyword(text) or text == "self" else name(text)


def quiet(text: str) -> str:
    """The text, if it is short and has neither quotes nor brackets nor several lines.

    Raises:
        ValueError: if it has.

    >>> quiet("layers.0.weight")
    'layers.0.weight'
    """
    if _LOUD.search(text) or len(text) > limits.NAME:
        raise ValueError(f"{text[:40]!r} is no plain text")
    return text


def free(text: str) -> str:
    """The text, if it is not too long.

    Raises:
        ValueError: if it is.
    """
    if len(text) > 100 * limits.NAME:
        raise ValueError(f"a text of {len(text):,} letters")
    return text


def lines(text: str) -> str:
    """Lines of text without other control characters, such as the place of a call in its source.

    Raises:
        ValueError: if there are others.
    """
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", free(text)):
        raise ValueError(f"{text[:40]!r} is no text of lines")
    return text


def version(text: str) -> str:
    """The version of a library.

    Raises:
        ValueError: if it is none.
    """
    if not re.fullmatch(r"[\w.+<=-]{1,80}", text):
        raise ValueError(f"{text[:40]!r} is no version")
    return text


def operator(text: str) -> str:
    """The text, if it is what a node may call.

    Raises:
        ForeignOperator: if it is an operator that nobody has registered.
        ValueError: if it is none, or one that does more than compute.

    >>> operator("torch.ops.aten.relu.default")
    'torch.ops.aten.relu.default'
    >>> operator("torch.os.system")
    Traceback (most recent call last):
    ValueError: a call of 'torch.os.system'
    """
    if text in ARITHMETIC or text in (f"torch.ops.higher_order.{each}" for each in CONTROL_FLOW):
        return text
    parts = text.split(".")
    refused = ValueError(f"a call of {text[:80]!r}")
    if parts[:2] != ["torch", "ops"] or len(parts) != 5 or parts[2] in (*_NO_MATHEMATICS, "higher_order"):
        raise refused
    if not all(part.isidentifier() for part in parts):
        raise refused
    namespace: Any = getattr(torch.ops, parts[2], None)
    if not isinstance(namespace, torch._ops._OpNamespace):
        raise refused
    packet: Any = getattr(namespace, parts[3], None)
    if packet is None:
        raise ForeignOperator(text)
    if not isinstance(packet, torch._ops.OpOverloadPacket) or parts[4] not in packet.overloads():
        raise refused
    arguments = getattr(packet, parts[4])._schema.arguments
    if any(argument.name in _ON_DISK and "str" in str(argument.type) for argument in arguments):
        raise refused
    return text


def of_kinds(text: str) -> frozenset[str]:
    """The arguments of an operator that name a dtype or a layout: torch crashes on an integer that stands for none.

    >>> sorted(of_kinds("torch.ops.aten.contiguous.default"))
    ['memory_format']
    """
    found: Any = torch
    for part in text.removeprefix("torch.").split(".") if text.startswith("torch.ops.") else ():
        found = getattr(found, part)
    arguments = getattr(getattr(found, "_schema", None), "arguments", ())
    return frozenset(each.name for each in arguments if any(kind in str(each.real_type) for kind in _KINDS))


def tree(text: str) -> str:
    """The nesting of inputs or outputs, written anew.

    Raises:
        ValueError: if it is none, or of containers that torch would have to import.

    >>> tree('[1, {"type": null, "context": null, "children_spec": []}]')
    '[1, {"type": null, "context": null, "children_spec": []}]'
    """
    try:
        found = parsed(text.encode(), "")
    except DataError as error:
        raise ValueError(error.what) from error
    if not isinstance(found, list) or len(found) != 2 or found[0] != 1:
        raise ValueError("another version of trees")
    return json.dumps([1, _branch(found[1])])


def _branch(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or found.keys() != {"type", "context", "children_spec"}:
        raise ValueError("no tree")
    kind, context, children = found["type"], found["context"], found["children_spec"]
    if not isinstance(children, list) or not isinstance(kind, str | None):
        raise ValueError("no tree")
    if kind is None and (context is not None or children):
        raise ValueError("a leaf with branches")
    if kind is not None and kind not in _TREES:
        _require_class(kind, context)
    elif kind is not None:
        context = json.dumps(_context(kind, context, len(children)))
    return {"type": kind, "context": context, "children_spec": [_branch(child) for child in children]}


def _context(kind: str, context: Any, children: int) -> Any:
    """The keys of a dictionary, the greatest length of a queue, or nothing."""
    try:
        found = parsed(context.encode(), "") if isinstance(context, str) else None
    except DataError as error:
        raise ValueError(error.what) from error
    if kind.endswith(("dict", "Dict")):
        if not isinstance(found, list) or len(found) != children:
            raise ValueError(f"{len(found) if isinstance(found, list) else 'no'} keys of {children} values")
        return [key if type(key) is int else quiet(_text(key)) for key in found]
    if found is not None and type(found) is not int:
        raise ValueError("a container with more than its parts")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a key that is no text")
    return value


def _require_class(kind: str, context: Any) -> None:
    """A container of another library: only if that is imported, and if it is told no more than a name."""
    known = pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE
    named = isinstance(context, str) and bool(re.fullmatch(r"[\w.]*|\[(\"[\w.]*\"(, )?)*\]", context))
    if kind == "collections.defaultdict" or kind not in known or not named:
        raise ValueError(f"a container {kind[:80]!r}, which is not imported or says too much")


Check = Callable[[str], str]
