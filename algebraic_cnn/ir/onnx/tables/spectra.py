"""Spectra of signals: discrete Fourier transforms, windows, and the weights that make mel bands of a spectrum.

    X[k] = sum over n of x[n] exp(-2 pi i k n / N)

SPECTRA      operator -> function from (attributes, version) to the function of the tensors it is given, or None
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..nodes import dtype_of
from ..values import Unread

Attributes = Mapping[str, Any]
Function = Callable[..., Any]
Maker = Callable[[Attributes, int], Function | None]


def _complex(x: Tensor) -> Tensor:
    """The last axis, of a real or of a real and an imaginary part, as a number of double precision."""
    x = x.double()
    if x.shape[-1] == 2:
        return torch.view_as_complex(x.contiguous())
    if x.shape[-1] == 1:
        return x.squeeze(-1)
    raise Unread("a signal that is neither real nor complex")


def _spectrum(x: Tensor, length: int | None, axis: int, half: bool) -> Tensor:
    """The transform of numbers, the first half of it where that says all; real and imaginary part last."""
    if half and x.is_complex():
        raise Unread("half a spectrum of complex numbers")
    y = torch.fft.rfft(x, length, axis) if half else torch.fft.fft(x, length, axis)
    return torch.view_as_real(y)


def _dft(a: Attributes, version: int) -> Function | None:
    """Along one axis, cut off or continued by zeros; 1 / N in front of the inverse."""
    half, inverse = bool(a.get("onesided")), bool(a.get("inverse"))

    def run(x: Tensor, length: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
        along = (a.get("axis", 1) if version < 20 else -2 if axis is None else int(axis)) % x.ndim
        n, numbers = None if length is None else int(length), _complex(x)
        if inverse and half:
            return torch.fft.irfft(numbers, n, along).unsqueeze(-1).to(x.dtype)
        y = torch.view_as_real(torch.fft.ifft(numbers, n, along)) if inverse else _spectrum(numbers, n, along, half)
        return y.to(x.dtype)

    return run


def _stft(a: Attributes, version: int) -> Function | None:
    """Of every stretch of a signal, ``step`` apart, times a window."""
    half = bool(a.get("onesided", 1))

    def run(x: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        if length is not None:
            n = int(length)
        elif window is not None:
            n = len(window)
        else:
            raise Unread("stretches of a length that nobody says")
        if window is not None and len(window) != n:
            raise Unread("a window that is not as long as the stretches")
        numbers = _complex(x if x.ndim == 3 else x.unsqueeze(-1))
        frames = numbers.unfold(1, n, int(step))
        return _spectrum(frames if window is None else frames * window, None, 2, half).to(x.dtype)

    return run


def _window(make: Callable[..., Tensor], **numbers: float) -> Maker:
    def made(a: Attributes, version: int) -> Function | None:
        dtype, periodic = dtype_of(a.get("output_datatype", 1)), bool(a.get("periodic", 1))
        run = lambda size: make(int(size), periodic, dtype=torch.float64, **numbers).to(dtype)  # noqa: E731
        return None if dtype is None else run

    return made


def _mel(a: Attributes, version: int) -> Function | None:
    """Triangles over the frequencies of a spectrum, their corners evenly apart on the scale 2595 log10(1 + f / 700)."""
    dtype = dtype_of(a.get("output_datatype", 1))

    def run(bands: Tensor, length: Tensor, rate: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ends = [2595 * math.log10(1 + float(f) / 700) for f in (low, high)]
        count, size = int(bands), int(length)
        steps = torch.arange(count + 2, dtype=torch.float64) * ((ends[1] - ends[0]) / (count + 2)) + ends[0]
        hertz = 700 * (10 ** (steps / 2595) - 1)
        corners = ((size + 1) * hertz).div(float(rate), rounding_mode="floor")
        first, middle, last = corners[:-2], corners[1:-1], corners[2:]
        places = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None]
        rising, falling = (places - first) / (middle - first), (last - places) / (last - middle)
        before, after = (places >= first) & (places < middle), (places > middle) & (places < last)
        y = torch.where(before, rising, torch.where(after, falling, torch.zeros_like(rising)))
        return torch.where(places == middle, torch.ones_like(y), y).to(dtype)

    return None if dtype is None else run


SPECTRA: dict[str, Maker] = {
    "BlackmanWindow": _window(torch.blackman_window),
    "DFT": _dft,
    "HammingWindow": _window(torch.hamming_window, alpha=25 / 46, beta=21 / 46),
    "HannWindow": _window(torch.hann_window),
    "MelWeightMatrix": _mel,
    "STFT": _stft,
}
