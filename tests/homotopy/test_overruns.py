"""Training on a processor with AVX2 only: no step writes past the end of a gradient.

layers     passes through the layers that overrun and their neighbours
training   our training of such networks, in every layout that reaches them
in_avx2    a program in a process of its own that is shown AVX2 only, with a heap that checks itself

Each program is also run without the guard: then it must end in a signal, or the check would check nothing.
"""

from __future__ import annotations

import ctypes.util
import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from algebraic_cnn.homotopy.overruns import SafeConvolutions, overruns

LAYERS = """
import torch
from torch import nn
from algebraic_cnn.homotopy.overruns import SafeConvolutions as guard

torch.set_num_threads(1)
last = torch.channels_last

def passes(channels, stride, layouts):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(channels, 4, 1, stride), torch.randn(4, channels, 12, 12)
    layer = layer.to(memory_format=last) if "weight" in layouts else layer
    x = (x.to(memory_format=last) if "images" in layouts else x).requires_grad_()
    for _ in range(60):
        with guard():
            layer(x).square().sum().backward()

for channels in range(1, 9):
    for stride in 2, 3, (1, 2):
        for layouts in (["images"], ["weight"], ["images", "weight"]):
            passes(channels, stride, layouts)
"""
TRAINING = """
import torch
from torch import nn
from algebraic_cnn.models.data import Dataset
from algebraic_cnn.homotopy.classifier import Recipe, train

class Narrow(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.left = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.right = nn.Conv2d(2, 4, 1, stride=2, bias=False)
        self.kernel, self.head = nn.Parameter(torch.randn(3, 4, 1, 1)), nn.Linear(12, 2)

    def forward(self, x):
        x = self.stem(x)
        x = self.left(x) + self.right(x)
        return self.head(nn.functional.conv2d(x, weight=self.kernel, stride=(1, 2)).mean(3).flatten(1))

class Rearranged(Narrow):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))

torch.set_num_threads(1)
images, labels = torch.rand(32, 1, 8, 8), torch.arange(32) % 2
data = Dataset(images, labels, images[:4], labels[:4], "noise")
for kind in Narrow, Rearranged:
    for options in {"channels_last": kind is Narrow}, {"channels_last": True, "amp": True}:
        torch.manual_seed(0)
        train(kind(), data, recipe=Recipe(epochs=8, batch_size=8, learning_rate=0.01, **options))
"""


def in_avx2(program: str) -> subprocess.CompletedProcess[str]:
    shown = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}
    checked = {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165"}
    if sys.platform == "linux" and (library := ctypes.util.find_library("c_malloc_debug")):
        checked["LD_PRELOAD"] = library
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=os.environ | shown | checked, capture_output=True, text=True, check=False)


PROGRAMS = {"layers": LAYERS, "training": TRAINING}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_heap_is_whole_after_training_with_avx2(program: str) -> None:
    done = in_avx2(PROGRAMS[program])
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif(torch.__version__.split("+")[0] != "2.13.0", reason="the fault of that torch")
@pytest.mark.skipif("AVX" not in torch.backends.cpu.get_cpu_capability(), reason="no processor that can be shown AVX2")
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_heap_is_not_without_the_guard(program: str) -> None:
    bare = "import contextlib\nfrom algebraic_cnn.homotopy import classifier, overruns\n"
    bare += "class Bare(contextlib.nullcontext):\n    met = False\n"
    bare += "overruns.SafeConvolutions = classifier.SafeConvolutions = Bare\n"
    assert in_avx2(bare + PROGRAMS[program]).returncode in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)


@pytest.mark.parametrize("call", [torch.conv2d, torch.ops.aten.conv2d.default])
@pytest.mark.parametrize("channels", [1, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (1, (1, 3)), (2, 2)])
def test_exactly_the_calls_that_overrun_are_copied(call, channels: int, kernel: int, stride) -> None:
    x = torch.randint(-9, 10, (2, channels, 8, 8)).float().to(memory_format=torch.channels_last)
    weight = torch.randint(-9, 10, (3, channels, kernel, kernel)).float().to(memory_format=torch.channels_last)
    strides = (stride, stride) if isinstance(stride, int) else stride
    expected = call(x, weight, None, strides)
    with SafeConvolutions() as guard:
        found = call(x, weight, None, strides)
    assert torch.equal(found, expected)  # whole numbers: whatever the order, the sums are the same
    assert overruns(weight, stride) == (kernel == 1 and max(strides) > 1 and channels < 8)
    assert found.is_contiguous() == (overruns(weight, stride) or expected.is_contiguous())
    assert guard.met == overruns(weight, stride)


def test_gradients_are_those_of_the_layer() -> None:
    layer, x = nn.Conv2d(2, 3, 1, stride=2).double(), torch.randint(-9, 10, (2, 2, 6, 6)).double().requires_grad_()
    found = []
    for guard in (SafeConvolutions(), torch.enable_grad()):
        with guard:
            y = layer(input=x).square().sum()
        found.append(torch.autograd.grad(y, [x, *layer.parameters()]))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
