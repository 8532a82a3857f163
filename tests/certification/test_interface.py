"""Pairs of networks whose truth torch tells, by ordinary code: what differs gets no yes, what is the same gets one.

DIFFERENT   pairs that differ in something that a user sees: axes, names, dtypes, nesting, sizes, effects, signs of zero
SAME        one function written in two ways
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from algebraic_cnn import certify
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.errors import NotAffineError, ShapeError
from algebraic_cnn.ir.fingerprints import fingerprint
from algebraic_cnn.ir.trace import trace
from tests.torches import OLD, RELEASE


class Written(nn.Module):
    """A network that is a function of (module, *inputs), its tensors buffers."""

    def __init__(self, function: Callable[..., Any], **buffers: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, value in buffers.items():
            self.register_buffer(name, value.clone())

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self, *inputs)


def net(function: Callable[..., Any], **buffers: Tensor) -> nn.Module:
    return Written(function, **buffers).eval()


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


X, IMAGE, ROW = drawn(2, 3), drawn(2, 4, 4, 4), drawn(1, 24)
GATE, K = drawn(4, 4), torch.tensor([0.5, -1.0, 2.0])


def gated(*shape: int) -> nn.Module:
    return net(lambda s, x: x * torch.sigmoid(x.mean((2, 3)) @ s.gate).view(shape), gate=GATE)


def counted(s: Any, x: Tensor) -> Tensor:
    s.n.add_(1)
    return x * 2


def streamed(s: Any, x: Tensor) -> Tensor:
    s.k.copy_(x[:1].mean(1))
    return x * 2


def in_turn(s: Any, x: Tensor, first: str, second: str) -> Tensor:
    y = x.relu() + getattr(s, first)
    getattr(s, second).add_(2)
    getattr(s, first).add_(1)
    return y


def overwritten(s: Any, x: Tensor) -> Tensor:
    y = x * 2
    x.add_(1)
    return y


def one_sample_is_special(s: Any, x: Tensor) -> Tensor:
    return (x * 2 if x.shape[0] == 1 else x).relu()


def attended(s: Any, x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])


DIFFERENT: dict[str, tuple[nn.Module, nn.Module, Tensor]] = {
    "a gate along another axis": (gated(-1, 4, 1, 1), gated(-1, 1, 4, 1), IMAGE),
    "the largest over other axes of another view": (
        net(lambda s, x: x.view(-1, 2, 3, 4).amax((1, 3))),
        net(lambda s, x: x.view(-1, 4, 3, 2).amax((1, 3))),
        ROW,
    ),
    "a norm of another view": (
        net(lambda s, x: torch.linalg.vector_norm(x.view(-1, 6, 4), dim=1)),
        net(lambda s, x: torch.linalg.vector_norm(x.view(-1, 4, 6).transpose(1, 2), dim=1).flip(1)),
        ROW,
    ),
    "keys that changed places": (
        net(lambda s, x: {"a": x, "b": 2 * x}),
        net(lambda s, x: {"b": x, "a": 2 * x}),
        X,
    ),
    "a list for a tuple": (net(lambda s, x: (x, 2 * x)), net(lambda s, x: [x, 2 * x]), X),
    "a tuple of one": (net(lambda s, x: (2 * x,)), net(lambda s, x: 2 * x), X),
    "True for 1": (net(lambda s, x: (x, True)), net(lambda s, x: (x, 1)), X),
    "1 for 1.0": (net(lambda s, x: (x, 1)), net(lambda s, x: (x, 1.0)), X),
    "an output in float64": (net(lambda s, x: 2 * x), net(lambda s, x: (2 * x).double()), X),
    "whole numbers of other widths": (net(lambda s, x: (x > 0).int()), net(lambda s, x: (x > 0).long()), X),
    "huge constant outputs": (
        net(lambda s, x: (x, torch.tensor(1e30))),
        net(lambda s, x: (x, torch.tensor(2e30))),
        X,
    ),
    "other constant bools": (
        net(lambda s, x: (x, s.k), k=torch.tensor([True, False])),
        net(lambda s, x: (x, s.k), k=torch.tensor([True, True])),
        X,
    ),
    "a factor that depends on the batch": (
        net(lambda s, x: x * torch.sym_max(x.shape[0], 3)),
        net(lambda s, x: x * 3),
        X,
    ),
    "a summand from the fifth sample on": (
        net(lambda s, x: x + (torch.sym_max(x.shape[0], 4) - 4)),
        net(lambda s, x: x + 0),
        X,
    ),
    "the number of samples, and something else": (
        net(lambda s, x: (x.relu(), x.shape[0])),
        net(lambda s, x: (x.relu(), 2 * x.shape[0] - 2)),
        X,
    ),
    "a tenth of the number of samples": (net(lambda s, x: x * (0.1 * x.shape[0])), net(lambda s, x: x * 0.1), X),
    "each sample by its place": (
        net(lambda s, x: x * torch.arange(x.shape[0])[:, None]),
        net(lambda s, x: x * 0.0),
        X,
    ),
    "a summand of as many": (
        net(lambda s, x: x + torch.full((x.shape[0], 1), 1.0 * (1 + x.shape[0] // 4))),
        net(lambda s, x: x + 1),
        X,
    ),
    "as many columns as samples": (
        net(lambda s, x: (x[:, : torch.sym_min(x.shape[0], 2) - 3]).sum(1)),
        net(lambda s, x: x[:, :-1].sum(1)),
        X,
    ),
    "one sample is special": (net(one_sample_is_special), net(lambda s, x: x.relu()), X[:1]),
    "a counter": (net(counted, n=torch.zeros(())), net(lambda s, x: x * 2), X),
    "a counter that starts elsewhere": (net(counted, n=torch.zeros(())), net(counted, n=torch.ones(())), X),
    "a buffer that is written": (net(streamed, k=torch.zeros(1)), net(lambda s, x: x * 2), X),
    "two buffers that change parts": (
        net(lambda s, x: in_turn(s, x, "a", "b"), a=torch.zeros(3), b=torch.zeros(3)),
        net(lambda s, x: in_turn(s, x, "b", "a"), b=torch.zeros(3), a=torch.zeros(3)),
        X,
    ),
    "an input that is overwritten": (net(overwritten), net(lambda s, x: x * 2), X),
    "a sum in bfloat16": (
        net(lambda s, x: x.sum(1, dtype=torch.bfloat16).float()),
        net(lambda s, x: x.sum(1)),
        X,
    ),
    "the sign of a zero": (
        net(lambda s, x: torch.atan2(-x.relu(), -torch.ones(3))),
        net(lambda s, x: torch.atan2(-x.relu() + 0.0, -torch.ones(3))),
        -X.abs(),
    ),
    "the sign of a zero, times a constant": (
        net(lambda s, x: torch.atan2((-x.relu() + 0.0) * s.k, -torch.ones(3)), k=-torch.ones(3)),
        net(lambda s, x: torch.atan2((x.relu() + 0.0) * s.k, -torch.ones(3)), k=torch.ones(3)),
        -X.abs(),
    ),
    **{
        f"the sign of a zero, {how}": (
            net(lambda s, x, g=function, h=read: h(g(-x.relu(), x))),
            net(lambda s, x, g=function, h=read: h(g(-x.relu() + 0.0, x))),
            -X.abs(),
        )
        for how, function, read in (
            ("through a call", lambda y, x: y.tanh(), lambda y: torch.atan2(y, -torch.ones(3))),
            ("through two", lambda y, x: (2 * y.tanh()).sin(), lambda y: y.reciprocal()),
            ("through a product", lambda y, x: y * x.exp(), lambda y: 1 / y),
            ("of a dividend", lambda y, x: y / (1 + x.exp()), lambda y: torch.copysign(torch.ones(3), y)),
            ("through a maximum", lambda y, x: torch.maximum(y, x), lambda y: y.rsqrt()),
        )
    },
}


@pytest.mark.parametrize("level", ["auto", "modular"])
@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_gets_no_yes(name: str, level: str) -> None:
    first, second, x = DIFFERENT[name]
    assert not certify(first, second, x, level=level).ok
    assert certify(first, first, x, level=level).verdict == "equal"


def observed(model: nn.Module, count: int, like: Tensor) -> Any:
    """What two calls return, and what they leave in buffers and in the input, as comparable values."""
    seen: list[Any] = []
    for seed in (1, 2):
        x = torch.randn(count, *like.shape[1:], generator=torch.Generator().manual_seed(seed)) * like.abs().sign()[:1]
        x = -x.abs() if (like <= 0).all() else x
        leaves, spec = pytree.tree_flatten(model(x))
        held = dict(model.named_buffers())
        seen += [str(spec), *leaves, x, *(held[name].clone() for name in sorted(held))]
    return [(type(v), v.dtype, tuple(v.shape), v.tolist()) if isinstance(v, Tensor) else (type(v), v) for v in seen]


@pytest.mark.parametrize("name", DIFFERENT)
def test_torch_tells_the_pairs_apart(name: str) -> None:
    """The truth of the table, by torch: at one of these batch sizes two calls differ, or leave another state."""
    first, second, x = DIFFERENT[name]
    pairs = [[observed(copy.deepcopy(model), n, x) for model in (first, second)] for n in (1, 2, 5)]
    assert any(one != other for one, other in pairs)


COUNTED = [
    lambda s, x: torch.cat([x, x], 1) + (torch.sym_max(x.shape[0], 4) - 4),
    lambda s, x: torch.cat([x, x], 1) * (0.1 * x.shape[0]),
    lambda s, x: torch.cat([x, x], 1) + torch.full((x.shape[0], 1), 1.0 * (1 + x.shape[0] // 4)),
]


@pytest.mark.parametrize("function", COUNTED)
@pytest.mark.parametrize("level", ["rational", "bounded", "sampled", "auto"])
def test_no_level_says_of_all_batches_what_is_so_of_one(function: Callable[..., Any], level: str) -> None:
    constant = net(lambda s, x: function(s, x[:1]).expand(x.shape[0], -1) * 0 + torch.cat([x, x], 1))
    certificate = certify(net(function), constant, X, level=level)
    assert not certificate.ok or "every batch" not in certificate.statement


SAME: dict[str, tuple[Callable[..., Any], Callable[..., Any], Tensor]] = {
    "softmax over the last axis": (lambda s, x: x.softmax(-1), lambda s, x: x.softmax(1), X),
    "clamp of whole numbers": (lambda s, x: x.clamp(0, 6), lambda s, x: x.clamp(0.0, 6.0), X),
    "relu and clamp": (lambda s, x: x.relu(), lambda s, x: x.clamp(min=0), X),
    "relu6 and hardtanh": (lambda s, x: F.relu6(x), lambda s, x: F.hardtanh(x, 0, 6), X),
    "a view through a ReLU": (lambda s, x: x.view(-1, 4, 6).relu(), lambda s, x: x.relu().view(-1, 4, 6), ROW),
    "a permutation through a leaky ReLU": (
        lambda s, x: F.leaky_relu(x.permute(0, 2, 3, 1), 0.1),
        lambda s, x: F.leaky_relu(x, 0.1).permute(0, 2, 3, 1),
        IMAGE,
    ),
    "branches in another order": (
        lambda s, x: x.relu() + x.sigmoid(),
        lambda s, x: x.sigmoid() + x.relu(),
        X,
    ),
    "factors in another order": (lambda s, x: x.relu() * x.tanh(), lambda s, x: x.tanh() * x.relu(), X),
    "a call made twice": (lambda s, x: x.relu() + 2 * x.relu(), lambda s, x: 3 * x.relu(), X),
    "less and greater": (lambda s, x: x.relu() < x.tanh(), lambda s, x: x.tanh() > x.relu(), X),
    "clones, nothing added, once": (
        lambda s, x: (x.clone() + 0).contiguous().mul(1).relu().clone(),
        lambda s, x: x.relu(),
        X,
    ),
    "to float64 and back": (lambda s, x: x.double().float().relu(), lambda s, x: x.relu(), X),
    "flattened and back": (lambda s, x: x.flatten(1).view(-1, 4, 4, 4).tanh(), lambda s, x: x.tanh(), IMAGE),
    "defaults spelled out": (
        lambda s, x: F.max_pool2d(x, 2),
        lambda s, x: F.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False),
        IMAGE,
    ),
    "all axes by name": (lambda s, x: x.relu().amax((1, 2, 3)), lambda s, x: x.relu().amax((-1, 1, -2)), IMAGE),
    "a power in two ways": (lambda s, x: x.pow(2), lambda s, x: x.pow(2.0), X),
    "constants with and without an axis": (
        lambda s, x: torch.maximum(x, torch.tensor([1.0])),
        lambda s, x: torch.maximum(x, torch.tensor(1.0)),
        X,
    ),
    "a mask of minus infinity": (
        lambda s, x: (x + torch.tensor([0.0, 0.0, float("-inf")])).softmax(-1),
        lambda s, x: (torch.tensor([0.0, 0.0, float("-inf")]) + x).softmax(1),
        X,
    ),
    "attention without dropout": (attended, attended, IMAGE[:, 0]),
    "leaky ReLUs at rest": (lambda s, x: F.rrelu(x), lambda s, x: F.rrelu(x, training=False), X),
    "a dead branch": (lambda s, x: x.relu() + 0 * x.sin(), lambda s, x: x.relu() + 0 * x.cos(), X),
    "a divisor behind a sum that is no -0": (
        lambda s, x: (x - 1) / ((x + 1) * 2).tanh(),
        lambda s, x: (x - 1) / (2 * x + 2).tanh(),
        X,
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_one_function_in_two_ways_gets_a_yes(name: str) -> None:
    first, second, x = SAME[name]
    pair = net(first), net(second)
    assert torch.equal(*(model(x) for model in pair))
    certificate = certify(*pair, x)
    assert certificate.verdict == "equal", certificate
    assert certify(pair[1], pair[0], x, level="modular").ok


@pytest.mark.parametrize("name", SAME)
def test_a_factor_of_one_ulp_is_seen_behind_every_way_of_writing(name: str) -> None:
    first, second, x = SAME[name]
    moved = net(lambda s, x: second(s, x * (1 + 2.0**-23)))
    assert not certify(net(first), moved, x, level="modular").ok


def test_a_yes_says_for_which_batches_it_is() -> None:
    def centred(s: Any, x: Tensor) -> Tensor:
        return (x - x.mean(0)).relu()

    assert "for every batch size" in certify(net(lambda s, x: x.relu()), net(lambda s, x: x.relu()), X).statement
    assert "for batches of 1, 2, 3, 5, 8" in certify(net(centred), net(centred), X).statement


def test_samples_in_pairs_are_spoken_of_as_pairs() -> None:
    def paired(s: Any, x: Tensor) -> Tensor:
        y = x.view(-1, 2, 3)
        return (y[:, 0] - y[:, 1]).relu()

    certificate = certify(net(paired), net(paired), X)
    assert certificate.ok
    assert ("for batches of 2." if OLD else "for batches of 2, 8.") in certificate.statement


def test_networks_of_other_batch_sizes_are_not_compared() -> None:
    bound = [net(lambda s, x, n=n: x.reshape(n, 3).relu() + torch.arange(3.0 * n).view(n, 3)) for n in (2, 4)]
    graphs = [trace(model, drawn(n, 3)) for model, n in zip(bound, (2, 4), strict=True)]
    assert [graph.batch for graph in graphs] == [2, 4]
    with pytest.raises(ShapeError, match="batches of 2 and of 4"):
        certify(*graphs)


def test_one_sample_is_looked_at_where_an_export_did_not() -> None:
    batch = torch.export.Dim("batch", min=2)
    programs = [
        torch.export.export(net(function), (X,), dynamic_shapes=(({0: batch},),))
        for function in (lambda s, x: x.relu() + (torch.sym_min(x.shape[0], 2) - 2), lambda s, x: x.relu() + 0)
    ]
    assert not certify(*programs).ok
    certificate = certify(programs[1], programs[1])
    assert "for every batch size from 2 on" in certificate.statement


def test_a_stop_of_gradients_is_spoken_of() -> None:
    through = net(lambda s, x: x + (x.round() - x).detach())
    rounded = net(lambda s, x: x + (x.round() - x))
    certificate = certify(through, rounded, X)
    assert certificate.ok
    assert "in values, not in gradients" in certificate.statement


def test_random_calls_get_no_verdict() -> None:
    noisy = net(lambda s, x: x + torch.randn_like(x))
    with pytest.raises(NotAffineError, match="draws random numbers"):
        certify(noisy, noisy, X)


@pytest.mark.parametrize("level", ["auto", "modular", "bounded"])
def test_different_functions_by_other_calls_are_shown_and_equal_ones_are_undecided(level: str) -> None:
    one, other = net(lambda s, x: x.abs()), net(lambda s, x: x.relu() + (-x).relu())
    assert certify(one, other, X, level=level).verdict == "undecided"
    third = certify(one, net(lambda s, x: x.relu()), X, level=level)
    assert third.verdict == "different"
    assert "At random real inputs" in third.statement


def test_a_rounded_network_is_equal_but_for_rounding() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    norm.running_var.uniform_(0.5, 2)
    original = nn.Sequential(conv, norm, nn.ReLU()).eval()
    fused = nn.Sequential(torch.nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval()), nn.ReLU()).eval()
    certificate = certify(original, fused, IMAGE)
    assert certificate.verdict == "rounding"
    assert 0 < certificate.observed <= certificate.bound < certificate.size
    fused[0].weight.data[0, 0, 0, 0] *= 1.01
    assert certify(original, fused, IMAGE).verdict == "different"


def test_the_seed_is_drawn_and_can_be_given_again() -> None:
    model = nn.Linear(3, 2).eval()
    first, second = (certify(model, model, X) for _ in range(2))
    assert first.primes != second.primes
    assert certify(model, model, X, seed=first.seed).primes == first.primes


PRINTS: dict[str, Callable[[Any, Tensor], Any]] = {
    "plain": lambda s, x: x.relu(),
    "another call": lambda s, x: x.tanh(),
    "two outputs": lambda s, x: (x.relu(), x),
    "the other order": lambda s, x: (x, x.relu()),
    "a key": lambda s, x: {"y": x.relu()},
    "another key": lambda s, x: {"z": x.relu()},
    "a constant": lambda s, x: (x.relu(), 1),
    "a constant of another type": lambda s, x: (x.relu(), 1.0),
    "a number": lambda s, x: x.relu() + 1,
    "a write": lambda s, x: (s.k.add_(1), x.relu())[1],
}


def test_fingerprints_tell_networks_apart_and_do_not_depend_on_names() -> None:
    graphs = [trace(net(function, k=torch.zeros(3)), X) for function in PRINTS.values()]
    graphs += [trace(net(PRINTS["plain"]), X.double()), trace(net(PRINTS["plain"]), drawn(2, 4))]
    assert len({fingerprint(graph) for graph in graphs}) == len(graphs)
    layer = nn.Linear(3, 2).eval()
    wrapped = nn.Sequential(nn.Sequential(layer)).eval()
    assert fingerprint(trace(layer, X)) == fingerprint(trace(wrapped, X))


def test_a_verdict_follows_from_what_was_found() -> None:
    assert Certificate("", "modular", True).verdict == "equal"
    assert Certificate("", "modular", True, rounded=True).verdict == "rounding"
    assert Certificate("", "bounded", True).verdict == "rounding"
    assert Certificate("", "auto", False).verdict == "different"
    undecided = Certificate("nothing.", "auto", False, undecided=True)
    assert (undecided.verdict, str(undecided)) == ("undecided", "Undecided (auto): nothing.")


class Keyed(nn.Module):
    """A source line with braces."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"{y}": (x * self.factor).tanh()}


def test_a_source_line_with_braces_is_quoted_as_it_is() -> None:
    certificate = certify(Keyed(3).eval(), Keyed(5).eval(), X, level="modular")
    assert certificate.witness is not None
    assert 'return {"{y}": (x * self.factor).tanh()}' in certificate.witness.what


def evenly(n: Any, odd: int, even: int) -> Any:
    """One number for odd batches and another for even ones."""
    return even + (odd - even) * (n % 2)


def in_rows(x: Tensor) -> Tensor:
    """One row for each sample of an odd batch, two for each of an even one."""
    return x.reshape(x.shape[0] * evenly(x.shape[0], 1, 2), -1)


def total(s: Any, x: Tensor) -> Tensor:
    return x.flatten(1).sum(-1, True)


#: Lengths that are special at even batches, and the same at odd ones, where the function is that beside them.
LENGTHS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "rows": (lambda s, x: in_rows(x).sum(-1).reshape(x.shape[0], -1), total),
    "rows of a call": (
        lambda s, x: in_rows(x).amax(-1).reshape(x.shape[0], -1),
        lambda s, x: x.flatten(1).amax(-1, True),
    ),
    "columns": (lambda s, x: total(s, x).expand(-1, evenly(x.shape[0], 1, 2)), total),
    "a slice": (lambda s, x: x[:, : evenly(x.shape[0], 4, 3)].sum(1), lambda s, x: x.sum(1)),
    "a step": (lambda s, x: x[:, :: evenly(x.shape[0], 1, 2)].sum(1), lambda s, x: x.sum(1)),
    "a roll": (lambda s, x: x.roll(evenly(x.shape[0], 0, 1), 1), lambda s, x: x * 1),
    "copies": (lambda s, x: x.repeat(1, evenly(x.shape[0], 1, 2), 1).sum(1), lambda s, x: x.sum(1)),
    "a border": (lambda s, x: F.pad(x, (0, 0, 0, evenly(x.shape[0], 0, 1)), value=1.0).sum(1), lambda s, x: x.sum(1)),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_that_depends_on_the_batch_is_looked_at_in_several(name: str) -> None:
    special, plain = LENGTHS[name]
    x = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(special(None, x), plain(None, x))
    other = certify(net(special), net(plain), x, level="modular")
    if trace(net(special), x).batch_step == 2:  # an older torch takes a step for its number, and has no even batches
        assert RELEASE < (2, 13)
        assert "for every batch size in steps of 2" in other.statement
        return
    assert not other.ok
    itself = certify(net(special), net(special), x, level="modular")
    assert itself.ok
    assert ("every batch" in itself.statement) == (name == "a roll")  # its length is the same expression in both


def test_rows_that_go_with_the_samples_are_certified_at_every_batch() -> None:
    """A first axis of k N, as windows and tokens have it; one that runs over the samples first is not of that kind."""
    x, layer = torch.zeros(2, 5, 4), torch.nn.Linear(4, 4)
    rows = net(lambda s, x: layer(x.flatten(0, 1)).relu().unflatten(0, (-1, 5)))
    words = certify(rows, net(lambda s, x: layer(x).relu()), x).statement
    assert "for every batch size" in words
    columns = net(lambda s, x: layer(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (5, -1)).transpose(0, 1))
    assert "for batches of 1, 2, 3, 5, 8" in certify(columns, net(lambda s, x: layer(x)), x).statement
    wrong = net(lambda s, x: layer(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (-1, 5)))
    assert certify(wrong, net(lambda s, x: layer(x)), x).verdict == "different"
