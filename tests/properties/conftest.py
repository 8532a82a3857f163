"""One thread, on which small networks run fastest; IEEE kernels on a GPU; the count of the mutants told apart."""

from __future__ import annotations

import pytest
import torch

from .mutants import CAUGHT

torch.set_num_threads(1)
torch.backends.cudnn.enabled = False  # no Winograd, no FFT: sums of products, exact on whole numbers
torch.set_float32_matmul_precision("highest")  # no TF32


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many mutants each check caught."""
    if CAUGHT:
        terminalreporter.section(f"mutants: {sum(CAUGHT.values()):,} caught, 0 missed where the tests pass")
        for name, count in sorted(CAUGHT.items()):
            terminalreporter.write_line(f"{count:>8,}  {name}")
