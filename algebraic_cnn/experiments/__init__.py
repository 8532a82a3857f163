"""One file per figure or table: ``run(config) -> records``, restartable, seeds fixed."""

from __future__ import annotations
