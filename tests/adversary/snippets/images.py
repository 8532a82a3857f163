"""Networks of images: convolutions, norms, pools, paddings, resizing, gates, windows and shuffles."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ..corpus import IMAGE, add, conv, linear, normal, numbers, snippet, stack, weight

relu, flatten = nn.ReLU, nn.Flatten
norm = partial(nn.BatchNorm2d, 4)
C = {"c": conv(3, 4)}

# Stacks of modules.
add(
    "convnet",
    stack(conv(3, 4), norm, nn.ReLU6, partial(nn.MaxPool2d, 2), flatten, linear(36, 5), partial(nn.Softmax, 1)),
    IMAGE,
)
add(
    "strided convnet",
    stack(conv(3, 4, stride=2), norm, relu, conv(4, 4, groups=2), norm, flatten, linear(36, 3)),
    IMAGE,
)
add("linear convnet", stack(conv(3, 4), norm, conv(4, 2), flatten, linear(72, 3)), IMAGE)
add("dilated", stack(conv(3, 4, dilation=2), partial(nn.LeakyReLU, 0.2), conv(4, 2, 1)), IMAGE)
add(
    "paddings of convolutions",
    stack(conv(3, 4, padding_mode="reflect"), relu, conv(4, 3, padding_mode="circular")),
    IMAGE,
)
add("same padding", stack(conv(3, 4, padding="same"), nn.Hardswish, conv(4, 2, padding="valid")), IMAGE)
add(
    "transposed",
    stack(
        conv(3, 2), nn.Sigmoid, partial(nn.ConvTranspose2d, 2, 3, 2, 2), partial(nn.ConvTranspose2d, 3, 2, 3, 2, 1, 1)
    ),
    IMAGE,
)
add("autoencoder", stack(conv(3, 4, stride=2), nn.ELU, partial(nn.ConvTranspose2d, 4, 3, 4, 2, 1), nn.Tanh), IMAGE)
add(
    "depthwise separable",
    stack(conv(3, 6, groups=3), partial(nn.BatchNorm2d, 6), relu, conv(6, 4, 1), norm, relu),
    IMAGE,
)
add("mean and head", stack(conv(3, 4), relu, partial(nn.AdaptiveAvgPool2d, 1), flatten, linear(4, 3)), IMAGE)
add(
    "dropouts", stack(conv(3, 3), partial(nn.Dropout2d, 0.2), partial(nn.AlphaDropout, 0.1), nn.Tanh, nn.Dropout), IMAGE
)
add(
    "reflecting pads",
    stack(partial(nn.ReflectionPad2d, 1), conv(3, 4, padding=0), partial(nn.ReplicationPad2d, (1, 0, 2, 1)), nn.SiLU),
    IMAGE,
)
add(
    "conv1d",
    stack(
        partial(nn.Conv1d, 3, 4, 3, padding=2, dilation=2), nn.GELU, partial(nn.AvgPool1d, 2), flatten, linear(12, 2)
    ),
    (3, 6),
)
add("conv3d", stack(partial(nn.Conv3d, 2, 3, 3, padding=1), relu, partial(nn.MaxPool3d, 2), flatten), (2, 4, 4, 4))
add("upsampling", stack(conv(3, 2), partial(nn.Upsample, scale_factor=2), nn.PReLU, conv(2, 3)), IMAGE)
add("group norm", stack(conv(3, 4), partial(nn.GroupNorm, 2, 4), relu, conv(4, 2)), IMAGE)
add("instance norm", stack(conv(3, 4), partial(nn.InstanceNorm2d, 4, affine=True), nn.Mish), IMAGE)
add("tracked instance norm", stack(conv(3, 4), partial(nn.InstanceNorm2d, 4, track_running_stats=True), relu), IMAGE)
add("local response norm", stack(conv(3, 4), partial(nn.LocalResponseNorm, 3), relu), IMAGE)
add("layer norm of images", stack(conv(3, 4), partial(nn.LayerNorm, [6, 6]), relu), IMAGE)

# Blocks written by hand.
add("residual", lambda s, x: (s.d(s.n(s.c(x)).relu()) + x).relu(), IMAGE, c=conv(3, 4), d=conv(4, 3), n=norm)
add("two residuals", lambda s, x: s.d(F.relu(s.c(x) + x)) + x * 0.5, IMAGE, c=conv(3, 3), d=conv(3, 3))
add("dense block", lambda s, x: s.d(torch.cat([x, F.relu(s.c(x))], 1)), IMAGE, c=conv(3, 4), d=conv(7, 2))
add(
    "inverted bottleneck",
    lambda s, x: x + s.p(F.hardswish(s.d(F.relu6(s.e(x))))),
    IMAGE,
    e=conv(3, 6, 1),
    d=conv(6, 6, groups=6),
    p=conv(6, 3, 1),
)
add(
    "squeeze and excite",
    lambda s, x: x * s.b(F.silu(s.a(F.adaptive_avg_pool2d(x, 1)))).sigmoid(),
    IMAGE,
    a=conv(3, 2, 1),
    b=conv(2, 3, 1),
)
add("gate by view", lambda s, x: x * torch.sigmoid(s.l(x.mean((2, 3)))).view(-1, 3, 1, 1), IMAGE, l=linear(3, 3))
add(
    "spatial gate",
    lambda s, x: x * s.c(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)).sigmoid(),
    IMAGE,
    c=conv(2, 1),
)
add(
    "repvgg",
    lambda s, x: F.relu(s.a(x) + s.b(x) + s.n(x)),
    IMAGE,
    a=conv(3, 3),
    b=conv(3, 3, 1),
    n=partial(nn.BatchNorm2d, 3),
)
add("view before a matrix", lambda s, x: s.l(s.c(x).view(x.size(0), -1)), IMAGE, l=linear(144, 3), **C)
add("layer scale", lambda s, x: x + s.g[:, None, None] * s.c(x), IMAGE, c=conv(3, 3), g=weight(3))
add(
    "channels last norm",
    lambda s, x: s.n(s.c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    IMAGE,
    n=partial(nn.LayerNorm, 4),
    **C,
)
add("global norm", lambda s, x: s.c(x) / (s.c(x).norm(dim=(2, 3), keepdim=True) + 1e-3), IMAGE, **C)
add(
    "functional convolution",
    lambda s, x: F.conv2d(x, s.w, s.b, (1, 2), (1, 0), 1, 1),
    IMAGE,
    w=weight(4, 3, 3, 2),
    b=weight(4),
)
add(
    "grouped functional",
    lambda s, x: F.conv2d(F.pad(x, (2, 1, 0, 1)), s.w, groups=3, dilation=(1, 2)).abs(),
    IMAGE,
    w=weight(6, 1, 3, 3),
)
add(
    "blur",
    lambda s, x: F.conv2d(x, s.k.expand(3, 1, 3, 3), groups=3, padding=1, stride=2),
    IMAGE,
    k=numbers([[[[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]]]),
)
add(
    "binary convolution",
    lambda s, x: F.conv2d(x.sign(), s.w.sign(), padding=1) * s.w.abs().mean(),
    IMAGE,
    w=weight(4, 3, 3, 3),
)
add("conv as unfold", lambda s, x: (s.w @ F.unfold(x, 3, padding=1)).view(-1, 4, 6, 6), IMAGE, w=weight(4, 27))
add(
    "fold again",
    lambda s, x: F.fold(F.unfold(x, 3, padding=1, stride=1) * s.w, (6, 6), 3, padding=1),
    IMAGE,
    w=normal(27, 1),
)
add(
    "batch norm by hand",
    lambda s, x: F.batch_norm(s.c(x), s.m, s.v.abs() + 0.5, s.g, s.b, False, 0.1, 1e-5),
    IMAGE,
    m=normal(4),
    v=normal(4),
    g=weight(4),
    b=weight(4),
    **C,
)
add(
    "two scales",
    lambda s, x: F.interpolate(s.c(F.avg_pool2d(x, 2)), scale_factor=2.0) + s.d(x),
    IMAGE,
    d=conv(3, 4),
    **C,
)


@snippet(IMAGE, **C)
def pools(s, x):
    y = s.c(x)
    z = F.max_pool2d(y, 3, 2, 1, ceil_mode=True), F.avg_pool2d(y, 3, 2, 1, count_include_pad=False)
    return *z, F.lp_pool2d(y, 2, 2), F.adaptive_max_pool2d(y, 2), F.adaptive_avg_pool2d(y, (3, 2))


@snippet(IMAGE, **C)
def pools_with_places(s, x):
    y, i = F.max_pool2d(s.c(x), 2, return_indices=True)
    return F.max_unpool2d(y, i, 2), i


@snippet(IMAGE, c=conv(3, 2))
def interpolations(s, x):
    y = s.c(x)
    z = F.interpolate(y, scale_factor=2), F.interpolate(y, size=(9, 5), mode="bilinear", align_corners=True)
    return *z, F.interpolate(y, scale_factor=1.5, mode="bilinear"), F.interpolate(y, size=9, mode="bicubic")


@snippet(IMAGE, c=conv(3, 2))
def more_interpolations(s, x):
    y = s.c(x)
    z = F.interpolate(y, size=4, mode="area"), F.interpolate(y, size=(7, 7), mode="nearest-exact")
    return *z, F.interpolate(y, size=(4, 5), mode="bilinear", antialias=True).relu()


@snippet(IMAGE, c=conv(3, 2))
def pads(s, x):
    y = s.c(x)
    return [F.pad(y, (1, 2, 0, 1), mode=m) for m in ("reflect", "replicate", "circular")] + [
        F.pad(x, (1, -1, 2, 0), value=0.5)
    ]


@snippet(IMAGE, **C)
def standardised_weights(s, x):
    w = s.c.weight
    w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
    return F.conv2d(x, w, s.c.bias, padding=1).relu()


@snippet(IMAGE, c=conv(3, 3), n=partial(nn.BatchNorm2d, 3))
def normalised_weight_by_batch_norm(s, x):
    w = F.batch_norm(s.c.weight.reshape(1, 3, -1), None, None, training=True, momentum=0.0, eps=1e-6)
    return s.n(F.conv2d(x, w.reshape_as(s.c.weight), s.c.bias, padding=1))


@snippet(IMAGE, l=linear(3, 3))
def windows(s, x):
    batch, channels, height, width = x.shape
    y = x.view(batch, channels, 2, 3, 2, 3).permute(0, 2, 4, 3, 5, 1).reshape(-1, 9, channels)
    y = s.l(y).relu().view(batch, 2, 2, 3, 3, channels)
    return y.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)


@snippet((4, 4, 4), c=conv(4, 4))
def channel_shuffle(s, x):
    y = s.c(x).view(x.size(0), 2, 2, 4, 4).transpose(1, 2).contiguous().view(-1, 4, 4, 4)
    return s.c(y), F.channel_shuffle(x, 2)


@snippet((4, 4, 4), c=conv(4, 8))
def pixel_shuffles(s, x):
    return F.pixel_shuffle(s.c(x), 2), F.pixel_unshuffle(x, 2)


@snippet(IMAGE, l=linear(27, 4), o=linear(4, 2))
def patches(s, x):
    y = x.unfold(2, 3, 3).unfold(3, 3, 3).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    return s.o(F.gelu(s.l(y))).mean(1)


@snippet(IMAGE, l=linear(3, 6))
def spatial_transformer(s, x):
    theta = F.affine_grid(s.l(x.mean((2, 3))).view(-1, 2, 3), [x.shape[0], 3, 4, 4], align_corners=False)
    return F.grid_sample(x, theta, padding_mode="border", align_corners=False)


@snippet(IMAGE, **C)
def statistics(s, x):
    y = s.c(x)
    z = y.std((2, 3)), y.var((1,), unbiased=False), y.norm(dim=1), y.logsumexp(1)
    return *z, y.flatten(1).median(-1).values, y.amin((2, 3))


@snippet(IMAGE, **C)
def slices(s, x):
    y = s.c(x)
    z = torch.cat([y[:, :2, 1:], y[:, 1:3, :-1]], 1)[..., ::2], y.narrow(1, 1, 2), y[:, [0, 2, 1]]
    return *z, y.flip(-1), y.roll((1, -1), (2, 3))


@snippet(IMAGE, c=conv(3, 4), d=conv(3, 4))
def written_in_place(s, x):
    y = s.c(x)
    y[:, 0] *= 2
    y += s.d(x)
    y.relu_()
    y[:, 1:].clamp_(max=1.0)
    return y


@snippet(IMAGE, a=conv(3, 4), b=conv(3, 4), h=linear(4, 3))
def two_heads(s, x):
    y = F.relu(s.a(x)) * torch.sigmoid(s.b(x))
    return {"logits": s.h(y.mean((-2, -1))), "map": y.argmax(1)}


@snippet(IMAGE, c=conv(3, 6))
def yolo_boxes(s, x):
    y = s.c(x).view(x.shape[0], 2, 3, 6, 6).permute(0, 1, 3, 4, 2)
    place = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij"), -1)
    return torch.cat([y[..., :2].sigmoid() * 2 - 0.5 + place, y[..., 2:]], -1).flatten(1, 3)


@snippet(IMAGE, q=conv(3, 4, 1), k=conv(3, 4, 1), v=conv(3, 3, 1))
def non_local(s, x):
    q, k, v = s.q(x).flatten(2), s.k(x).flatten(2), s.v(x).flatten(2)
    return x + (v @ (q.transpose(1, 2) @ k).softmax(-1).transpose(1, 2)).view_as(x)


@snippet(IMAGE, s1=conv(3, 2), s2=conv(2, 2), up=conv(2, 2), o=conv(4, 2, 1))
def small_unet(s, x):
    a = F.relu(s.s1(x))
    b = F.relu(s.s2(F.max_pool2d(a, 2)))
    return s.o(torch.cat([a, s.up(F.interpolate(b, size=a.shape[-2:], mode="nearest"))], 1))
