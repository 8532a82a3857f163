"""ONNX files: what torch computes for each operator, reading a file as a torch module, and writing one."""

from __future__ import annotations
