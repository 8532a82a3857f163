"""Every rule of the table against torch's own kernel: on whole numbers bit for bit, modulo primes, and backwards.

    case    a function of x and of constants c, the shape of x without batch axis, the shapes of the constants

Numbers are whole, and inputs are multiples of 3600, so that every mean is whole too: torch's float64 results are exact,
hence their residues are what the rule must give modulo p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.errors import NotAffineError
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator, affine_obstacle
from algebraic_cnn.ops.rules import RULES
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime

aten = torch.ops.aten
FIELDS = [PrimeField(10_007), PrimeField(33_554_393)]


class Function(nn.Module):
    """y = function(x, *constants), the constants whole numbers and held as buffers."""

    def __init__(self, function: Callable[..., Tensor], shapes: Sequence[tuple[int, ...]] = ()) -> None:
        super().__init__()
        self.function, self.count = function, len(shapes)
        generator = np.random.default_rng(0)
        for index, shape in enumerate(shapes):
            self.register_buffer(f"c{index}", torch.from_numpy(generator.integers(-3, 4, shape)).double())
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(getattr(self, f"c{index}") for index in range(self.count)))


def whole(*shape: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-5, 6, shape)).double()


IMAGE = (4, 6, 6)
Case = tuple[Callable[..., Tensor], tuple[int, ...], Sequence[tuple[int, ...]]]

MOVES: dict[str, Case] = {
    "view": (lambda x: x.view(x.shape[0], -1), IMAGE, ()),
    "_unsafe_view": (lambda x: aten._unsafe_view(x, [x.shape[0], 24, 6]), IMAGE, ()),
    "reshape": (lambda x: x.transpose(1, 3).reshape(x.shape[0], 36, 4), IMAGE, ()),
    "flatten": (lambda x: x.flatten(1), IMAGE, ()),
    "permute": (lambda x: x.permute(0, 2, 3, 1), IMAGE, ()),
    "transpose": (lambda x: x.transpose(1, 2), IMAGE, ()),
    "t": (lambda x: x.t().t(), (5,), ()),
    "squeeze": (lambda x: x.squeeze(1), (1, 5), ()),
    "unsqueeze": (lambda x: x.unsqueeze(2), IMAGE, ()),
    "expand": (lambda x: x[:, :1].expand(-1, 3, -1, -1), IMAGE, ()),
    "contiguous": (lambda x: x.transpose(1, 2).contiguous(), IMAGE, ()),
    "clone": (lambda x: x.clone(), IMAGE, ()),
    "alias": (lambda x: aten.alias(x), IMAGE, ()),
    "detach": (lambda x: aten.detach(x), IMAGE, ()),
    "lift_fresh_copy": (lambda x: aten.lift_fresh_copy(x), IMAGE, ()),
    "select": (lambda x: x[:, 2], IMAGE, ()),
    "slice": (lambda x: x[:, 1:, ::2], IMAGE, ()),
    "index_select": (lambda x: x.index_select(1, torch.tensor([3, 0, 3])), IMAGE, ()),
    "narrow": (lambda x: x.narrow(2, 1, 3), IMAGE, ()),
    "split": (lambda x: x.split(3, 1)[1], IMAGE, ()),
    "split_with_sizes": (lambda x: aten.split_with_sizes(x, [1, 3], 1)[1], IMAGE, ()),
    "chunk": (lambda x: x.chunk(2, 1)[1], IMAGE, ()),
    "unbind": (lambda x: x.unbind(1)[3], IMAGE, ()),
    "flip": (lambda x: x.flip(1, 3), IMAGE, ()),
    "roll": (lambda x: x.roll(2, 3), IMAGE, ()),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), IMAGE, ()),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 3), IMAGE, ()),
    "channel_shuffle": (lambda x: aten.channel_shuffle(x, 2), IMAGE, ()),
    "movedim": (lambda x: x.movedim(1, 3), IMAGE, ()),
    "swapaxes": (lambda x: x.swapaxes(1, 2), IMAGE, ()),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), IMAGE, ()),
    "unflatten": (lambda x: x.unflatten(1, (2, 2)), IMAGE, ()),
    **{f"reflection_pad{n}d": (lambda x, n=n: getattr(aten, f"reflection_pad{n}d")(x, [1] * 2 * n), (2, *[3] * n), ())
       for n in (1, 2, 3)},
    **{f"replication_pad{n}d": (lambda x, n=n: getattr(aten, f"replication_pad{n}d")(x, [2] * 2 * n), (2, *[3] * n), ())
       for n in (1, 2, 3)},
    "unfold": (lambda x: x.unfold(2, 3, 2), IMAGE, ()),
    "im2col": (lambda x: F.unfold(x, 3, padding=1, stride=2), IMAGE, ()),
    **{f"upsample_nearest{n}d": (lambda x: F.interpolate(x, scale_factor=2), (2, *[3] * n), ()) for n in (1, 2, 3)},
    **{
        f"_upsample_nearest_exact{n}d": (
            lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"), (2, *[3] * n), ()
        )
        for n in (1, 2, 3)
    },
    "index": (lambda x: x[:, torch.tensor([3, 0, 0])], IMAGE, ()),
    "tril": (lambda x: x.tril(1), IMAGE, ()),
    "triu": (lambda x: x.triu(-1), IMAGE, ()),
    "tile": (lambda x: x.tile(1, 1, 2, 1), IMAGE, ()),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 3), IMAGE, ()),
    "cat": (lambda x, c: torch.cat([x, c.expand(x.shape[0], -1, -1, -1), 2 * x], 1), IMAGE, [(1, 2, 6, 6)]),
    "detach in part": (lambda x: x + 2 * x.detach(), IMAGE, ()),
    "concat": (lambda x: aten.concat([x, x], 2), IMAGE, ()),
    "stack": (lambda x: torch.stack([x, 3 * x], 2), IMAGE, ()),
}  # fmt: skip

CONTRACTIONS: dict[str, Case] = {
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2), (4, 9), [(3, 4, 3), (3,)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, (1, 2), (1, 0), groups=2), IMAGE, [(6, 2, 3, 2), (6,)]),
    "conv2d of few pixels": (lambda x, w, b: F.conv2d(x, w, b, 2, 1, 2), IMAGE, [(3, 4, 3, 2), (3,)]),
    "conv2d of many pixels": (lambda x, w: F.conv2d(x, w), (2, 9, 9), [(3, 2, 3, 3)]),
    "conv2d same": (lambda x, w: F.conv2d(x, w, padding="same"), IMAGE, [(2, 4, 3, 3)]),
    "conv3d": (lambda x, w, b: F.conv3d(x, w, b, padding=1), (2, 3, 3, 4), [(2, 2, 2, 3, 2), (2,)]),
    "conv_transpose1d": (lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1), (3, 5), [(3, 2, 3), (2,)]),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, None, (2, 1), 1, 0, 2), IMAGE, [(4, 3, 3, 3)]),
    "conv_transpose3d": (lambda x, w: F.conv_transpose3d(x, w, stride=2), (2, 2, 3, 2), [(2, 1, 2, 2, 3)]),
    "convolution": (
        lambda x, w, b: aten.convolution(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
        IMAGE,
        [(3, 4, 3, 3), (3,)],
    ),
    "convolution transposed": (
        lambda x, w: aten.convolution(x, w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1),
        IMAGE,
        [(4, 2, 3, 3)],
    ),
    "linear": (lambda x, w, b: F.linear(x, w, b), (2, 5), [(3, 5), (3,)]),
    "matmul": (lambda x, a: x @ a, (2, 5), [(5, 3)]),
    "matmul from the left": (lambda x, a: a @ x, (5, 2), [(3, 5)]),
    "mm": (lambda x, a: torch.mm(x, a), (5,), [(5, 3)]),
    "bmm": (lambda x, a: torch.bmm(x, a.expand(x.shape[0], -1, -1)), (2, 5), [(1, 5, 3)]),
    "addmm": (lambda x, a, b: torch.addmm(b, x, a, beta=2, alpha=3), (5,), [(5, 3), (3,)]),
}

ARITHMETIC: dict[str, Case] = {
    "batch_norm": (
        lambda x, w, b, m, v: F.batch_norm(x, m, 4 ** v.abs(), w, b, eps=0.0),
        IMAGE,
        [(4,), (4,), (4,), (4,)],
    ),
    "batch_norm bare": (lambda x, m, v: F.batch_norm(x, m, 4 ** v.abs(), eps=0.0), (4, 3), [(4,), (4,)]),
    "_native_batch_norm_legit_no_training": (
        lambda x, w, b, m: aten._native_batch_norm_legit_no_training(x, w, b, m, torch.ones(4).double(), 0.1, 0.0)[0],
        IMAGE,
        [(4,), (4,), (4,)],
    ),
    "add": (lambda x, c: torch.add(x, c, alpha=3) + 2 + x, IMAGE, [(4, 1, 1)]),
    "add of values": (lambda x: torch.add(x, 2 * x, alpha=-3), IMAGE, ()),
    "sub": (lambda x, c: torch.sub(c, x, alpha=2) - 1, IMAGE, [(4, 1, 1)]),
    "sub of values": (lambda x: x[:, :2] - x[:, 2:], IMAGE, ()),
    "rsub": (lambda x: torch.rsub(x, 7, alpha=2), IMAGE, ()),
    "neg": (lambda x: -x, IMAGE, ()),
    "mul": (lambda x, c: c * x * 3 * 0.5, IMAGE, [(6,)]),
    "div": (lambda x: x / 3 / torch.tensor([1.0, 2.0, -4.0, 5.0]).double().reshape(4, 1, 1), IMAGE, ()),
    "sum": (lambda x: x.sum((1, 3)), IMAGE, ()),
    "cumsum": (lambda x: x.cumsum(2), IMAGE, ()),
    "col2im": (lambda x: F.fold(x, (5, 4), (2, 3), padding=1, stride=2), (12, 6), ()),
    "upsample_linear1d": (lambda x: F.interpolate(x, scale_factor=2, mode="linear"), (2, 3), ()),
    "upsample_linear1d down": (lambda x: F.interpolate(x, size=3, mode="linear"), (2, 12), ()),
    "upsample_bilinear2d": (lambda x: F.interpolate(x, scale_factor=(2, 4), mode="bilinear"), IMAGE, ()),
    "upsample_bilinear2d corners": (
        lambda x: F.interpolate(x, size=(9, 5), mode="bilinear", align_corners=True),
        (2, 5, 3),
        (),
    ),
    "upsample_bicubic2d": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), IMAGE, ()),
    "upsample_trilinear3d": (lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"), (1, 2, 3, 2), ()),
    "mean": (lambda x: x.mean((2, 3), keepdim=True), IMAGE, ()),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), (2, 7), ()),
    "avg_pool1d counting": (lambda x: F.avg_pool1d(x, 3, 2, 1, True, False), (2, 6), ()),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (3, 2), 1, (1, 0)), IMAGE, ()),
    "avg_pool2d counting": (lambda x: F.avg_pool2d(x, 5, 1, 2, True, False), IMAGE, ()),
    "avg_pool2d ceil": (lambda x: F.avg_pool2d(x, 4, 3, 1, True, True), IMAGE, ()),
    "avg_pool2d divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), IMAGE, ()),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, 1), (2, 3, 3, 3), ()),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 4), (2, 6), ()),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (4, 5)), IMAGE, ()),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, (2, 1, 3)), (2, 3, 4, 5), ()),
    "constant_pad_nd": (lambda x: aten.constant_pad_nd(x, [1, 2, -1, 0], 3), IMAGE, ()),
    "pad": (lambda x: F.pad(F.pad(x, (1, 0, 2, 1), value=-2.0), (1, 1)), IMAGE, ()),
    "pad circular": (lambda x: F.pad(x, (1, 2, 3, 0), mode="circular"), IMAGE, ()),
    "alpha_dropout": (lambda x: F.alpha_dropout(x, training=False), IMAGE, ()),
    "feature_alpha_dropout": (lambda x: F.feature_alpha_dropout(x, training=False), IMAGE, ()),
}

CASES = MOVES | CONTRACTIONS | ARITHMETIC
TAKEN_OUT = {"dropout", "feature_dropout"}  # the trace has no identities


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, Function, Graph, Tensor]:
    function, shape, constants = CASES[request.param]
    model, x = Function(function, constants), 3600 * whole(2, *shape)
    return request.param, model, trace(model, x), x


def test_each_rule_computes_what_torch_computes(case: tuple[str, Function, Graph, Tensor]) -> None:
    name, model, graph, x = case
    spelled = {"view": "reshape", "_unsafe_view": "reshape"}
    assert spelled.get(name, name.split()[0]) in {call.op for call in graph.calls}
    assert torch.equal(Evaluator(graph)(x), model(x))


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_each_rule_computes_it_modulo_a_prime(case: tuple[str, Function, Graph, Tensor], field: PrimeField) -> None:
    _, model, graph, x = case
    if field.capacity < terms(graph):
        field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    expected = field.embed(model(x))
    y = Evaluator(graph, field)(field.embed(x))
    assert torch.equal(y, expected)
    assert float(abs(y).max()) <= field.half


def test_each_rule_has_a_linear_part(case: tuple[str, Function, Graph, Tensor]) -> None:
    _, model, graph, x = case
    assert torch.equal(Evaluator(graph)(x, linear=True), model(x) - model(0 * x))


def test_each_rule_is_differentiated_modulo_a_prime(case: tuple[str, Function, Graph, Tensor]) -> None:
    """The largest prime that is allowed leaves no room for a product that was not reduced."""
    _, _, graph, _ = case
    field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    assert derive(graph, ring=field, method="adjoint").exactly_equals(derive(graph, ring=field, method="forward"))


@pytest.mark.parametrize("method", ["forward", "adjoint", "recursion"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_are_those_of_the_networks_dtype(dtype: torch.dtype, method: str) -> None:
    """From 2 to 82 pixels torch copies another neighbour in float32 than in float64."""
    x = torch.tensor([[[3.0, -5.0]]], dtype=dtype)
    model = Function(lambda x: F.interpolate(x, size=82)).eval()
    y = derive(model, x, method=method)(x.double())
    assert torch.equal(y.to(dtype), model(x))
    other = torch.float64 if dtype == torch.float32 else torch.float32
    assert not torch.equal(y.to(other), model(x.to(other)))


def test_no_rule_is_untested() -> None:
    assert {name.split()[0] for name in CASES} | TAKEN_OUT == set(RULES)


REFUSED: dict[str, tuple[Callable[..., Tensor], str]] = {
    "relu": (lambda x: F.relu(x), "relu is not affine in the input: the table"),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), "max_pool2d"),
    "x * x": (lambda x: x * x, "two of its factors depend"),
    "x @ x": (lambda x: x @ x, "two of its factors depend"),
    "1 / x": (lambda x: 1 / x, "reciprocal"),
    "c / x": (lambda x: torch.ones(6).double() / x, "its argument 'other' depends"),
    "weights": (lambda x: F.conv2d(torch.ones(1, 4, 6, 6).double(), x), "its argument 'weight' depends"),
    "rounded": (lambda x: torch.div(x, 2, rounding_mode="floor"), "it rounds"),
    "bits": (lambda x: x.view(torch.int64).double(), "its numbers are int64"),
    "softmax": (lambda x: x.softmax(1), "softmax"),
    "sign": (lambda x: x.sign() + x, "sign"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_affine_is_refused_with_its_line(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(NotAffineError, match=reason) as caught:
        derive(Function(function), whole(2, *IMAGE))
    assert "test_rules.py" in str(caught.value.where)


def test_batch_statistics_and_random_drops_are_refused() -> None:
    graph = trace(
        Function(lambda x: F.batch_norm(x, torch.zeros(4).double(), torch.ones(4).double())), whole(2, *IMAGE)
    )
    (call,) = (call for call in graph.calls if call.op == "batch_norm")
    assert affine_obstacle(graph) is None
    assert "batch statistics" in RULES["batch_norm"].accepts({**call.bound(), "training": True})
    assert "at random" in RULES["alpha_dropout"].accepts({"train": True})


def test_the_meaning_of_batch_norm_is_its_rounded_scale() -> None:
    """By hand: 3 / sqrt(2 + 1e-5) rounded once by the root and once by the division; nothing else is rounded."""
    model = nn.BatchNorm1d(1).eval()
    for name, value in {"weight": 3.0, "bias": 0.1, "running_mean": 0.7, "running_var": 2.0}.items():
        getattr(model, name).data.fill_(value)
    scale = np.float64(3) / np.sqrt(np.float64(2) + 1e-5)
    field = PrimeField(1_000_003)
    numbers = [field.embed(np.float64(np.float32(v)).reshape(1)) for v in (5.0, 0.7, 0.1)]
    x, mean, bias = numbers
    expected = field.reduce(field.reduce(field.embed(np.array([scale])) * field.reduce(x - mean)) + bias)
    y = Evaluator(trace(model, torch.zeros(2, 1)), field)(torch.from_numpy(x).reshape(1, 1))
    assert y.item() == expected.item()


@pytest.mark.parametrize(("dtype", "tenth"), [(torch.float32, np.float32(0.1)), (torch.float64, np.float64(0.1))])
def test_a_python_number_is_what_torch_makes_of_it(dtype: torch.dtype, tenth: Any) -> None:
    field = PrimeField(1_000_003)
    residue = field.embed(np.array([np.float64(tenth)]))
    x = torch.ones(2, 1, dtype=dtype)
    results = [
        Evaluator(trace(Function(function), x), field)(x[:1].double()).item()
        for function in (
            lambda x: x * 0.1,
            lambda x: x + 0.1,
            lambda x: x / 0.1,
            lambda x: F.pad(x, (1, -1), value=0.1),
        )
    ]
    inverse = field.divide(np.ones(1), np.array([np.float64(tenth)]))
    assert results == [residue.item(), field.reduce(1 + residue).item(), inverse.item(), residue.item()]
