"""One file per figure or table: what is run, the rows and the picture of its records; restartable, seeds fixed."""

from __future__ import annotations
