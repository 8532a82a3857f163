"""The package as a user imports it: every public name is there, once, and nothing heavy comes with it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import algebraic_cnn


@pytest.mark.parametrize("name", algebraic_cnn.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(algebraic_cnn, name)
    assert value.__doc__, f"{name} says nothing of itself"
    assert value.__module__.startswith("algebraic_cnn.")


def test_functions_are_not_shadowed_by_files() -> None:
    for name in algebraic_cnn.__all__:
        getattr(algebraic_cnn, name)
    modules = [name for name in algebraic_cnn.__all__ if type(getattr(algebraic_cnn, name)) is type(importlib)]
    assert modules == []


def test_a_star_brings_the_names_of_the_contract_and_only_public_ones() -> None:
    brought: dict[str, object] = {}
    exec("from algebraic_cnn import *", brought)
    promised = Path(__file__).with_name("public_names.txt").read_text(encoding="utf-8").splitlines()
    names = {line.partition("(")[0] for line in promised if line and not line.startswith("#")}
    assert {name for name in names if "." not in name} <= brought.keys()
    assert brought.keys() - {"__builtins__"} == set(algebraic_cnn.__all__)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'convolution_matrix'"):
        algebraic_cnn.convolution_matrix  # noqa: B018


def test_dir_lists_the_public_names() -> None:
    assert set(algebraic_cnn.__all__) <= set(dir(algebraic_cnn))
