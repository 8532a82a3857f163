"""A trained network and its exact W and B, as a theorem that Coq decides by running the checker itself.

python -m proofs.digits > proofs/rocq/checker/digits.v

The network is trained on scikit-learn's digits; it has a skip, a stride and a pool.  Another run trains another one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from algebraic_cnn import load_digits
from algebraic_cnn.certification.recheck.layers import Convolution, Program, Walk, Window
from algebraic_cnn.certification.recheck.maps import mapped
from algebraic_cnn.certification.recheck.spelling import spelled
from algebraic_cnn.derivation.exact import exact_map
from algebraic_cnn.ir.trace import trace

_HEAD = """(******************************************************************************)
(*      A trained network is its W and B: decided inside Coq                  *)
(*                                                                            *)
(* Written by proofs/digits.py from trained weights; the network tells        *)
(* {right:.1%} of unseen digits right with {weights} weights.  The checker runs here, by  *)
(* vm_compute on Coq's own integers, and no program is trusted.               *)
(*                                                                            *)
(*   digits == the network; collapsed == W and B exactly, as one dense layer  *)
(******************************************************************************)
Require Import List ZArith.
From AlgebraicCNN.checker Require Import evaluator rational patterns.
Import ListNotations.
Open Scope Z_scope.
Definition q (m e : Z) : number := Number m e 1.
Definition layers (ls : list (convolution number)) : list (layer number) :=
  match network [(1, 8, 8)%nat] ls with Some (ks, _) => ks | None => [] end.
"""
_TAIL = """
Theorem digits_collapse : network [(1, 8, 8)%nat] digits <> None /\\ network [(1, 8, 8)%nat] collapsed <> None
  /\\ same [(1, 8, 8)%nat] (layers digits) (layers collapsed).
Proof.
split; [vm_compute; discriminate|split; [vm_compute; discriminate|apply whole_sound]].
vm_cast_no_check (eq_refl true).
Qed.

Print Assumptions digits_collapse.
"""


class Digits(nn.Module):
    """Three convolutions, one with a stride, a skip of strength 1/2, a pool, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.third = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ten digits."""
        y = self.first(x)
        return self.last(self.pool(self.third(0.5 * y + self.second(y))).flatten(1))


def trained(epochs: int = 12) -> tuple[Digits, float]:
    """The network and the part of held-out digits that it tells right."""
    torch.manual_seed(0)
    data = load_digits()
    model = Digits()
    steps = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(epochs):
        for chosen in torch.randperm(len(data.train_labels)).split(64):
            steps.zero_grad()
            nn.functional.cross_entropy(model(data.train_images[chosen]), data.train_labels[chosen]).backward()
            steps.step()
    model.eval()
    with torch.no_grad():
        right = model(data.test_images).argmax(1) == data.test_labels
    return model, float(right.double().mean())


def main() -> None:
    """The whole file on the standard output."""
    model, right = trained()
    graph = trace(model, torch.zeros(1, 1, 8, 8))
    f = exact_map(graph)
    weights = sum(parameter.numel() for parameter in model.parameters())
    sys.stdout.write(_HEAD.format(weights=weights, right=right))
    sys.stdout.write(rocq("digits", spelled(graph)))
    sys.stdout.write(rocq("collapsed", mapped(np.asarray(f.W), np.asarray(f.b), (1, 8, 8))))
    sys.stdout.write(_TAIL)


def rocq(name: str, program: Program) -> str:
    """A definition of the program."""
    layers = ";\n".join(map(_layer, program.layers))
    return f"Definition {name} : list (convolution number) := [\n{layers}].\n"


def _layer(layer: Convolution) -> str:
    feeds = _list(f"({k}%nat, {_number(Fraction(t))})" for k, t in layer.feeds)
    values, columns = layer.kernel.fractions(), layer.kernel.shape[1]
    rows = [values[at : at + columns] for at in range(0, len(values), columns)]
    kernel = _list((_list(map(_number, row)) for row in rows), ";\n    ")
    biases = _list(map(_number, layer.bias.fractions()))
    walk = f"{layer.mode.capitalize()} {_axis(layer.rows)} {_axis(layer.columns)} {layer.groups}"
    return f"Convolution {feeds} {walk}\n  {kernel}\n  {biases}"


def _axis(axis: Walk) -> str:
    if not isinstance(axis, Window):
        raise TypeError("the layers of a classifier of digits walk in steps")
    return f"(Axis {axis.before} {axis.after} {axis.extent} {axis.stride} {axis.dilation})"


def _number(value: Fraction) -> str:
    return f"q ({value.numerator}) ({1 - value.denominator.bit_length()})"


def _list(items: Iterable[str], between: str = "; ") -> str:
    return f"[{between.join(items)}]"


if __name__ == "__main__":
    main()
