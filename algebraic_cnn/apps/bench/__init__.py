"""Speed, side by side with what one would use instead: medians of interleaved calls, and ratios in one run."""

from __future__ import annotations
