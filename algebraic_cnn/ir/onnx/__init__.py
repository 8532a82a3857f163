"""ONNX files: what torch computes for each operator (operators), reading and writing a file (reading, writing)."""

from __future__ import annotations
