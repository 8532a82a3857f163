"""Every theorem is proved, and no proof goes through for what is false: each is handed something nearly right."""

from __future__ import annotations

import ast
import functools
import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algebraic_cnn import AffineMap, Layer, PrimeField, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import HomotopyPolynomial, Skeleton
from algebraic_cnn.toeplitz import avg_pool_matrix, conv_matrix, pad_matrix
from proofs.__main__ import main
from proofs.counterexample import SHAPES, Reals, search, without_a_bias
from proofs.p04_uniqueness import recovered
from proofs.p06_homotopy import at_strength
from proofs.p08_stencils import composed
from proofs.p09_single import conditions
from proofs.p11_errors import response
from proofs.p12_gated import gated
from proofs.p13_instances import folded
from proofs.p14_varieties import absorbed, moved
from proofs.record import Record, Refuted, require
from proofs.table import Row, closed, run

ROOT = Path(__file__).parent.parent
FILES = sorted(path.stem for path in (ROOT / "proofs").glob("p[0-9][0-9]_*.py"))


def prove(stem: str) -> Callable[..., Record]:
    return importlib.import_module(f"proofs.{stem}").prove


@functools.cache
def proved(stem: str) -> Record:
    return prove(stem)()


@pytest.mark.parametrize("stem", FILES)
def test_the_theorem_holds(stem: str) -> None:
    record = proved(stem)
    assert record.derived or record.instances
    assert record.rocq
    assert set(record.rocq) <= closed()


@pytest.mark.parametrize("stem", FILES)
def test_another_seed_proves_it_too(stem: str) -> None:
    assert prove(stem)(seed=2024) == proved(stem)


def test_there_are_the_fourteen_theorems_and_each_says_what_it_proves() -> None:
    assert [int(stem[1:3]) for stem in FILES] == list(range(1, 15))
    for stem in FILES:
        text = importlib.import_module(f"proofs.{stem}").__doc__ or ""
        assert text.startswith(f"Theorem {int(stem[1:3])}")
        assert all(word in text for word in ("Statement.", "Proof.", " here")), stem


# ---- what is nearly right -------------------------------------------------------------------------------------------


def flipped(weight: Any, *args: Any, **options: Any) -> Any:
    """Convolution as mathematicians mean it, not cross-correlation."""
    return conv_matrix(np.ascontiguousarray(weight[..., ::-1]), *args, **options)


def padded_by_one_more(weight: Any, *args: Any, **options: Any) -> Any:
    before = options.pop("padding", 0)
    after = conv_matrix(weight, *args, **options, padding=before).shape[0]
    more = conv_matrix(weight, *args, **options, padding=np.add(before, 1).tolist())
    return more[:after]


def padding_moved(shape: Any, pairs: Any, **options: Any) -> Any:
    return pad_matrix(shape, [(after, before) for before, after in pairs], **options)


def other_mode(shape: Any, pairs: Any, padding_mode: str = "zeros", **options: Any) -> Any:
    wrong = {"reflect": "replicate"}.get(padding_mode, padding_mode)
    return pad_matrix(shape, pairs, padding_mode=wrong, **options)


def with_layers(change: Callable[[Layer], Layer]) -> Callable[..., AffineMap]:
    return lambda f, ring=None: replace(f, layers=[change(layer) for layer in f.layers]).collapse(ring)


def with_skips(change: Callable[[int, int, Skip], Skip | None]) -> Callable[[SkipRecursion], SkipRecursion]:
    def changed(f: SkipRecursion) -> SkipRecursion:
        skips = {(k, i): change(k, i, skip) if k < i - 1 else skip for (k, i), skip in f.skips.items()}
        return replace(f, skips={edge: skip for edge, skip in skips.items() if skip is not None})

    return changed


without_skips = with_skips(lambda k, i, skip: None)
without_long_skips = with_skips(lambda k, i, skip: None if i - k > 2 else skip)
without_strengths = with_skips(lambda k, i, skip: replace(skip, t=1))
without_constants = with_skips(lambda k, i, skip: replace(skip, r=None))


def transposed(f: SkipRecursion, ring: Any) -> AffineMap:
    g = f.collapse(ring)
    return replace(g, W=g.W.T) if g.W.shape[0] == g.W.shape[1] else g


def through_the_origin(f: Callable[[Any], Any], n: int, ring: Any) -> tuple[Any, Any]:
    return np.stack([f(ring.embed(e)) for e in np.eye(n)], axis=1), f(ring.embed(np.zeros(n)))


def fewer_paths(skeleton: Skeleton, source: int) -> list[tuple[int, ...]]:
    return list(skeleton.paths(source))[:-1] or list(skeleton.paths(source))


def longest_paths(skeleton: Skeleton, source: int) -> list[tuple[int, ...]]:
    return [path for path in skeleton.paths(source) if len(path) > (skeleton.depth - source) // 2]


def truncated(f: SkipRecursion, ring: Any) -> HomotopyPolynomial:
    p = f.polynomial(ring)
    return replace(p, coefficients=p.coefficients[:2])


def reversed_coefficients(f: SkipRecursion, ring: Any) -> HomotopyPolynomial:
    p = f.polynomial(ring)
    return replace(p, coefficients=p.coefficients[::-1])


class WithoutFactor(HomotopyPolynomial):
    def derivative(self) -> HomotopyPolynomial:
        return replace(self, coefficients=self.coefficients[1:] or self.coefficients)


def plain_sum(K2: np.ndarray, K1: np.ndarray, stride: Any) -> np.ndarray:
    return composed(K2, K1, tuple(1 for _ in stride))


class Rounding(PrimeField):
    def embed(self, x: Any) -> Any:
        return super().embed(np.round(x) if x.dtype != object else x)


class WithoutExponent(PrimeField):
    def embed(self, x: Any) -> Any:
        return super().embed(np.frexp(x)[0] if x.dtype != object else x)


def response_of_feeds(f: SkipRecursion, i: int, ring: Any) -> Any:
    return response(without_skips(f), i, ring)


def response_of_everything_after(f: SkipRecursion, i: int, ring: Any) -> Any:
    J = response(f, i, ring)
    return J + J


def always_open(f: SkipRecursion, gates: list[Any]) -> SkipRecursion:
    return gated(f, [gate * 0 + 1 for gate in gates])


def biases_not_gated(f: SkipRecursion, gates: list[Any]) -> SkipRecursion:
    layers = [replace(gate, b=layer.b) for gate, layer in zip(gated(f, gates).layers, f.layers, strict=True)]
    return replace(f, layers=layers)


def borders_not_counted(*args: Any, **options: Any) -> Any:
    return avg_pool_matrix(*args, **options, count_include_pad=False)


def sums_not_means(*args: Any, **options: Any) -> Any:
    return avg_pool_matrix(*args, **options, divisor_override=1)


NEARLY_RIGHT = [
    ("p01_toeplitz", flipped),
    ("p01_toeplitz", padded_by_one_more),
    ("p01_toeplitz", lambda *args, stride=1, **options: conv_matrix(*args, **options)),
    ("p01_toeplitz", lambda *args, dilation=1, **options: conv_matrix(*args, **options)),
    ("p02_padding", padding_moved),
    ("p02_padding", other_mode),
    ("p02_padding", lambda *args, **options: 2 * pad_matrix(*args, **options)),
    ("p03_collapse", with_layers(lambda layer: replace(layer, b=None))),
    ("p03_collapse", with_layers(lambda layer: replace(layer, W=layer.W[::-1]))),
    ("p03_collapse", lambda f, ring=None: without_skips(f).collapse(ring)),
    ("p03_collapse", lambda f, ring=None: without_long_skips(f).collapse(ring)),
    ("p03_collapse", lambda f, ring=None: without_strengths(f).collapse(ring)),
    ("p03_collapse", lambda f, ring=None: without_constants(f).collapse(ring)),
    ("p04_uniqueness", through_the_origin),
    ("p04_uniqueness", lambda f, n, ring: (recovered(f, n, ring)[0][:, ::-1], recovered(f, n, ring)[1])),
    ("p05_paths", fewer_paths),
    ("p05_paths", longest_paths),
    ("p05_paths", lambda skeleton, source: [*skeleton.paths(source), *skeleton.paths(source)]),
    ("p06_homotopy", truncated),
    ("p06_homotopy", reversed_coefficients),
    ("p06_homotopy", lambda f, ring: at_strength(f, Fraction(1, 2)).polynomial(ring)),
    ("p06_homotopy", lambda f, ring: WithoutFactor(f.polynomial(ring).coefficients, ring)),
    ("p07_adjoint", transposed),
    ("p07_adjoint", lambda f, ring: without_long_skips(f).adjoint(ring)),
    ("p07_adjoint", lambda f, ring: replace(f.adjoint(ring), b=f.adjoint(ring).b * 0)),
    ("p08_stencils", plain_sum),
    ("p08_stencils", lambda K2, K1, stride: composed(K2[..., ::-1], K1, stride)),
    ("p08_stencils", lambda K2, K1, stride: composed(K2, K1, stride) * 2),
    ("p09_single", lambda g: (True, True)),
    ("p09_single", lambda g: (max(g.p2) == 0, max(g.p2) == 0)),
    ("p09_single", lambda g: (conditions(g)[1], conditions(g)[1])),
    ("p10_morphisms", Rounding),
    ("p10_morphisms", WithoutExponent),
    ("p11_errors", response_of_feeds),
    ("p11_errors", response_of_everything_after),
    ("p12_gated", always_open),
    ("p12_gated", biases_not_gated),
    ("p13_instances", borders_not_counted),
    ("p13_instances", sums_not_means),
    ("p14_varieties", without_skips),
    ("p14_varieties", lambda f: absorbed(with_skips(lambda k, i, skip: replace(skip, t=1))(f))),
]


@pytest.mark.parametrize(("stem", "wrong"), NEARLY_RIGHT)
def test_what_is_nearly_right_is_refuted(stem: str, wrong: Any) -> None:
    with pytest.raises(Refuted):
        prove(stem)(wrong)


@pytest.mark.parametrize("wrong", [
    lambda gamma, beta, mean, var, eps: folded(gamma, beta, mean, var, 0 * eps),
    lambda gamma, beta, mean, var, eps: (folded(gamma, beta, mean, var, eps)[0], beta),
    lambda gamma, beta, mean, var, eps: (gamma / (var + eps), beta - gamma / (var + eps) * mean),
])  # fmt: skip
def test_a_wrong_fold_of_batch_norm_is_refuted(wrong: Any) -> None:
    with pytest.raises(Refuted):
        prove("p13_instances")(fold=wrong)


@pytest.mark.parametrize("wrong", [
    {"act": lambda f, behind: f},
    {"act": lambda f, behind: moved(f, {i: (g, g) for i, (g, _) in behind.items()})},
    {"act": lambda f, behind: moved(replace(f, layers=[replace(layer, b=None) for layer in f.layers]), behind)},
    {"compose": lambda layers, strides: np.convolve(*layers)},
])  # fmt: skip
def test_a_wrong_action_and_a_wrong_composition_are_refuted(wrong: Any) -> None:
    with pytest.raises(Refuted):
        prove("p14_varieties")(**wrong)


def test_every_theorem_is_tried_with_something_nearly_right() -> None:
    assert {stem for stem, _ in NEARLY_RIGHT} == set(FILES)


# ---- the table, the machine-checked proofs, the solver ---------------------------------------------------------------


def test_a_row_says_how_far_its_theorem_is_proved() -> None:
    (row,) = run("p04")
    assert (row.number, row.name, row.refuted) == (4, "uniqueness", "")
    assert row.level.startswith(f"derived, exact on {row.instances} instances")
    assert ("proved for all" in row.level) == (not row.missing)
    assert Row(1, "a", "b", instances=3).level == "exact on 3 instances"
    assert Row(1, "a", "b", refuted="c").level == "REFUTED: c"


def test_theorems_of_files_with_gaps_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rocq").mkdir()
    (tmp_path / "rocq" / "whole.v").write_text("Theorem one : True.\nProof. by []. Qed.\n(* Theorem remark : False. *)")
    (tmp_path / "rocq" / "gap.v").write_text("Theorem two : False.\nAdmitted.")
    monkeypatch.setattr("proofs.table.FOLDER", tmp_path)
    assert closed() == {"one"}


def test_a_refuted_theorem_fails_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("proofs.p04_uniqueness.prove", lambda: require(False, "that two is three"))
    assert main(["p04"]) == 1
    assert "that two is three" in capsys.readouterr().out.replace("\n", " ")
    assert main(["no such theorem"]) == 1
    assert "'no such theorem'" in capsys.readouterr().err


def test_the_table_is_also_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["p04", "--json"]) == 0
    (theorem,) = json.loads(capsys.readouterr().out)["theorems"]
    assert theorem["number"] == 4
    assert theorem["level"].startswith("derived")


@pytest.mark.parametrize("shape", SHAPES)
def test_no_network_is_a_counterexample_and_every_wrong_collapse_has_one(shape: str) -> None:
    pytest.importorskip("z3")
    assert search(shape).answer == "unsat"
    for wrong in (without_a_bias, lambda f, ring: without_skips(f).collapse(ring)):
        found = search(shape, wrong)
        assert found.answer == "sat"
        assert refutes(shape, wrong, found.counterexample)


def refutes(shape: str, wrong: Callable[..., AffineMap], counterexample: dict[str, str]) -> bool:
    """Whether f(X) and the wrong collapse differ in rationals, for the solver's values and 0 for the rest."""
    import z3

    f, ring = SHAPES[shape](), Reals()
    values = [(z3.Real(name), z3.RealVal(value)) for name, value in counterexample.items()]
    X = ring.embed(np.array([z3.Real(f"x_{n}") for n in range(f.sizes[0])]))
    g = wrong(f, ring)
    terms = [z3.substitute(term, *values) for term in f.forward(X, ring) - (ring.matmul(g.W, X) + g.b)]
    unknown = {name for term in terms for name in z3.z3util.get_vars(term)}
    rest = [(name, z3.RealVal(0)) for name in unknown]
    return any(not z3.simplify(z3.substitute(term, *rest) == 0).eq(z3.BoolVal(True)) for term in terms)


def test_the_library_does_not_know_its_proofs() -> None:
    for path in (ROOT / "algebraic_cnn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] == "proofs" for name in names), path
