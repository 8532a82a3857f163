"""Two homotopies of trained networks: skips that fade away, and activations that become linear [JV24, section 4].

    skips           main + t skip, t from 1 to 0: at 0 the skip goes, with the layers that only it had
    activations     s x + (1 - s) act(x), s from 0 to 1: at 1 the activation goes, and its neighbours can be collapsed
    schedules       the way of a strength: Constant, Linear, Cosine, Exponential, Step, Adaptive, Learned
    train           training along that way
    sensitivity     which strengths are the cheapest to do without
    orders          in which order skips fade; search_schedule: the best start, end, curve and order

Under them: flow, rolling, script and opening find and replace parts of an exported model; strengths holds the numbers
that move; classifier, checkpoint and overruns train, go on after an interruption, and keep clear of a fault of oneDNN.
"""

from __future__ import annotations

from .activations import (
    Activation,
    activation_strengths,
    find_activations,
    remove_activations,
    set_activation_strength,
    with_activation_strength,
)
from .adaptive import Adaptive
from .classifier import train
from .following import Follower
from .learned import Learned
from .orders import fading_orders, in_order
from .schedules import Constant, Cosine, Exponential, Linear, Schedule, Step
from .searching import Search, Way, search_schedule
from .sensitivities import Sensitivity, sensitivity
from .skips import SkipConnection, find_skips, remove_skips, set_skip_strength, skip_strengths, with_skip_strength
from .strengths import ActivationStrength, SkipStrength

__all__ = [
    "Activation",
    "ActivationStrength",
    "Adaptive",
    "Constant",
    "Cosine",
    "Exponential",
    "Follower",
    "Learned",
    "Linear",
    "Schedule",
    "Search",
    "Sensitivity",
    "SkipConnection",
    "SkipStrength",
    "Step",
    "Way",
    "activation_strengths",
    "fading_orders",
    "find_activations",
    "find_skips",
    "in_order",
    "remove_activations",
    "remove_skips",
    "search_schedule",
    "sensitivity",
    "set_activation_strength",
    "set_skip_strength",
    "skip_strengths",
    "train",
    "with_activation_strength",
    "with_skip_strength",
]
