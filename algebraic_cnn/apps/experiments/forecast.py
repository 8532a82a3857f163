"""How long trainings will take, before they start: a few steps of each kind are timed, the rest is arithmetic.

    seconds of a job = epochs * (images * seconds to learn one + tests * seconds to look at one)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...files.records import read_records
from ...homotopy.classifier import Recipe, predictions, train
from ...models.data import Dataset
from .runs import RECIPE, Place, first, images_of, start_of

#: Steps that are timed, after one that is not.
_STEPS = 3
#: What decides the seconds of an image.
_KIND = ("model", "batch_size", "amp", "channels_last", "data")


def forecast(jobs: Sequence[Mapping[str, Any]], path: Path, place: Place) -> tuple[int, float]:
    """The number of jobs that have no record yet, and the seconds that they will take.

    Workers share the processors of one machine, so the seconds of all jobs are added up whatever their number; a
    cluster is not asked, and would be faster.

    Args:
        jobs: from ``job_of``.
        path: the file of records.
        place: where they will run.

    Raises:
        DataError: if images or records are missing or damaged.
    """
    done = [record.get("job") for record in read_records(path)]
    left = [job for job in jobs if job not in done]
    known: dict[tuple[Any, ...], tuple[float, float]] = {}
    seconds = 0.0
    for job in left:
        data = images_of(job["data"], place.data_root, job["images"], job["tests"])
        kind = tuple(job[name] for name in _KIND)
        if kind not in known:
            known[kind] = _of_an_image(job, data, place)
        learn, look = known[kind]
        seconds += job["epochs"] * (len(data.train_labels) * learn + len(data.test_labels) * look)
    return len(left), seconds


def _of_an_image(job: Mapping[str, Any], data: Dataset, place: Place) -> tuple[float, float]:
    """Seconds to learn one image, and to look at one."""
    model = start_of(job, data).to(place.device)
    chosen: dict[str, Any] = {**{name: job[name] for name in RECIPE}, "epochs": 1}
    recipe = Recipe(**chosen, seed=job["seed"])
    train(model, first(data, recipe.batch_size, recipe.batch_size), recipe=recipe)
    few = first(data, _STEPS * recipe.batch_size, _STEPS * recipe.batch_size)
    whole = _seconds(lambda: train(model, few, recipe=recipe))
    look = _seconds(lambda: predictions(model, few.test_images))
    return max(0.0, whole - look) / len(few.train_labels), look / len(few.test_labels)


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def in_words(seconds: float) -> str:
    """A time as a person says it.

    >>> in_words(42.4), in_words(600), in_words(30_000)
    ('42 s', '10 min', '8 h 20 min')
    """
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
