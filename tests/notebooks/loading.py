"""A file that no package holds, as a module."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path


def loaded(path: Path) -> types.ModuleType:
    """The module that a file makes, run anew."""
    spec = importlib.util.spec_from_file_location(f"notebook_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
