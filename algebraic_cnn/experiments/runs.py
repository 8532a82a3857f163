"""One training run of the figures, from a job in JSON to a record in JSON.

    job             all that decides the result: data, model, recipe, schedules, seed
    Place           where it happens: folder of the data, device, folder of the checkpoints
    ways            how t goes: {"kind": "linear", "start": 1.0}, over the share `FADING` of the training
    faded           prefixes of the activations' names whose s goes from 0 to 1 the same way
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..certificates.certificate import versions
from ..data import Dataset, load_dataset
from ..errors import GeometryError, UnknownNameError
from ..homotopy import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    Schedule,
    Step,
    activation_strengths,
    find_activations,
    train,
    with_activation_strength,
    with_skip_strength,
)
from ..models import resnet18, resnet34, resnet50
from ..training import Progress, Recipe

MODELS = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}
WAYS = {"constant": Constant, "linear": Linear, "cosine": Cosine, "exponential": Exponential, "step": Step}
#: The schedules reach their ends after this share of the training, so that the network they lead to is trained too.
FADING = 0.6
#: Steps of a schedule in an epoch, at most.
PER_EPOCH = 10


@dataclass(frozen=True)
class Place:
    """Where runs happen; none of it changes a result.

    Attributes:
        data_root: folder of MNIST's files.
        device: where to compute.
        folder: where a run keeps its checkpoint, and the network that it ends with.
    """

    data_root: str | None = None
    device: str = "cpu"
    folder: str = "."


def job_of(
    *,
    data: str = "mnist",
    images: int | None = None,
    model: str = "resnet34",
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 0.05,
    way: Mapping[str, Any] | None = None,
    faded: tuple[str, ...] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """A job, every choice written out.

    Raises:
        UnknownNameError: if there is no such model or way.
        GeometryError: if there are no images or no epochs.
    """
    way = dict(way or {"kind": "constant", "start": 1.0})
    for what, name, names in (("model", model, MODELS), ("way", way["kind"], WAYS)):
        if name not in names:
            raise UnknownNameError(f"unknown {what}", expected=" | ".join(names), got=name)
    if epochs < 1 or (images is not None and images < 2):
        raise GeometryError("a run needs images and epochs", got=f"{images} images, {epochs} epochs", where="job_of")
    recipe = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    return {"data": data, "images": images, "model": model, **recipe, "way": way, "faded": list(faded), "seed": seed}


def run_job(job: Mapping[str, Any], place: Place, progress: Progress | None = None) -> dict[str, Any]:
    """Train what the job says; loss, accuracy and t of every epoch.

    Interrupted, it goes on from its checkpoint.  The network it ends with stays in the folder, see `network_of`.

    Raises:
        DataError: if the images are missing or damaged.
        NonFiniteError: if training diverges.
    """
    data = images_of(job["data"], place.data_root, job["images"])
    model = _start(job, data).to(place.device)
    recipe = Recipe(job["epochs"], job["batch_size"], job["learning_rate"], seed=job["seed"])
    per_epoch = -(-len(data.train_labels) // recipe.batch_size)
    interval = max(1, per_epoch // PER_EPOCH)
    steps = max(1, int(FADING * ((per_epoch * recipe.epochs - 1) // interval)))
    fading = Linear(steps, 0.0, 1.0) if job["faded"] else None
    records = train(
        model,
        data,
        _schedule(job["way"], steps),
        activations=fading,
        recipe=recipe,
        interval=interval,
        checkpoint=_path(job, place),
        progress=progress,
    )
    names = ("epoch", "loss", "accuracy")
    epochs = [
        {name: getattr(record, name) for name in names} | {"t": _mean(record.more["skips"])} for record in records
    ]
    made_with = {"versions": versions(), "threads": torch.get_num_threads(), "device": place.device}
    return {"epochs": epochs, "accuracy": records[-1].accuracy, **made_with}


def network_of(job: Mapping[str, Any], place: Place) -> tuple[nn.Module, Dataset]:
    """The network that a finished run ended with, in evaluation mode, strengths and all; and its data.

    Raises:
        DataError: if the run was not finished there.
    """
    from ..checkpoint import read_checkpoint

    data = images_of(job["data"], place.data_root, job["images"])
    model = _start(job, data)
    model.load_state_dict(read_checkpoint(_path(job, place)).model)
    return model.to(place.device).eval(), data


@lru_cache(maxsize=2)
def images_of(data: str, root: str | None, count: int | None) -> Dataset:
    """A dataset with its first so many training images, all of them if absent.

    Raises:
        DataError: if files are missing or damaged.
        UnknownNameError: if there is no such dataset.
    """
    whole = load_dataset(data, root)
    return replace(whole, train_images=whole.train_images[:count], train_labels=whole.train_labels[:count])


def _start(job: Mapping[str, Any], data: Dataset) -> nn.Module:
    """The network before training: the seed decides its weights."""
    torch.manual_seed(job["seed"])
    model: nn.Module = MODELS[job["model"]](data.image_shape[0], 10)
    example = data.test_images[:2]
    model = with_skip_strength(model, example, job["way"]["start"])
    if job["faded"]:
        names = [found.name for found in find_activations(model, example) if found.name.startswith(tuple(job["faded"]))]
        model = with_activation_strength(model, example, dict.fromkeys(names, 0.0))
        if not activation_strengths(model):
            raise UnknownNameError("no activation to fade", got=", ".join(job["faded"]), where="job")
    return model


def _schedule(way: Mapping[str, Any], steps: int) -> Schedule:
    return Constant(way["start"]) if way["kind"] == "constant" else WAYS[way["kind"]](steps, way["start"])


def _path(job: Mapping[str, Any], place: Place) -> Path:
    """A file for this job and no other."""
    name = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
    return Path(place.folder, "runs", f"{name}.safetensors")


def _mean(strengths: Mapping[str, float]) -> float:
    return sum(strengths.values()) / len(strengths)
