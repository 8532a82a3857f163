"""Networks that classify, describe and cut up images, of packages with few architectures each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import nn

from .made import Made


def antialiased(package: Any, name: str) -> Made:
    """A classifier that blurs before it leaves pixels out."""
    return getattr(package, name)(pretrained=False), [(3, 64, 64)]


def geffnet(package: Any, name: str) -> Made:
    """A classifier of geffnet."""
    return package.create_model(name, pretrained=False), [(3, 64, 64)]


def pretrainedmodels(package: Any, name: str) -> Made:
    """A classifier of pretrainedmodels."""
    return getattr(package, name)(pretrained=None), [(3, 224, 224)]


def dynamic(package: Any, name: str) -> Made:
    """A small U-Net as nnU-Net makes them."""
    nets = importlib.import_module(f"{package.__name__}.architectures.unet")
    return getattr(nets, name)(
        1, 4, [8, 16, 24, 32], nn.Conv2d, 3, [1, 2, 2, 2], [1, 1, 1, 1], 3, [1, 1, 1],
        conv_bias=True, norm_op=nn.BatchNorm2d, nonlin=nn.LeakyReLU,
    ), [(1, 32, 32)]  # fmt: skip


def kornia(feature: Any, name: str) -> Made:
    """A network of kornia that describes patches or points."""
    if name == "DISK":
        return feature.DISK().unet, [(3, 64, 64)]
    return getattr(feature, name)(pretrained=False), [(1, 32, 32)]


def xray(models: Any, name: str) -> Made:
    """A classifier of radiographs."""
    return getattr(models, name)(weights=None, num_classes=5, in_channels=1), [(1, 64, 64)]


def segment_anything(modeling: Any, name: str) -> Made:
    """A small image encoder of Segment Anything: windows, and relative positions."""
    return getattr(modeling, name)(
        img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=2, out_chans=16, use_rel_pos=True, window_size=3,
        global_attn_indexes=(1,),
    ), [(3, 64, 64)]  # fmt: skip


def x_transformers(package: Any, name: str) -> Made:
    """A small transformer of x_transformers, for images or for sequences."""
    encoder = {"dim": 32, "depth": 2, "heads": 2}
    made: dict[str, Callable[[], Made]] = {
        "images": lambda: (package.ViTransformerWrapper(
            image_size=32, patch_size=8, num_classes=5, attn_layers=package.Encoder(**encoder)), [(3, 32, 32)]),
        "sequences": lambda: (package.ContinuousTransformerWrapper(
            dim_in=8, dim_out=4, max_seq_len=16, attn_layers=package.Encoder(**encoder, rotary_pos_emb=True)),
            [(16, 8)]),
    }  # fmt: skip
    return made[name]()
