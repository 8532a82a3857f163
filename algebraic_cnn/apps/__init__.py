"""What runs from the command line: the commands, the paper's experiments, the benchmarks, and their pictures."""

from __future__ import annotations
