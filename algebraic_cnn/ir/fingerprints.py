"""``fingerprint``: SHA-256 of everything that a network is, the same in every process and however its values are named.

    inputs     dtype, shape, nesting; the buffers that are written, by their paths
    calls      torch's name with its overload and namespace, every argument by name; a value by its position
    constants  dtype, shape and bits, in the order in which calls use them
    outputs    values by position, plain ones by type and value; nesting; what is written to what
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from .canonical import digest_of, name_of
from .graph import Call, Graph, Ref, Submodule


def fingerprint(network: Graph | AffineMap) -> str:
    """SHA-256 of a network, or of W, b and the shapes of a map.

    Args:
        network: as ``trace`` gives it, or an explicit map.

    Returns:
        64 hexadecimal digits.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layer = torch.nn.Linear(2, 1).eval()
    >>> other = torch.nn.Sequential(layer).eval()                       # the same under another name
    >>> len({fingerprint(trace(model, torch.zeros(1, 2))) for model in (layer, other)})
    1
    """
    digest = hashlib.sha256()
    for part in _of_map(network) if isinstance(network, AffineMap) else _of_graph(network):
        digest.update(part)
    return digest.hexdigest()


def _of_map(network: AffineMap) -> Iterator[bytes]:
    W = network.to("dense").W
    yield repr((network.in_shape, network.out_shape, str(W.dtype))).encode()
    for array in (W, network.b):
        exact = array.dtype == object
        yield repr(array.tolist()).encode() if exact else np.ascontiguousarray(array).tobytes()


def _of_graph(network: Graph) -> Iterator[bytes]:
    numbers = itertools.count()
    places = {name: f"%{next(numbers)}" for name in network.inputs}
    inputs = [(str(dtype), str(shape)) for dtype, shape in zip(_dtypes(network), network.input_shapes, strict=True)]
    written = [network.state.get(name, places[name]) for name in network.writes]
    yield repr((inputs, str(network.in_spec), sorted(network.state.values()), written, str(network.dtype))).encode()
    for name in network.state:
        yield from _of_constant(network.initial[name])
    for call in network.calls:
        for name in call.refs():
            if name in network.constants and name not in places:
                places[name] = f"%{next(numbers)}"
                yield from _of_constant(network.constants[name])
        yield repr((name_of(call.target), _arguments(call, places))).encode()
        places[call.name] = f"%{next(numbers)}"
    for out in network.outputs:
        if isinstance(out, Ref) and out.name not in places:
            yield from _of_constant(network.constants[out.name])
        else:
            yield repr(places[out.name] if isinstance(out, Ref) else (type(out).__name__, out)).encode()
    yield str(network.out_spec).encode()


def _dtypes(network: Graph) -> tuple[torch.dtype, ...]:
    known = len(network.input_dtypes) == len(network.inputs)
    return network.input_dtypes if known else (network.dtype,) * len(network.inputs)


def _arguments(call: Call, places: dict[str, str]) -> list[Any]:
    """Every argument by name, defaults spelled out, lists and tuples alike."""

    def spelled(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [spelled(item) for item in value]
        if isinstance(value, Ref):
            return places[value.name]
        if isinstance(value, Submodule):
            return digest_of(value.module)
        return value if isinstance(value, int | float | str | None) else repr(value)

    return [(name, spelled(value)) for name, value in sorted(call.bound().items())]


def _of_constant(tensor: Tensor) -> Iterator[bytes]:
    values = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # one entry may have any stride
    values = torch.view_as_real(values) if values.is_complex() else values
    yield repr((str(tensor.dtype), tuple(tensor.shape))).encode()
    yield values.flatten().clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().tobytes()
