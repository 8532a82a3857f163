"""What each strength is worth: the loss and accuracy when it alone is at the end of its way.

    sensitivity     one line per skip or activation, the cheapest to do without first: an order to fade them in
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .opening import mode
from .strengths import ActivationStrength, Kind, carriers


@dataclass(frozen=True)
class Sensitivity:
    """What a network does when one strength is at the end of its way and the others are as they are.

    Attributes:
        name: of the skip or the activation.
        loss: mean cross-entropy.
        accuracy: share of the images classified rightly.
    """

    name: str
    loss: float
    accuracy: float


def sensitivity(
    model: nn.Module, images: Tensor, labels: Tensor, *, kind: Kind = ActivationStrength, batch_size: int = 250
) -> list[Sensitivity]:
    """One line for each strength of that kind, least loss first; the model is left as it was.

    Nothing is trained: it is the price before any training.

    Args:
        model: with strengths, images (N, *image_shape) to scores (N, classes).
        images: to judge by.
        labels: their classes, shape (N,).
        kind: `ActivationStrength` or `SkipStrength`.
        batch_size: images at a time.

    Returns:
        Name, loss and accuracy for each strength, with that one alone at the end of its way.

    Raises:
        HomotopyError: if two strengths share a name.

    >>> from algebraic_cnn.homotopy import with_activation_strength
    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2), nn.ReLU())
    >>> for value, parameter in zip((1.0, 0.0, [[0.0], [-1.0]], [0.0, -4.0]), net.parameters()):
    ...     parameter.data = torch.tensor(value).reshape(parameter.shape)
    >>> x = torch.tensor([[-8.0], [-8.0]])               # scores 0, 0 by ReLU; 0, 4 where the first is linear
    >>> [(line.name, line.accuracy) for line in sensitivity(with_activation_strength(net, x), x, torch.tensor([0, 0]))]
    [('3', 1.0), ('1', 0.0)]
    """
    found = []
    with mode(model, training=False):
        for name, carrier in carriers(model, kind).items():
            before = carrier.strength.clone()
            carrier.strength.fill_(kind.end)
            found.append(Sensitivity(name, *_judged(model, images, labels, batch_size)))
            carrier.strength.copy_(before)
    return sorted(found, key=lambda line: line.loss)


def _judged(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> tuple[float, float]:
    """(mean cross-entropy, share classified rightly)."""
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        scores = torch.cat([model(batch.to(device)).cpu() for batch in images.split(batch_size)]).double()
    loss = float(nn.functional.cross_entropy(scores, labels))
    return loss, float((scores.argmax(dim=1) == labels).double().mean())
