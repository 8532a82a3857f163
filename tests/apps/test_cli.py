"""The command line: right input gives the files it names, wrong input one line, exit code 2 and no file at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.apps.cli import app
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.trace import export
from tests.apps.commands import complains, run


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3)]
    return nn.Sequential(*layers).eval()


def saved(model: nn.Module, path: Path) -> Path:
    return save_program(export(model, torch.zeros(1, 1, 6, 6)), path)


@pytest.fixture(scope="module")
def whole_program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(network(), tmp_path_factory.mktemp("programs") / "model.pt2").read_bytes()


@pytest.fixture
def program(tmp_path: Path, whole_program: bytes) -> Path:
    path = tmp_path / "model.pt2"
    path.write_bytes(whole_program)
    return path


def test_collapse_writes_what_it_names(program: Path) -> None:
    out, chart, paper = (program.with_name(name) for name in ("out.pt2", "map.npz", "certificate.json"))
    done = run("collapse", program, "--out", out, "--map", chart, "--certificate", paper)
    assert done.exit_code == 0, done.output
    x = torch.arange(72.0).reshape(2, 1, 6, 6)
    f = AffineMap.load(chart)
    assert torch.equal(load_program(out).module()(x), f.to_module(dtype=torch.float32)(x))
    assert (f.in_shape, f.out_shape) == ((1, 6, 6), (3,))
    assert json.loads(paper.read_text())["ok"] is True
    assert "Yes (modular)" in done.stdout


def test_collapse_as_json(program: Path) -> None:
    done = run("collapse", program, "--out", program.with_name("out.pt2"), "--json", "--dtype", "float64")
    result = json.loads(done.stdout)
    assert result["report"]["regions"][0]["form"] == "dense"
    assert result["certificate"]["level"] == "modular"
    assert load_program(result["files"]["model"]).module()(torch.zeros(1, 1, 6, 6).double()).dtype == torch.float64


@pytest.mark.parametrize("level", ["none", "bounded"])
def test_collapse_at_other_levels(program: Path, level: str) -> None:
    done = run("collapse", program, "--out", program.with_name("out.pt2"), "--level", level, "--json")
    certificate = json.loads(done.stdout)["certificate"]
    assert certificate is None if level == "none" else certificate["level"] == level


def test_a_collapse_that_would_be_slower_is_given_back_as_it_was(tmp_path: Path) -> None:
    model = nn.Conv2d(1, 1, 3, padding=1).eval()
    path = save_program(export(model, torch.zeros(1, 1, 64, 64)), tmp_path / "wide.pt2")
    done = run("collapse", path, "--out", tmp_path / "out.pt2", "--json")
    x = torch.arange(2 * 64.0 * 64).reshape(2, 1, 64, 64)
    assert json.loads(done.stdout)["report"]["regions"][0]["form"] == "as given"
    assert torch.equal(load_program(tmp_path / "out.pt2").module()(x), model(x))


@pytest.mark.parametrize("level", ["modular", "bounded"])
def test_certify_says_yes_to_the_collapse_and_no_to_another(program: Path, level: str) -> None:
    out, chart, paper = (program.with_name(name) for name in ("out.pt2", "map.npz", "certificate.json"))
    other = saved(network(seed=1), program.with_name("other.pt2"))
    assert run("collapse", program, "--out", out, "--map", chart).exit_code == 0
    for copy in (out, chart):
        done = run("certify", program, copy, "--level", level, "--save", paper, "--points", 2)
        assert (done.exit_code, json.loads(paper.read_text())["ok"]) == (0, True), done.output
    assert run("certify", program, chart, "--check", paper, "--points", 1).exit_code == 0
    complains(run("certify", program, other, "--check", paper), "speaks of another network", "SHA-256 of the other")
    wrong = run("certify", program, other, "--level", level, "--json")
    assert (wrong.exit_code, json.loads(wrong.stdout)["ok"]) == (1, False)
    assert json.loads(wrong.stdout)["witness"] is not None


def test_one_weight_moved_by_one_ulp_is_noticed(program: Path) -> None:
    model = network()
    with torch.no_grad():
        first = model[0].weight.view(-1)[:1]
        first.copy_(torch.nextafter(first, torch.tensor(torch.inf)))
    moved = saved(model, program.with_name("moved.pt2"))
    exact = run("certify", program, moved, "--level", "modular")
    assert (exact.exit_code, exact.stdout[:12]) == (1, "No (modular)")
    done = run("certify", program, moved)
    assert (done.exit_code, done.stdout[:36]) == (0, "Yes (auto): equal but for rounding: ")
    assert run("certify", program, program).exit_code == 0


def test_toeplitz_draws_counts_and_saves(tmp_path: Path) -> None:
    matrix, picture = tmp_path / "m.npz", tmp_path / "m.png"
    done = run("toeplitz", "1x3x3", "--kernel", "2", "--out", matrix, "--picture", picture)
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()[:4]]
    assert rows[0] == ["1", "2", ".", "3", "4", ".", ".", ".", "."]
    expected = [[0.0 if word == "." else float(word) for word in row] for row in rows]
    np.testing.assert_array_equal(sp.load_npz(matrix).toarray(), expected)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_toeplitz_takes_the_arguments_of_torch(tmp_path: Path) -> None:
    weight = np.arange(-9.0, 9).reshape(2, 1, 3, 3)
    np.save(tmp_path / "w.npy", weight)
    options = ["--stride", "2x1", "--padding", "1x2", "--dilation", "1x2", "--groups", 2, "--padding-mode", "reflect"]
    done = run("toeplitz", "2x5x6", "--weight", tmp_path / "w.npy", *options, "--out", tmp_path / "m.npz", "--json")
    conv = nn.Conv2d(
        2, 2, 3, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, padding_mode="reflect", bias=False
    ).double()
    conv.weight.data = torch.from_numpy(weight)
    y = conv(torch.eye(60, dtype=torch.float64).reshape(60, 2, 5, 6)).flatten(1).T
    W = sp.load_npz(tmp_path / "m.npz")
    np.testing.assert_array_equal(W.toarray(), y.detach().numpy())
    facts = json.loads(done.stdout)
    assert (facts["rows"], facts["columns"], facts["entries"]) == (*W.shape, W.nnz)


def test_toeplitz_writes_latex_with_letters_for_the_taps(tmp_path: Path) -> None:
    letters = run("toeplitz", "1x3", "--kernel", "2", "--latex").stdout
    assert r"{matrix}w_{0} & w_{1} & 0\\0 & w_{0} & w_{1}\end{matrix}" in letters
    channels = run("toeplitz", "2x1", "--kernel", "1", "--latex", "--json").stdout
    assert r"{matrix}w_{000} & w_{010}\end{matrix}" in json.loads(channels)["latex"]
    np.save(tmp_path / "w.npy", np.array([[[1.0, 0.5]]]))
    assert (
        r"{matrix}1 & \frac{1}{2}\end{matrix}"
        in run("toeplitz", "1x2", "--weight", tmp_path / "w.npy", "--latex").stdout
    )


def test_expand_writes_the_words_of_the_paths(tmp_path: Path) -> None:
    picture = tmp_path / "W.svg"
    words = run("expand", 2, "--part", "W", "--picture", picture)
    assert words.stdout.splitlines()[:2] == [
        "paths    2",
        "latex    W = W^{(2)} P^{(2)} W^{(1)} P^{(1)} + t^{(0,1)} W^{(2)} P^{(2)} R^{(0,1)}",
    ]
    assert picture.read_bytes().startswith(b"<?xml")
    facts = json.loads(run("expand", 4, "--skips", "0-2,1-4", "--one-strength", "--json").stdout)
    assert facts["paths"] == 3
    assert len([word for word in facts["words"] if word["start"] == "X"]) == 3
    assert facts["latex"].startswith("f_t^{(4)}(X) = ")
    assert run("expand", 3, "--skips", "none", "--part", "B").stdout.startswith("paths    1\n")


def test_toeplitz_weights_drawn_from_a_seed_are_the_same_again(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        run("toeplitz", "1x4", "--seed", seed, "--out", tmp_path / f"{name}.npz")
    a, b, c = (sp.load_npz(tmp_path / f"{name}.npz").toarray() for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def training_mode(folder: Path) -> Path:
    program = torch.export.export(network().train(), (torch.zeros(2, 1, 6, 6),))
    return save_program(program, folder / "in.pt2")


class Rectified(nn.Module):
    """A network with a line of its own that is not affine."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).relu()


def with_relu(folder: Path) -> Path:
    return saved(Rectified().eval(), folder / "in.pt2")


def with_nan(folder: Path) -> Path:
    model = network()
    model[0].weight.data[0, 0, 0, 0] = float("nan")
    return saved(model, folder / "in.pt2")


def damaged(folder: Path) -> Path:
    path = saved(network(), folder / "in.pt2")
    path.write_bytes(path.read_bytes()[:1000])
    return path


BAD_MODELS: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "missing": (lambda folder: folder / "in.pt2", ["no such file", "in.pt2"]),
    "damaged": (damaged, ["not a program", "in.pt2"]),
    "not affine": (with_relu, ["relu", "test_cli.py", "return self.conv(x).relu()"]),
    "training mode": (training_mode, ["training"]),
    "not finite": (with_nan, ["NaN"]),
}


@pytest.mark.parametrize(
    ("command", "bad"),
    [*(("collapse", bad) for bad in BAD_MODELS), *(("certify", bad) for bad in BAD_MODELS if bad != "not affine")],
)
def test_a_bad_model_is_one_line_and_no_file(tmp_path: Path, bad: str, command: str) -> None:
    make, words = BAD_MODELS[bad]
    path, out = make(tmp_path), tmp_path / "out"
    out.mkdir()
    if command == "collapse":
        files = ["--out", out / "a.pt2", "--map", out / "a.npz", "--certificate", out / "a.json"]
        done = run("collapse", path, *files)
    else:
        done = run("certify", path, path, "--level", "rational", "--save", out / "a.json")
    complains(done, *words)
    assert list(out.iterdir()) == []


MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "level": (["collapse", "model.pt2", "--out", "a.pt2", "--level", "sure"], ["rational | none", "sure"]),
    "method": (["collapse", "model.pt2", "--out", "a.pt2", "--method", "guess"], ["auto | forward", "guess"]),
    "dtype": (["collapse", "model.pt2", "--out", "a.pt2", "--dtype", "int8"], ["float16 | bfloat16", "int8"]),
    "ending": (["collapse", "model.pt2", "--out", "a.pth"], ["a.pt2", "a.pth"]),
    "device": (["collapse", "model.pt2", "--out", "a.pt2", "--device", "abacus"], ["cpu", "abacus"]),
    "budget": (
        ["collapse", "model.pt2", "--out", "a.pt2", "--map", "a.npz", "--memory-budget", "0"],
        ["at most 0 bytes", "got"],
    ),
    "certify level": (["certify", "model.pt2", "model.pt2", "--level", "sure"], ["sampled | bounded | mod", "sure"]),
    "other shapes": (["certify", "model.pt2", "small.npz"], ["shape", "(1, 2)"]),
    "damaged map": (["certify", "model.pt2", "text.npz"], ["text.npz"]),
    "shape": (["toeplitz", "3by3"], ["1x28x28", "3by3"]),
    "no axis": (["toeplitz", "3"], ["1x5x5"]),
    "kernel": (["toeplitz", "1x3x3", "--kernel", "5"], ["expected at least 5", "got 3"]),
    "kernel axes": (["toeplitz", "1x3x3", "--kernel", "3x3x3"], ["2x2", "3x3x3"]),
    "padding mode": (["toeplitz", "1x3x3", "--padding-mode", "mirror"], ["reflect", "mirror"]),
    "groups": (["toeplitz", "3x5x5", "--groups", "2"], ["divisor of 3", "got 2"]),
    "weight missing": (["toeplitz", "1x5", "--weight", "nowhere.npy"], ["no such file", "nowhere.npy"]),
    "weight damaged": (["toeplitz", "1x5", "--weight", "text.npz"], ["not an array", "text.npz"]),
    "weight shape": (["toeplitz", "2x5", "--weight", "w.npy"], ["channels"]),
    "too large": (["toeplitz", "64x500x500", "--out-channels", "64", "--out", "a.npz"], ["bytes", "got"]),
    "matrix ending": (["toeplitz", "1x5", "--out", "a.mat"], ["a.npz", "a.mat"]),
    "picture ending": (["toeplitz", "1x5", "--picture", "a.pdf"], ["png | svg", "pdf"]),
    "depth": (["expand", "0"], ["from 1 on"]),
    "part": (["expand", "2", "--part", "C", "--picture", "a.png"], ["f | W | B", "got C"]),
    "skips": (["expand", "2", "--skips", "0:2"], ["0-2,1-4", "0:2"]),
    "skip backward": (["expand", "2", "--skips", "2-1"], ["0 <= k < i <= 2", "(2, 1)"]),
    "words": (["expand", "60", "--picture", "a.png"], ["words", "bytes"]),
    "formula ending": (["expand", "2", "--picture", "a.bmp"], [".png", ".bmp"]),
    "formula": (["toeplitz", "1x50", "--latex", "--out", "a.npz"], ["at most 40 x 40", "(48, 50)"]),
    "case": (["bench", "toeplitz", "--cases", "az"], ["a | b | c | d", "got z"]),
    "data": (["demo", "--data", "letters", "--out", "a"], ["digits | mnist", "letters"]),
    "no root": (["demo", "--data", "mnist", "--out", "a"], ["train-images-idx3-ubyte"]),
    "no files": (["demo", "--data", "mnist", "--data-root", "nowhere", "--out", "a"], ["t10k-labels-idx1", "nowhere"]),
    "model": (["demo", "--model", "vgg", "--out", "a"], ["resnet18 | resnet34 | resnet50", "vgg"]),
    "epochs": (["demo", "--epochs", "0", "--out", "a"], ["epochs >= 1"]),
    "out": (["toeplitz", "1x5", "--out", "text.npz/a.npz"], ["cannot be written"]),
    "bench tool": (["bench", "patterns", "--tools", "guess"], ["given | ours", "guess"]),
    "bench pattern": (["bench", "patterns", "--patterns", "26"], ["1 | 2 | 3", "26"]),
    "bench engine": (["bench", "models", "--engines", "steam"], ["eager | frozen | onnx", "steam"]),
    "bench batches": (["bench", "collapse", "--batches", "1,0"], ["1,128", "1,0"]),
    "bench device": (["bench", "collapse", "--device", "abacus"], ["cpu", "abacus"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_no_file(program: Path, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    monkeypatch.chdir(program.parent)
    AffineMap(np.eye(2), np.zeros(2), (1, 2), (2,)).save("small.npz")
    Path("text.npz").write_text("hello")
    np.save("w.npy", np.ones((1, 3, 3)))
    before = sorted(Path().rglob("*"))
    arguments, words = MISTAKES[mistake]
    complains(run(*arguments), *words)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("arguments", [["fly"], ["toeplitz", "1x5", "--fly"], ["collapse", "model.pt2"], ["demo", "x"]])
def test_words_that_no_command_knows(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_bench_gives_ratios() -> None:
    done = run("bench", "toeplitz", "--cases", "a", "--seconds", 0, "--json")
    result = json.loads(done.stdout)
    assert {"torch", "threads"} <= set(result["machine"])
    assert all(row["case"] == "a" and row["ratio"] > 0 for row in result["rows"])


COMMANDS = [command.name for command in app.registered_commands]
COMMANDS += [f"{group.name} {command.name}" for group in app.registered_groups
             for command in group.typer_instance.registered_commands]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_common_options(command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.exit_code == 0
    device = () if command == "recheck" else ("--device",)  # the checker computes on no device
    assert all(option in done.output for option in ("--json", "--seed", *device, "--help"))


def test_help_and_module_run_without_torch() -> None:
    code = "import sys, runpy; sys.argv = ['algebraic-cnn', '--help']\n"
    code += "try:\n    runpy.run_module('algebraic_cnn', run_name='__main__')\nexcept SystemExit as stop:\n"
    code += "    print(stop.code, [name for name in ('torch', 'scipy', 'numpy', 'sympy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("0 []")
