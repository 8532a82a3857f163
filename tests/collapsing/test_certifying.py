"""A network and its own collapse: the statement of the collapse, shown again; and all that must not pass for one."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from algebraic_cnn import AffineMap, certify, collapse
from algebraic_cnn.apps.cli import app
from algebraic_cnn.certification.check import Check
from algebraic_cnn.collapsing.certifying import again
from algebraic_cnn.collapsing.job import Job, fitted
from algebraic_cnn.derivation.definitions import network_of
from algebraic_cnn.errors import DataError
from algebraic_cnn.ir.choices import carrying, choices_of
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.trace import export, trace
from algebraic_cnn.ops.traits import Prices

X = torch.zeros(1, 2, 5, 5)


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Two regions whose BatchNorms make numbers that are rounded."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3)]
    net = nn.Sequential(*layers, nn.BatchNorm2d(2)).eval()
    for norm in (net[1], net[4]):
        for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    return net.to(dtype)


def bump(model: nn.Module) -> nn.Module:
    """The same with one weight changed in its last bit."""
    other = copy.deepcopy(model)
    carrying(other, choices_of(model))
    weight = next(other.parameters()).data.flatten()
    weight[0] = torch.nextafter(weight[0], weight.new_tensor(float("inf")))
    return other


@pytest.mark.parametrize(
    ("level", "dtype"),
    [("auto", torch.float32), ("modular", torch.float64)],
)
def test_the_statement_of_a_collapse_is_shown_again(dtype: torch.dtype, level: str) -> None:
    net, x = network(dtype=dtype), X.to(dtype)
    result = collapse(net, x, measure=False)
    found = certify(net, result.model, x, level=level)
    assert result.certificate is not None
    assert found.ok
    assert (found.statement, found.verdict) == (result.certificate.statement, "rounding")
    assert found.bound is None
    assert found.error_probability is not None
    assert 0 < found.error_probability <= 2.0**-80
    assert set(found.primes).isdisjoint(result.certificate.primes)


def test_where_races_were_lost_is_said_and_made_again() -> None:
    net = network()
    job = Job(trace(net, X), torch.float32, "auto", None, Prices(), 2**30)
    careful = frozenset(network_of(job.graph).affine)
    _, _, made = fitted(job, careful)
    model = emit(made)
    carrying(model, job.choices(careful))
    assert certify(net, model, X, level="modular").ok


def test_a_weight_changed_in_its_last_bit_is_no_collapse() -> None:
    net = network()
    other = bump(collapse(net, X, measure=False).model)
    assert not certify(net, other, X, level="modular").ok
    found = certify(net, other, X)
    assert found.bound is not None  # rounding explains it, and the bound is what is said
    assert "is not, bit for bit" in found.statement


def test_the_collapse_of_another_network_is_no_collapse() -> None:
    found = certify(network(seed=1), collapse(network(), X, measure=False).model, X)
    assert found.verdict == "different"


EVERYWHERE = ["conv2d", "batch_norm", "conv2d_1", "batch_norm_1"]


def test_choices_from_an_unknown_hand_are_not_believed() -> None:
    net = network()
    result = collapse(net, X, measure=False)
    said = dict(choices_of(result.model) or {})
    check = Check(trace(net, X), trace(result.model, X), points=2, seed=0, memory_budget=2**30)
    assert again(said, check) is not None
    wrong = {
        "dtype": ["float64", "int8", "os.system", ["float32"], None],
        "careful": ["all", [1], None, EVERYWHERE],
        "memory_budget": [-1, True, "2"],
        "prices": [None, {}, dict.fromkeys(said["prices"], "nan") | {"call": [1]}],
        "code": ["import os"],
    }
    for field, values in wrong.items():
        for value in values:
            kept = again(said | {field: value}, check)
            assert kept is None or (field, value) == ("careful", EVERYWHERE)
    assert again({}, check) is None
    assert again({name: said[name] for name in said if name != "prices"}, check) is None


def test_a_network_that_is_no_collapse_does_not_become_one_by_the_choices_of_one() -> None:
    net = network()
    stranger = export(network(seed=1), X)
    carrying(stranger, choices_of(collapse(net, X, measure=False).model))
    assert certify(net, stranger, X).verdict == "different"


def test_files_of_the_command_line_say_how_they_were_made(tmp_path: Path) -> None:
    model, small, other, json_of = (tmp_path / name for name in ("m.pt2", "f.pt2", "o.pt2", "c.json"))
    save_program(export(network(), X), model)
    save_program(export(network(seed=1), X), other)
    run = CliRunner()
    assert run.invoke(app, ["collapse", str(model), "--out", str(small)]).exit_code == 0
    yes = run.invoke(app, ["certify", str(model), str(small), "--save", str(json_of)])
    assert yes.exit_code == 0
    said = json.loads(json_of.read_text())
    assert "rounded once" in said["statement"]
    assert (said["bound"], said["rounded"]) == (None, True)
    assert run.invoke(app, ["certify", str(other), str(small)]).exit_code == 1
    model.write_bytes(b"no program")
    assert run.invoke(app, ["certify", str(model), str(small)]).exit_code == 2


def test_a_program_keeps_its_choices_in_its_file(tmp_path: Path) -> None:
    program = export(collapse(network(), X, measure=False).model, X)
    path = save_program(program, tmp_path / "f.pt2")
    assert choices_of(load_program(path)) == choices_of(program) is not None
    changed = bytearray(path.read_bytes())
    place = changed.find(b'"careful"')
    changed[place + 1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(DataError, match="damaged"):
        load_program(path)


def test_a_claim_needs_two_graphs() -> None:
    explicit = AffineMap(torch.eye(2).numpy(), torch.zeros(2).numpy())
    check = Check(explicit, explicit, points=1, seed=0, memory_budget=2**30)
    assert again({}, check) is None
