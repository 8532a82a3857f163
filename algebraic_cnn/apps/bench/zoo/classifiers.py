"""Networks that a package makes by name: timm, torchvision, pytorchcv."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .made import Kept, Made

TIMM = """
resnet18 resnet50 resnext50_32x4d seresnet18 resnetv2_50 resnetv2_50x1_bit nf_resnet50 dm_nfnet_f0 nf_regnet_b1
skresnet18 ecaresnet50t res2net50_26w_4s resnest14d dpn48b densenet121 vgg11_bn xception41 inception_v3 inception_v4
inception_resnet_v2 mobilenetv1_100 mobilenetv2_100 mobilenetv3_small_100 mobilenetv3_large_100
mobilenetv4_conv_small mobilenetv4_hybrid_medium tf_efficientnet_lite0 efficientnet_b0 efficientnet_es
tf_efficientnetv2_b0 mnasnet_100 fbnetc_100 fbnetv3_b semnasnet_100 spnasnet_100 mixnet_s hardcorenas_a tinynet_e
lcnet_050 ghostnet_100 ghostnetv2_100 ghostnetv3_050 repghostnet_050 repvgg_a0 mobileone_s0 fastvit_t8 repvit_m0_9
shvit_s1 starnet_s1 regnetx_002 regnety_002 regnetz_b16 rexnet_100 cspresnet50 cspdarknet53 darknet53 dla34
hrnet_w18_small selecsls42b vovnet39a ese_vovnet19b_dw hardcorenas_b rdnet_tiny convnext_atto convnextv2_atto
inception_next_atto edgenext_xx_small mobilevit_xxs mobilevitv2_050 efficientformer_l1 efficientformerv2_s0
efficientvit_b0 efficientvit_m0 levit_128s levit_conv_128s poolformer_s12 poolformerv2_s12 caformer_s18
convformer_s18 pvt_v2_b0 swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 swin_s3_tiny_224
maxvit_tiny_rw_224 coat_tiny coatnet_nano_rw_224 crossvit_tiny_240 cait_xxs24_224 deit_tiny_patch16_224
deit3_small_patch16_224 vit_tiny_patch16_224 vit_small_patch32_224 vit_relpos_small_patch16_224
vit_little_patch16_reg1_gap_256 vit_base_patch32_clip_224 beit_base_patch16_224 eva02_tiny_patch14_224
xcit_nano_12_p16_224 mixer_s32_224 resmlp_12_224 gmlp_ti16_224 gernet_s tresnet_m twins_svt_small twins_pcpvt_small
visformer_tiny volo_d1_224 tnt_s_patch16_224 pit_ti_224 nest_tiny convit_tiny convmixer_768_32 focalnet_tiny_srf
gcvit_xxtiny davit_tiny hiera_tiny_224 hgnet_tiny hgnetv2_b0 mvitv2_tiny nextvit_small tiny_vit_5m_224
vitamin_small_224 wide_resnet50_2 resnet18d resnetblur18 resnetaa50 legacy_seresnet18 gcresnet33ts halonet26t
botnet26t_256 lambda_resnet26t sebotnet33ts_256 eca_botnext26ts_256 bat_resnext26ts vit_medium_patch16_gap_240
samvit_base_patch16_224 sequencer2d_s mambaout_femto naflexvit_base_patch16_gap fasternet_t0 csatv2 swiftformer_xs
"""


def timm(package: Any, name: str) -> Made:
    """A network of timm; where its size is free, for images of 96 pixels."""
    cfg = package.models.get_pretrained_cfg(name)
    own = tuple(cfg.input_size) if cfg else (3, 224, 224)
    bound = cfg is None or cfg.fixed_input_size or (min(own[1:]) > 96 and any(word in name for word in _BOUND))
    size = own if bound else (3, 96, 96)
    return package.create_model(name, pretrained=False), [size]


_BOUND = (
    "levit efficientformer halo lambda bot maxvit coatnet coat_ nest gcvit vitamin mobilevit hiera mvit volo samvit "
    "efficientvit_m crossvit inception tiny_vit bat_"
).split()

TORCHVISION = """
alexnet vgg11 vgg16_bn googlenet inception_v3 resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121
squeezenet1_0 squeezenet1_1 shufflenet_v2_x0_5 shufflenet_v2_x1_0 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large
mnasnet0_5 mnasnet1_0 efficientnet_b0 efficientnet_v2_s regnet_x_400mf regnet_y_400mf convnext_tiny vit_b_16
vit_b_32 swin_t swin_v2_t maxvit_t fcn_resnet50 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large
lraspp_mobilenet_v3_large r3d_18 mc3_18 r2plus1d_18 s3d swin3d_t mvit_v1_b
"""


def torchvision(torchvision: Any, name: str) -> Made:
    """A network of torchvision, for small images or short films."""
    options: dict[str, Any] = {}
    sizes = {"vit_b_16": 64, "vit_b_32": 64, "maxvit_t": 224, "inception_v3": 128, "alexnet": 96, "googlenet": 64}
    if name in ("vit_b_16", "vit_b_32"):
        options["image_size"] = 64
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False}
    if ("_resnet" in name and name[0] in "fd") or name.startswith(("lraspp", "deeplab")):
        options |= {"weights_backbone": None}
    size: tuple[int, ...] = (3, sizes.get(name, 64), sizes.get(name, 64))
    if name in ("r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t"):
        size = (3, 8, 56, 56)
    if name in ("s3d", "mvit_v1_b"):
        size = (3, 16, 224, 224)
    return torchvision.models.get_model(name, weights=None, **options), [size]


CV = """
resnet10 preresnet10 resnext14_32x4d seresnet10 sepreresnet10 senet16 ibn_resnet50 airnet50_1x64d_r2 bam_resnet50
cbam_resnet18 resattnet56 sknet50 diaresnet50 pyramidnet101_a360 diracnet18v2 sharesnet18 crunet56 densenet121
condensenet74_c4_g4 sparsenet121 peleenet wrn50_2 drnc26 dpn68 darknet_ref darknet_tiny darknet53 ror3_56_cifar10
shakeshakeresnet20_2x16d_cifar10 bagnet9 dla34 fishnet99 espnetv2_wd2 dicenet_wd5 hrnet_w18_small_v1 vovnet27s
selecsls42b hardnet39ds xdensenet121_2 squeezenet_v1_0 squeezeresnet_v1_0 sqnxt23_w1 shufflenet_g1_wd4
shufflenetv2_wd2 shufflenetv2b_wd2 menet108_8x1_g3 mobilenet_wd4 mobilenetb_wd4 fdmobilenet_wd4 mobilenetv2_wd4
mobilenetv3_small_w7d20 igcv3_wd4 ghostnet mnasnet_b1 darts proxylessnas_cpu fbnet_cb xception inceptionv3
nasnet_4a1056 pnasnet5large spnasnet efficientnet_b0 efficientnet_edge_small_b mixnet_s resnesta18 isqrtcovresnet18
regnetx002 nin_cifar10 octresnet10_ad2 zfnet vgg11 bn_vgg11 polynet danet_resnetd50b_cityscapes
bisenet_resnet18_celebamaskhq lwopenpose2d_mobilenet_cmupan_coco simplepose_resnet18_coco
alphapose_fastseresnet101b_coco ibppose_coco centernet_resnet18_voc fastscnn_cityscapes cgnet_cityscapes
lednet_cityscapes icnet_resnetd50b_cityscapes esnet_cityscapes jasperdr10x5_en quartznet5x5_en_ls
"""


#: Words in the names of networks that take images of their own size alone.
_WHOLE = ("darknet_", "inception", "squeeze", "nasnet", "polynet", "pose", "cityscapes", "voc", "celeb")


def pytorchcv(providers: Any, name: str) -> Made:
    """A network of pytorchcv, its last pool adaptive, so that small images go through."""
    network = providers.get_model(name, pretrained=False)
    if name.startswith(("jasper", "quartz")):
        return Kept(network, lambda net, x: net(x[0], torch.full((x[0].shape[0],), x[0].shape[2]))), [(64, 160)]
    size = tuple(getattr(network, "in_size", (64, 64)))
    free = not any(word in name for word in _WHOLE)
    if size[0] > 96 and (free or min(size) > 400):
        size = (96, 96) if free else (256, 256)
    if hasattr(network, "fixed_size"):
        network.fixed_size = False
    last = getattr(getattr(network, "features", None), "final_pool", None)
    if isinstance(last, nn.AvgPool2d):
        network.features.final_pool = nn.AdaptiveAvgPool2d(1)  # the same at the size for which it was written
    return network, [(3, *size)]
