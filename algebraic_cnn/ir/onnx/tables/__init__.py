"""What is made of every operator of ONNX, one file for each family."""

from __future__ import annotations
