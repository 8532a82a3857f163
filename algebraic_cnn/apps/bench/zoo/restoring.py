"""Networks that make pictures and signals better: larger, less noisy, separated into their sources."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import nn

from .made import Made

_SIDE = 32

#: Name -> where its class is in spandrel.architectures, and what the class is told.
SPANDREL: dict[str, tuple[str, dict[str, Any]]] = {
    "Compact": ("Compact.__arch.SRVGG.SRVGGNetCompact", {"num_feat": 16, "num_conv": 4, "upscale": 2}),
    "ESRGAN": ("ESRGAN.__arch.RRDB.RRDBNet", {"num_filters": 16, "num_blocks": 2, "scale": 2}),
    "SPAN": ("SPAN.__arch.span.SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 16, "upscale": 2}),
    "OmniSR": ("OmniSR.__arch.OmniSR.OmniSR", {"num_feat": 16, "res_num": 1, "block_num": 1}),
    "SAFMN": ("SAFMN.__arch.safmn.SAFMN", {"dim": 16, "n_blocks": 2}),
    "NAFNet": ("NAFNet.__arch.NAFNet_arch.NAFNet", {"width": 8, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}),
    "DnCNN": ("DnCNN.__arch.network_dncnn.DnCNN", {"in_nc": 3, "out_nc": 3, "nc": 16, "nb": 5, "act_mode": "BR"}),
    "SwiftSRGAN": ("SwiftSRGAN.__arch.SwiftSRGAN.Generator", {"num_channels": 16, "num_blocks": 2}),
    "RealCUGAN": ("RealCUGAN.__arch.upcunet_v3.UpCunet2x", {}),
    "CRAFT": ("CRAFT.__arch.CRAFT.CRAFT", {}),
    "DCTLSA": ("DCTLSA.__arch.dctlsa.DCTLSA", {}),
    "DITN": ("DITN.__arch.DITN_Real.DITN_Real", {}),
    "SeemoRe": ("SeemoRe.__arch.seemore_arch.SeemoRe", {}),
}


def spandrel(package: Any, name: str) -> Made:
    """A small network of spandrel."""
    place, options = SPANDREL[name]
    module, _, kind = place.rpartition(".")
    return getattr(importlib.import_module(f"{package.__name__}.architectures.{module}"), kind)(**options), [
        (3, _SIDE, _SIDE)
    ]


#: Name -> what the class is told.
DEEPINV: dict[str, dict[str, Any]] = {
    "DnCNN": {"depth": 6, "nf": 16, "pretrained": None},
    "UNet": {"scales": 3},
    "Restormer": {
        "dim": 8, "num_blocks": (1, 1, 1, 1), "num_refinement_blocks": 1, "heads": (1, 1, 2, 2), "pretrained": None},
}  # fmt: skip


def deepinv(models: Any, name: str) -> Made:
    """A network of deepinv that takes noise away."""
    return getattr(models, name)(3, 3, **DEEPINV[name]), [(3, _SIDE, _SIDE)]


def super_image(package: Any, name: str) -> Made:
    """A network of super_image, for pictures of twice the size."""
    config = getattr(package, f"{name}Config")(scale=2)
    return getattr(package, f"{name}Model")(config), [(3, 24, 24)]


def asteroid(models: Any, name: str) -> Made:
    """A network of asteroid that takes two voices apart."""
    common = {"n_src": 2, "bn_chan": 16, "n_filters": 32}
    made: dict[str, Callable[[], nn.Module]] = {
        "ConvTasNet": lambda: models.ConvTasNet(
            **common, n_blocks=2, n_repeats=1, hid_chan=32, skip_chan=16, kernel_size=16),
        "SuDORMRFNet": lambda: models.SuDORMRFNet(**common, num_blocks=2, upsampling_depth=2, kernel_size=21),
    }  # fmt: skip
    return made[name](), [(1, 2000)]


def denoiser(package: Any, name: str) -> Made:
    """A small Demucs, for speech."""
    return getattr(package, name)(hidden=8, depth=3, resample=2), [(1, 1024)]


def demucs(package: Any, name: str) -> Made:
    """A small Demucs without its LSTM, for music."""
    return getattr(package, name)(["a"], channels=8, depth=3, lstm_layers=0, resample=False), [(2, 4096)]


def tcn(package: Any, name: str) -> Made:
    """A temporal convolutional network of pytorch_tcn: causal, or with BatchNorm and skips."""
    options = {} if name == "causal" else {"use_norm": "batch_norm", "use_skip_connections": True, "causal": False}
    return package.TCN(num_inputs=6, num_channels=[8, 8, 8], kernel_size=3, **options), [(6, 48)]
