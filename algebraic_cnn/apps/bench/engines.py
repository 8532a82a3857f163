"""Networks as given, by timm's own conversion, and collapsed: what is left of them, and how fast, in every engine.

    Row           one network in one form
    rows_of       a network in its three forms, timed in turn by each engine
    model_rows    the same for several networks, each on the disk as soon as it is done

timm's conversion is written by hand for each class of blocks; ours knows no architecture.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...collapsing.measurement import interleaved_seconds
from ...collapsing.pipeline import collapse
from ...errors import MissingExtraError, chosen
from ...files.records import append_record, read_records
from .contenders import ENGINES, predictor
from .reparameterised import MODELS, converted, counts, example, network

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One network in one form.

    Attributes:
        model: its name.
        form: "given", "timm" or "ours".
        convolutions: how many it calls.
        norms: how many BatchNorms it calls.
        error: largest difference of its float32 outputs from those of the given network in float64, over their largest.
        making: seconds that the conversion took, certificate included.
        seconds: median per prediction, by engine; of one thread the processor time, which the machine's load is not in.
        notes: why an engine has no seconds, by engine.
        load: of the machine when it was timed, processes that ran or waited.
    """

    model: str
    form: str
    convolutions: int
    norms: int
    error: float
    making: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    load: float = 0.0


def model_rows(
    names: Sequence[str] = tuple(MODELS),
    engines: Sequence[str] = ("eager",),
    records: str | os.PathLike[str] | None = None,
    **how: Any,
) -> Iterator[Row]:
    """The three rows of every network, one network after the other as they are made.

    Args:
        names: of networks.
        engines: of ``contenders.ENGINES``.
        records: file of records, one JSON object per line: what it has is not run again, what it has not is added.
        how: as ``rows_of`` takes it.

    Raises:
        DataError: if the file of records is damaged or cannot be written.
        MissingExtraError, UnknownNameError: as ``rows_of`` raises them.
    """
    options = {name: value for name, value in how.items() if name in ("batch", "measure", "seed")}
    for name in names:
        asked = {"model": name, **options}
        done = [record for record in (read_records(records) if records else []) if asked.items() <= record.items()]
        timed = {engine for record in done for engine in record["engines"]}
        left = [engine for engine in engines if engine not in timed]
        if left or not done:
            rows = rows_of(name, left, **how)
            done.append({**asked, "engines": left, "rows": [asdict(row) for row in rows]})
            if records is not None:
                append_record(records, done[-1])
        yield from map(_together, zip(*(record["rows"] for record in done), strict=True))


def rows_of(
    name: str,
    engines: Sequence[str] = ("eager",),
    *,
    batch: int = 1,
    seconds: float = 5.0,
    measure: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Row]:
    """One network as given, converted by timm, and collapsed; timed in turn by each engine.

    Args:
        name: of the network.
        engines: of ``contenders.ENGINES``; one that cannot take a form says why in its row.
        batch: images in a prediction.
        seconds: time to spend with each engine.
        measure: whether the collapse measures.
        seed: of weights and images.
        progress: called with words for every step that begins.

    Raises:
        MissingExtraError: if timm, or what an engine needs, is not installed.
        UnknownNameError: if there is no such network or engine.
    """
    for engine in engines:
        chosen("engine", engine, ENGINES)
    say = progress or (lambda words: None)
    given, x = network(name, seed=seed), example(batch=batch, seed=seed)
    with torch.no_grad():
        exact = copy.deepcopy(given).double()(x.double())
    forms: dict[str, nn.Module] = {"given": given}
    making = {"given": 0.0}
    for form, make in {"timm": converted, "ours": lambda m: collapse(m, x, measure=measure).model}.items():
        say(f"{name}: {form} is made")
        start = time.perf_counter()
        forms[form] = make(given)
        making[form] = time.perf_counter() - start
    load = os.getloadavg()[0]
    times, notes = {}, {}
    for engine in engines:
        say(f"{name}: {engine}")
        times[engine], notes[engine] = _timed(engine, forms, x, seconds)
    rows = []
    for form, model in forms.items():
        with torch.no_grad():
            error = float((model(x).double() - exact).abs().max() / exact.abs().max())
        spans, reasons = ({e: of[form] for e, of in found.items() if form in of} for found in (times, notes))
        rows.append(Row(name, form, *counts(model, x), error, making[form], spans, reasons, load))
    return rows


def _together(rows: Sequence[Mapping[str, Any]]) -> Row:
    """One form of one network from the records of several engines."""
    merged = {name: {k: v for row in rows for k, v in row[name].items()} for name in ("seconds", "notes")}
    return Row(**{**rows[-1], **merged})


def _timed(
    engine: str, forms: Mapping[str, nn.Module], x: Tensor, seconds: float
) -> tuple[dict[str, float], dict[str, str]]:
    """The median of every form, and why the engine cannot take the others."""
    torch._dynamo.reset()  # before all of them: what is compiled already would be forgotten, and timed uncompiled
    ready, notes = {}, {}
    for form, model in forms.items():
        try:
            ready[form] = predictor(engine, model, x)
        except MissingExtraError:
            raise
        except Exception as error:  # engines of others raise errors of any class
            notes[form] = reason(error)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    return interleaved_seconds(ready, seconds=seconds, clock=clock), notes


def reason(error: Exception) -> str:
    """What an engine says, in one line; the first may only name who said it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.endswith("raised:")), type(error).__name__)[:120]
