"""Beyond the paper: skips faded to 0, activations of late stages faded to linear, then collapse.

    level       how much is faded: nothing, the skips, and then the activations of more and more stages
    Config      every level with every seed; race.py measures what they train, curve.py draws it

Every level is trained equally long from the same initial weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .runs import job_of

#: Level to (kind of the way of t, stages whose activations are faded).
LEVELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ResNet": ("constant", ()),
    "no skips": ("exponential", ()),
    "no skips, stage 4 linear": ("exponential", ("layer4",)),
    "no skips, stages 3-4 linear": ("exponential", ("layer3", "layer4")),
    "no skips, stages 2-4 linear": ("exponential", ("layer2", "layer3", "layer4")),
}
ORIGINAL, PLAIN = "ResNet", "no skips"


@dataclass(frozen=True)
class Config:
    """What decides the curve.

    Attributes:
        preset: what the sizes are called.
        trials: how often the ResNet and the network without skips are trained.
        further: how often the levels whose activations are faded too.
        seed: of the first trial; the next ones have the next seeds.
        batches: images at a time.
        seconds: how long to measure at each batch size.
        shared: the other choices of every job.
    """

    preset: str
    trials: int
    further: int
    seed: int = 0
    batches: tuple[int, ...] = (1, 128)
    seconds: float = 20.0
    shared: dict[str, Any] = field(default_factory=dict)

    def job(self, level: str, seed: int) -> dict[str, Any]:
        """The training run of a level."""
        kind, stages = LEVELS[level]
        return job_of(way={"kind": kind, "start": 1.0}, faded=stages, seed=seed, **self.shared)

    def seeds(self, level: str) -> range:
        """The seeds with which a level is trained."""
        return range(self.seed, self.seed + (self.further if LEVELS[level][1] else self.trials))

    def jobs(self) -> list[dict[str, Any]]:
        """Every level with every seed, first seeds first."""
        pairs = [(seed, level) for level in LEVELS for seed in self.seeds(level)]
        return [self.job(level, seed) for seed, level in sorted(pairs, key=lambda pair: pair[0])]


PRESETS = {
    "quick": Config("quick", 3, 1, shared={"images": 10_000, "epochs": 5, "batch_size": 64}),
    "paper": Config("paper", 5, 5, seconds=60.0, shared={"epochs": 10}),
}
