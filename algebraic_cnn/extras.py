"""Optional dependencies: modules that an extra of this package brings, loaded where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import MissingExtraError


def required(module: str, extra: str) -> Any:
    """A module that is optional.

    Args:
        module: its name.
        extra: the extra of this package that brings it.

    Returns:
        The module, imported.

    Raises:
        MissingExtraError: if it is not installed; the message says what installs it.

    >>> required("json", "onnx").dumps([1])
    '[1]'
    >>> required("no_such_module", "onnx")
    Traceback (most recent call last):
    algebraic_cnn.errors.MissingExtraError: no_such_module is not installed: expected pip install "algebraic_cnn[onnx]"
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        what = f"{module} is not installed"
        raise MissingExtraError(what, expected=f'pip install "algebraic_cnn[{extra}]"') from error
