"""Hypothesis strategies for convolutions and affine networks, for your own tests as for ours.

Every number is made of integers that Hypothesis draws, so what fails shrinks: to few layers, one channel, no skip,
weights that are mostly 0.  Networks come in evaluation mode, as ``Network(model, example)``.

    weights     numbers and tensors: "integers", with which float64 does not round, or "floats"
    modules     convolutions and single modules
    networks    whole networks with skips, and what may be asserted about them

    from hypothesis import given
    from algebraic_cnn.testing import assert_collapse_is_exact, linear_cnns

    @given(linear_cnns(numbers="floats"))
    def test_collapse(network):
        assert_collapse_is_exact(network.model, network.example)

References:
    D. MacIver et al., Hypothesis: A new approach to property-based testing, JOSS 4(43), 2019.
"""

from __future__ import annotations

from .modules import affine_modules, geometries
from .networks import assert_collapse_is_exact, linear_cnns, residual_networks
from .weights import Network, Numbers, kernels

__all__ = [
    "Network",
    "Numbers",
    "affine_modules",
    "assert_collapse_is_exact",
    "geometries",
    "kernels",
    "linear_cnns",
    "residual_networks",
]
