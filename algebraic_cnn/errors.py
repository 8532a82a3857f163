"""The errors of the library: one family, so that a caller can catch everything that is a user's to mend.

Every message says *what* is wrong, what was *expected*, what was *got*, and *where* (an argument, a file, or the
source line of the model).  Each child also derives from the built-in exception that Python programmers expect.

    AlgebraicError      the family
    ShapeError          an array of the wrong shape or type of entries
    GeometryError       arguments of a layer that do not fit together (torch refuses them too)
    NotAffineError      a call that is not affine in the input, where an affine map is needed
    TrainingModeError   a model that is not in evaluation mode
    TraceError          a model that torch.export cannot take
    TooLargeError       an explicit array beyond the memory budget, refused before it is allocated
    NonFiniteError      NaN or infinity where a number is needed
    DataError           a missing, damaged or foreign file
    UnknownNameError    a name that is not in the list of names; `chosen` refuses it
    HomotopyError       a homotopy that cannot be followed: nothing to fade, a strength out of range, a way without end
    ResistedError       one of those: the training is over, or was given up, with strengths that are not at their end
    UncertifiedError    a collapse whose certificate failed, and which is therefore not returned
    MissingExtraError   an optional dependency that is not installed

Shapes are written one way, as Python writes a tuple.
"""

from __future__ import annotations

from collections.abc import Iterable


def spoken(value: object) -> str:
    """A value as messages write it: every shape one way, whatever it was: a tuple, a list or torch's own.

    >>> spoken([1, 3, 8]), spoken(("N", 3, None)), spoken([(2,), (3, 4)]), spoken(["cpu"])
    ('(1, 3, 8)', '(N, 3, any)', '[(2,), (3, 4)]', "['cpu']")
    """
    if not isinstance(value, tuple | list):
        return str(value)
    lengths = all(isinstance(entry, int | str | None) for entry in value)
    if lengths and any(isinstance(entry, int) for entry in value):
        words = ["any" if entry is None else str(entry) for entry in value]
        return f"({', '.join(words)}{',' * (len(words) == 1)})"
    if value and all(isinstance(entry, tuple | list) for entry in value):
        words = ", ".join(map(spoken, value))
        return f"[{words}]" if isinstance(value, list) else f"({words}{',' * (len(value) == 1)})"
    return f"({', '.join(map(repr, value))}{',' * (len(value) == 1)})" if isinstance(value, tuple) else str(value)


class AlgebraicError(Exception):
    """Base of every error that this library raises on purpose.

    Args:
        what: what is wrong, in one clause.
        expected: what would have been right.
        got: what was given instead.
        where: the argument, file or source line that it is about.

    >>> print(ShapeError("x does not fit the map", expected=(1, 8, 8), got=(1, 8, 7), where="AffineMap.__call__"))
    x does not fit the map: expected (1, 8, 8), got (1, 8, 7) [at AffineMap.__call__]
    """

    def __init__(self, what: str, *, expected: object = None, got: object = None, where: object = None) -> None:
        self.what, self.expected, self.got, self.where = what, expected, got, where
        pairs = (("expected", expected), ("got", got))
        sides = [f"{word} {spoken(value)}" for word, value in pairs if value is not None]
        message = what + (": " + ", ".join(sides) if sides else "")
        super().__init__(message + (f" [at {where}]" if where is not None else ""))


class ShapeError(AlgebraicError, ValueError):
    """An array whose shape or kind of entries does not fit."""


class GeometryError(AlgebraicError, ValueError):
    """Arguments of a layer that do not fit together, such as a kernel larger than the padded input."""


class NotAffineError(AlgebraicError, ValueError):
    """A call that is not affine in the network's input."""


class TrainingModeError(AlgebraicError, ValueError):
    """A model in training mode: its BatchNorm and Dropout do not compute a fixed function."""


class TraceError(AlgebraicError, ValueError):
    """A model that ``torch.export`` cannot turn into a graph of calls."""


class TooLargeError(AlgebraicError, MemoryError):
    """An explicit array that would need more bytes than the budget; nothing was allocated.

    Args:
        what: what is wrong, in one clause.
        needed: bytes that the array would take.
        budget: bytes that were allowed.
        where: the argument or place that it is about.

    >>> print(TooLargeError("W is beyond the budget", needed=8_000_000, budget=1_000_000))
    W is beyond the budget: expected at most 1,000,000 bytes, got 8,000,000 bytes
    """

    def __init__(self, what: str, *, needed: int, budget: int, where: object = None) -> None:
        self.needed, self.budget = needed, budget
        super().__init__(what, expected=f"at most {budget:,} bytes", got=f"{needed:,} bytes", where=where)


class NonFiniteError(AlgebraicError, ValueError):
    """NaN or infinity among numbers that must be finite."""


class DataError(AlgebraicError, OSError):
    """A file that is missing, damaged, or not of the kind that was asked for."""


class UnknownNameError(AlgebraicError, LookupError):
    """A name that is not one of the names on offer."""


def chosen(what: str, name: str, names: Iterable[str], *, where: object = None) -> str:
    """The name, if it is one of the names on offer.

    Raises:
        UnknownNameError: if it is not; the message lists them.

    >>> chosen("engine", "eager", ("eager", "onnx"))
    'eager'
    """
    if name not in (on_offer := tuple(names)):
        raise UnknownNameError(f"unknown {what}", expected=" | ".join(on_offer), got=name, where=where)
    return name


class HomotopyError(AlgebraicError, ValueError):
    """A homotopy that cannot be followed: nothing to fade, a strength out of range, a way that never ends."""


class ResistedError(HomotopyError):
    """Strengths that are not at their end when a training is over or given up: an outcome, not a mistake of the caller.

    The model is left where it last was right, its strengths as the message says.
    """


class UncertifiedError(AlgebraicError, ArithmeticError):
    """A collapse that its certificate refutes: a defect of this library, shown with its witness, not returned."""


class MissingExtraError(AlgebraicError, ImportError):
    """An optional dependency that is not installed; the message names the extra that brings it."""
