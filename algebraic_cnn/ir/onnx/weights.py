"""A file without its large weights, which every copy of it would copy, and the same with them again.

weightless    ModelProto -> ModelProto whose large initializers hold a number in their place, equal where they are equal
weighed       the same after work on its nodes -> ModelProto with its weights
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...extras import required

#: Bytes from which on an initializer is set aside: rules ask for the numbers of so large a one where they move it.
_LARGE = 2**17


def weightless(model: Any) -> tuple[Any, Mapping[str, Any]]:
    """A copy of a file whose large initializers have no numbers, and these initializers by name.

    Args:
        model: the file.
    """
    onnx = required("onnx", "onnx")
    weights = {t.name: t for t in model.graph.initializer if len(t.raw_data) >= _LARGE}
    seen: dict[bytes, int] = {}
    light = [t if t.name not in weights else _shell(onnx, t, seen) for t in model.graph.initializer]
    new = onnx.ModelProto()
    new.CopyFrom(model)
    del new.graph.initializer[:]
    new.graph.initializer.extend(light)
    return new, weights


def _shell(onnx: Any, tensor: Any, seen: dict[bytes, int]) -> Any:
    """The initializer with the number of its bytes among those that were seen, in their place."""
    number = seen.setdefault(tensor.raw_data, len(seen))
    raw = number.to_bytes(4, "little")
    return onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, raw_data=raw)


def weighed(model: Any, weights: Mapping[str, Any]) -> Any:
    """The file with its large initializers; changes it.

    Args:
        model: made from a file without them.
        weights: by name.
    """
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(weights[tensor.name])
    return model
