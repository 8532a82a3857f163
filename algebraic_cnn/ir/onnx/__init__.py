"""ir/onnx."""

from __future__ import annotations
