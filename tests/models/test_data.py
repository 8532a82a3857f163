"""The datasets: right bytes give the right numbers, and every damaged file is refused by name."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.errors import DataError, GeometryError, UnknownNameError
from algebraic_cnn.models.data import MNIST_FILES, load_dataset, load_digits, load_mnist, read_idx


def idx(array: np.ndarray) -> bytes:
    """An IDX file, written down from the format's description."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype("u1").tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small MNIST: three images to train on, two to test on, of 2 x 3 pixels; two of the four files gzipped."""
    train, test = np.arange(18).reshape(3, 2, 3), np.arange(244, 256).reshape(2, 2, 3)
    for name, array in zip(MNIST_FILES, (train, np.array([7, 0, 9]), test, np.array([1, 2])), strict=True):
        zipped = name.startswith("t10k")
        (tmp_path / (name + ".gz" * zipped)).write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    return tmp_path


def test_mnist_is_read_from_plain_and_gzipped_files(folder: Path) -> None:
    mnist = load_mnist(folder)
    assert mnist.train_images[1].tolist() == [[[k / 256 for k in range(6, 9)], [k / 256 for k in range(9, 12)]]]
    assert mnist.train_labels.tolist() == [7, 0, 9]
    assert mnist.test_images[1, 0, 1].tolist() == [253 / 256, 254 / 256, 255 / 256]
    assert mnist.test_labels.tolist() == [1, 2]
    assert (mnist.name, mnist.image_shape) == ("mnist", (1, 2, 3))
    assert (mnist.train_images.dtype, mnist.train_labels.dtype) == (torch.float32, torch.int64)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 255))
def test_an_idx_file_gives_its_array_back(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], first: int
) -> None:
    array = (np.arange(np.prod(shape)) + first).astype("u1").reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(path, axes=len(shape)), array)


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = next(path for path in (folder / name, folder / f"{name}.gz") if path.exists())
        path.write_bytes(change(path.read_bytes()))

    return damage


LABELS, IMAGES, ZIPPED = MNIST_FILES[1], MNIST_FILES[0], MNIST_FILES[2]
DAMAGES = {
    "missing": (lambda folder: (folder / IMAGES).unlink(), "no train-images-idx3-ubyte"),
    "empty": (rewrite(LABELS, lambda _: b""), "got no bytes"),
    "wrong magic": (rewrite(IMAGES, lambda old: b"PK\3\4" + old[4:]), "expected first bytes 00 00 08 03"),
    "labels for images": (rewrite(IMAGES, lambda _: idx(np.array([1, 2]))), "got 00 00 08 01"),
    "floats": (rewrite(IMAGES, lambda content: b"\0\0\x0d\3" + content[4:]), "got 00 00 0d 03"),
    "truncated header": (rewrite(IMAGES, lambda content: content[:9]), "truncated header"),
    "truncated entries": (rewrite(IMAGES, lambda content: content[:-1]), "18 entries of (3, 2, 3), got 17 bytes"),
    "trailing bytes": (rewrite(LABELS, lambda content: content + b"\0"), "not as long"),
    "huge sizes": (rewrite(LABELS, lambda content: content[:4] + b"\xff" * 4 + content[8:]), "too large"),
    "no entries": (rewrite(LABELS, lambda _: idx(np.array([]))), "without entries"),
    "too few labels": (rewrite(LABELS, lambda _: idx(np.array([1, 2]))), "expected 3 labels, got 2"),
    "no digit": (rewrite(LABELS, lambda _: idx(np.array([1, 2, 10]))), "no digit: expected 0 .. 9, got 10"),
    "other size": (rewrite(IMAGES, lambda _: idx(np.zeros((3, 2, 2)))), "expected (2, 2), got (2, 3)"),
    "truncated gzip": (rewrite(ZIPPED, lambda content: content[:-9]), "damaged gzip"),
    "not gzip": (rewrite(ZIPPED, lambda content: b"hello" + content), "damaged gzip"),
    "damaged gzip": (rewrite(ZIPPED, lambda content: content[:20] + b"\xff" * 8 + content[28:]), "damaged gzip"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name(folder: Path, damage: str) -> None:
    apply, words = DAMAGES[damage]
    apply(folder)
    with pytest.raises(DataError) as caught:
        load_mnist(folder)
    assert words in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_missing_folder_names_the_files_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_mnist(tmp_path / "nowhere")
    assert all(name in str(caught.value) for name in MNIST_FILES)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, axes=1)


def test_digits_are_scikit_learns_each_once() -> None:
    from sklearn.datasets import load_digits as embedded

    digits, (images, labels) = load_digits(), embedded(return_X_y=True)
    found = torch.cat([digits.train_images, digits.test_images]).reshape(-1, 64).double().numpy() * 16
    classes = torch.cat([digits.train_labels, digits.test_labels]).numpy()
    assert sorted((*row, c) for row, c in zip(found, classes, strict=True)) == sorted(
        (*row, c) for row, c in zip(images, labels, strict=True)
    )


def test_the_split_depends_on_the_seed_alone() -> None:
    first, again, other = load_digits(seed=3), load_digits(seed=3), load_digits(seed=4)
    assert torch.equal(first.test_images, again.test_images)
    assert not torch.equal(first.test_images, other.test_images)
    assert len(load_digits(test_size=100).test_labels) == 100


@pytest.mark.parametrize("size", [0, -1, 1797])
def test_a_split_without_images_is_refused(size: int) -> None:
    with pytest.raises(GeometryError, match=r"1 \.\. 1796"):
        load_digits(test_size=size)


def test_datasets_by_name(folder: Path) -> None:
    assert load_dataset("digits").name == "digits"
    assert load_dataset("mnist", folder).name == "mnist"
    with pytest.raises(UnknownNameError, match=r"digits \| mnist, got letters"):
        load_dataset("letters")
    with pytest.raises(DataError, match="needs a folder"):
        load_dataset("mnist")
