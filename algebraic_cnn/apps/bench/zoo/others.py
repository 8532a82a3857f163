"""Networks for segmentation, detection, medicine, faces, perception, and small transformers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .made import Made

SMP = """
Unet-resnet18 UnetPlusPlus-resnet18 MAnet-mobilenet_v2 Linknet-resnet18 FPN-resnet18 PSPNet-resnet18 DeepLabV3-resnet18
DeepLabV3Plus-resnet18 PAN-resnet18 UPerNet-resnet18 Segformer-mit_b0 Unet-efficientnet-b0 Unet-densenet121 FPN-xception
Unet-timm-regnetx_002 DPT-tu-vit_tiny_patch16_224.augreg_in21k
"""


def smp(smp: Any, name: str) -> Made:
    """A network of segmentation_models_pytorch: kind-encoder."""
    kind, _, encoder = name.partition("-")
    size = {"DPT": 224, "PAN": 128}.get(kind, 96)
    return getattr(smp, kind)(encoder_name=encoder, encoder_weights=None), [(3, size, size)]


def monai(nets: Any, name: str) -> Made:
    """A small network of MONAI."""
    image = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    made: dict[str, Callable[[], Made]] = {
        "UNet": lambda: (nets.UNet(**image, channels=(8, 16, 32), strides=(2, 2), num_res_units=2), [(1, 64, 64)]),
        "UNet batch": lambda: (
            nets.UNet(**image, channels=(8, 16, 32), strides=(2, 2), norm="batch"), [(1, 64, 64)]),
        "UNet 3d": lambda: (
            nets.UNet(**image | {"spatial_dims": 3}, channels=(4, 8), strides=(2,), norm="batch"), [(1, 16, 16, 16)]),
        "BasicUNet": lambda: (nets.BasicUNet(**image, features=(8, 8, 16, 16, 32, 8)), [(1, 64, 64)]),
        "AttentionUnet": lambda: (nets.AttentionUnet(**image, channels=(8, 16, 32), strides=(2, 2)), [(1, 64, 64)]),
        "SegResNet": lambda: (nets.SegResNet(**image, init_filters=8), [(1, 64, 64)]),
        "DynUNet": lambda: (nets.DynUNet(
            **image, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[8, 16, 32]
            ), [(1, 64, 64)]),
        "VNet": lambda: (nets.VNet(**image), [(1, 64, 64)]),
        "HighResNet": lambda: (nets.HighResNet(**image), [(1, 32, 32)]),
        "DenseNet121": lambda: (nets.DenseNet121(**image), [(1, 64, 64)]),
        "SEResNet50": lambda: (nets.SEResNet50(spatial_dims=2, in_channels=3, num_classes=2), [(3, 64, 64)]),
        "EfficientNetBN": lambda: (
            nets.EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1), [(1, 64, 64)]),
        "resnet10 3d": lambda: (nets.resnet10(spatial_dims=3, n_input_channels=1, num_classes=2), [(1, 32, 32, 32)]),
        "UNETR": lambda: (nets.UNETR(
            in_channels=1, out_channels=2, img_size=(32, 32, 32), hidden_size=48, mlp_dim=96, num_heads=4
            ), [(1, 32, 32, 32)]),
        "SwinUNETR": lambda: (
            nets.SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=2), [(1, 64, 64)]),
        "ViT": lambda: (nets.ViT(
            1, (64, 64), (16, 16), hidden_size=48, mlp_dim=96, num_layers=2, num_heads=4, spatial_dims=2,
            classification=True), [(1, 64, 64)]),
        "AutoEncoder": lambda: (nets.AutoEncoder(**image, channels=(4, 8), strides=(2, 2)), [(1, 32, 32)]),
        "Classifier": lambda: (nets.Classifier((1, 32, 32), classes=3, channels=(4, 8), strides=(2, 2)), [(1, 32, 32)]),
        "FlexibleUNet": lambda: (nets.FlexibleUNet(3, 2, "efficientnet-b0", spatial_dims=2), [(3, 64, 64)]),
        "MedNeXt": lambda: (nets.MedNeXtSmall(spatial_dims=2, in_channels=1, out_channels=2), [(1, 64, 64)]),
    }  # fmt: skip
    return made[name]()


MONAI = (
    "UNet;UNet batch;UNet 3d;BasicUNet;AttentionUnet;SegResNet;DynUNet;VNet;HighResNet;DenseNet121;SEResNet50;"
    "EfficientNetBN;resnet10 3d;UNETR;SwinUNETR;ViT;AutoEncoder;Classifier;FlexibleUNet;MedNeXt"
).split(";")

YOLO = """
yolov3-tiny yolov5n yolov8n yolov8n-seg yolov8n-pose yolov8n-cls yolov8n-obb yolov9t yolov10n yolo11n yolo11n-seg
yolo11n-pose yolo11n-cls yolo11n-obb yolo12n yolo26n rtdetr-l
"""


def ultralytics(ultralytics: Any, name: str) -> Made:
    """A detector, its head as it is exported."""
    network = (
        ultralytics.YOLO(f"{name}.yaml").model if "rtdetr" not in name else ultralytics.RTDETR(f"{name}.yaml").model
    )
    for module in network.modules():
        if hasattr(module, "export") and isinstance(module.export, bool):
            module.export, module.format = True, "torchscript"
    return network, [(3, 64, 64) if "rtdetr" not in name else (3, 128, 128)]


def efficientnet(package: Any, name: str) -> Made:
    """A network of efficientnet_pytorch."""
    network = package.EfficientNet.from_name(name)
    network.set_swish(memory_efficient=False)
    return network, [(3, 64, 64)]


def lpips(package: Any, name: str) -> Made:
    """A perceptual distance between two images."""
    network = package.LPIPS(net=name, pretrained=False, pnet_rand=True, verbose=False)
    return network, [(3, 64, 64), (3, 64, 64)]


def open_clip(package: Any, name: str) -> Made:
    """The image tower of a CLIP."""
    network = package.create_model(name, pretrained=None)
    size = network.visual.image_size
    size = size if isinstance(size, int) else size[0]
    return network.visual, [(3, size, size)]


def facenet(package: Any, name: str) -> Made:
    """A network for faces."""
    if name == "InceptionResnetV1":
        return package.InceptionResnetV1(pretrained=None, classify=True, num_classes=10), [(3, 96, 96)]
    nets = importlib.import_module("facenet_pytorch.models.mtcnn")
    return getattr(nets, name)(pretrained=False), [
        {"PNet": (3, 48, 48), "RNet": (3, 24, 24), "ONet": (3, 48, 48)}[name]
    ]


VIT = "vit simple_vit deepvit cct mobile_vit max_vit cvt crossformer pit"


def vit_pytorch(package: Any, name: str) -> Made:
    """A small transformer of vit_pytorch."""
    common = {"image_size": 64, "patch_size": 16, "num_classes": 10, "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 48}
    module = importlib.import_module(f"vit_pytorch.{name}")
    kind = {"simple_vit": "SimpleViT", "vit": "ViT", "deepvit": "DeepViT", "cct": "CCT", "mobile_vit": "MobileViT",
            "max_vit": "MaxViT", "regionvit": "RegionViT", "crossformer": "CrossFormer", "cvt": "CvT",
            "pit": "PiT", "simple_vit_with_register_tokens": "SimpleViT"}[name]  # fmt: skip
    if name == "cct":
        return module.CCT(img_size=64, embedding_dim=32, num_layers=2, num_heads=2, mlp_ratio=2, num_classes=10,
                          positional_embedding="learnable"), [(3, 64, 64)]  # fmt: skip
    if name == "mobile_vit":
        return module.MobileViT(image_size=(64, 64), dims=[24, 32, 40], num_classes=10,
                                channels=[8, 8, 16, 16, 24, 24, 32, 32, 40, 40, 48]), [(3, 64, 64)]  # fmt: skip
    if name in ("crossformer", "cvt"):
        return getattr(module, kind)(num_classes=10), [(3, 224, 224) if name == "crossformer" else (3, 64, 64)]
    if name == "max_vit":
        return module.MaxViT(num_classes=10, dim=16, depth=(1, 1), window_size=4, dim_conv_stem=16, dim_head=16), [
            (3, 64, 64)
        ]
    if name == "pit":
        common |= {"depth": (1, 1)}
    return getattr(module, kind)(**common), [(3, 64, 64)]
