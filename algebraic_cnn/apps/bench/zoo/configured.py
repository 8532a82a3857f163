"""Networks that a package makes from a configuration: small ones of transformers and diffusers."""

from __future__ import annotations

from typing import Any

from torch import nn

from .made import Kept, Made

_SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
_IMAGE = {"image_size": 64, "patch_size": 8}

_FILM = {"image_size": 32, "patch_size": 8}
_SERIES = {"num_input_channels": 3, "context_length": 32, "patch_length": 8, "patch_stride": 8, "d_model": 16}

#: Model -> what its configuration is told, and the side of the image or the shape of the input.
TRANSFORMERS: dict[str, tuple[dict[str, Any], int | tuple[int, ...]]] = {
    "ViT": (_SMALL | _IMAGE, 64),
    "DeiT": (_SMALL | _IMAGE, 64),
    "Beit": (_SMALL | _IMAGE | {"use_relative_position_bias": True}, 64),
    "Data2VecVision": (_SMALL | _IMAGE, 64),
    "Dinov2": (_SMALL | _IMAGE, 64),
    "Dinov2WithRegisters": (_SMALL | _IMAGE, 64),
    "Yolos": (_SMALL | {"image_size": [64, 64], "patch_size": 8}, 64),
    "Swin": ({"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}, 64),
    "Swinv2": ({"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}, 64),
    "DonutSwin": ({"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}, 64),
    "Swin2SR": ({"image_size": 32, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}, 32),
    "FocalNet": ({"image_size": 64, "embed_dim": 16, "depths": [1, 1, 1, 1]}, 64),
    "Hiera": ({"image_size": [64, 64], "embed_dim": 16, "depths": [1, 1, 1, 1]}, 64),
    "ConvNext": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}, 64),
    "ConvNextV2": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}, 64),
    "ResNet": ({"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, 64),
    "RegNet": ({"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "groups_width": 8}, 64),
    "Bit": ({"embedding_size": 8, "hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 1, 1], "num_groups": 4}, 64),
    "MobileNetV1": ({"depth_multiplier": 0.25}, 64),
    "MobileNetV2": ({"depth_multiplier": 0.35}, 64),
    "MobileViT": ({"image_size": 64, "hidden_sizes": [16, 24, 32],
                   "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64]}, 64),
    "MobileViTV2": ({"image_size": 64, "width_multiplier": 0.5}, 64),
    "EfficientNet": ({"width_coefficient": 0.25, "depth_coefficient": 0.3, "image_size": 64, "hidden_dim": 320}, 64),
    "Segformer": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4]}, 64),
    "PoolFormer": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, 64),
    "Pvt": ({"image_size": 64, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1],
             "num_attention_heads": [1, 2, 2, 4]}, 64),
    "PvtV2": ({"image_size": 64, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1],
               "num_attention_heads": [1, 2, 2, 4]}, 64),
    "Levit": ({"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2],
               "depths": [1, 1, 1]}, 64),
    "SwiftFormer": ({}, 64),
    "VitDet": (_SMALL | _IMAGE, 64),
    "HGNetV2": ({}, 64),
    "CLIPVision": (_SMALL | _IMAGE, 64),
    "SiglipVision": (_SMALL | _IMAGE, 64),
    "Aimv2Vision": (_SMALL | _IMAGE, 64),
    "MLCDVision": (_SMALL | _IMAGE, 64),
    "DINOv3ViT": (_SMALL | _IMAGE, 64),
    "DINOv3ConvNext": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}, 64),
    "GLPN": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4],
              "decoder_hidden_size": 16}, 64),
    "DPT": (_SMALL | _IMAGE, 64),
    "VideoMAE": (_SMALL | _FILM | {"num_frames": 4}, (4, 3, 32, 32)),
    "Timesformer": (_SMALL | _FILM | {"num_frames": 2}, (2, 3, 32, 32)),
    "Vivit": (_SMALL | _FILM | {"num_frames": 4, "tubelet_size": [2, 8, 8]}, (4, 3, 32, 32)),
    "PatchTST": (_SERIES | {"num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32}, (32, 3)),
    "PatchTSMixer": (_SERIES | {"num_layers": 2}, (32, 3)),
    "Dac": ({"encoder_hidden_size": 8, "decoder_hidden_size": 32, "downsampling_ratios": [2, 4],
             "upsampling_ratios": [4, 2], "n_codebooks": 2, "codebook_size": 16, "codebook_dim": 4}, (1, 512)),
    "Wav2Vec2": (_SMALL | {"conv_dim": [16, 16, 16], "conv_stride": [5, 2, 2], "conv_kernel": [10, 3, 2],
                           "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 8,
                           "num_conv_pos_embedding_groups": 2}, (800,)),
}  # fmt: skip


def transformers(package: Any, name: str) -> Made:
    """A model of transformers without its head."""
    options, size = TRANSFORMERS[name]
    config = getattr(package, f"{name}Config")(**options)
    network = package.AutoModel.from_config(config)
    return Kept(network, lambda net, x: net(x[0], return_dict=False)), [
        (3, size, size) if isinstance(size, int) else size
    ]


DIFFUSERS = ("AutoencoderKL", "VQModel", "AutoencoderTiny", "UNet2DModel")


def diffusers(package: Any, name: str) -> Made:
    """A model of diffusers, with blocks of few channels."""
    blocks = {"block_out_channels": (8, 16), "norm_num_groups": 4,
              "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}  # fmt: skip
    if name == "AutoencoderTiny":
        network = package.AutoencoderTiny(encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
                                          num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1))  # fmt: skip
        return _first(network), [(3, 32, 32)]
    if name == "UNet2DModel":
        network = package.UNet2DModel(sample_size=16, block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1,
                                      down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                                      up_block_types=("AttnUpBlock2D", "UpBlock2D"))  # fmt: skip
        return Kept(network, lambda net, x: net(x[0], 3, return_dict=False)[0]), [(3, 16, 16)]
    return _first(getattr(package, name)(**blocks)), [(3, 32, 32)]


def _first(network: nn.Module) -> Kept:
    return Kept(network, lambda net, x: net(x[0], return_dict=False)[0])
