"""What is searched: small modules in the styles that people write, the inputs they take, and their programs.

Drawn       how one input is drawn: a shape behind the batch, floats, whole numbers or bools
Snippet     a module, made anew with the same numbers each time, and its inputs
SNIPPETS    all of them by name; the files in ``snippets`` fill it
DRESSES     the forms in which a snippet is searched: as exported, after decomposition, in another dtype
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import pkgutil
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from torch import Tensor, nn
from torch.export import ExportedProgram

from algebraic_cnn.testing import Network, linear_cnns, residual_networks
from tests.torches import OLD

Part = Callable[[], Any]
Body = Callable[..., Any]

IMAGE, ROW, TOKENS = (3, 6, 6), (6,), (5, 8)
DRESSES = {"exported": torch.float32, "decomposed": torch.float32, "double": torch.float64, "half": torch.bfloat16}


@dataclass(frozen=True)
class Drawn:
    """An input: its shape behind the batch axis, and ``most`` for whole numbers below it, 2 for bools, 0 for floats."""

    shape: tuple[int, ...]
    most: int = 0
    batched: bool = True

    def draw(self, samples: int, kind: str, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
        """One input; its bits depend on nothing but the arguments."""
        shape = (samples, *self.shape) if self.batched else self.shape
        if self.most:
            whole = torch.randint(0, self.most, shape, generator=generator)
            return whole > 0 if self.most == 2 else whole
        if kind == "whole":  # with zeros of either sign
            sign = 1 - 2 * torch.randint(0, 2, shape, generator=generator).to(dtype)
            return torch.randint(-2, 3, shape, generator=generator).to(dtype) * sign
        scale = {"normal": 1.0, "large": 40.0, "small": 1e-3}[kind]
        return (torch.randn(shape, generator=generator) * scale).to(dtype)


@dataclass(frozen=True)
class Snippet:
    """A network to be searched.

    Attributes:
        make: gives the module in evaluation mode, with the same numbers each time.
        inputs: how its inputs are drawn.
        random: whether it draws random numbers, so that it is no function.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Drawn, ...]
    random: bool = False

    def batch(self, samples: int, kind: str, dtype: torch.dtype, number: int) -> list[Tensor]:
        """Inputs for so many samples."""
        generator = torch.Generator().manual_seed(number)
        return [drawn.draw(samples, kind, dtype, generator) for drawn in self.inputs]


class Written(nn.Module):
    """A forward that was written as a function of the module and its inputs."""

    def __init__(self, body: Body, parts: dict[str, Part]) -> None:
        super().__init__()
        self.body = body
        for name, make in parts.items():
            part = make()
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *x: Tensor) -> Any:
        return self.body(self, *x)


SNIPPETS: dict[str, Snippet] = {}


def add(name: str, body: Body | type[nn.Module] | Part, *inputs: Drawn | tuple[int, ...], **parts: Part) -> None:
    """Put a network into ``SNIPPETS``: a function of (module, *inputs), or what makes a module."""

    def make() -> nn.Module:
        torch.manual_seed(zlib.crc32(name.encode()))
        net = body() if isinstance(body, partial) else Written(body, parts)
        for part in net.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 2)
        return net.eval()

    drawn = tuple(shape if isinstance(shape, Drawn) else Drawn(shape) for shape in inputs)
    SNIPPETS[name] = Snippet(name, make, drawn, random=name.startswith("random"))


def snippet(*inputs: Drawn | tuple[int, ...], **parts: Part) -> Callable[[Body], Body]:
    """The decorator of a longer body; its name is the snippet's."""

    def put(body: Body) -> Body:
        add(body.__name__.replace("_", " "), body, *inputs, **parts)
        return body

    return put


def whole(most: int, *shape: int) -> Drawn:
    """Whole numbers from 0, below ``most``."""
    return Drawn(shape, most)


def bools(*shape: int) -> Drawn:
    """True and False."""
    return Drawn(shape, 2)


def conv(into: int, out: int, kernel: int = 3, **options: Any) -> Part:
    """A 2-D convolution that keeps the image's size."""
    return partial(nn.Conv2d, into, out, kernel, **({"padding": kernel // 2} | options))


def linear(into: int, out: int, **options: Any) -> Part:
    """A matrix."""
    return partial(nn.Linear, into, out, **options)


def normal(*shape: int) -> Part:
    """A buffer of normal numbers."""
    return partial(torch.randn, shape)


def weight(*shape: int) -> Part:
    """A parameter of normal numbers."""
    return lambda: nn.Parameter(torch.randn(shape))


def numbers(values: Any, dtype: torch.dtype | None = None) -> Part:
    """A buffer with these numbers."""
    return partial(torch.tensor, values, dtype=dtype)


def stack(*parts: Part) -> Part:
    """Modules one after the other; classes and what makes modules."""
    return partial(lambda makers: nn.Sequential(*(make() for make in makers)), parts)


def fill() -> dict[str, Snippet]:
    """``SNIPPETS``, with every file of snippets read."""
    from . import snippets

    for found in pkgutil.iter_modules(snippets.__path__):
        importlib.import_module(f"{snippets.__name__}.{found.name}")
    return SNIPPETS


def drawn_networks(number: int, count: int) -> list[Snippet]:
    """Networks of ``algebraic_cnn.testing``; Hypothesis draws them, always the same for one number."""
    strategies = {
        "linear": linear_cnns(numbers="floats", dtype=torch.float32),
        "residual": residual_networks(numbers="floats", dtype=torch.float32, linear=False),
    }
    return [made for kind, strategy in strategies.items() for made in _drawn(kind, strategy, number, count)]


def _drawn(kind: str, strategy: Any, number: int, count: int) -> list[Snippet]:
    found: list[Snippet] = []

    def keep(network: Network) -> None:
        if all(tensor.any() for tensor in network.model.parameters()):
            name = f"drawn {kind} {number}.{len(found)}"
            found.append(Snippet(name, partial(_again, network.model), (Drawn(tuple(network.example.shape[1:])),)))

    profile = settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with silent():
        profile(seed(number)(given(network=strategy)(keep)))()
    return found


def _again(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).eval()


def program_of(made: Snippet, dress: str, samples: int = 2) -> ExportedProgram:
    """The program of a snippet, its batch free where torch lets it."""
    dtype = DRESSES[dress]
    args = tuple(made.batch(samples, "normal", dtype, 1))
    model = made.make().to(dtype)
    free = tuple({0: torch.export.Dim.AUTO} if drawn.batched else None for drawn in made.inputs)
    free = (free,) if isinstance(model, Written) else free
    with silent(), torch.enable_grad():  # under no_grad an export leaves out where gradients stop
        program = torch.export.export(model, args, dynamic_shapes=free, strict=False)
        return program.run_decompositions() if dress == "decomposed" else program


def module_of(program: ExportedProgram) -> torch.fx.GraphModule:
    """The program as a module whose graph can be changed."""
    module = program.module() if OLD else program.module(check_guards=False)
    return copied(module, module.graph)


def copied(module: torch.fx.GraphModule, graph: torch.fx.Graph) -> torch.fx.GraphModule:
    """A module with its own copy of the graph and of every number, in evaluation mode."""
    new = copy.deepcopy(torch.fx.GraphModule(module, graph))
    for part in new.modules():
        part.training = False
    return new


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Without what torch writes and warns of, and without gradients."""
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
