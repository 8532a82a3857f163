"""Labelled images as tensors: the digits that come with scikit-learn, and MNIST from its four IDX files.

    Dataset     images of shape (N, 1, H, W), labels of shape (N,) with values 0 .. 9, for training and for testing
    pixel       k / 2^m, k the integer of the source: a dyadic rational, so images are exact in every float type
    IDX         a header (0, 0, type, number of axes), the axes as big-endian 32-bit integers, then the entries

References:
    Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits: the IDX format.
    E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import io
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import DataError, GeometryError, UnknownNameError
from ..files import limits, read_bytes

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
DATASETS = ("digits", "mnist")
_UNSIGNED_BYTE = 8


@dataclass(frozen=True)
class Dataset:
    """Images to train on and images to test on.

    Attributes:
        train_images: shape (N, 1, H, W), float32 pixels in [0, 1].
        train_labels: shape (N,), int64, the digit that image n shows.
        test_images: shape (M, 1, H, W).
        test_labels: shape (M,).
        name: what the images are called.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    name: str

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape (1, H, W) of one image."""
        return tuple(self.train_images.shape[1:])


def load_digits(*, test_size: int = 360, seed: int = 0) -> Dataset:
    """The 1797 handwritten digits of 8 x 8 pixels that scikit-learn carries, pixel k of 0 .. 16 as k / 16.

    Args:
        test_size: number of images kept for testing.
        seed: of the permutation that chooses them; the same seed gives the same split everywhere.

    Returns:
        The other images, shape (1797 - test_size, 1, 8, 8), to train on and these to test on, with their labels.

    Raises:
        GeometryError: if `test_size` leaves no image to train on or none to test on.

    >>> digits = load_digits()
    >>> digits.train_images.shape, digits.test_images.shape, digits.train_images.max().item()
    (torch.Size([1437, 1, 8, 8]), torch.Size([360, 1, 8, 8]), 1.0)
    """
    from sklearn.datasets import load_digits as embedded

    images, labels = embedded(return_X_y=True)
    if not 0 < test_size < len(labels):
        raise GeometryError("the test images are a part of all", expected=f"1 .. {len(labels) - 1}", got=test_size)
    order = np.random.default_rng(seed).permutation(len(labels))
    pixels = torch.from_numpy(images[order].reshape(-1, 1, 8, 8)).float() / 16
    classes = torch.from_numpy(labels[order]).long()
    return Dataset(pixels[test_size:], classes[test_size:], pixels[:test_size], classes[:test_size], "digits")


def load_mnist(root: str | os.PathLike[str]) -> Dataset:
    """MNIST from its four IDX files in a folder, plain or with the ending ``.gz``, pixel k of 0 .. 255 as k / 256.

    Args:
        root: the folder of train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k.

    Returns:
        The 60,000 images of shape (1, 28, 28) to train on and the 10,000 to test on, with their labels.

    Raises:
        DataError: if a file is missing, damaged, or of another kind; the message names it.

    >>> load_mnist("nowhere")
    Traceback (most recent call last):
    ...
    algebraic_cnn.errors.DataError: MNIST is not all there: ...
    """
    folder = Path(root)
    missing = [name for name in MNIST_FILES if _find(folder, name) is None]
    if missing:
        expected = ", ".join(MNIST_FILES) + " (plain or .gz)"
        raise DataError("MNIST is not all there", expected=expected, got="no " + ", ".join(missing), where=folder)
    train, test = (_labelled(folder, *MNIST_FILES[start : start + 2]) for start in (0, 2))
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = [tuple(images.shape[2:]) for images, _ in (train, test)]
        raise DataError("images to test on differ in size", expected=sizes[0], got=sizes[1], where=folder)
    return Dataset(*train, *test, "mnist")


def load_dataset(name: str, root: str | os.PathLike[str] | None = None) -> Dataset:
    """The dataset of that name, "digits" or "mnist"; the latter from the folder `root`.

    Raises:
        UnknownNameError: if there is no dataset of that name.
        DataError: if MNIST is asked for without a folder, or its files are missing or damaged.
    """
    if name == "digits":
        return load_digits()
    if name != "mnist":
        raise UnknownNameError("unknown data", expected=" | ".join(DATASETS), got=name)
    if root is None:
        expected = ", ".join(MNIST_FILES) + " (plain or .gz) in it"
        raise DataError("MNIST needs a folder (root, --data-root)", expected=expected, got="none")
    return load_mnist(root)


def read_idx(path: str | os.PathLike[str], axes: int) -> np.ndarray:
    """The array of bytes in an IDX file, plain or gzipped, with that number of axes.

    Raises:
        DataError: if the file cannot be read, is not such a file, is too large, or is not as long as its header says.
    """
    path = Path(path)
    raw = read_bytes(path, limit=limits.IMAGES, expected="an IDX file")
    stream: Any = _Gzip(io.BytesIO(raw)) if path.suffix == ".gz" else io.BytesIO(raw)
    start = 4 + 4 * axes
    header = _read(stream, start, path)
    expected, magic = bytes((0, 0, _UNSIGNED_BYTE, axes)), header[:4]
    if magic != expected:
        what = f"not an IDX file of bytes with {axes} axes"
        raise DataError(what, expected=f"first bytes {expected.hex(' ')}", got=magic.hex(" ") or "no bytes", where=path)
    if len(header) < start:
        raise DataError("a truncated header", expected=f"{start} bytes", got=f"{len(header)} bytes", where=path)
    shape = tuple(int(n) for n in np.frombuffer(header[4:], dtype=">u4"))
    size = math.prod(shape)
    if size == 0:
        raise DataError("an IDX file without entries", expected="positive sizes", got=shape, where=path)
    if size > limits.IMAGES:
        raise DataError("too large to be read", expected=f"at most {limits.IMAGES:,} bytes", got=shape, where=path)
    content = _read(stream, size + 1, path)  # to the end, where gzip keeps its sum
    if len(content) != size:
        got = f"{len(content)} bytes" if len(content) < size else "more bytes"
        sizes = {"expected": f"{size} entries of {shape}", "got": got}
        raise DataError("the file is not as long as its header says", **sizes, where=path)
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


class _Gzip:
    """A gzip file of one member, and nothing after it: a file may have millions of members that are empty."""

    def __init__(self, packed: io.BytesIO) -> None:
        self.packed, self.member = packed, zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, length: int) -> bytes:
        """The next bytes, so many at most; none at the end."""
        while not self.member.eof:
            piece = self.member.unconsumed_tail or self.packed.read(2**20)
            part = self.member.decompress(piece, length)
            if part:
                return part
            if not piece and not self.member.eof:
                raise EOFError("cut off")
        if self.member.unused_data or self.packed.read(1):
            raise OSError("something after its end")
        return b""


def _read(stream: Any, length: int, path: Path) -> bytes:
    """The next bytes, unpacked in small pieces: a gigabyte of zeros is a megabyte of gzip."""
    parts, left = [], length
    try:
        while left and (part := stream.read(min(left, 2**20))):
            parts.append(part)
            left -= len(part)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"damaged gzip data ({error})", where=path) from error
    return b"".join(parts)


def _labelled(folder: Path, images_name: str, labels_name: str) -> tuple[torch.Tensor, torch.Tensor]:
    images_path, labels_path = _find(folder, images_name), _find(folder, labels_name)
    images, labels = read_idx(images_path or folder, axes=3), read_idx(labels_path or folder, axes=1)
    if len(images) != len(labels):
        sizes = {"expected": f"{len(images)} labels", "got": len(labels)}
        raise DataError("as many labels as images are needed", **sizes, where=labels_path)
    if labels.max() > 9:
        raise DataError("a label that is no digit", expected="0 .. 9", got=int(labels.max()), where=labels_path)
    return torch.from_numpy(images[:, None].astype(np.float32) / 256), torch.from_numpy(labels.astype(np.int64))
