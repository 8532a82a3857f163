"""Models that cannot be collapsed, or not everywhere: control flow, custom calls, integers, complex and mixed numbers.

What export refuses is one error in our words with the line of the model; what it takes is never computed wrongly.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from algebraic_cnn import collapse, derive
from algebraic_cnn.apps.cli import app
from algebraic_cnn.errors import NotAffineError, TraceError, TrainingModeError
from algebraic_cnn.ir.programs import save_program
from algebraic_cnn.ir.trace import export
from tests.collapsed import randomised, relative_error


class Says(nn.Module):
    """Two layers that could be one, and between them whatever a test wants."""

    def __init__(self, between: Callable[[Tensor], Any], *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.first, self.between, self.last = nn.Linear(6, 6, dtype=dtype), between, nn.Linear(6, 4, dtype=dtype)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.between(self.first(x)))


def decides(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def repeats(x: Tensor) -> Tensor:
    while x.max() < 10:
        x = 2 * x + 1
    return x


def leaves_torch(x: Tensor) -> Tensor:
    return torch.from_numpy(x.detach().numpy())


def gives_up(x: Tensor) -> Tensor:
    raise ValueError("not today")


REFUSED: dict[str, tuple[Callable[[Tensor], Any], str, str]] = {
    "a branch": (decides, "control flow depends on the numbers", "in decides: return x if x.sum() > 0 else -x"),
    "a loop": (repeats, "control flow depends on the numbers", "in repeats: while x.max() < 10:"),
    "another library": (leaves_torch, "numpy", "in leaves_torch: return torch.from_numpy"),
    "its own error": (gives_up, r"ValueError \(not today\)", "in gives_up: raise ValueError"),
    "wrong sizes": (lambda x: x[:, 1:], "RuntimeError", "in forward: return self.last"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("function", [collapse, derive])
def test_what_export_refuses_is_said_in_our_words_with_the_line(kind: str, function: Callable[..., Any]) -> None:
    between, words, line = REFUSED[kind]
    with pytest.raises(TraceError, match=words) as caught:
        function(Says(between).eval(), torch.ones(2, 6))
    assert "torch.export cannot take the model with an example of shape (2, 6)" in caught.value.what
    assert str(caught.value.where).startswith("test_bad_models.py:")
    assert line in str(caught.value.where)


@pytest.fixture
def library() -> Iterator[torch.library.Library]:
    """Two operators of a user's own: one that export knows nothing of, one that it can follow."""
    with torch.library._scoped_library("algebraic_cnn_tests", "FRAGMENT") as found:
        for name in ("unknown", "known"):
            found.define(f"{name}(Tensor x) -> Tensor")
            found.impl(name, lambda x: 3 * x, "CPU")
        found.impl("known", torch.empty_like, "Meta")
        yield found


def test_a_custom_call_that_nothing_describes_is_refused(library: torch.library.Library) -> None:
    with pytest.raises(TraceError, match="a custom call that") as caught:
        collapse(Says(lambda x: torch.ops.algebraic_cnn_tests.unknown(x)).eval(), torch.ones(2, 6))
    assert "ops.algebraic_cnn_tests.unknown" in str(caught.value.where)


def test_a_custom_call_that_is_described_is_a_boundary(library: torch.library.Library) -> None:
    model, x = Says(lambda x: torch.ops.algebraic_cnn_tests.known(x)).eval(), torch.ones(2, 6)
    result = collapse(model, x, measure=False)
    (boundary,) = result.report.boundaries
    assert boundary.call == "algebraic_cnn_tests::known"
    assert "test_bad_models.py" in boundary.where
    assert torch.equal(result.model(x), model(x))


# -- numbers that are not the network's own ----------------------------------------------------------------------------


class Looks(nn.Module):
    """An embedding of shifted integers, then two layers that could be one."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.first, self.last = nn.Embedding(10, 6), nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(self.table(x + 1)))


class Widens(nn.Module):
    """A layer in float32, then two in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.more = nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 4)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.more(self.first(x).double())


class Counts(nn.Module):
    """Arithmetic on integers."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x + 1


def complex_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8, dtype=torch.complex64), nn.Linear(8, 4, dtype=torch.complex64))


NUMBERS: dict[str, tuple[Callable[[], nn.Module], Tensor, str]] = {
    "integers in": (Looks, torch.arange(8).reshape(2, 4), "int64"),
    "integers alone": (Counts, torch.arange(12).reshape(2, 6), "int64"),
    "truth values": (Counts, torch.arange(12).reshape(2, 6) > 3, "int64|bool"),
    "complex numbers": (complex_layers, torch.ones(2, 6, dtype=torch.complex64) * (1 + 2j), "complex64"),
    "two precisions": (Widens, torch.ones(2, 6), "float64"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_another_kind_stay_as_they_are(kind: str) -> None:
    make, x, words = NUMBERS[kind]
    model = make().eval()
    result = collapse(model, x, measure=False)
    reasons = " ".join(boundary.reason for boundary in result.report.boundaries)
    assert any(word in reasons for word in words.split("|"))
    with torch.no_grad():
        expected, got = model(x), result.model(x)
    assert got.dtype == expected.dtype
    # one linear layer of eight terms, each product and sum rounded, in place of two
    assert (got - expected).abs().max() <= 64 * 2.0**-24 * max(1, expected.abs().max())


def test_layers_after_an_embedding_are_merged_all_the_same() -> None:
    result = collapse(Looks().eval(), torch.arange(8).reshape(2, 4), measure=False)
    assert result.report.calls == (2, 1)


@pytest.mark.parametrize("kind", ["integers alone", "complex numbers"])
def test_one_map_of_integers_or_complex_numbers_is_refused_with_its_line(kind: str) -> None:
    make, x, words = NUMBERS[kind]
    with pytest.raises(NotAffineError, match=words) as caught:
        derive(make().eval(), x)
    assert caught.value.where


def test_an_example_of_another_precision_is_refused_with_the_line_that_cannot_take_it() -> None:
    with pytest.raises(TraceError, match="same dtype") as caught:
        collapse(Says(torch.relu, dtype=torch.float64).eval(), torch.ones(2, 6))
    assert "test_bad_models.py" in str(caught.value.where)


def dense() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2)).eval()


def test_everything_works_where_gradients_are_off() -> None:
    x = torch.ones(2, 1, 4, 4)
    for method in ("forward", "adjoint"):
        with torch.no_grad():
            result = collapse(dense(), x, method=method, measure=False)
        assert result.certificate is not None
        assert result.certificate.ok
        assert result.report.regions[0].form == "dense"


def test_inference_mode_is_refused_with_what_to_do_instead() -> None:
    with torch.inference_mode(), pytest.raises(TraceError, match="no_grad"):
        collapse(dense(), torch.ones(2, 1, 4, 4))


def test_dropout_that_is_always_on_is_training_mode() -> None:
    with pytest.raises(TrainingModeError, match="dropout") as caught:
        collapse(Says(nn.functional.dropout).eval(), torch.ones(2, 6))
    assert caught.value.where


def test_a_program_with_free_sizes_is_collapsed_for_all_of_them() -> None:
    model = randomised(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()))
    axes = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    program = torch.export.export(model, (torch.ones(2, 2, 8, 8).double(),), dynamic_shapes=(axes,))
    result = collapse(program, measure=False)
    assert result.report.regions[0].form == "conv2d 3x3"
    for size in (8, 11):
        assert relative_error(model, result.model, torch.randn(3, 2, size, size).double()) <= 1e-12


# -- from files --------------------------------------------------------------------------------------------------------


def test_a_program_of_integers_goes_through_the_command(tmp_path: Path) -> None:
    x = torch.arange(8).reshape(2, 4)
    path = save_program(export(Looks().eval(), x), tmp_path / "in.pt2")
    done = CliRunner().invoke(app, ["collapse", str(path), "--out", str(tmp_path / "out.pt2"), "--no-measure"])
    assert done.exit_code == 0, done.output
    assert "embedding" in done.stdout
    words = ["collapse", str(path), "--out", str(tmp_path / "b.pt2"), "--map", str(tmp_path / "b.npz")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: a map was asked for, but add is not affine in the input: its numbers are")
    assert not (tmp_path / "b.pt2").exists()


def test_a_program_with_a_custom_call_that_is_not_here_is_one_line(
    library: torch.library.Library, tmp_path: Path
) -> None:
    path = tmp_path / "in.pt2"
    save_program(export(Says(lambda x: torch.ops.algebraic_cnn_tests.known(x)).eval(), torch.ones(2, 6)), path)
    library._destroy()
    done = CliRunner().invoke(app, ["collapse", str(path), "--out", str(tmp_path / "out.pt2")])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "algebraic_cnn_tests" in done.stderr


@pytest.mark.parametrize("act", [collapse, derive])
def test_weights_without_numbers_are_named(act: Callable[..., Any]) -> None:
    meta = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 4, device="meta")).eval()
    with pytest.raises(TraceError, match=r"weight has no numbers.*got meta.*module '1'"):
        act(meta, torch.zeros(2, 6))
    with pytest.raises(TraceError, match=r"weight has no numbers"):
        act(meta.to("meta"), torch.zeros(2, 6, device="meta"))
    with pytest.raises(TraceError, match="the example has no numbers"):
        act(nn.Linear(6, 4).eval(), torch.zeros(2, 6, device="meta"))


@pytest.mark.parametrize("act", [collapse, export])
def test_weights_that_quantisation_has_packed_are_named(act: Callable[..., Any]) -> None:
    """torch makes these modules in training mode, which is not what is wrong with them."""
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its new package for this
        packed = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(TraceError, match=r"packed the weights.*before quantize_dynamic.*module '0'"):
        act(packed, torch.ones(1, 4))
    act(net, torch.ones(1, 4))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_lazy_module_wants_a_run_first() -> None:
    lazy = nn.Sequential(nn.LazyLinear(6), nn.Linear(6, 4)).eval()
    with pytest.raises(TraceError, match=r"weight has no shape yet: expected a run of the model.*module '0'"):
        collapse(lazy, torch.zeros(2, 5))
    lazy(torch.zeros(1, 5))
    assert len(list(collapse(lazy, torch.zeros(2, 5), measure=False).model.parameters())) == 2
