"""Convolutions whose gradients oneDNN writes past their end, and a way to train that keeps clear of them.

On processors with AVX2 and without AVX-512, the oneDNN of torch 2.13 computes the gradients of a 1 x 1 convolution of
stride s > 1 in a packed copy of the pixels that the stride visits, eight channels at a time.  In the layout
channels_last fewer than eight channels are followed by other pixels, and after the last pixel by other people's memory:
the heap is damaged, and the process ends there or later, or goes on with damaged numbers.

    torch.float32, 4 images, 60 backward passes, the heap checked      processes that ended in a signal
    1 x 1, stride 2, 12 x 12 pixels, 1 .. 7 channels                   every one (8 .. 33 channels: none)
    5 x 5, 7 x 7, 11 x 11 pixels, whose last pixel is visited          none (the damage needs pixels after it)
    stride 3 at 9, 12, 15, 18; stride 4 at 12, 16, 28; (1, 2), (2, 1)  every one (up to 6 channels)
    the weights, or the images, or both in channels_last               every one
    neither of them in channels_last                                   none
    the gradient of the images, of the weights, of the bias            each alone suffices
    bfloat16, float16, float64, autocast                               none
    stride 1; kernels of 2, 3, 5; groups; transposed; 1-D; 3-D         none
    no gradient                                                        none
    AVX-512, SSE4.1, AVX                                               none

    overruns           whether a convolution is of this kind
    SafeConvolutions   while it is entered, such a convolution is computed in the layout that is safe
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_LANES = 8
"""Numbers of float32 in a register of AVX2."""

_CONVOLUTIONS = (
    torch.conv2d,
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv2d.padding,
    torch.ops.aten.convolution.default,
)
"""What modules, functions and exported programs call; of each, the first arguments are input, weight, bias, stride."""


def overruns(weight: Tensor, stride: int | Sequence[int]) -> bool:
    """Whether the gradients of a convolution with this kernel may be written past their end.

    Args:
        weight: the kernel, shape (channels out, channels in, height, width).
        stride: as torch takes it.

    Returns:
        True for a 1 x 1 kernel on a processor, a stride of more than 1 on some axis and fewer than 8 channels in.

    >>> overruns(torch.zeros(4, 2, 1, 1), 2), overruns(torch.zeros(4, 8, 1, 1), 2), overruns(torch.zeros(4, 2, 1, 1), 1)
    (True, False, False)
    """
    strides = (stride,) if isinstance(stride, int) else stride
    few = weight.ndim == 4 and tuple(weight.shape[2:]) == (1, 1) and weight.shape[1] < _LANES
    return few and max(strides) > 1 and weight.device.type == "cpu"


class SafeConvolutions(TorchFunctionMode):
    """While it is entered, convolutions that may overrun see images and kernel in torch's own layout, copied.

    The function and its gradients stay what they are; only the order in memory is another.  Enter it around the
    forward pass, and around the backward pass too where activations are computed a second time.

    Attributes:
        met: whether it has seen such a convolution; a loop whose first step met none can do without it.

    >>> layer = torch.nn.Conv2d(2, 4, 1, stride=2).to(memory_format=torch.channels_last)
    >>> x = torch.zeros(4, 2, 8, 8).to(memory_format=torch.channels_last)
    >>> with SafeConvolutions():
    ...     y = layer(x)
    >>> y.is_contiguous(), layer(x).is_contiguous()
    (True, False)
    """

    met = False

    def __torch_function__(
        self, func: Callable, types: Iterable[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, of a convolution that may overrun with copies of its first two arguments."""
        kwargs = dict(kwargs or {})
        if func in _CONVOLUTIONS:
            given = {**dict(zip(("input", "weight", "bias", "stride"), args, strict=False)), **kwargs}
            if overruns(given["weight"], given.get("stride", 1)):
                self.met = True
                args = (*map(_copied, args[:2]), *args[2:])
                kwargs |= {name: _copied(kwargs[name]) for name in ("input", "weight") if name in kwargs}
        return func(*args, **kwargs)


def _copied(x: Tensor) -> Tensor:
    """Not ``contiguous``: of one channel both layouts are contiguous, and torch tells them apart by the strides."""
    return x.clone(memory_format=torch.contiguous_format)
