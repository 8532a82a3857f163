"""ir."""

from __future__ import annotations
