"""Every figure and table of the paper, and what goes beyond it, by name: run what is missing, draw it, sum it up.

    EXPERIMENTS   name to what it does
    Outcome       the files that were written, and the rows of the table
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import chosen
from ...files.records import write_records
from ..plots import save_figure
from . import accuracy, curve, race, schedules, timing
from .forecast import forecast, in_words
from .runs import Place, Progress, run_jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRESETS = ("quick", "medium", "paper")
#: The file of the trainings that the figures share: some are in two of them.
RECORDS = "figures.jsonl"


@dataclass(frozen=True)
class Outcome:
    """What an experiment gave.

    Attributes:
        name: of the experiment.
        preset: what its sizes are called.
        files: what each file is, to its path.
        rows: of the table.
    """

    name: str
    preset: str
    files: Mapping[str, str]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """How to run an experiment.

    Attributes:
        preset: "quick", "medium" or "paper".
        place: where.
        data: "mnist" or "digits".
        seed: of the first trial.
        model: the network that is trained, in place of the preset's; "timing" trains none.
        progress: called with (done, total, words).
        announce: called with what is about to be trained, and about how long that takes.
    """

    preset: str = "quick"
    place: Place = field(default_factory=Place)
    data: str = "mnist"
    seed: int = 0
    model: str | None = None
    progress: Progress | None = None
    announce: Callable[[str], None] | None = None

    def of(self, presets: Mapping[str, Any]) -> Any:
        """An experiment's preset, of this network, on these data and with these seeds."""
        config = presets[self.preset]
        told = {"data": self.data} | ({"model": self.model} if self.model else {})
        return replace(config, seed=self.seed, shared={**config.shared, **told})

    def trained(self, config: Any, records: str = RECORDS, *, keep: bool = False) -> list[dict[str, Any]]:
        """The record of every training of an experiment; what an earlier call finished is not run again."""
        return self.ran(config.jobs(), records, keep=keep)

    def ran(self, jobs: Sequence[Mapping[str, Any]], records: str, *, keep: bool = False) -> list[dict[str, Any]]:
        """The record of every one of these trainings."""
        if self.announce:
            left, seconds = forecast(jobs, Path(self.place.folder, records), self.place)
            if left:
                self.announce(f"{left} trainings, about {in_words(seconds)} on this machine")
        return run_jobs(jobs, Path(self.place.folder, records), self.place, self.progress, keep=keep)


def reproduce(name: str, setting: Setting) -> Outcome:
    """Run what is missing of an experiment, draw its picture, sum it up in a table.

    What an earlier call finished in the same folder is not run again; times are measured anew.

    Raises:
        UnknownNameError: if there is no experiment or preset of that name.
        DataError: if images or records are missing or damaged, or the picture cannot be written.
        NonFiniteError: if a training diverges.
        MissingExtraError: if a cluster is asked for without the extra for it.
    """
    chosen("preset", setting.preset, PRESETS)
    rows, figure, records = EXPERIMENTS[chosen("experiment", name, EXPERIMENTS)](setting)
    folder = Path(setting.place.folder)
    files = {"records": folder / records}
    if figure is not None:
        files["picture"] = save_figure(figure, folder / f"{name}.png")
    return Outcome(name, setting.preset, {what: str(path) for what, path in files.items()}, rows)


#: Rows of the table, the picture, and the file of the records in the folder.
Drawn = tuple[list[dict[str, Any]], "Figure | None", str]


def _figure1(setting: Setting, presets: Mapping[str, accuracy.Config] = accuracy.FIGURE1) -> Drawn:
    config = setting.of(presets)
    records = setting.trained(config)
    return accuracy.table_of_t(config, records), accuracy.against_t(config, records), RECORDS


def _figure3(setting: Setting) -> Drawn:
    config = setting.of(accuracy.FIGURE3)
    records = setting.trained(config)
    return accuracy.table_of_ways(config, records), accuracy.over_epochs(config, records), RECORDS


def _timing(setting: Setting) -> Drawn:
    config = timing.PRESETS[setting.preset]
    return timing.table(timing.run(config, setting.place, progress=setting.progress)), None, "timing.jsonl"


def _race(setting: Setting) -> Drawn:
    config = setting.of(race.PRESETS)
    apart = replace(setting, place=replace(setting.place, folder=str(Path(setting.place.folder, "race"))))
    records = apart.trained(config, "race.jsonl", keep=True)
    times = race.measure(config, apart.place, seed=setting.seed, progress=setting.progress)
    return curve.table(config, records, times), curve.picture(config, records, times), "race/race-times.jsonl"


def _schedules(setting: Setting) -> Drawn:
    config = setting.of(schedules.PRESETS)
    apart = replace(setting, place=replace(setting.place, folder=str(Path(setting.place.folder, "schedules"))))
    apart.trained(config, "schedules.jsonl", keep=True)
    lines = [line for line in schedules.SEARCHED if line in config.lines]
    searched = {line: schedules.search(config, apart.place, line, setting.progress) for line in lines}
    ways = schedules.ways(config, apart.place, searched)
    jobs = {key: config.job(way, key[1]) for key, way in ways.items()}
    done = apart.ran(list(jobs.values()), "schedules.jsonl")
    by_job = dict(zip(jobs, done, strict=True))
    trained = {line: [by_job[line, seed] for seed in config.seeds] for line in config.lines}
    compared = f"lines-{setting.data}.jsonl"
    write_records(Path(apart.place.folder, compared), schedules.records_of(trained))
    return schedules.table(trained), schedules.picture(config, trained), f"schedules/{compared}"


EXPERIMENTS: dict[str, Callable[[Setting], Drawn]] = {
    "figure1": _figure1,
    "figure2": partial(_figure1, presets=accuracy.FIGURE2),
    "figure3": _figure3,
    "timing": _timing,
    "race": _race,
    "schedules": _schedules,
}
