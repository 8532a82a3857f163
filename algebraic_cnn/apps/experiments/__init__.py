"""The figures and tables of the paper, and the runs, sweeps and drawings under them; restartable, seeds fixed."""

from __future__ import annotations
