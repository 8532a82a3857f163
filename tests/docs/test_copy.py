"""The copy button takes what one would type: no prompts, nothing that was printed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "notebooks" / "docs" / "_static" / "copy.js"
EXAMPLES = [
    (
        ">>> import torch\n>>> for x in y:\n...     print(x)\nprinted\n>>> z\n1\n",
        "import torch\nfor x in y:\n    print(x)\nz",
    ),
    ("$ algebraic-cnn toeplitz 1x2x2\n1 2\n", "algebraic-cnn toeplitz 1x2x2"),
    ("make demo     # a line\nmake test\n", "make demo     # a line\nmake test"),
    ("x = [\n    1,\n]\n", "x = [\n    1,\n]"),
]


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript here")
@pytest.mark.parametrize(("shown", "typed"), EXAMPLES)
def test_what_is_copied(shown: str, typed: str) -> None:
    program = f"process.stdout.write(require({json.dumps(str(SCRIPT))}).typed({json.dumps(shown)}))"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout == typed
