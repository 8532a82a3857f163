"""One training run of the figures, from a job in JSON to a record in JSON; and many of them, restartable.

    job             all that decides the result: data, model, recipe, schedules, seed
    Place           where it happens: folder of the data, device, folder of the checkpoints, processes or cluster
    ways            how t goes: {"kind": "linear", "start": 1.0}, over the share `FADING` of the training; or over a
                    "share" of its own, or skip after skip in the order of "names"
    faded           prefixes of the activations' names whose s goes from 0 to 1 in the same way, else linearly
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...certification.certificate import versions
from ...errors import GeometryError, ResistedError, UnknownNameError, chosen
from ...homotopy import (
    Adaptive,
    Constant,
    Cosine,
    Exponential,
    Learned,
    Linear,
    Step,
    Way,
    find_activations,
    skip_strengths,
    train,
    with_activation_strength,
    with_skip_strength,
)
from ...homotopy.checkpoint import read_checkpoint
from ...homotopy.classifier import Progress as Steps
from ...homotopy.classifier import Recipe, accuracy
from ...homotopy.following import Plan
from ...homotopy.searching import accuracy_at_zero
from ...models.data import Dataset, load_dataset
from ...models.resnet import RESNETS
from .sweep import sweep

WAYS = {"constant": Constant, "linear": Linear, "cosine": Cosine, "exponential": Exponential, "step": Step}
#: Called with (done, total, words); parts of jobs count where they run in this process.
Progress = Callable[[float, int, str], None]
KINDS = (*WAYS, "adaptive", "learned")
RECIPE = ("epochs", "batch_size", "learning_rate", "amp", "channels_last")
#: The schedules reach their ends after this share of the training, so that the network they lead to is trained too.
FADING = 0.6
#: How much harder learned strengths are pulled when the others are at their ends.
_GROWTH = 100.0
#: Steps of a schedule in an epoch, at most.
PER_EPOCH = 10


@dataclass(frozen=True)
class Place:
    """Where runs happen; none of it changes a result.

    Attributes:
        data_root: folder of MNIST's files.
        device: where to compute.
        folder: where a run keeps its checkpoint, and the network that it ends with.
        workers: processes of this machine that run many jobs; 1 runs them in this one.
        cluster: address of a Dask scheduler that runs them instead.
    """

    data_root: str | None = None
    device: str = "cpu"
    folder: str = "."
    workers: int = 1
    cluster: str | None = None


def job_of(
    *,
    data: str = "mnist",
    images: int | None = None,
    tests: int | None = None,
    model: str = "resnet34",
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 0.02,
    way: Mapping[str, Any] | None = None,
    faded: tuple[str, ...] = (),
    amp: bool = False,
    channels_last: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """A job, every choice written out.

    Args:
        data: "mnist" or "digits".
        images: the first so many to train on; all if absent.
        tests: the first so many to test on; all if absent.
        model: "resnet18", "resnet34" or "resnet50".
        epochs: of the recipe.
        batch_size: of the recipe.
        learning_rate: of the recipe.
        way: of t, a constant 1 if absent.
        faded: prefixes of the names of the activations that become linear.
        amp: of the recipe.
        channels_last: of the recipe.
        seed: of the weights and of the order of the images.

    Raises:
        UnknownNameError: if there is no such model or way.
        GeometryError: if there are no images or no epochs.
    """
    way = dict(way or {"kind": "constant", "start": 1.0})
    for what, name, names in (("model", model, RESNETS), ("way", way["kind"], KINDS)):
        chosen(what, name, names)
    if epochs < 1 or (images is not None and images < 2) or (tests is not None and tests < 1):
        counts = {"images": images, "images to test on": tests, "epochs": epochs}
        got = ", ".join(f"{count} {what}" for what, count in counts.items() if count is not None)
        raise GeometryError("a run needs images and epochs", got=got, where="job_of")
    seen = {"data": data, "images": images, "tests": tests}
    recipe = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    recipe |= {"amp": amp, "channels_last": channels_last}
    return {**seen, "model": model, **recipe, "way": way, "faded": list(faded), "seed": seed}


def run_job(
    job: Mapping[str, Any], place: Place, progress: Steps | None = None, records: Path | None = None
) -> dict[str, Any]:
    """Train what the job says; loss, accuracy and t of every epoch, and the accuracy with all skips at 0 at last.

    Skips that resist are an outcome: the record names them under "resisted", with their strengths.
    Interrupted, it goes on from its checkpoint.  The network it ends with stays in the folder, see `network_of`.

    Args:
        job: from `job_of`.
        place: where.
        progress: called after every step with (steps done, steps in all, words).
        records: a file of one JSON line per epoch.

    Raises:
        DataError: if the images are missing or damaged.
        HomotopyError: if the training is too short for a schedule.
        NonFiniteError: if training diverges.
    """
    data = images_of(job["data"], place.data_root, job["images"], job["tests"])
    model = start_of(job, data).to(place.device)
    recipe = Recipe(**{name: job[name] for name in RECIPE}, seed=job["seed"])
    per_epoch = -(-len(data.train_labels) // recipe.batch_size)
    interval = max(1, per_epoch // PER_EPOCH)
    total = (per_epoch * recipe.epochs - 1) // interval
    steps = max(1, int(FADING * total))
    kind = WAYS.get(job["way"]["kind"], Linear)
    fading = (Linear if kind is Constant else kind)(steps, 0.0, 1.0) if job["faded"] else None
    checkpoint, resisted = checkpoint_of(job, place), {}
    how: dict[str, Any] = {"recipe": recipe, "interval": interval, "checkpoint": checkpoint, "records": records}
    try:
        train(model, data, _plan(job["way"], steps, total), activations=fading, progress=progress, **how)
    except ResistedError:
        resisted = {name: t for name, t in skip_strengths(model).items() if t}
    epochs = [_epoch(record) for record in read_checkpoint(checkpoint).notes["records"]] if checkpoint.is_file() else []
    reached = accuracy(model, data.test_images, data.test_labels)
    at_zero = accuracy_at_zero(model, data) if any(skip_strengths(model).values()) else reached
    ends = {"accuracy": reached, "at_zero": at_zero, "resisted": resisted}
    made_with = {"versions": versions(), "threads": torch.get_num_threads(), "device": place.device}
    return {"epochs": epochs, **ends, **made_with}


def run_jobs(
    jobs: Sequence[Mapping[str, Any]],
    path: Path,
    place: Place,
    progress: Progress | None = None,
    *,
    keep: bool = False,
) -> list[dict[str, Any]]:
    """The record of every job, in the order of the jobs; what an earlier call finished is not run again.

    Args:
        jobs: from `job_of`.
        path: the file of records.
        place: where, and by how many processes.
        progress: called with (jobs done, jobs in all, words).
        keep: whether the checkpoints of finished runs stay, for `network_of`.

    Raises:
        DataError: if images or records are missing or damaged.
        NonFiniteError: if a training diverges.
    """
    count = [0]

    def finished(job: Mapping[str, Any]) -> None:
        if not keep:
            checkpoint_of(job, place).unlink(missing_ok=True)

    def whole(done: int, total: int, words: str) -> None:
        count[0] = done
        if progress:
            progress(done, total, words)

    def part(step: int, steps: int, words: str) -> None:
        if progress:
            progress(count[0] + step / steps, len(jobs), words)

    here = place.workers == 1 and place.cluster is None
    run = partial(run_job, place=place, progress=part) if here else partial(run_job, place=place)
    return sweep(run, jobs, path, workers=place.workers, cluster=place.cluster, finished=finished, progress=whole)


def network_of(job: Mapping[str, Any], place: Place) -> tuple[nn.Module, Dataset]:
    """The network that a finished run ended with, in evaluation mode, strengths and all; and its data.

    Raises:
        DataError: if the run was not finished there.
    """
    data = images_of(job["data"], place.data_root, job["images"], job["tests"])
    model = start_of(job, data)
    model.load_state_dict(read_checkpoint(checkpoint_of(job, place)).model)
    return model.to(place.device).eval(), data


@lru_cache(maxsize=2)
def images_of(data: str, root: str | None, images: int | None = None, tests: int | None = None) -> Dataset:
    """A dataset with its first so many images to train on and to test on, all of them if absent.

    Raises:
        DataError: if files are missing or damaged.
        UnknownNameError: if there is no such dataset.
    """
    return first(load_dataset(data, root), images, tests)


def first(data: Dataset, images: int | None, tests: int | None) -> Dataset:
    """The first so many images to train on and to test on, all of them if None."""
    train = {"train_images": data.train_images[:images], "train_labels": data.train_labels[:images]}
    return replace(data, **train, test_images=data.test_images[:tests], test_labels=data.test_labels[:tests])


def start_of(job: Mapping[str, Any], data: Dataset) -> nn.Module:
    """The network before training: the seed decides its weights.

    Raises:
        UnknownNameError: if the job names activations to fade, and the network has none of them.
    """
    torch.manual_seed(job["seed"])
    model: nn.Module = RESNETS[job["model"]](data.image_shape[0], 10)
    example = data.test_images[:2]
    model = with_skip_strength(model, example, job["way"]["start"])
    if job["faded"]:
        names = [found.name for found in find_activations(model, example) if found.name.startswith(tuple(job["faded"]))]
        if not names:
            raise UnknownNameError("no activation to fade", got=", ".join(job["faded"]), where="job")
        model = with_activation_strength(model, example, dict.fromkeys(names, 0.0))
    return model


def _plan(way: Mapping[str, Any], steps: int, total: int) -> Plan:
    """The schedules of a way: its steps, of all that the training has."""
    if way["kind"] == "adaptive":
        return Adaptive(way["start"])
    if way["kind"] == "learned":
        return Learned(way["start"], growth=_GROWTH ** (1 / steps))
    if "share" in way or "names" in way:
        return Way(way["kind"], way["start"], way.get("share", FADING), names=tuple(way.get("names", ()))).plan(total)
    return Constant(way["start"]) if way["kind"] == "constant" else WAYS[way["kind"]](steps, way["start"])


def checkpoint_of(job: Mapping[str, Any], place: Place) -> Path:
    """The checkpoint's file for this job and no other."""
    name = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
    return Path(place.folder, "runs", f"{name}.safetensors")


def _epoch(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a figure wants of an epoch."""
    strengths = record["more"]["skips"]
    found = {name: record[name] for name in ("epoch", "loss", "accuracy")}
    return found | {"t": sum(strengths.values()) / len(strengths)}
