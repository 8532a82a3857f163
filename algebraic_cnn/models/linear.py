"""The paper's linear network as a torch module: any affine layers, any skips from any layer to any later one.

    f^(0)(X) = X
    f^(i)(X) = layer_i ( sum_{k < i} t^(k,i) R^(k,i) f^(k)(X) )          i = 1 .. L

    layers[i - 1]   layer_i: what the paper writes W^(i) P^(i) . + B^(i)
    skips[(k, i)]   from f^(k) into layer i, 0 <= k < i; the feed (i-1, i) has t = 1 and R = 1 unless given
    shapes[i]       shape (C, *spatial) of f^(i)

References:
    [JV24, Thm 3.1]: such a network is one affine map.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import GeometryError, NonFiniteError, NotAffineError, ShapeError
from ..toeplitz.arguments import shape_of
from .resize import Shape, resizing


@dataclass(frozen=True)
class SkipSpec:
    """One skip connection t R.

    Attributes:
        strength: t, a finite number.
        resize: R: "identity", "stride", "pool", "conv", or any affine module of the right shapes.
        batch_norm: follow the convolution of ``resize="conv"`` by a BatchNorm.

    >>> SkipSpec(0.5, "pool")
    SkipSpec(strength=0.5, resize='pool', batch_norm=False)
    """

    strength: float = 1.0
    resize: str | nn.Module = "identity"
    batch_norm: bool = False


class LinearCNN(nn.Module):
    """f^(L) of the skip recursion above, for a batch of inputs.

    Args:
        in_shape: shape (C, *spatial) of one input.
        layers: L modules, each affine in its input: convolutions of any kind, Linear (which takes its input as one
            row-major vector), average pools, or a Sequential of such, with or without BatchNorm.
        skips: (k, i) to a `SkipSpec` or, for short, its strength.

    Raises:
        ShapeError: if a layer or a skip does not take the shape that reaches it.
        GeometryError: if there are no layers, a skip does not go forward, or has a BatchNorm without a convolution.
        NotAffineError: if a layer is an activation or a max-pool.
        NonFiniteError: if a strength is NaN or infinite.
        UnknownNameError: if there is no resizing of that name.

    >>> layers = [nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, stride=2), nn.Linear(64, 10)]
    >>> net = LinearCNN((1, 8, 8), layers, skips={(0, 2): SkipSpec(0.5, "conv"), (1, 3): SkipSpec(1, "pool")})
    >>> net.shapes
    ((1, 8, 8), (4, 8, 8), (4, 4, 4), (10,))
    >>> net(torch.ones(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        layers: Sequence[nn.Module],
        skips: Mapping[tuple[int, int], SkipSpec | float] | None = None,
    ) -> None:
        super().__init__()
        in_shape = shape_of(in_shape, "in_shape")
        if not isinstance(layers, Sequence | nn.ModuleList | nn.Sequential):
            what, got = "layers is no list of modules", type(layers).__name__
            raise GeometryError(what, expected="[layer_1, ...]", got=got, where="LinearCNN layers")
        if not layers:
            raise GeometryError("a network needs a layer", expected="at least one", got=0, where="LinearCNN layers")
        specs = {edge: _as_spec(edge, spec, len(layers)) for edge, spec in (skips or {}).items()}
        self.strengths = {edge: float(specs[edge].strength) for edge in sorted(specs)}
        self.resizings = nn.ModuleDict()
        self.layers = nn.ModuleList()
        self.shapes: tuple[Shape, ...] = (tuple(in_shape),)
        for i, layer in enumerate(layers, start=1):
            entering = self._connect(i, specs)
            self._append(layer, entering)

    def _connect(self, i: int, specs: Mapping[tuple[int, int], SkipSpec]) -> Shape:
        """Build the resizings into layer i, the feed's first; return the shape of the sum."""
        entering = self.shapes[-1]
        for k in sorted((k for k, j in specs if j == i), reverse=True):
            spec, where = specs[k, i], f"skip {(k, i)}"
            if isinstance(spec.resize, nn.Module):
                module = spec.resize
                resized = _output_shape(module, self.shapes[k], where)
                if k == i - 1:
                    entering = resized
                elif resized != entering:
                    raise ShapeError("a resized skip does not fit the sum", expected=entering, got=resized, where=where)
            else:
                module = resizing(spec.resize, self.shapes[k], entering, batch_norm=spec.batch_norm, where=where)
            self.resizings[f"{k}_{i}"] = module
        return entering

    def _append(self, layer: nn.Module, entering: Shape) -> None:
        where = f"layer {len(self.shapes)}"
        for part in layer.modules():
            name = type(part).__name__
            if type(part).__module__ == "torch.nn.modules.activation" or "MaxPool" in name:
                raise NotAffineError("a layer of a LinearCNN must be affine", got=name, where=where)
        if isinstance(layer, nn.Linear) and len(entering) > 1:
            layer = nn.Sequential(nn.Flatten(), layer)
        self.shapes += (_output_shape(layer, entering, where),)
        self.layers.append(layer)

    @property
    def in_shape(self) -> Shape:
        """Shape (C, *spatial) of one input."""
        return self.shapes[0]

    @property
    def out_shape(self) -> Shape:
        """Shape of one output."""
        return self.shapes[-1]

    def terms(self, i: int) -> list[tuple[int, float, nn.Module]]:
        """The terms (k, t, R) of the sum that enters layer i, by increasing k, the feed k = i - 1 included.

        >>> net = LinearCNN((1, 5), [nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 3, padding=1)], {(0, 2): 0.5})
        >>> net.terms(2)
        [(0, 0.5, Identity()), (1, 1.0, Identity())]
        """
        given = {k: (k, self.strengths[k, j], self.resizings[f"{k}_{j}"]) for k, j in self.strengths if j == i}
        feed = (i - 1, 1.0, nn.Identity())
        return [given[k] for k in sorted(given)] + ([feed] if i - 1 not in given else [])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """f^(L) of x, shape (N, *in_shape), as a tensor of shape (N, *out_shape).

        Raises:
            ShapeError: if x has another shape.
        """
        if tuple(x.shape[1:]) != self.in_shape:
            raise ShapeError("x does not fit the network", expected=("N", *self.in_shape), got=tuple(x.shape))
        features = [x]
        for i, layer in enumerate(self.layers, start=1):
            resized = [(t, R(features[k])) for k, t, R in self.terms(i)]
            scaled = [term if t == 1 else t * term for t, term in resized]
            features.append(layer(sum(scaled[1:], start=scaled[0])))
        return features[-1]


def _as_spec(edge: tuple[int, int], spec: SkipSpec | float, depth: int) -> SkipSpec:
    k, i = edge
    if not 0 <= k < i <= depth:
        raise GeometryError("a skip (k, i) goes forward", expected=f"0 <= k < i <= {depth}", got=edge, where="skips")
    spec = spec if isinstance(spec, SkipSpec) else SkipSpec(float(spec))
    if not math.isfinite(spec.strength):
        raise NonFiniteError("a skip strength must be finite", got=spec.strength, where=f"skip {edge}")
    return spec


def _output_shape(module: nn.Module, shape: Shape, where: str) -> Shape:
    """The shape that a module gives for one input, found by running a copy of it on zeros in evaluation mode."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    try:
        with torch.no_grad():
            y = copy.deepcopy(module).eval()(torch.zeros(1, *shape, dtype=like.dtype, device=like.device))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise ShapeError(f"{module} does not take its input ({reason})", got=shape, where=where) from error
    return tuple(y.shape[1:])
