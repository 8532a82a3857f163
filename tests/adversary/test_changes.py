"""The generator works: the corpus runs, every kind of change has its subjects, and torch sees what is changed."""

from __future__ import annotations

import random

import pytest
import torch

from .corpus import DRESSES, SNIPPETS, drawn_networks, fill, silent
from .edits import places
from .siblings import SIBLINGS, elsewhere
from .trials import Subject, changed, gaps, truth

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
NAMES = list(fill())


def test_there_are_two_hundred_networks_and_each_runs_at_any_batch_size() -> None:
    assert len(NAMES) >= 200
    for made in SNIPPETS.values():
        net = made.make()
        with silent():
            for samples in (1, 2, 7):
                net(*made.batch(samples, "normal", torch.float32, 0))


def test_numbers_are_the_same_each_time() -> None:
    for name in ("convnet", "lstm", "weight norm"):
        one, two = (SNIPPETS[name].make().state_dict() for _ in range(2))
        assert all(torch.equal(one[key], two[key]) for key in one)
    first, again = (drawn_networks(5, 3) for _ in range(2))
    assert [str(made.make()) for made in first] == [str(made.make()) for made in again]
    assert first


@pytest.mark.parametrize("dress", DRESSES)
def test_a_program_is_the_network(dress: str) -> None:
    made = SNIPPETS["residual"]
    subject = Subject(made, dress)
    x = made.batch(3, "normal", subject.native, 2)
    with silent():
        y, z = made.make().to(subject.native)(*x), subject.module(*x)
    assert y.shape == z.shape
    assert torch.allclose(y, z, rtol=float(torch.finfo(subject.native).eps) ** 0.5)


#: Networks that together have a place for every kind of change, and what one of these changes does.
WITNESSES = {
    "two branches summed": ["rewired", "order", "left out", "inserted shuffle", "inserted batch mean", "namespace"],
    "clamps": ["argument", "sibling", "constant", "inserted to int8 and back", "inserted magic rounding"],
    "counter": ["effect", "inserted more from five samples on", "inserted more at one sample"],
    "split unevenly": ["key"],
    "tied": ["untied", "inserted roll", "inserted relu", "inserted a dropout in training"],
    "cond": ["branch", "inserted unsqueeze", "inserted flip"],
    "a dict": ["structure", "inserted times 1 + 2^-20", "inserted plus 2^-20"],
    "part of the batch size": ["size", "inserted batch flipped", "inserted to float64"],
    "encoder layer": ["inserted transpose", "inserted transpose of axis 1", "inserted to bfloat16 and back"],
    "buffer of bytes": ["constant dtype", "inserted a detach"],
}


@pytest.mark.parametrize("name", WITNESSES)
def test_changes_of_every_kind_really_change_something(name: str) -> None:
    """But a detach, which changes gradients only."""
    subject = Subject(SNIPPETS[name], "exported")
    for kind in WITNESSES[name]:
        found = [change for change in subject.all_changes if change.kind == kind]
        tried = 5 if kind == "inserted a detach" else len(found)
        seen = (_truth(subject, change) for change in random.Random(0).sample(found, min(len(found), tried)))
        if kind == "inserted a detach":
            assert set(seen) == {"undecided"}
        else:
            assert "different" in seen, f"{kind}: {len(found)}"


def _truth(subject: Subject, change) -> str:
    try:
        with silent():
            net = changed(subject, change)
            net(*subject.made.batch(2, "normal", torch.float32, 1))
    except Exception:  # what torch does not take is not counted, here as in the search
        return "not runnable"
    return truth(subject, change, gaps(subject, net))


def test_every_kind_of_change_has_a_witness() -> None:
    kinds = {kind for name in WITNESSES for kind in (c.kind for c in Subject(SNIPPETS[name], "exported").all_changes)}
    witnessed = {kind for kinds in WITNESSES.values() for kind in kinds}
    assert {kind for kind in kinds if not kind.startswith("same")} == witnessed


def test_rewritings_keep_the_function() -> None:
    for name in ("residual", "attention with a mask", "lerps"):
        subject = Subject(SNIPPETS[name], "exported")
        found = [change for change in subject.all_changes if change.preserving]
        seen = [_truth(subject, change) for change in found[::30]]
        assert "different" not in seen
        assert seen.count("same") > len(seen) // 2


def test_the_changed_graph_is_a_copy() -> None:
    subject = Subject(SNIPPETS["tied"], "exported")
    before = str(subject.module.graph), {k: v.clone() for k, v in subject.module.state_dict().items()}
    for change in subject.all_changes:
        change.edit(subject.fresh())
    assert str(subject.module.graph) == before[0]
    assert all(torch.equal(v, before[1][k]) for k, v in subject.module.state_dict().items())
    assert len({change.what for change in subject.all_changes}) == len(subject.all_changes)


def test_a_sibling_in_another_namespace_is_another_function() -> None:
    x = torch.arange(4.0) - 1
    assert torch.equal(elsewhere(torch.ops.aten.relu.default)(x), x.relu() / 2)
    assert elsewhere(torch.ops.aten.view.default) is None
    assert elsewhere(torch.ops.aten.add_.Tensor) is None
    assert "relu" in SIBLINGS["sigmoid"]


def test_places_are_found_in_branches_too() -> None:
    subject = Subject(SNIPPETS["cond"], "exported")
    assert {place.child for place in places(subject.module)} >= {"", "true_graph_0", "false_graph_0"}
