"""A warning that our own code causes fails a test; what other packages say of themselves does not."""

from __future__ import annotations

import warnings

import pytest


@pytest.mark.parametrize("module", ["algebraic_cnn.collapsing.pipeline", "tests.test_warnings", "proofs.table"])
def test_a_warning_at_a_line_of_ours_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("use another", DeprecationWarning, "file.py", 1, module=module)


def test_a_warning_where_it_is_raised() -> None:
    with pytest.raises(UserWarning, match="look out"):
        warnings.warn("look out", stacklevel=1)


@pytest.mark.parametrize("module", ["torch.jit._script", "onnxscript", "numpy.testing"])
def test_a_warning_of_another_package_is_none_of_ours(module: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn_explicit("use another", DeprecationWarning, "file.py", 1, module=module)
    assert len(caught) == 1
