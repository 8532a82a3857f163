"""Networks whose samples influence each other are refused by every door; those that only look so are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify, collapse, derive, exact_map, exact_outputs
from algebraic_cnn.derivation.methods import derive_graph
from algebraic_cnn.derivation.samples import doubtful, of_any_number, require_samples_apart
from algebraic_cnn.errors import NotAffineError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import resnet18
from algebraic_cnn.rings.prime_field import PrimeField
from tests.torches import OLD, but_for

EXAMPLE = torch.zeros(4, 2, 3).double()


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


MIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x - x.mean(0),
    "mean kept": lambda x: x + 2 * x.mean(0, keepdim=True),
    "sum over all": lambda x: x + x.sum(),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1, 0),
    "roll of all": lambda x: x.roll(1),
    "transposed": lambda x: x.transpose(0, 1).reshape(x.shape[0], 2, 3),
    "mean after a permutation": lambda x: x - x.permute(1, 2, 0).mean(-1),
    "the number of samples": lambda x: x / x.shape[0],
    "the number of samples, added": lambda x: x + x.shape[0],
    "first sample": lambda x: x - x[:1],
    "twice the batch, halved": lambda x: torch.cat([x, x.flip(2)])[: x.shape[0]].flip(0),
    "from the fifth on": lambda x: x + x[4:].sum(0),
    "but for the last seven": lambda x: x + x[:-7].sum(0),
    "every ninth": lambda x: x + x[::9].sum(0) - x[:1].sum(0),
    "roll by six": lambda x: x.roll(6, 0),
    "shifted by a sample": lambda x: nn.functional.pad(x, (0, 0, 0, 0, 1, -1)),
    "running sums": lambda x: torch.cat([x[:1], x[1:] + x[:-1]]),
}
APART: dict[str, Callable[[Tensor], Tensor]] = {
    "mean of a sample": lambda x: x - x.mean(1, keepdim=True),
    "negative axes": lambda x: x.flip(-1) + x.roll(1, -2) + x.sum(-1, keepdim=True),
    "reshaped": lambda x: x.reshape(x.shape[0], 3, 2).flatten(1).unflatten(1, (2, 3)),
    "permuted": lambda x: x.permute(0, 2, 1).transpose(1, 2) + x.select(2, 1).unsqueeze(2),
    "joined": lambda x: torch.cat([x, 2 * x], 1) + torch.stack([x, x], 1).flatten(1, 2),
    "every position a sample": lambda x: (x.reshape(-1, 3) * 2).reshape(x.shape[0], 2, 3),
    "padded, and by no sample": lambda x: nn.functional.pad(x, (1, 2, 0, 1, 0, 0)),
    "a matrix": lambda x: x @ torch.ones(3, 2).double(),
}
APART_BUT_DOUBTFUL: dict[str, Callable[[Tensor], Tensor]] = {
    "permuted and back": lambda x: x.permute(2, 0, 1).permute(1, 2, 0),
    "flipped twice": lambda x: x.flip(0).flip(0),
    "doubled and halved": lambda x: torch.cat([x, x])[: x.shape[0]],
}


@pytest.mark.parametrize("name", but_for({"but for the last seven": "takes for true that there are fewer"}, MIXED))
def test_samples_that_are_mixed_are_refused(name: str) -> None:
    model = Function(MIXED[name]).eval()
    graph = trace(model, EXAMPLE)
    for refused in (
        lambda: derive(graph),
        lambda: derive(graph, method="adjoint"),
        lambda: exact_map(graph),
        lambda: exact_outputs(graph, EXAMPLE),
        *([] if name.startswith("the number") else [lambda: certify(graph, graph, level="bounded")]),
    ):
        with pytest.raises(NotAffineError, match=r"(samples of a batch|number of samples).*at test_samples.py"):
            refused()
    listed = "for batches of" in certify(graph, graph, level="rational").statement
    assert listed != name.startswith("the number"), "the same call on the number of samples is the same for every one"


@pytest.mark.parametrize("name", [*APART, *APART_BUT_DOUBTFUL])
def test_samples_that_are_apart_are_derived(name: str) -> None:
    model = Function({**APART, **APART_BUT_DOUBTFUL}[name]).eval()
    graph = trace(model, EXAMPLE)
    x = torch.arange(24.0).double().reshape(4, 2, 3) ** 2
    assert torch.equal(derive(graph)(x), model(x))
    assert (doubtful(graph) is not None) == (name in APART_BUT_DOUBTFUL)
    assert certify(graph, graph, points=1).ok


MIDDLE = torch.tensor([1.0, 2, 2, 1]).double()[:, None, None]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * MIDDLE,
        lambda x: x + MIDDLE,
        lambda x: torch.cat([x[:1], x[2:3], x[1:2], x[3:]]).view(4, 2, 3),
    ],
    ids=["factors", "summands", "exchanged"],
)
def test_samples_in_the_middle_of_a_batch_are_seen(function: Callable[[Tensor], Tensor]) -> None:
    """A collapse that nobody certifies leaves such a network as it is, or keeps what it does with each sample."""
    graph = trace(Function(function).eval(), EXAMPLE)
    assert graph.batch == 4
    with pytest.raises(NotAffineError, match="samples of a batch"):
        derive(graph)
    x = torch.arange(24.0).double().reshape(4, 2, 3)
    model = Function(lambda x: -function(2 * x)).eval()
    assert torch.equal(collapse(model, EXAMPLE, certify=None).model(x), model(x))


def test_a_batch_size_that_is_fixed_is_checked_at_that_size() -> None:
    mixed = trace(Function(lambda x: x.view(4, 6).flip(0).view(4, 2, 3)).eval(), EXAMPLE)
    assert mixed.batch == 4
    with pytest.raises(NotAffineError, match="samples of a batch"):
        derive(mixed)
    apart = trace(Function(lambda x: x.view(4, 6).flip(1).view(4, 2, 3)).eval(), EXAMPLE)
    x = torch.arange(24.0).double().reshape(4, 2, 3)
    assert torch.equal(derive(apart)(x), x.flatten(1).flip(1).reshape(4, 2, 3))


#: What torch 2.8 has no programs for is not tried.
TRIED = {"from the fifth on": "4, 5, 8", "but for the last seven": "1, 2, 3, 5"} if OLD else {}


@pytest.mark.parametrize("name", MIXED)
def test_a_certificate_of_mixed_samples_speaks_of_the_batch_sizes_that_were_tried(name: str) -> None:
    model = Function(MIXED[name]).eval()
    certificate = certify(model, model, EXAMPLE, level="modular")
    assert certificate.ok
    known = name.startswith("the number of samples")  # an expression in the batch size, the same in both
    tried = f"for batches of {TRIED.get(name, '1, 2, 3, 5, 8')}."
    assert ("every batch size" if known else tried) in certificate.statement


def test_networks_that_differ_in_batches_of_two_only_are_different() -> None:
    class Mixing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.mean(0, keepdim=True) + 0 * x).relu()

    plain = Function(lambda x: x.relu()).eval()
    assert not certify(Mixing().eval(), plain, EXAMPLE, level="modular").ok
    assert torch.equal(Mixing()(EXAMPLE[:1] + 1), plain(EXAMPLE[:1] + 1))


def test_an_ordinary_network_needs_no_run() -> None:
    graph = trace(resnet18(linear=True).eval(), torch.zeros(2, 1, 32, 32))
    assert doubtful(graph) is None
    require_samples_apart(graph)


class OneImage(nn.Module):
    """Takes one image alone; what it does then is done to any number of images, or is not."""

    def __init__(self, then: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.then = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.norm(self.conv(x.view(1, 2, 3, 3))))


ONE_IMAGE: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "nothing": (lambda y: y, True),
    "a reshape": (lambda y: y.reshape(1, 2, 9), True),
    "a reshape of sizes torch finds": (lambda y: y.view(1, -1), True),
    "channels as samples": (lambda y: y.reshape(2, 1, 9), False),
    "an image without its axis": (lambda y: torch.conv2d(y.reshape(1, 3, 6), torch.ones(1, 1, 3, 3)), False),
    "a sum with what is of one sample": (lambda y: torch.cat([y, torch.ones(1, 2, 3, 3)], 1), False),
}


@pytest.mark.parametrize("name", ONE_IMAGE)
def test_a_network_of_one_image_is_one_of_many_where_that_is_plain(name: str) -> None:
    then, plain = ONE_IMAGE[name]
    x = torch.zeros(1, 2, 3, 3)
    bound = trace(OneImage(then).eval(), x)
    assert bound.batch == 1
    freed = of_any_number(bound)
    assert (freed.batch is None) == plain
    if plain:
        field = PrimeField(2**21 - 9)
        one, many = (derive_graph(each, field, "forward") for each in (bound, freed))
        assert (one.to("dense").W == many.to("dense").W).all()
        assert (one.b == many.b).all()
