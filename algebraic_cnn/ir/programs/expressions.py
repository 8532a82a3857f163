"""The expressions of sizes that a program's file holds, read by a small parser of our own and written anew.

    size_expression     "Add(Symbol('s0', ...), Integer(-2))", as SymPy's srepr writes it; torch would evaluate it
    guard               "L['x'].size()[2] % 2 == 0", as torch's printer writes it; torch would execute it

Grammar of the first, f one of the names in `FUNCTIONS`:
    e = f(e, ..., e) | Integer(n) | Rational(n, n) | Float('x', precision=53) | Symbol('s0', positive=True, ...)
      | true | false | Pow(e, Integer(k)) with k = 2 .. 8, written anew as a product
Grammar of the second, from the loosest to the tightest:
    or, and, not;  == != < <= > >=;  + -;  * / // %;  unary -;  f(...), x.size()[i], number, (...)

Length, depth and the size of every value are bounded, so that neither SymPy nor Python can be kept busy.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ...errors import DataError
from ...files import limits

#: What torch's sizes are made of: its own functions, and SymPy's.  No powers, no shifts: their values have no bound.
FUNCTIONS = frozenset(
    "Add Mul Max Min Mod PythonMod FloorDiv CeilDiv CleanDiv ModularIndexing Where Identity Abs floor ceiling "
    "ToFloat TruncToInt TruncToFloat RoundToInt RoundDecimal CeilToInt FloorToInt IntTrueDiv FloatTrueDiv "
    "IsNonOverlappingAndDenseIndicator And Or Not Equality Unequality Eq Ne Lt Le Gt Ge "
    "StrictLessThan LessThan StrictGreaterThan GreaterThan".split()
)
_IN_GUARDS = frozenset(
    "max min abs int float bool math.floor math.ceil math.trunc torch.sym_max torch.sym_min torch.sym_float".split()
)
_ASSUMPTIONS = frozenset("positive nonnegative integer real zero negative finite nonzero nonpositive".split())
_TOKEN = re.compile(r"\s*(?:(-?\d+)|([A-Za-z_]\w*)|'([\w.+-]*)'|([(),=]))")
_SYMBOL = re.compile(r"(?:s|u|zf|zuf)(\d{1,9})")
_PRINTED = re.compile(r"[-(\ds][-+*/()\ds ]{0,199}")
_GUARD_TOKEN = re.compile(
    r"""\s*(?:(L(?:\['[^'"\\\[\]]*'\]|\[\d+\])+(?:\.(?:size|stride)\(\)\[\d+\]|\.storage_offset\(\))?)|(\d+(?:\.\d+)?)
    |(==|!=|<=|>=|//|[-+*/%<>(),])|((?:math\.|torch\.sym_)?[a-z]+))""",
    re.VERBOSE,
)


@dataclass
class _Reader:
    """The tokens that are still to be read."""

    tokens: list[str]
    place: int = 0
    depth: int = 0
    compared: int = 0

    def peek(self) -> str:
        """The next token, not taken; "" at the end."""
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        """The next token, which must be there, and one of those that are wanted if any are."""
        token = self.peek()
        if not token or (wanted and token not in wanted):
            raise ValueError(f"{' or '.join(wanted) or 'more'} expected, got {token[:20] or 'the end'}")
        self.place += 1
        return token

    def end(self) -> None:
        """Nothing may be left."""
        if self.peek():
            raise ValueError(f"nothing more expected, got {self.peek()[:20]}")

    def deeper(self) -> None:
        """One call more inside another, of so many and no more."""
        self.depth += 1
        if self.depth > limits.EXPRESSION_DEPTH:
            raise ValueError(f"more than {limits.EXPRESSION_DEPTH} calls inside calls")


def size_expression(text: str, where: object) -> tuple[str, int]:
    """The expression of a size, written anew with nothing in it but what was read, and what it costs SymPy in letters.

    Args:
        text: as a file gives it.
        where: the file, for the error.

    Raises:
        DataError: if it is not of the grammar, too long, too deep, or its value can be too large.

    >>> size_expression("Pow(Symbol('s0', integer=True), Integer(2))", "a.pt2")[0]
    "Mul(Symbol('s0', integer=True), Symbol('s0', integer=True))"
    >>> size_expression("9**9**9**9", "a.pt2")
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: refused, for reading it could run code or never end: ... got '9**9**9**9' [at a.pt2]
    """
    try:
        reader = _Reader(_tokens(text, _TOKEN))
        written = _call(reader).text
        reader.end()
    except ValueError as error:
        raise _refused(text, where, error) from error
    return written, len(written) + 200 * reader.compared**2


def guard(text: str, where: object) -> str:
    """A condition on the sizes of inputs, if it is of the grammar.

    Args:
        text: as a file gives it.
        where: the file, for the error.

    Raises:
        DataError: if it is not of the grammar, too long or too deep.

    >>> guard("((2*L['x'].size()[2]) % 4) == 0", "a.pt2")
    "((2*L['x'].size()[2]) % 4) == 0"
    >>> guard("torch.sym_max(1, L['x'].size()[2] // 2) != 3", "a.pt2")     # as torch 2.14 writes a maximum
    "torch.sym_max(1, L['x'].size()[2] // 2) != 3"
    >>> guard("__import__('os').system('ls')", "a.pt2")
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: refused, for reading it could run code or never end: ...
    """
    try:
        reader = _Reader(_tokens(text, _GUARD_TOKEN))
        _condition(reader)
        reader.end()
    except ValueError as error:
        raise _refused(text, where, error) from error
    return text


def symbol(name: str) -> str:
    """The name, if it is one of torch's symbols.

    Raises:
        ValueError: if it is not.
    """
    found = _SYMBOL.fullmatch(name)
    if not found or (not name.startswith("s") and int(found[1]) > limits.SYMBOL):
        raise ValueError(f"{name[:20]!r} is no symbol of a size")
    return name


def range_key(name: str) -> str:
    """The name under which a range stands: one of torch's symbols, or a sum or multiple of such as torch prints it.

    torch looks ranges up by their names, and reads a number out of those that begin as an unbacked symbol does.

    Raises:
        ValueError: if it is neither.
    """
    return name if _PRINTED.fullmatch(name) else symbol(name)


def _tokens(text: str, pattern: re.Pattern[str]) -> list[str]:
    if len(text) > limits.EXPRESSION:
        raise ValueError(f"{len(text):,} letters, more than {limits.EXPRESSION:,}")
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            raise ValueError(f"{text[at : at + 10]!r} is not of the grammar")
        found.append("'" + match[3] if pattern is _TOKEN and match[3] is not None else match[0].strip())
        at = match.end()
    return found


@dataclass(frozen=True)
class _Read:
    """What was read: the text anew, the bits that its value may have, the terms that it has when multiplied out."""

    text: str
    bits: int = 63
    terms: int = 1


def _call(reader: _Reader) -> _Read:
    name = reader.take()
    if name in ("true", "false"):
        return _Read(name)
    reader.take("(")
    reader.deeper()
    if name == "Symbol":
        found = _Read(_symbol(reader))
    elif name == "Integer":
        found = _Read(f"Integer({_integer(reader)})")
    elif name == "Rational":
        over, _, under = _integer(reader), reader.take(","), _integer(reader)
        if not under:
            raise ValueError("a division by zero")
        found = _Read(f"Rational({over}, {under})")
    elif name == "Float":
        found = _Read(_float(reader))
    else:
        found = _function(name, reader)
    reader.take(")")
    reader.depth -= 1
    return found


def _function(name: str, reader: _Reader) -> _Read:
    if name not in (*FUNCTIONS, "Pow"):
        raise ValueError(f"{name[:20]!r} is no function of sizes")
    parts = [_call(reader)]
    while reader.peek() == ",":
        reader.take(",")
        parts.append(_call(reader))
    if name == "Pow":
        exponent = re.fullmatch(r"Integer\(([2-8])\)", parts[-1].text)
        if len(parts) != 2 or not exponent:
            raise ValueError("a power")
        name, parts = "Mul", parts[:1] * int(exponent[1])
    bits, terms = [part.bits for part in parts], [part.terms for part in parts]
    grown = sum(bits) if name in ("Mul", "IntTrueDiv", "FloatTrueDiv") else max(bits) + len(bits)
    apart = {"Mul": math.prod(terms), "Add": sum(terms)}.get(name, 1)
    if name in ("Max", "Min", "And", "Or"):  # SymPy compares every one with every other
        reader.compared += len(parts)
    written = f"{name}({', '.join(part.text for part in parts)})"
    if (
        max(grown / limits.EXPRESSION_BITS, apart / limits.EXPRESSION_TERMS, reader.compared / limits.COMPARED) > 1
        or len(written) > 8 * limits.EXPRESSION
    ):
        raise ValueError("a value without bound")
    return _Read(written, grown, apart)


def _symbol(reader: _Reader) -> str:
    name = symbol(_text(reader))
    assumed = []
    while reader.peek() == ",":
        reader.take(",")
        assumed.append(f"{reader.take(*_ASSUMPTIONS)}{reader.take('=')}{reader.take('True', 'False')}")
    return ", ".join([f"Symbol('{name}'", *assumed]) + ")"


def _float(reader: _Reader) -> str:
    number = _text(reader)
    if not re.fullmatch(r"-?\d{1,25}(\.\d{1,60})?([eE][+-]?\d{1,3})?", number):
        raise ValueError(f"{number[:20]!r} is no number")
    reader.take(",")
    reader.take("precision")
    reader.take("=")
    return f"Float('{number}', precision={reader.take('53')})"


def _text(reader: _Reader) -> str:
    token = reader.take()
    if not token.startswith("'"):
        raise ValueError(f"a name expected, got {token[:20]}")
    return token[1:]


def _integer(reader: _Reader) -> int:
    token = reader.take()
    if not re.fullmatch(r"-?\d{1,19}", token):
        raise ValueError(f"an integer expected, got {token[:20]}")
    return int(token)


_LOOSE = (("or",), ("and",), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/", "//", "%"))


def _condition(reader: _Reader, level: int = 0) -> None:
    if level == len(_LOOSE):
        _factor(reader)
        return
    if level == 2 and reader.peek() == "not":
        reader.take()
    _condition(reader, level + 1)
    while reader.peek() in _LOOSE[level]:
        reader.take()
        _condition(reader, level + 1)


def _factor(reader: _Reader) -> None:
    while reader.peek() in ("-", "+"):
        reader.take()
    token = reader.take()
    if token[:1].isdigit():
        if len(token) > 25:
            raise ValueError("a number without bound")
        return
    if token.startswith("L["):
        return
    if token in _IN_GUARDS:
        reader.take("(")
    elif token != "(":
        raise ValueError(f"{token[:20]!r} is not of the grammar")
    reader.deeper()
    _condition(reader)
    while token != "(" and reader.peek() == ",":
        reader.take(",")
        _condition(reader)
    reader.take(")")
    reader.depth -= 1


def _refused(text: str, where: object, error: ValueError) -> DataError:
    shown = text if len(text) <= 60 else f"{text[:60]}..."
    what = f"refused, for reading it could run code or never end: an expression to evaluate ({error})"
    expected = "sizes, integers, + - * // %, max, min and comparisons"
    return DataError(what, expected=expected, got=repr(shown), where=where)
