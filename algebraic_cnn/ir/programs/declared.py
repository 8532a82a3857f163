"""The JSON of a program, held against the types that torch declares for it, and written anew from what was checked.

    conforming      (type, value) -> the value, if every part is of its type and every text what it may be
    TEXTS           class and field -> what its text may be; a text that the table does not have is refused
    LEFT_OUT        class and field that torch can do without, for they hold notes of other tools

A field of a later torch that this table does not know is thereby refused, if it is a text, and not believed.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

from torch._export.serde import schema
from torch._export.serde.union import _Union

from ...errors import DataError
from ...files import limits
from .expressions import guard, range_key, size_expression
from .texts import Check, ForeignOperator, free, lines, name, name_or_nothing, of_kinds, operator, quiet, tree, version

Field = tuple[str, str]

LEFT_OUT = frozenset([("GraphModule", "metadata"), ("GraphModule", "treespec_namedtuple_fields")])
#: Notes of a node that this library reads; the rest is left out.
_NOTES = {"stack_trace": lines, "nn_module_stack": lines}
_OBJECTS = frozenset([("Argument", "as_custom_obj"), ("InputSpec", "custom_obj"), ("Graph", "custom_obj_values")])
TEXTS: Mapping[Field, Check] = {
    **{(each, "as_name"): name for each in ("SymIntArgument", "SymFloatArgument", "SymBoolArgument")},
    **{(each, "name"): name for each in ("TensorArgument", "TokenArgument", "GraphArgument", "Node")},
    **{(each, "name"): name_or_nothing for each in ("NamedArgument", "InputToConstantInputSpec")},
    **{
        (f"{each}Spec", "parameter_name"): quiet
        for each in ("InputToParameter", "ParameterMutation", "GradientToParameter")
    },
    **{(each, "buffer_name"): quiet for each in ("InputToBufferSpec", "BufferMutationSpec")},
    **{(each, "user_input_name"): name for each in ("GradientToUserInputSpec", "UserInputMutationSpec")},
    **{(each, "as_string"): quiet for each in ("Argument", "ConstantValue")},
    **{("ModuleCallSignature", each): tree for each in ("in_spec", "out_spec")},
    ("InputToTensorConstantSpec", "tensor_constant_name"): quiet,
    ("Argument", "as_strings"): quiet,
    ("Argument", "as_operator"): operator,
    ("Node", "target"): operator,
    ("Device", "type"): name,
    ("ModuleCallSignature", "forward_arg_names"): name,
    ("ModuleCallEntry", "fqn"): quiet,
    ("ExportedProgram", "verifiers"): name,
    ("ExportedProgram", "torch_version"): version,
    ("PayloadMeta", "path_name"): quiet,
}
_KEYS: Mapping[Field, Check] = {
    **{("Graph", f"{each}_values"): name for each in ("tensor", "sym_int", "sym_bool", "sym_float")},
    ("Argument", "as_string_to_argument"): quiet,
    ("ExportedProgram", "opset_version"): name,
    ("ExportedProgram", "range_constraints"): range_key,
    ("PayloadConfig", "config"): quiet,
}
_UNENDING = ("Infinity", "-Infinity", "NaN")


@dataclasses.dataclass
class ReadingState:
    """What is known while a file is read.

    Args:
        where: the file, for errors.
        spent: letters of expressions so far.
        inside: whether an argument of a call is read, of which torch writes the repr.
        known: expressions that were read.
    """

    where: object
    spent: int = 0
    inside: bool = False
    known: dict[str, str] = dataclasses.field(default_factory=dict)

    def expression(self, text: str) -> str:
        """A size, if the file does not hold too many.

        Raises:
            ValueError: if it does.
            DataError: if it is none, see `size_expression`.
        """
        cost = len(text)
        if text not in self.known:
            self.known[text], cost = size_expression(text, self.where)
        self.spent += cost
        if self.spent > limits.EXPRESSIONS:
            raise ValueError("more expressions of sizes than can be read in good time")
        return self.known[text]


def conforming(kind: Any, value: Any, reading: ReadingState, field: Field = ("", "")) -> Any:
    """The value, written anew, if it is of the type.

    Args:
        kind: a class of torch's schema, or a type made of them.
        value: from JSON.
        reading: what is known of the file.
        field: the class and field that holds the value.

    Raises:
        ValueError: if it is not; or if a text is not what it may be.
        DataError: if an expression is none, or an operator is not registered.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else conforming(inner[0], value, reading, field)
    if field in _OBJECTS and value:
        raise ValueError("a pickled object")
    if origin is list:
        _require(isinstance(value, list), "a list", value, field)
        return [conforming(inner[0], part, reading, field) for part in value]
    if origin is dict:
        return _table(inner[1], value, reading, field)
    if isinstance(kind, type) and issubclass(kind, _Union):
        return _union(kind, value, reading)
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast("type", kind), value, reading)
    return _scalar(kind, value, reading, field)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, globalns=dict(vars(schema)))


def _union(kind: type, value: Any, reading: ReadingState) -> dict[str, Any]:
    hints = _hints(kind)
    known = isinstance(value, dict) and len(value) == 1 and next(iter(value)) in hints
    _require(known, "one of its kinds", value, (kind.__name__, ""))
    ((of, part),) = value.items()
    return {of: conforming(hints[of], part, reading, (kind.__name__, of))}


def _record(kind: type, value: Any, reading: ReadingState) -> dict[str, Any]:
    of = kind.__name__
    _require(isinstance(value, dict), "an object", value, (of, ""))
    hints = _hints(kind)
    found, outside = {}, reading.inside
    reading.inside = outside or of == "NamedArgument"
    for entry in dataclasses.fields(kind):
        missing = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        _require(entry.name in value or not missing, f"a field {entry.name}", value, (of, ""))
        if entry.name in value and (of, entry.name) not in LEFT_OUT:
            found[entry.name] = conforming(hints[entry.name], value[entry.name], reading, (of, entry.name))
    reading.inside = outside
    if of == "Node" and found["target"] == "_operator.pow":
        _require_small_power(found["inputs"])
    if of == "Node":
        _require_no_number(found["inputs"], of_kinds(found["target"]))
    if of == "PayloadMeta" and found["use_pickle"]:
        raise ValueError("a pickled tensor")
    return found


def _table(kind: Any, value: Any, reading: ReadingState, field: Field) -> dict[str, Any]:
    _require(isinstance(value, dict), "an object", value, field)
    if field == ("Node", "metadata"):
        return {key: check(_text(value[key], field)) for key, check in _NOTES.items() if key in value}
    key_of = _KEYS.get(field)
    if key_of is None and value:
        raise ValueError(f"a table {'.'.join(field)} that nobody knows")
    return {typing.cast("Check", key_of)(key): conforming(kind, part, reading, field) for key, part in value.items()}


def _scalar(kind: Any, value: Any, reading: ReadingState, field: Field) -> Any:
    if kind is str:
        return _checked(_text(value, field), reading, field)
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        _require(type(value) is int and value in list(kind), f"a {kind.__name__}", value, field)
        return value
    if kind is float:
        _require(type(value) in (int, float) or value in _UNENDING, "a number", value, field)
        return value if isinstance(value, str) else float(value)
    _require(type(value) is kind, getattr(kind, "__name__", str(kind)), value, field)
    if kind is int and not -(2**63) <= value < 2**63:
        raise ValueError(f"{str(value)[:40]} is beyond 64 bits")
    return value


def _checked(text: str, reading: ReadingState, field: Field) -> str:
    if field == ("SymExpr", "expr_str"):
        return reading.expression(text)
    if field == ("ExportedProgram", "guards_code"):
        return guard(text, reading.where)
    check = TEXTS.get(field)
    if check is None:
        raise ValueError(f"a text {'.'.join(field)} that nobody knows")
    if check is quiet and reading.inside and field[0] == "Argument":
        check = free
    try:
        return check(text)
    except ForeignOperator as error:
        expected = "its library to be imported first"
        what = "the program makes a custom call that nobody has registered"
        raise DataError(what, expected=expected, got=text[:80], where=reading.where) from error


def _text(value: Any, field: Field) -> str:
    _require(isinstance(value, str), "a text", value, field)
    value.encode()  # half of a pair of code units is no text
    return value


def _require_small_power(inputs: list[Any]) -> None:
    """x ** k with a small number k: others have values without bound."""
    exponent = next(iter(inputs[-1]["arg"].values())) if len(inputs) == 2 else None
    if isinstance(exponent, dict):
        exponent = exponent.get("as_int", exponent.get("as_float"))
    if type(exponent) not in (int, float) or not -8 <= typing.cast("float", exponent) <= 8:
        raise ValueError("a power of sizes")


def _require_no_number(inputs: list[Any], names: frozenset[str]) -> None:
    """No number where a dtype or a layout is to stand."""
    for given in inputs:
        if given["name"] in names and any(kind.startswith(("as_int", "as_float", "as_sym")) for kind in given["arg"]):
            raise ValueError(f"a number for a {given['name']}")


def _require(right: bool, expected: str, got: Any, field: Field) -> None:
    if not right:
        place = ".".join(filter(None, field)) or "the program"
        raise ValueError(f"{place}: {expected} expected, got {str(got)[:40]!r}")
