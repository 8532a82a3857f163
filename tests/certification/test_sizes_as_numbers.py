"""Numbers that a network makes of sizes, where the sign of a zero may matter: a network is itself, and no other one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify

MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "arange": lambda x: torch.arange(x.shape[2]),
    "arange down": lambda x: torch.arange(x.shape[2], 0, -1),
    "eye": lambda x: torch.eye(x.shape[2])[0],
    "full": lambda x: torch.full((x.shape[2],), 2.0),
    "linspace": lambda x: torch.linspace(0, 1, x.shape[2]),
    "ones": lambda x: torch.ones(x.shape[2]),
    "a triangle": lambda x: torch.ones(3, x.shape[2]).tril(),
    "cumulated": lambda x: torch.ones(x.shape[2]).cumsum(0),
    "zeros like": lambda x: torch.zeros_like(x[0, 0]),
    "a length": lambda x: torch.as_tensor(x.shape[2]),
}
READ: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a quotient": lambda x, n: 1 / (x.exp() + n),
    "an angle": lambda x, n: torch.atan2(n * x.tanh(), x),
    "a sign": lambda x, n: torch.copysign(x, n - x.relu()),
    "a power": lambda x, n: (x.relu() + n + 1) ** -1.0,
}


class Net(nn.Module):
    """Reads numbers that are made of a length."""

    def __init__(self, made: Callable[[Tensor], Tensor], read: Callable[[Tensor, Tensor], Tensor], more: float) -> None:
        super().__init__()
        self.made, self.read, self.more = made, read, more

    def forward(self, x: Tensor) -> Tensor:
        return self.read(x, self.made(x) + self.more)


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("read", READ)
def test_a_network_is_itself_and_not_another(read: str, made: str, free: bool) -> None:
    x = torch.arange(30.0).reshape(2, 3, 5) - 15
    sizes = ({2: torch.export.Dim.AUTO},) if free else None  # torch makes some of them numbers of this length
    nets = (Net(MADE[made], READ[read], more).eval() for more in (0.0, 0.0, 1.0))
    same, again, other = (torch.export.export(net, (x,), dynamic_shapes=sizes) for net in nets)
    assert certify(same, again, x).verdict == "equal"
    assert not certify(same, other, x).ok
