"""The check of the machine-checked proofs, itself checked: every kind of gap is planted once and must be found.

project    a folder with one tiny proof file, or with one that has a gap
GAPS       what must not pass, and a word of the reason that must be given
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from proofs.rocq import check

FOLDER = Path(check.__file__).parent
PROOF = """
(* Theorem in_a_comment : False. Admitted. *)
Theorem two : 1 + 1 = 2.
Proof. reflexivity. Qed.
Print Assumptions two.
"""
GAPS = {
    "admitted": (PROOF.replace("Proof. reflexivity. Qed.", "Admitted."), "Admitted"),
    "admit": (PROOF.replace("reflexivity. Qed.", "admit. Admitted."), "admit"),
    "axiom": ("Axiom magic : 1 + 1 = 2.\n" + PROOF.replace("reflexivity", "exact magic"), "Axiom"),
    "parameter": ("Parameter magic : 1 + 1 = 2.\n" + PROOF.replace("reflexivity", "exact magic"), "Parameter"),
    "variable": ("Variable magic : 1 + 1 = 2.\n" + PROOF.replace("reflexivity", "exact magic"), "magic"),
    "hypothesis": ("Hypothesis magic : 1 + 1 = 2.\n" + PROOF.replace("reflexivity", "exact magic"), "magic"),
    "library axiom": (
        "From Coq Require Import Classical.\n"
        "Theorem two : forall P, P \\/ ~ P.\nProof. exact classic. Qed.\nPrint Assumptions two.\n",
        "classic",
    ),
    "unguarded": (
        "Unset Guard Checking.\nFixpoint f (n : nat) : False := f n.\n"
        + PROOF.replace("1 + 1 = 2", "False").replace("reflexivity", "exact (f 0)"),
        "Guard Checking",
    ),
    "wrong": (PROOF.replace("= 2", "= 3"), "does not compile"),
    "not audited": (PROOF.replace("Print Assumptions two.", ""), "not printed"),
    "another one audited": (PROOF.replace("Print Assumptions two.", "Print Assumptions eq_refl."), "not printed"),
}
needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="the compiler coqc is not installed")


def project(folder: Path, source: str) -> Path:
    """A project of the one file a.v."""
    (folder / "_CoqProject").write_text("-Q . AlgebraicCNN\n-arg -w -arg none\n\na.v\n")
    (folder / "a.v").write_text(source)
    return folder


@needs_coq
def test_a_proof_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(project(tmp_path, PROOF))]) == 0
    assert re.search(
        r"two +a\.v +Closed under the global context\n1 theorems in 1 files, 0 not", capsys.readouterr().out
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_CoqProject", "a.v"]


@needs_coq
@pytest.mark.parametrize("gap", GAPS)
def test_a_gap_fails(gap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, reason = GAPS[gap]
    assert check.main([str(project(tmp_path, source))]) == 1
    (line,) = re.findall(r"^two .*", capsys.readouterr().out, re.MULTILINE)
    assert reason in line
    assert check.CLOSED not in line


@needs_coq
def test_a_file_waits_for_what_it_needs(tmp_path: Path) -> None:
    project(tmp_path, PROOF)
    (tmp_path / "b.v").write_text(
        "From AlgebraicCNN Require Import a.\nTheorem three : 1 + 1 = 2 /\\ True.\n"
        "Proof. exact (conj two I). Qed.\nPrint Assumptions three.\n"
    )
    (tmp_path / "_CoqProject").write_text("-Q . AlgebraicCNN\n\na.v\nb.v\n")
    assert [(row.theorem, row.file, row.proved) for row in check.check(tmp_path)] == [
        ("two", "a.v", True),
        ("three", "b.v", True),
    ]


@needs_coq
def test_a_project_without_theorems_fails(tmp_path: Path) -> None:
    assert check.main([str(project(tmp_path, "Definition x := 1."))]) == 1


@needs_coq
def test_every_file_is_in_the_project(tmp_path: Path) -> None:
    project(tmp_path, PROOF)
    (tmp_path / "forgotten.v").write_text(PROOF)
    with pytest.raises(SystemExit, match="forgotten"):
        check.check(tmp_path)


def test_without_a_compiler_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert check.main([]) == 2
    assert "apt-get install coq libcoq-mathcomp-algebra" in capsys.readouterr().err


def test_every_theorem_is_audited_where_it_is_proved_and_explained_in_the_guide() -> None:
    guide = (FOLDER / "README.md").read_text()
    sources = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.rglob("*.v")}
    assert set(re.findall(r"^([\w/]+\.v)$", (FOLDER / "_CoqProject").read_text(), re.MULTILINE)) == set(sources)
    explained = re.findall(r"^\| `(\w+)` \| `([\w/]+\.v)` \|", guide, re.MULTILINE)
    stated = [(theorem, name) for name, source in sources.items() for theorem in check.theorems(source)]
    assert sorted(explained) == sorted(stated)
    for name, source in sources.items():
        assert check.theorems(source) == check.audited(source), name
        assert check.forbidden(source) == [], name
        assert source.startswith("(***"), f"{name} does not open with its vocabulary"
