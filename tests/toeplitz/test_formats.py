"""One matrix, many formats: the same numbers everywhere, on the same buffers where the format allows it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import sympy
import torch
from sympy.polys.matrices import DomainMatrix

from algebraic_cnn.errors import ShapeError, TooLargeError, UnknownNameError
from algebraic_cnn.toeplitz import (
    FORMATS,
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    channel_shuffle_matrix,
    conv_matrix,
    conv_transpose_matrix,
    convert,
    fold_matrix,
    interpolate_matrix,
    pad_matrix,
    pixel_shuffle_matrix,
    pixel_unshuffle_matrix,
    unfold_matrix,
)
from algebraic_cnn.toeplitz.filling import conv_storage
from algebraic_cnn.toeplitz.formats import Entries, bytes_needed, index_dtype
from algebraic_cnn.toeplitz.geometry import conv_geometry
from algebraic_cnn.toeplitz.storage import SMALL

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

WEIGHT = np.arange(36.0).reshape(4, 1, 3, 3) - 9
MATRICES: dict[str, Any] = {
    "conv": lambda **how: conv_matrix(WEIGHT, (2, 5, 4), groups=2, stride=(1, 2), padding=1, **how),
    "conv circular": lambda **how: conv_matrix(WEIGHT, (1, 3, 2), padding=2, padding_mode="circular", **how),
    "conv_transpose": lambda **how: conv_transpose_matrix(WEIGHT, (4, 3, 3), stride=2, padding=1, **how),
    "avg_pool": lambda **how: avg_pool_matrix((2, 5, 6), 2, stride=1, padding=1, **how),
    "adaptive_avg_pool": lambda **how: adaptive_avg_pool_matrix((2, 4, 8), (2, 4), **how),
    "pad": lambda **how: pad_matrix((2, 3, 3), ((1, 0), (2, 1)), **how),
    "interpolate": lambda **how: interpolate_matrix((2, 3, 4), scale_factor=2, mode="bilinear", **how),
    "pixel_shuffle": lambda **how: pixel_shuffle_matrix((8, 2, 3), 2, **how),
    "pixel_unshuffle": lambda **how: pixel_unshuffle_matrix((2, 4, 6), 2, **how),
    "channel_shuffle": lambda **how: channel_shuffle_matrix((6, 2), 3, **how),
    "unfold": lambda **how: unfold_matrix((2, 4, 4), 2, padding=1, **how),
    "fold": lambda **how: fold_matrix((8, 9), 4, 2, **how),
}


def dense(matrix: Any) -> np.ndarray:
    """Any format as a dense array of floats."""
    if isinstance(matrix, torch.Tensor):
        return matrix.to_dense().detach().cpu().numpy()
    if isinstance(matrix, DomainMatrix):
        return np.array(matrix.to_Matrix().tolist(), dtype=float)
    if isinstance(matrix, sympy.MatrixBase):
        return np.array(matrix.tolist(), dtype=float)
    return matrix.toarray() if sp.issparse(matrix) else matrix


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_the_same_matrix(name: str, format: str) -> None:
    reference = MATRICES[name]()
    matrix = MATRICES[name](format=format)
    assert tuple(matrix.shape) == reference.shape
    assert np.array_equal(dense(matrix), reference.toarray())
    assert np.array_equal(dense(convert(reference, format)), reference.toarray())
    if sp.issparse(matrix):
        assert (matrix.format, matrix.nnz, matrix.has_canonical_format) == (format, reference.nnz, True)
    if format in ("csr", "csc"):
        matrix.check_format(full_check=True)


@pytest.mark.parametrize("format", ["torch_csr", "torch_coo"])
def test_torch_formats_are_valid_and_differentiable(format: str) -> None:
    weight = torch.arange(-6.0, 12.0, dtype=torch.float64).reshape(2, 3, 3).requires_grad_()
    x = torch.arange(15.0, dtype=torch.float64).reshape(1, 3, 5)
    how = {"padding": 2, "padding_mode": "circular", "stride": 2}
    with torch.sparse.check_sparse_tensor_invariants(), torch.no_grad():
        conv_matrix(weight.detach(), (3, 5), **how, format=format)
    W = conv_matrix(weight, (3, 5), **how, format=format)
    (W @ x.reshape(-1, 1)).square().sum().backward()
    ours, weight.grad = weight.grad, None
    padded = torch.nn.functional.pad(x, (2, 2), "circular")
    torch.nn.functional.conv1d(padded, weight, stride=2).square().sum().backward()
    assert ours is not None
    assert torch.equal(ours, weight.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64, torch.int64])
def test_torch_formats_keep_the_dtype(dtype: torch.dtype) -> None:
    weight = torch.arange(3).reshape(1, 1, 3).to(dtype)
    W = conv_matrix(weight, (1, 4), format="torch_coo")
    assert W.dtype == dtype
    assert W.to_dense().tolist() == [[0, 1, 2, 0], [0, 0, 1, 2]]


@pytest.mark.cuda
def test_torch_formats_stay_on_the_device() -> None:
    weight = torch.arange(9.0, device="cuda").reshape(1, 1, 3, 3).requires_grad_()
    for format in ("torch_csr", "torch_coo"):
        W = conv_matrix(weight, (1, 5, 5), padding=1, format=format)
        assert W.device == weight.device
        expected = conv_matrix(weight, (1, 5, 5), padding=1, format="dense")
        assert np.array_equal(dense(W), expected)


@pytest.mark.parametrize("format", ["torch_csr", "torch_coo", "csr", "coo"])
def test_values_are_not_copied(format: str) -> None:
    data, indices, indptr = np.arange(1.0, 4.0), np.array([0, 1, 0], np.int32), np.array([0, 2, 3], np.int32)
    matrix = FORMATS[format](Entries(data, indices, indptr, (2, 2)))
    values = matrix.values().numpy() if format.startswith("torch") else matrix.data
    assert np.shares_memory(values, data)
    if format == "torch_csr":
        assert np.shares_memory(matrix.col_indices().numpy(), indices)


def test_symbols_become_numbers_by_substitution() -> None:
    symbols = np.array(sympy.symbols("w:2:3")).reshape(1, 1, 2, 3)
    values = {symbol: i + 1 for i, symbol in enumerate(symbols.flat)}
    numeric = conv_matrix(np.arange(1, 7).reshape(1, 1, 2, 3), (1, 4, 4), padding=1, padding_mode="reflect")
    W = conv_matrix(symbols, (1, 4, 4), padding=1, padding_mode="reflect", format="sympy")
    assert isinstance(W, sympy.SparseMatrix)
    assert np.array_equal(dense(W.subs(values)), numeric.toarray())
    domain = conv_matrix(symbols, (1, 4, 4), padding=1, padding_mode="reflect", format="domain")
    assert domain.domain == sympy.ZZ[tuple(symbols.flat)]
    assert np.array_equal(dense(domain.to_Matrix().subs(values)), numeric.toarray())


def test_floats_are_the_rationals_that_they_are() -> None:
    W = conv_matrix(np.array([[[0.1, 0.5]]]), (1, 2), format="domain")
    assert W.domain == sympy.QQ
    assert W.to_Matrix()[0, 0] == sympy.Rational(*(0.1).as_integer_ratio())


def test_fractions_stay_fractions() -> None:
    weight = np.array([[[Fraction(1, 3), Fraction(2, 7)]]])
    W = conv_matrix(weight, (1, 3), padding=1, padding_mode="replicate", format="dense")
    assert W[0].tolist() == [Fraction(13, 21), 0, 0]
    assert conv_matrix(weight, (1, 3), format="domain").to_Matrix()[1, 2] == sympy.Rational(2, 7)
    assert avg_pool_matrix((1, 6), 3, format="sympy")[1, 3] == sympy.Rational(1, 3)


def test_fractions_are_not_cut_to_integers() -> None:
    with pytest.raises(ShapeError, match="fractions"):
        avg_pool_matrix((1, 4), 2, dtype=int)
    assert avg_pool_matrix((1, 4), 2, divisor_override=1, dtype=int).toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_residues_are_filled_like_any_numbers() -> None:
    p = 10007
    weight = np.random.default_rng(0).integers(0, p, (2, 3, 3, 3))
    exact = conv_matrix(weight.astype(object), (3, 5, 5), padding=1, format="dense") % p
    residues = conv_matrix(weight.astype(np.float64), (3, 5, 5), padding=1)
    assert np.array_equal(exact.astype(float), residues.toarray())


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "torch_csr", "torch_coo"])
def test_objects_need_a_format_for_objects(format: str) -> None:
    with pytest.raises(ShapeError, match="Python objects"):
        conv_matrix(np.array([[[Fraction(1, 3)]]]), (1, 2), format=format)


@pytest.mark.parametrize("name", MATRICES)
def test_unknown_formats_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="bsr"):
        MATRICES[name](format="bsr")


@pytest.mark.parametrize("name", [name for name in MATRICES if not name.startswith("conv")])
def test_unknown_dtypes_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="float33"):
        MATRICES[name](dtype="float33")


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("format", FORMATS)
def test_the_budget_is_checked_before_anything_is_made(name: str, format: str) -> None:
    with pytest.raises(TooLargeError) as caught:
        MATRICES[name](format=format, memory_budget=10)
    assert caught.value.needed > caught.value.budget == 10


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dense"])
def test_bytes_are_counted_right(format: str) -> None:
    W = MATRICES["conv"](format=format)
    parts = {"csr": ["data", "indices", "indptr"], "csc": ["data", "indices", "indptr"], "coo": ["data", "row", "col"]}
    taken = W.nbytes if format == "dense" else sum(getattr(W, part).nbytes for part in parts[format])
    assert MATRICES["conv"](format=format, memory_budget=taken).shape == W.shape
    with pytest.raises(TooLargeError, match=f"{taken:,}"):
        MATRICES["conv"](format=format, memory_budget=taken - 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: conv_matrix(np.ones((512, 512, 3, 3)), (512, 1024, 1024), padding=1),
        lambda: avg_pool_matrix((512, 2048, 2048), 3, stride=1),
        lambda: pad_matrix((512, 8192, 8192), 1),
        lambda: unfold_matrix((512, 8192, 8192), 3),
        lambda: channel_shuffle_matrix((512, 8192, 8192), 2),
    ],
)
def test_a_matrix_of_many_gigabytes_is_refused_at_once(make: Any) -> None:
    with pytest.raises(TooLargeError, match="bytes"):
        make()


def test_indices_are_narrow_while_they_fit() -> None:
    assert index_dtype((2**31 - 1, 5), 7) == np.int32
    assert index_dtype((2**31, 5), 7) == np.int64
    assert index_dtype((5, 5), 2**31) == np.int64
    assert bytes_needed((5, 5), 2**31, 4, "csr") == 2**31 * 12 + 6 * 8


def test_columns_beyond_31_bits() -> None:
    """Two windows, in the first and the last row of an image of 2^32 pixels."""
    W = conv_matrix(np.array([[[[1.0, 2.0]]]]), (1, 2**16, 2**16), stride=2**16 - 1)
    last = (2**16 - 1) * 2**16
    assert W.shape == (2, 2**32)
    assert (W.indices.dtype, W.indices.tolist()) == (np.int64, [0, 1, last, last + 1])


def test_a_plan_is_made_once_and_its_matrices_do_not_share_memory() -> None:
    geometry = conv_geometry((1, 1, 3, 3), (1, 8, 8), padding=1)
    assert conv_storage(geometry) is conv_storage(conv_geometry((1, 1, 3, 3), (1, 8, 8), padding=(1, 1)))
    assert conv_storage(geometry).pattern.nnz < SMALL
    first, second = (conv_matrix(np.full((1, 1, 3, 3), w), (1, 8, 8), padding=1) for w in (1.0, 2.0))
    first.indices[:] = 0
    first.data[:] = 0
    third = conv_matrix(np.full((1, 1, 3, 3), 2.0), (1, 8, 8), padding=1)
    assert (second != third).nnz == 0


def test_convert_sums_duplicates_and_keeps_objects() -> None:
    twice = sp.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(1, 2))
    assert convert(twice, "domain").to_Matrix() == sympy.Matrix([[0, 3]])
    objects = np.array([[Fraction(1, 3), 0]], dtype=object)
    assert convert(objects, "sympy") == sympy.Matrix([[sympy.Rational(1, 3), 0]])
    assert convert(objects, "dense") is objects
