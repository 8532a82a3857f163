"""Every notebook runs from top to bottom, at more than one setting of its controls, and would notice a mistake.

SETTINGS    notebook to what its controls say in another run: name of the control to its value
MUTANTS     notebook to (what it says, what a mistake would say); the notebook's own assertions must object
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.notebooks.loading import loaded

pytest.importorskip("marimo")

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
NOTEBOOKS = {path.stem[:2]: path for path in sorted(FOLDER.glob("[0-9]*.py"))}

SETTINGS: dict[str, dict[str, Any]] = {
    "01": {"size": 5, "kernel": 3, "stride": 2, "padding": 1, "dilation": 1, "mode": "reflect"},
    "02": {"depth": 5, "chosen": ["(0, 2)", "(0, 3)", "(2, 5)", "(3, 5)"], "which": 4, "strength": 0.25},
    "03": {"epochs": 2, "channels": 4, "which": 3},
    "04": {"p1": 1, "p2": 2, "layers": 2, "size": 10, "biased": False},
    "05": {"power": 20, "prime": "7"},
    "06": {"kind": "Linear", "epochs": 3, "chosen": ["4.relu"]},
    "07": {"x1": -0.5, "x2": 1.0, "which": 5, "to": 8, "place": 0.75},
    "08": {"stride": 1, "power": 2, "chosen": ["(0, 2)", "(1, 3)"]},
}
MUTANTS: dict[str, list[tuple[str, str]]] = {
    "01": [
        ("W = conv_matrix(numbers, image_shape", "W = conv_matrix(numbers[..., ::-1], image_shape"),
        ("return conv_matrix(np.flip(K, axis=tuple(range(2, K.ndim)))", "return conv_matrix(K"),
    ],
    "02": [
        ("P @ (f.skips[edge].t * word)", "P @ word"),
        ("SkipRecursion(f.layers, {edge: Skip(t=1.0)", "SkipRecursion(f.layers, {edge: Skip(t=0.5)"),
        ("B @ (A + t * np.eye(3, dtype=int))", "A @ (B + t * np.eye(3, dtype=int))"),
    ],
    "03": [
        ("fast = result.model", "fast = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()"),
        ("exact_outputs(model, units) - exact_outputs(model, zero)", "exact_outputs(model, units)"),
    ],
    "04": [
        ("assert (missing == -ring.matmul", "assert (missing == ring.matmul"),
        ('both padded"], tempting, picture', 'both padded"], pairs["3 x 3, 3 x 3, both padded"], picture'),
    ],
    "05": [
        ("bits += 2**k", "bits += 0"),
        ('"both": points[:, 0] + points[:, 1] + 1', '"both": truth'),
    ],
    "06": [("predictions(linear, digits.test_images))", "predictions(trained, digits.test_images))")],
    "07": [
        ("value = np.maximum(value, Fraction(0))", "value = abs(value)"),
        ("p12_gated.prove(open_gates)", "p12_gated.prove()"),
    ],
    "08": [
        ('is_realisable([w0, w1, 1], [2, 2], ring="RR")', "is_realisable([w0, w1, 1], [2, 2])"),
        ("    w[1] += 1", "    w[1] += 0"),
        ("plain = Architecture.chain([3, 3, 2], **options)", "plain = Architecture.chain([3, 3, 3], **options)"),
    ],
}
SLOW = {"05", "06"}  # run here where a mistake must be noticed, and nowhere else; ``make notebooks`` runs every one


def run(path: Path, controls: Mapping[str, Any] | None = None) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """What the cells of a notebook show, and what they define."""
    return loaded(path).app.run(defs={name: SimpleNamespace(value=value) for name, value in (controls or {}).items()})


def assertions(source: str) -> int:
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("name", sorted(NOTEBOOKS.keys() - SLOW))
def test_a_notebook_runs_and_checks_itself(name: str) -> None:
    path = NOTEBOOKS[name]
    outputs, definitions = run(path)
    title = next(output.text for output in outputs if output is not None)
    assert "<h1" in title
    assert f"{int(name)}. " in title
    assert definitions
    assert assertions(path.read_text(encoding="utf-8")) >= 4


@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - SLOW))
def test_its_controls_may_be_moved(name: str) -> None:
    outputs, definitions = run(NOTEBOOKS[name], SETTINGS[name])
    assert any(output is not None for output in outputs)
    assert {control: definitions[control].value for control in SETTINGS[name]} == SETTINGS[name]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "said", "mistaken"), [(n, *pair) for n, pairs in MUTANTS.items() for pair in pairs])
def test_it_notices_a_mistake(name: str, said: str, mistaken: str, tmp_path: Path) -> None:
    source = NOTEBOOKS[name].read_text(encoding="utf-8")
    assert source.count(said) == 1
    mutant = tmp_path / NOTEBOOKS[name].name
    mutant.write_text(source.replace(said, mistaken), encoding="utf-8")
    with pytest.raises(AssertionError):
        run(mutant, SETTINGS[name])


def test_every_notebook_has_settings_and_mutants() -> None:
    assert sorted(SETTINGS) == sorted(MUTANTS) == sorted(NOTEBOOKS)
