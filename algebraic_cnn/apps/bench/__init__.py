"""Speed and errors, side by side with what one would use instead: medians of interleaved calls, ratios in one run."""

from __future__ import annotations
