"""Recurrent layers, run step by step as ONNX says them; the plain LSTM by torch's own.

x: (time, batch, inputs); W: (directions, gates * hidden, inputs); R: (directions, gates * hidden, hidden).

    RECURRENT    operator -> function from (attributes, version) to the function of the tensors it is given, or None
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

Attributes = Mapping[str, Any]
Function = Callable[..., Any]
#: (entries of a step, its states, x of the step) -> the new states, the first of which is the output.
Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def _texts(a: Attributes, name: str, default: Sequence[str]) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else each for each in a.get(name) or default]


def _activations(a: Attributes, usual: Sequence[str], ways: int) -> list[Function]:
    """The functions of every direction; those with numbers take them from the attributes in turn."""
    alphas, betas = iter(a.get("activation_alpha") or ()), iter(a.get("activation_beta") or ())
    found: list[Function] = []
    for name in _texts(a, "activations", list(usual) * ways):
        alpha = next(alphas, _NUMBERS[name][0]) if name in _NUMBERS else 0.0
        beta = next(betas, _NUMBERS[name][1]) if name in _NUMBERS and len(_NUMBERS[name]) > 1 else 0.0
        found.append(_FUNCTIONS[name](alpha, beta))
    return found


#: What they are where the attributes do not say them.
_NUMBERS: dict[str, tuple[float, ...]] = {
    "LeakyRelu": (0.01,), "ThresholdedRelu": (1.0,), "HardSigmoid": (0.2, 0.5), "Elu": (1.0,), "Affine": (1.0, 0.0),
    "ScaledTanh": (1.0, 1.0),
}  # fmt: skip

_FUNCTIONS: dict[str, Callable[[float, float], Function]] = {
    "Affine": lambda alpha, beta: lambda x: alpha * x + beta,
    "Elu": lambda alpha, beta: lambda x: F.elu(x, alpha),
    "HardSigmoid": lambda alpha, beta: lambda x: torch.clamp(alpha * x + beta, 0, 1),
    "LeakyRelu": lambda alpha, beta: lambda x: F.leaky_relu(x, alpha),
    "Relu": lambda alpha, beta: torch.relu,
    "ScaledTanh": lambda alpha, beta: lambda x: alpha * torch.tanh(beta * x),
    "Sigmoid": lambda alpha, beta: torch.sigmoid,
    "Softplus": lambda alpha, beta: F.softplus,
    "Softsign": lambda alpha, beta: F.softsign,
    "Tanh": lambda alpha, beta: torch.tanh,
    "ThresholdedRelu": lambda alpha, beta: lambda x: torch.where(x > alpha, x, 0.0),
}


def _rnn(W: Tensor, R: Tensor, b: Tensor, p: Any, f: Sequence[Function], a: Attributes) -> Step:
    def step(x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = states
        return (f[0](_clipped(F.linear(x, W, b.chunk(2)[0]) + F.linear(h, R, b.chunk(2)[1]), a)),)

    return step


def _gru(W: Tensor, R: Tensor, b: Tensor, p: Any, f: Sequence[Function], a: Attributes) -> Step:
    (Wz, Wr, Wh), (Rz, Rr, Rh), (bz, br, bh, cz, cr, ch) = W.chunk(3), R.chunk(3), b.chunk(6)

    def step(x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = states
        z = f[0](_clipped(F.linear(x, Wz, bz) + F.linear(h, Rz, cz), a))
        r = f[0](_clipped(F.linear(x, Wr, br) + F.linear(h, Rr, cr), a))
        inner = r * F.linear(h, Rh, ch) if a.get("linear_before_reset") else F.linear(r * h, Rh, ch)
        n = f[1](_clipped(F.linear(x, Wh, bh) + inner, a))
        return ((1 - z) * n + z * h,)

    return step


def _lstm(W: Tensor, R: Tensor, b: Tensor, p: Any, f: Sequence[Function], a: Attributes) -> Step:
    peep = W.new_zeros(3, len(W) // 4) if p is None else p.reshape(3, -1)

    def step(x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = states
        i, o, g, n = (F.linear(x, W, b.chunk(2)[0]) + F.linear(h, R, b.chunk(2)[1])).chunk(4, -1)
        i = f[0](_clipped(i + peep[0] * c, a))
        g = 1 - i if a.get("input_forget") else f[0](_clipped(g + peep[2] * c, a))
        c = g * c + i * f[1](_clipped(n, a))
        return f[0](_clipped(o + peep[1] * c, a)) * f[2](c), c

    return step


def _hollow(x: Tensor) -> bool:
    """Whether only shapes are asked for: then no step is taken."""
    return x.is_meta or isinstance(x, FakeTensor)


def _clipped(x: Tensor, a: Attributes) -> Tensor:
    return x.clamp(-a["clip"], a["clip"]) if a.get("clip") else x


def _walked(step: Step, x: Tensor, lengths: Any, states: tuple[Tensor, ...], back: bool) -> tuple[Tensor, Any]:
    """The outputs of all steps, and the last states; after its length, a sequence gives zeros and its state stays."""
    times = range(len(x))
    rows: list[Tensor] = [states[0]] * len(x)
    for t in reversed(times) if back else times:
        new = step(x[t], states)
        if lengths is None:
            states, rows[t] = new, new[0]
        else:
            here = (t < lengths)[:, None]
            rows[t] = torch.where(here, new[0], 0.0)
            states = tuple(torch.where(here, one, old) for one, old in zip(new, states, strict=True))
    return torch.stack(rows) if rows else x.new_zeros(0, *states[0].shape), states


_KINDS = {
    "GRU": (_gru, 3, ("Sigmoid", "Tanh"), 1),
    "LSTM": (_lstm, 4, ("Sigmoid", "Tanh", "Tanh"), 2),
    "RNN": (_rnn, 1, ("Tanh",), 1),
}


def _recurrent(kind: str) -> Callable[[Attributes, int], Function | None]:
    """A layer of one or two directions: (outputs of all steps, last states)."""
    made, gates, usual, states = _KINDS[kind]

    def read(a: Attributes, version: int) -> Function | None:
        way = _texts({"d": [a.get("direction", "forward")]}, "d", ())[0]
        ways, hidden = 2 if way == "bidirectional" else 1, a["hidden_size"]
        first = bool(a.get("layout"))
        functions = _activations(a, usual, ways)

        def run(x: Tensor, W: Tensor, R: Tensor, B: Any = None, lengths: Any = None, *more: Any) -> Any:
            x = x.transpose(0, 1) if first else x
            n = x.shape[1]
            starts, peep = [*more, None, None, None][:states], (*more, None, None, None)[2] if kind == "LSTM" else None
            if _hollow(x):
                ends = [x.new_empty(n, ways, hidden) if first else x.new_empty(ways, n, hidden)] * states
                shape = (n, len(x), ways, hidden) if first else (len(x), ways, n, hidden)
                return x.new_empty(shape), *ends
            starts = [x.new_zeros(ways, n, hidden) if s is None else s.transpose(0, 1) if first else s for s in starts]
            b = x.new_zeros(ways, 2 * gates * hidden) if B is None else B
            rows, ends = [], []
            for k in range(ways):
                own = functions[k * len(usual) : (k + 1) * len(usual)]
                step = made(W[k], R[k], b[k], None if peep is None else peep[k], own, a)
                back = way == "reverse" or k == 1
                y, last = _walked(step, x, lengths, tuple(s[k] for s in starts), back)
                rows.append(y)
                ends.append(last)
            y, last = torch.stack(rows, 1), [torch.stack(s) for s in zip(*ends, strict=True)]
            return (y.permute(2, 0, 1, 3), *(s.transpose(0, 1) for s in last)) if first else (y, *last)

        plain = kind == "LSTM" and not first and not any(n in a for n in ("activations", "clip", "input_forget"))
        return _usual(a, way, run) if plain else run

    return read


def _usual(a: Attributes, way: str, run: Function) -> Function:
    """An LSTM with the usual activations is torch's, which has the gates in another order."""
    hidden = a["hidden_size"]

    def usual(x: Tensor, W: Tensor, R: Tensor, B: Any = None, lengths: Any = None, *more: Any) -> Any:
        h, c, peep = (*more, None, None, None)[:3]
        if lengths is not None or peep is not None or _hollow(x):
            return run(x, W, R, B, lengths, *more)
        n, ways = x.shape[1], W.shape[0]
        zeros = x.new_zeros(ways, n, hidden)
        b = x.new_zeros(ways, 8 * hidden) if B is None else B
        order = [gate * hidden + i for gate in (0, 2, 3, 1) for i in range(hidden)]
        weights = []
        for k in range(ways):
            weights += [W[k][order], R[k][order], b[k, : 4 * hidden][order], b[k, 4 * hidden :][order]]
        flipped, start = x.flip(0) if way == "reverse" else x, (zeros if h is None else h, zeros if c is None else c)
        y, last, cell = torch.lstm(flipped, start, weights, True, 1, 0.0, False, ways == 2, False)
        y = y.flip(0) if way == "reverse" else y
        return y.unflatten(-1, (ways, hidden)).transpose(1, 2), last, cell

    return usual


RECURRENT: dict[str, Callable[[Attributes, int], Function | None]] = {kind: _recurrent(kind) for kind in _KINDS}
