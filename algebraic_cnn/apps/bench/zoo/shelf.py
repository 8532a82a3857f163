"""Architectures of installed packages, each with an example of small size.

    PACKAGES    package -> Shelf: the names of its architectures, and how one of them is made
    subject     package, name, seed -> the network in evaluation mode, and its inputs

No weights are ever fetched: they are drawn, and the statistics of every BatchNorm with them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import MissingExtraError, UnknownNameError
from ..patterns import randomised
from ..reparameterised import declare_operators
from . import classifiers, configured, others, restoring, seeing
from .made import Made


@dataclass(frozen=True)
class Shelf:
    """The architectures of a package.

    Attributes:
        module: what is imported.
        names: of the architectures.
        make: the package, name -> the network and the shapes of its inputs.
    """

    module: str
    names: tuple[str, ...]
    make: Callable[[Any, str], Made]


def _shelf(module: str, names: str, make: Callable[[Any, str], Made]) -> Shelf:
    return Shelf(module, tuple(names.split()), make)


PACKAGES: dict[str, Shelf] = {
    "timm": _shelf("timm", classifiers.TIMM, classifiers.timm),
    "torchvision": _shelf("torchvision", classifiers.TORCHVISION, classifiers.torchvision),
    "pytorchcv": _shelf("pytorchcv.model_provider", classifiers.CV, classifiers.pytorchcv),
    "transformers": Shelf("transformers", tuple(configured.TRANSFORMERS), configured.transformers),
    "diffusers": Shelf("diffusers", configured.DIFFUSERS, configured.diffusers),
    "segmentation_models_pytorch": _shelf("segmentation_models_pytorch", others.SMP, others.smp),
    "monai": Shelf("monai.networks.nets", tuple(others.MONAI), others.monai),
    "ultralytics": _shelf("ultralytics", others.YOLO, others.ultralytics),
    "efficientnet_pytorch": _shelf("efficientnet_pytorch", "efficientnet-b0 efficientnet-b1", others.efficientnet),
    "lpips": _shelf("lpips", "alex squeeze vgg", others.lpips),
    "open_clip": _shelf("open_clip", "RN50 ViT-B-32 coca_ViT-B-32 convnext_base", others.open_clip),
    "facenet_pytorch": _shelf("facenet_pytorch", "InceptionResnetV1 PNet RNet ONet", others.facenet),
    "vit_pytorch": _shelf("vit_pytorch", others.VIT, others.vit_pytorch),
    "spandrel": Shelf("spandrel", tuple(restoring.SPANDREL), restoring.spandrel),
    "deepinv": Shelf("deepinv.models", tuple(restoring.DEEPINV), restoring.deepinv),
    "super_image": _shelf("super_image", "Edsr Carn A2n Pan Msrn Mdsr Awsrn Ddbpn Rnan", restoring.super_image),
    "asteroid": _shelf("asteroid.models", "ConvTasNet SuDORMRFNet", restoring.asteroid),
    "denoiser": _shelf("denoiser.demucs", "Demucs", restoring.denoiser),
    "demucs": _shelf("demucs.demucs", "Demucs", restoring.demucs),
    "pytorch_tcn": _shelf("pytorch_tcn", "causal both", restoring.tcn),
    "antialiased_cnns": _shelf("antialiased_cnns", "resnet18 mobilenet_v2 resnext50_32x4d", seeing.antialiased),
    "geffnet": _shelf("geffnet", "mobilenetv3_rw fbnetc_100 tf_efficientnet_cc_b0_4e", seeing.geffnet),
    "pretrainedmodels": _shelf("pretrainedmodels", "dpn68 xception", seeing.pretrainedmodels),
    "dynamic_network_architectures": _shelf(
        "dynamic_network_architectures", "PlainConvUNet ResidualEncoderUNet", seeing.dynamic
    ),
    "kornia": _shelf("kornia.feature", "HardNet HardNet8 SOSNet TFeat HyNet OriNet DISK", seeing.kornia),
    "torchxrayvision": _shelf("torchxrayvision.models", "DenseNet", seeing.xray),
    "segment_anything": _shelf("segment_anything.modeling", "ImageEncoderViT", seeing.segment_anything),
    "x_transformers": _shelf("x_transformers", "images sequences", seeing.x_transformers),
}


def opened(package: str) -> Any:
    """The package, imported.

    Raises:
        UnknownNameError: if there is no such package here.
        MissingExtraError: if it is not installed, or cannot be imported beside this torch.
    """
    if package not in PACKAGES:
        raise UnknownNameError("no such package", expected=", ".join(PACKAGES), got=package, where="--packages")
    try:
        declare_operators()
        return importlib.import_module(PACKAGES[package].module)
    except Exception as error:  # packages fail in many ways beside another torch
        raise MissingExtraError(f"{package} cannot be imported ({error})", expected=f"pip install {package}") from error


def subject(package: str, name: str, *, seed: int = 0) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A network in evaluation mode with random numbers, and inputs for it: one sample."""
    module = opened(package)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, shapes = PACKAGES[package].make(module, name)
    network = network.eval()
    for place, part in enumerate(network.modules()):
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            randomised(part, seed + place)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    return network, tuple(torch.rand(1, *shape, generator=generator) for shape in shapes)
