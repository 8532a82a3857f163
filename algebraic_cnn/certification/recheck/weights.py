"""Are the numbers of a certificate those of a model's file?  Both are read here from their bytes, without torch.

The .pt2 is an archive of raw tensors and JSON.  Every kernel and bias of the first network has to be found in it bit
for bit, be computed anew from it (the scale and shift of a BatchNorm), or be one number that no training made: pools,
borders, multiples.  And every tensor of the model has to be found in the certificate.

    tensors   the raw tensors of a .pt2, by name
    origins   where the numbers of a certificate come from
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import DataError
from .layers import Coefficients, Convolution
from .reader import read

#: torch.export's numbers of dtypes.
_FLOATS = {7: np.dtype("<f4"), 8: np.dtype("<f8")}

_PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Origins:
    """Where the numbers of a certificate's first network come from.

    Attributes:
        found: for every layer with numbers of the model, their names.
        unknown: what is not in the model, in words.
        unused: tensors of the model that are not in the certificate.
    """

    found: tuple[str, ...]
    unknown: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all numbers are those of the model, and none is missing."""
        return not self.unknown and not self.unused

    def __str__(self) -> str:
        if self.ok:
            return f"The weights are those of the model's file: {len(self.found)} tensors, none is left over."
        lacking = [f"not in the model's file: {what}" for what in self.unknown]
        return "; ".join([*lacking, *(f"not in the certificate: {name}" for name in self.unused)])


def origins(certificate: str | os.PathLike[str], model: str | os.PathLike[str]) -> Origins:
    """Where the numbers of a certificate's first network come from.

    Args:
        certificate: a file that ``Certificate.write`` wrote.
        model: a file that ``torch.export.save`` wrote.

    Raises:
        DataError: if one of them is missing, damaged or not of its format.
    """
    given, epsilons = tensors(model)
    steps = read(certificate).steps
    layers = [(f"layer {i} of region {n}", layer) for n, step in enumerate(steps) if step.network is not None
              for i, layer in enumerate(step.network.layers)]  # fmt: skip
    found, unknown, used = [], [], set[str]()
    for place, layer in layers:
        names = _normalisation(layer, given, epsilons)
        if names:
            found.append(names[0])
            used.update(names)
            continue
        for part, numbers in (("kernel", layer.kernel), ("bias", layer.bias)):
            name = next((name for name, value in given.items() if _same(numbers, value)), None)
            if name is not None:
                found.append(name)
                used.update(other for other, value in given.items() if _same(numbers, value))
            elif not _constant(numbers):
                unknown.append(f"the {part} of {place}")
    unused = [name for name in given if name not in used]
    return Origins(tuple(found), tuple(unknown), tuple(unused))


def tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], tuple[float, ...]]:
    """The float tensors of a .pt2 by name, and the epsilons of its BatchNorms.

    Raises:
        DataError: if the file is missing, or not of the format that torch.export.save writes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].split("/")[0]
            found = {}
            if f"{root}/data/weights/model.pt" in archive.namelist():
                what, expected = "torch 2.8 pickled the weights, and nothing is unpickled", "a file of a later torch"
                raise DataError(what, expected=expected, where=path)
            for folder, table in (("weights", "model_weights"), ("constants", "model_constants")):
                entries = json.loads(archive.read(f"{root}/data/{folder}/{table}_config.json"))["config"]
                for name, entry in entries.items():
                    meta = entry["tensor_meta"]
                    if meta["dtype"] in _FLOATS and not entry["use_pickle"]:
                        raw = archive.read(f"{root}/data/{folder}/{entry['path_name']}")
                        found[name] = _tensor(raw, meta)
            nodes = json.loads(archive.read(f"{root}/models/model.json"))["graph_module"]["graph"]["nodes"]
    except DataError:
        raise
    except OSError as error:
        raise DataError(str(error.strerror), expected="a .pt2 file", where=path) from error
    except (zipfile.BadZipFile, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"not a model ({error})", expected="a file that torch.export.save wrote", where=path) from error
    epsilons = {each["arg"]["as_float"] for node in nodes if "batch_norm" in node["target"] for each in node["inputs"]
                if each["name"] == "eps" and "as_float" in each["arg"]}  # fmt: skip
    return found, tuple(sorted(epsilons))


def _tensor(raw: bytes, meta: dict[str, Any]) -> np.ndarray:
    dtype = _FLOATS[meta["dtype"]]
    sizes, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
    offset = meta["storage_offset"]["as_int"] * dtype.itemsize
    entries = 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)) if math.prod(sizes) else 0
    if min([0, *sizes, *strides]) < 0 or offset < 0 or offset + entries * dtype.itemsize > len(raw):
        raise ValueError("a tensor reaches beyond its bytes")
    flat = np.frombuffer(raw, dtype, offset=offset)
    return np.lib.stride_tricks.as_strided(flat, sizes, [s * dtype.itemsize for s in strides], writeable=False)


def _same(numbers: Coefficients, value: np.ndarray) -> bool:
    """Whether the numbers are these, bit for bit and in row-major order."""
    kept = numbers.values
    if kept.dtype.kind != "f" or kept.ndim != 2 or numbers.divisor != 1 or kept.size != value.size:
        return False
    return len(kept) == (value.shape or (1,))[0] and kept.astype("<f8").tobytes() == value.astype("<f8").tobytes()


def _constant(numbers: Coefficients) -> bool:
    """Whether no training made the numbers: one number everywhere, or zeros and ones alone."""
    if numbers.values.dtype.hasobject:
        return all(q in (0, 1) for q in numbers.fractions())
    return numbers.values.ndim == 0 or all(q in (0, 1) for q in set(numbers.values.ravel().tolist()))


def _normalisation(layer: Convolution, given: dict[str, np.ndarray], epsilons: tuple[float, ...]) -> list[str]:
    """The four tensors of the BatchNorm whose scale and shift are this kernel and this bias; none if there is none."""
    scale = layer.kernel.values
    single = layer.kernel.shape == (layer.groups, 1)
    if not single or scale.ndim != 2 or scale.dtype.kind != "f":
        return []
    for prefix in (name.removesuffix("running_var") for name in given if name.endswith("running_var")):
        values = {part: given[prefix + part].astype(np.float64) for part in _PARTS if prefix + part in given}
        if len(values["running_var"]) != len(scale):
            continue
        weight = values.get("weight", np.ones(len(scale)))
        bias = values.get("bias", np.zeros(len(scale)))
        for eps in epsilons:
            if (weight / np.sqrt(values["running_var"] + eps)).tobytes() == scale.astype(np.float64).tobytes():
                triples = zip(bias.tolist(), values["running_mean"].tolist(), scale.ravel().tolist(), strict=True)
                if layer.bias.fractions() == [Fraction(b) - Fraction(m) * Fraction(s) for b, m, s in triples]:
                    return [prefix + part for part in values]
    return []
