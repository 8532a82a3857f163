"""``torch.compile`` by inductor and by our backend, side by side: times, errors, another batch, other weights.

    ROUTES          name -> the backend, and whether inductor freezes
    NETWORKS        name -> the network and one image for it
    Row             one network by one route
    compiled_rows   the rows of several networks, each network on the disk as soon as it is done

Inductor keeps what it compiled: the first route may pay for kernels that a later one needs too.  Under its own freezing
a weight that is written later is not seen: the row says how wrong the outputs are then.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor import config

from ...collapsing.backend import Backend
from ...collapsing.measurement import interleaved_seconds
from ...errors import chosen
from ...files.records import append_record, read_records
from ...models.resnet import resnet18
from . import reparameterised
from .engines import reason
from .patterns import randomised

Progress = Callable[[str], None]
#: The batch of the first call, and that of the second.
BATCHES = (1, 8)
#: The way of each route through torch.compile: whose backend, and whether inductor stores the weights as it likes.
ROUTES = {
    "inductor": ("inductor", False),
    "inductor, frozen": ("inductor", True),
    "ours": ("algebraic_cnn", False),
    "ours, frozen": ("algebraic_cnn", True),
}
EAGER = "eager"


@dataclass(frozen=True)
class Row:
    """One network by one route.

    Attributes:
        network: its name.
        route: of ``ROUTES``, or "eager".
        calls: seconds of the first call, of the first with the second batch, of the first after a weight was written.
        seconds: of a later call, the median, for each batch.
        errors: for each batch, and after a weight was written: largest difference of the outputs from the network's in
            float64, over their largest.
        load: of the machine, processes that ran or waited.
        note: why there is nothing else.
    """

    network: str
    route: str
    calls: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    load: float = 0.0
    note: str = ""


def linear_resnet(seed: int) -> tuple[nn.Module, Tensor]:
    """The network of the README, a quarter as wide, and one image of noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = resnet18(linear=True, width=16).eval()
    for place, part in enumerate(model.modules()):
        if isinstance(part, nn.BatchNorm2d):
            randomised(part, seed + place)
    return model, torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def of_timm(name: str, seed: int) -> tuple[nn.Module, Tensor]:
    """A network of timm, and an image of 64 x 64."""
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    return reparameterised.network(name, seed=seed), x


NETWORKS: dict[str, Callable[[int], tuple[nn.Module, Tensor]]] = {
    "linear ResNet18, narrow": linear_resnet,
    **{n: functools.partial(of_timm, n) for n in ("repvgg_a0", "resnet10t", "regnetx_002", "mobilenetv3_small_050")},
}


def compiled_rows(
    names: Sequence[str] = tuple(NETWORKS),
    records: str | os.PathLike[str] | None = None,
    *,
    seconds: float = 10.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Row]:
    """The rows of every network, one network after the other as they are made.

    Args:
        names: of ``NETWORKS``.
        records: file of records, one JSON object per line: what it has is not run again, what it has not is added.
        seconds: time to spend on each network and batch.
        seed: of weights and images.
        progress: called with words for every step that begins.

    Raises:
        DataError: if the file of records is damaged or cannot be written.
        MissingExtraError: if timm is not installed.
        UnknownNameError: if there is no such network.
    """
    for name in names:
        make = NETWORKS[chosen("network", name, NETWORKS)]
        asked = {"network": name, "seed": seed}
        done = [record for record in (read_records(records) if records else []) if asked.items() <= record.items()]
        if not done:
            _warm()
            model, x = make(seed)
            rows = rows_of(name, model, x, seconds=seconds, progress=progress)
            done = [{**asked, "rows": [asdict(row) for row in rows]}]
            if records is not None:
                append_record(records, done[-1])
        for row in done[-1]["rows"]:
            fields: dict[str, Any] = {k: tuple(x) if isinstance(x, list) else x for k, x in row.items()}
            yield Row(**fields)


def rows_of(name: str, model: nn.Module, x: Tensor, *, seconds: float, progress: Progress | None = None) -> list[Row]:
    """One network eagerly and by every route: called first with one image, then with several, then with other weights.

    Args:
        name: of the network.
        model: in evaluation mode.
        x: one image, (1, C, *spatial).
        seconds: time to spend on each batch.
        progress: called with words for every step that begins.
    """
    say = progress or (lambda words: None)
    torch.compiler.reset()
    routes = {EAGER: Route(model, contextlib.nullcontext), **{each: route(each, model) for each in ROUTES}}
    rows = {each: Row(name, each) for each in routes}
    for batch in BATCHES:
        images = torch.randn(batch, *x.shape[1:], generator=torch.Generator().manual_seed(batch))
        rows = _asked(rows, routes, images, say)
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        ready = {each: functools.partial(way, images) for each, way in routes.items() if not rows[each].note}
        load = os.getloadavg()[0]
        for each, median in interleaved_seconds(ready, seconds=seconds, clock=clock).items():
            rows[each] = replace(rows[each], seconds=(*rows[each].seconds, median), load=max(load, rows[each].load))
    for way in routes.values():
        way.write()
    return list(_asked(rows, routes, x, say).values())


class Route:
    """A copy of a network, called in one way.

    Args:
        model: is copied.
        setting: what is set while torch may compile.
        backend: of ``torch.compile``; None for the network as it is.
    """

    def __init__(
        self, model: nn.Module, setting: Callable[[], AbstractContextManager[Any]], backend: Any = None
    ) -> None:
        self.model, self.setting = copy.deepcopy(model), setting
        self.run = torch.compile(self.model, backend=backend) if backend else self.model

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs."""
        with torch.no_grad():
            return self.run(x)

    def first(self, x: Tensor) -> tuple[float, float]:
        """Seconds of a call for which torch may have to compile, and the error of its outputs."""
        with self.setting(), warnings.catch_warnings(), _as_often():
            warnings.simplefilter("ignore")  # what inductor says of a processor
            start = time.perf_counter()
            y = self(x)
            taken = time.perf_counter() - start
        with torch.no_grad():
            exact = copy.deepcopy(self.model).double()(x.double())
        return taken, float((y.double() - exact).abs().max() / exact.abs().max())

    def write(self) -> None:
        """Double the first weight, in place."""
        with torch.no_grad():
            next(self.model.parameters()).mul_(2)


def route(name: str, model: nn.Module) -> Route:
    """A copy of a network by the route of that name."""
    owner, freezing = ROUTES[name]
    if owner == "inductor":  # an object of its own: what Dynamo keeps for one backend is no other's
        own = functools.partial(torch._dynamo.lookup_backend("inductor"))
        return Route(model, functools.partial(config.patch, freezing=freezing), own)
    return Route(model, contextlib.nullcontext, Backend("inductor", freezing=freezing))


@functools.cache
def _warm() -> None:
    """What inductor builds once for a process, such as its headers."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()).eval()
    for each in ROUTES:
        route(each, model).first(torch.zeros(1, 1, 2, 2))


def _as_often() -> AbstractContextManager[Any]:
    """Every route may compile the same lines of Python: that is more often than Dynamo's limit for one network."""
    return torch._dynamo.config.patch(recompile_limit=64)


def _asked(rows: Mapping[str, Row], routes: Mapping[str, Route], x: Tensor, say: Progress) -> dict[str, Row]:
    """The rows, with one more call by every route that has not failed."""
    found = dict(rows)
    for each, way in routes.items():
        if found[each].note:
            continue
        say(f"{found[each].network}: {each}, call {len(found[each].calls) + 1}")
        try:
            taken, error = way.first(x)
        except Exception as failure:  # compilers raise errors of any class
            found[each] = replace(found[each], note=reason(failure))
        else:
            calls, errors = (*found[each].calls, taken), (*found[each].errors, error)
            found[each] = replace(found[each], calls=calls, errors=errors)
    return found
