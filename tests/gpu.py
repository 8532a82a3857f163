"""What a GPU has to show in eight minutes, without a package index: ``make gpu``, or as a rehearsal on a CPU.

    properties      the property tests that take a device, where pytest and Hypothesis are installed
    certificates    networks collapsed on the device, certified there, and a mutant that must be refused
    latency         eager, collapsed, and through torch.compile, at two batch sizes, TF32 off and on
    training        one epoch of a network whose skips fade

Each part prints its table and writes one line of JSON; what does not fit into the time is left out, and says so.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from algebraic_cnn import Linear, backend, certify, collapse, load_digits, resnet18, resnet34, with_skip_strength
from algebraic_cnn.apps.bench.contenders import predictor
from algebraic_cnn.collapsing.measurement import interleaved_seconds
from algebraic_cnn.homotopy.classifier import Recipe, train
from algebraic_cnn.models.resnet import BasicBlock

from .narrow import Block, Narrow

ROOT = Path(__file__).parent.parent
Lines = Iterator[dict[str, Any]]


def networks(device: str, small: bool) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Name to network and shape of one sample; narrow ones where they are to be small."""
    torch.manual_seed(0)
    channels = 8 if small else 64
    found = {
        "linear ResNet": Narrow(BasicBlock, (1, 1, 1, 1), linear=True) if small else resnet34(linear=True),
        "ResNet": Narrow(BasicBlock, (1, 1, 1, 1)) if small else resnet18(),
        "six blocks of RepVGG": nn.Sequential(*(Block(channels) for _ in range(6))),
    }
    shapes = [(1, 28, 28), (1, 28, 28), (channels, 28, 28)]
    for model in found.values():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.get_buffer("running_mean").normal_(std=0.1)
                module.get_buffer("running_var").uniform_(0.5, 1.5)
    return {name: (model.to(device).eval(), shape) for (name, model), shape in zip(found.items(), shapes, strict=True)}


def properties(device: str, small: bool) -> Lines:
    """The tests that take a device, on it."""
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("hypothesis") is None:
        yield {"left out": "pytest and Hypothesis are not installed"}
        return
    files = ["tests/properties/test_witnesses.py", "tests/certification/test_certification.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    command += ["-m", "cuda"] if device == "cuda" else ["-k", "cpu", *(["-x", "--collect-only"] if small else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    yield {"exit code": done.returncode, "said": done.stdout.strip().splitlines()[-1]}


def certificates(device: str, small: bool) -> Lines:
    """A collapse is certified; the network one weight of which is one unit in the last place away is refused."""
    for name, (model, shape) in networks(device, small).items():
        x = torch.zeros(1, *shape, device=device)
        started = time.perf_counter()
        result = collapse(model, x)
        seconds = time.perf_counter() - started
        other = copy.deepcopy(model)
        with torch.no_grad():
            weight = next(other.parameters())
            weight.copy_(torch.nextafter(weight, torch.full_like(weight, torch.inf)))
        found = {
            "itself": certify(model, model, x, level="modular"),
            "one ulp away": certify(model, other, x, level="modular"),
        }
        yield {
            "network": name,
            "calls": result.report.calls,
            "collapse certified": result.certificate is not None and result.certificate.ok,
            "seconds": round(seconds, 2),
            **{what: certificate.ok for what, certificate in found.items()},
        }


def latency(device: str, small: bool) -> Lines:
    """Milliseconds of a batch, and the largest error of each beside the network in float64, over its largest output."""
    engines = {"eager": None, "inductor": "inductor"} if device == "cuda" else {"eager": None}
    for name, (model, shape) in networks(device, small).items():
        result = collapse(model, torch.zeros(1, *shape, device=device), certify=None)
        for batch in (1, 128):
            x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch)).to(device)
            with torch.no_grad():
                exact = copy.deepcopy(model).double()(x.double())
            for tf32 in (False, True) if device == "cuda" else (False,):
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
                torch.compiler.reset()
                ours = backend("inductor" if device == "cuda" else "eager", certify=None)
                runs = {f"network, {e}": torch.compile(model, backend=b) if b else model for e, b in engines.items()}
                runs |= {"collapsed": result.model, "backend": torch.compile(model, backend=ours)}
                yield {"network": name, "batch": batch, "TF32": tf32} | timed(runs, x, exact, 0.2 if small else 2.0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def timed(runs: dict[str, Any], x: Tensor, exact: Tensor, seconds: float) -> dict[str, Any]:
    """Milliseconds and relative errors of each."""
    calls = {name: predictor("eager", run, x) for name, run in runs.items()}
    times = interleaved_seconds(calls, seconds=seconds)
    row: dict[str, Any] = {f"{name}, ms": round(1e3 * taken, 3) for name, taken in times.items()}
    for name, call in calls.items():
        row[f"{name}, error"] = f"{float((call().double() - exact).abs().max() / exact.abs().max()):.1e}"
    return row


def training(device: str, small: bool) -> Lines:
    """One epoch on scikit-learn's digits, of a network whose skips fade linearly; then its collapse."""
    data = load_digits()
    torch.manual_seed(0)
    model = (Narrow(BasicBlock, (1, 1, 1, 1)) if small else resnet18()).to(device)
    example = data.test_images[:2].to(device)
    faded = with_skip_strength(model.eval(), example)
    started = time.perf_counter()
    (record,) = train(faded, data, Linear(2), interval=4, recipe=Recipe(epochs=1, batch_size=128))
    seconds = time.perf_counter() - started
    result = collapse(faded.eval(), example)
    yield {"seconds": round(seconds, 1), "loss": round(record.loss, 4), "calls": result.report.calls}


PARTS: dict[str, Callable[[str, bool], Lines]] = {
    "certificates": certificates,
    "latency": latency,
    "training": training,
    "properties": properties,
}


def main(arguments: list[str] | None = None) -> int:
    """Every part, as far as the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="narrow networks: a rehearsal")
    parser.add_argument("--seconds", type=float, default=480.0, help="no line is begun after so many")
    parser.add_argument("--out", type=Path, default=Path("gpu.jsonl"))
    given = parser.parse_args(arguments)
    started, failed = time.perf_counter(), 0
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    with given.out.open("w", encoding="utf-8") as out:
        for part, run in PARTS.items():
            print(f"== {part}, torch {torch.__version__} on {name}, {time.perf_counter() - started:.0f} s", flush=True)
            lines = run(given.device, given.small)
            while time.perf_counter() - started < given.seconds:
                try:
                    line = next(lines)
                except StopIteration:
                    break
                except Exception as error:  # the other parts are worth their minutes
                    line, failed = {"failed": f"{type(error).__name__}: {error}"}, failed + 1
                print("  ", ", ".join(f"{key} {value}" for key, value in line.items()), flush=True)
                out.write(json.dumps({"part": part, "device": name, **line}) + "\n")
            else:
                print("   the time is up: the rest of this part is left out", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
