"""The last word on forms that spend more of something: their calls before and after, in turn, by the clock.

values_of             the values at the starts of a network, from one run of it
doubtful              the changed regions whose calls spend more dispatch, arithmetic or memory than before
race                  two functions run in turn, until it is clear whether the second is slower
timed                 a race for every doubtful region
interleaved_rounds    seconds per call of several functions, measured in turn, round after round
interleaved_seconds   their medians

A region that spends less of everything is not raced: no noise can put back what was removed.  One that is raced
keeps its new form unless the medians, the least times and two rounds of three all say that it is slower, by more
than a margin: a machine that is busy with other things makes each of them err now and then, but hardly all at once.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import TraceError
from ..ir.emission import emit
from ..ir.graph import Call, Graph
from ..ir.interpreter import asked, interpret
from ..ops.traits import Prices
from .cost import Expense, expense
from .validation import Pair

#: What is slower is so by more than this factor.
_MARGIN = 1.05

#: Rounds of a race, and how many may say "not slower" before the race is won.
_ROUNDS, _MERCY = 25, 8

#: A sample of a race lasts about so many seconds.
_SAMPLE = 5e-4

#: A call that lasts longer is warm after one.
_LONG = 0.05

Clock = Callable[[], float]


@dataclass(frozen=True)
class Race:
    """Seconds of one call of each side, as medians, and the verdict.

    Attributes:
        before: of what was given.
        after: of what would replace it.
        lost: whether it is clearly slower.
    """

    before: float
    after: float
    lost: bool


def values_of(graph: Graph, starts: frozenset[str], batch: int = 1, *, seed: int = 0) -> dict[str, Tensor]:
    """The values of some names in one run of a graph, on normal random inputs (zeros where they are integers)."""
    with torch.no_grad():
        values = interpret(graph, drawn(graph, batch, seed=seed), _called, keep=starts)
    return {name: value for name, value in values.items() if name in starts and isinstance(value, Tensor)}


def drawn(graph: Graph, batch: int = 1, *, seed: int = 0) -> dict[str, Tensor]:
    """Normal random inputs of a graph by name, zeros where they are integers; axes that are free have the example's."""
    generator = torch.Generator().manual_seed(seed)
    dtypes = graph.input_dtypes or (graph.dtype,) * len(graph.inputs)
    inputs: dict[str, Tensor] = {}
    examples = graph.example_shapes if len(graph.example_shapes) == len(graph.inputs) else graph.input_shapes
    for name, shape, given, dtype in zip(graph.inputs, graph.input_shapes, examples, dtypes, strict=True):
        sizes = [n or (batch if axis == 0 else m or 1) for axis, (n, m) in enumerate(zip(shape, given, strict=True))]
        x = torch.randn(sizes, generator=generator) if dtype.is_floating_point else torch.zeros(sizes)
        inputs[name] = x.to(graph.device, dtype)
    return inputs


def doubtful(pairs: Sequence[Pair], shell: Graph, prices: Prices) -> list[Pair]:
    """The regions that a rewriting may have made slower.

    Args:
        pairs: regions and what became of them.
        shell: the rewritten network, numbers not needed.
        prices: of the cost model.
    """

    def spent(graph: Graph) -> Expense:
        batch, item = graph.batch or 1, graph.dtype.itemsize
        return expense(graph.calls, graph.shapes(), batch=batch, item=item, prices=prices)

    return [pair for pair in pairs if not spent(pair.new(shell)).within(spent(pair.original))]


def _called(call: Call, values: dict[str, Any]) -> Any:
    """What torch makes of a call; it can refuse what the export let pass, such as factors of two dtypes."""
    what = f"torch cannot run the model's {call.op}"
    return asked(call, values, lambda reason: TraceError(f"{what} ({reason})", where=call.where))


def timed(pairs: Sequence[Pair], rewritten: Graph, starts: Mapping[str, Tensor]) -> list[Race]:
    """A race for each region between its calls before and after; one race for regions of the same calls and shapes."""
    known: dict[Any, Race] = {}
    found = []
    for pair in pairs:
        sides = (pair.original, pair.new(rewritten))
        key = tuple((call.op, call.shape) for graph in sides for call in graph.calls)
        if key not in known:
            known[key] = race(*(runner(emit(graph), [starts[name] for name in graph.inputs]) for graph in sides))
        found.append(known[key])
    return found


def runner(module: torch.nn.Module, values: Sequence[Tensor]) -> Callable[[], object]:
    """One call of a module, to its end."""

    def run() -> object:
        with torch.no_grad():
            value = module(*values)
        if any(x.is_cuda for x in values):
            torch.cuda.synchronize()
        return value

    return run


def race(
    before: Callable[[], object],
    after: Callable[[], object],
    *,
    clock: Clock = time.perf_counter,
    rounds: int = _ROUNDS,
    mercy: int = _MERCY,
) -> Race:
    """Whether ``after`` is clearly slower than ``before``: both in turn, every second round in the other order.

    The race ends as soon as the verdict is sure to be "not slower": more rounds than ``mercy`` said so.
    """
    sides = (before, after)
    counts = [_warm(side, clock) for side in sides]
    samples: list[tuple[float, float]] = []
    better = 0
    while len(samples) < rounds and better <= mercy:
        found = [0.0, 0.0]
        for place in (0, 1) if len(samples) % 2 else (1, 0):
            found[place] = _once(sides[place], counts[place], clock)
        samples.append((found[0], found[1]))
        better += found[1] <= _MARGIN * found[0]
    (usual, tried), least = (
        [of(sample[place] for sample in samples) for place in (0, 1)] for of in (statistics.median, min)
    )
    lost = better <= mercy and tried > _MARGIN * usual and least[1] > _MARGIN * least[0]
    return Race(usual, tried, lost)


def _warm(side: Callable[[], object], clock: Clock) -> int:
    """How many calls last as long as a sample; these warm the function up: one of a long one, else three."""
    first = _once(side, 1, clock)
    return 1 if first > _LONG else max(1, round(_SAMPLE / max(_once(side, 2, clock), 1e-9)))


def interleaved_seconds(
    functions: Mapping[str, Callable[[], object]], *, seconds: float = 1.0, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """The median seconds per call of each function, measured in turn as `interleaved_rounds` does.

    >>> found = interleaved_seconds({"short": lambda: None, "long": lambda: sum(range(1000))}, seconds=0.01)
    >>> found["short"] < found["long"]
    True
    """
    rounds = interleaved_rounds(functions, seconds=seconds, clock=clock)
    return {name: statistics.median(values) for name, values in rounds.items()}


def interleaved_rounds(
    functions: Mapping[str, Callable[[], object]], *, seconds: float = 1.0, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds per call of each function, round after round: the values of one round are pairs, taken close together.

    In every round each function runs in its turn: once untimed, so that it does not pay for caches that the one before
    it filled, or for threads that this one left waiting; then often enough to last a millisecond.  Rounds go on until
    the time is up, five at least.

    Args:
        functions: name to function; a function on a GPU must wait for its result.
        seconds: time to spend on all of them together.
        clock: what is measured; ``time.process_time`` does not see what other processes take from a thread.
    """
    calls, samples = {}, {name: [] for name in functions}
    for name, function in functions.items():
        function()
        # by a clock that never stands still, as that of a process does where a machine counts time late
        once = min(_once(function, 1, time.perf_counter) for _ in range(3))
        calls[name] = math.ceil(1e-3 / min(1e-3, max(once, 1e-9)))
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 5 or time.perf_counter() < end:
        for name, function in functions.items():
            function()
            samples[name].append(_once(function, calls[name], clock))
        rounds += 1
    return samples


def _once(side: Callable[[], object], count: int, clock: Clock) -> float:
    """Seconds of one call, as the mean of several."""
    start = clock()
    for _ in range(count):
        side()
    return (clock() - start) / count
