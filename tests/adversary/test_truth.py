"""The truth is itself checked: what it must tell apart, what it must not, by networks whose relation is plain."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from .corpus import ROW, Drawn, Snippet, Written
from .truth import BEYOND, Observed, Setting, casts, compare, observe, slopes_differ

MADE = Snippet("by hand", nn.Identity, (Drawn(ROW),))
NATIVE = Setting(MADE, torch.float32, torch.float32)
WIDE = Setting(MADE, torch.float32, torch.float64)


def net(body, **parts) -> nn.Module:
    return Written(body, parts).eval()


def counting(by: int) -> nn.Module:
    def forward(s, x):
        s.n.add_(by)
        return x * 1

    return net(forward, n=lambda: torch.zeros(()))


DIFFERENT = [
    ("value", lambda s, x: x * 2, lambda s, x: x * (2 + 2**-8)),
    ("structure", lambda s, x: (x, x), lambda s, x: [x, x]),
    ("structure", lambda s, x: {"a": x, "b": x * 2}, lambda s, x: {"a": x, "c": x * 2}),
    ("value", lambda s, x: {"a": x, "b": x * 2}, lambda s, x: {"b": x, "a": x * 2}),
    ("shape", lambda s, x: x, lambda s, x: x[:, None]),
    ("dtype", lambda s, x: x > 0, lambda s, x: (x > 0).int()),
    ("constant", lambda s, x: (x, 1), lambda s, x: (x, True)),
    ("value", lambda s, x: x.relu(), lambda s, x: x.relu() + (x.shape[0] == 1)),
    ("value", lambda s, x: x, lambda s, x: x + max(x.shape[0], 5) - 5),
    ("value", lambda s, x: x > 0, lambda s, x: x >= 0),
    ("state", lambda s, x: x * 2, lambda s, x: x.mul_(2)),
    ("raises", lambda s, x: x.view(-1, 6), lambda s, x: x.view(2, 6)),
]


@pytest.mark.parametrize(("what", "one", "two"), DIFFERENT)
def test_other_functions_are_told_apart(what, one, two) -> None:
    gap = compare(Observed.of(net(one), NATIVE), observe(net(two), NATIVE))
    assert gap.different
    assert gap.what == what


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda s, x: x * 2, lambda s, x: x + x),
        (lambda s, x: {"a": x, "b": x * 2}, lambda s, x: {"b": x * 2, "a": x}),
        (lambda s, x: (x * 0.1).sum(1), lambda s, x: x.sum(1) * 0.1),
        (
            lambda s, x: x.softmax(1),
            lambda s, x: (x - x.amax(1, True)).exp() / (x - x.amax(1, True)).exp().sum(1, True),
        ),
    ],
)
def test_what_differs_by_rounding_only_is_the_same(one, two) -> None:
    for setting in (NATIVE, WIDE):
        assert compare(Observed.of(net(one), setting), observe(net(two), setting)).same


def test_state_is_seen() -> None:
    base = Observed.of(counting(1), NATIVE)
    assert compare(base, observe(counting(1), NATIVE)).same
    assert compare(base, observe(counting(2), NATIVE)).what == "state"
    assert compare(base, observe(counting(0), NATIVE)).what == "state"


def test_an_ulp_is_seen_in_float64_and_is_rounding_in_float32() -> None:
    ulp = 1 + torch.finfo(torch.float32).eps
    one, two = (
        net(lambda s, x: x * s.w, w=lambda: torch.ones(6)),
        net(lambda s, x: x * s.w, w=lambda: torch.full((6,), ulp)),
    )
    assert compare(Observed.of(one, WIDE), observe(two, WIDE)).size > BEYOND
    assert compare(Observed.of(one, NATIVE), observe(two, NATIVE)).same


def test_an_ulp_of_a_weight_that_nothing_uses_is_not_decided() -> None:
    one, two = (net(lambda s, x: x, w=lambda k=k: torch.full((6,), k)) for k in (1.0, 2.0))
    assert compare(Observed.of(one, WIDE), observe(two, WIDE)).what == ""


def test_what_its_own_dtype_does_is_seen_in_its_own_dtype_only() -> None:
    step = torch.finfo(torch.float32).eps
    one, two = net(lambda s, x: x.sign()), net(lambda s, x: x.sign() + ((1 + x.new_tensor(step / 2)) == 1))
    assert compare(Observed.of(one, NATIVE), observe(two, NATIVE)).different
    assert compare(Observed.of(one, WIDE), observe(two, WIDE)).what == ""


def test_gradients_are_seen() -> None:
    one, two = net(lambda s, x: x * 2), net(lambda s, x: x + x.detach())
    assert slopes_differ(one, two, WIDE)
    assert not slopes_differ(one, net(lambda s, x: x + x), WIDE)


def test_random_networks_are_not_themselves() -> None:
    noisy = net(lambda s, x: x + torch.randn_like(x))
    base = Observed.of(noisy, NATIVE)
    assert compare(base, observe(noisy, NATIVE, side=1)).different
    assert compare(base, observe(noisy, NATIVE)).same


def test_casts_are_another_program_in_another_precision() -> None:
    one = torch.export.export(net(lambda s, x: x.double().float() * 2), (torch.ones(2, 6),)).module()
    two = torch.export.export(net(lambda s, x: x * 2), (torch.ones(2, 6),)).module()
    assert casts(one)
    assert not casts(two)


def test_what_a_network_of_doubles_makes_is_made_as_it_does() -> None:
    """zeros without a dtype are float32 in a network of doubles, and so they are in its truth."""
    double = Setting(MADE, torch.float64, torch.float64)
    (seen, *_) = observe(net(lambda s, x: torch.zeros(3)), double)
    assert next(iter(seen.leaves.values())).dtype == torch.float32
