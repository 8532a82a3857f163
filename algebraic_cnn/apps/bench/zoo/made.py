"""What a shelf gives: a network, and the shapes of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

#: A network and the shapes of its inputs, without the batch axis.
Made = tuple[nn.Module, Sequence[Sequence[int]]]


class Kept(nn.Module):
    """A network whose output is the tensors of what another one gives, in the order of torch's trees."""

    def __init__(self, network: nn.Module, read: Callable[[nn.Module, tuple[Tensor, ...]], Any]) -> None:
        super().__init__()
        self.network, self.read = network, read

    def forward(self, *inputs: Tensor) -> Any:
        """What is read of the network's answer."""
        return self.read(self.network, inputs)
