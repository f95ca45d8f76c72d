"""The layers that the networks are made of: convolutions, the dense and the refining block.

LeakyReLU 0.1 follows every layer but those that predict images, flows or theta; He
initialisation, zero biases, no normalisation (section 1.3).
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

SLOPE = 0.1
IMAGE_CHANNELS = 3
DENSE_CHANNELS = (128, 128, 96, 64, 32)
REFINING_CHANNELS = (128, 128, 128, 96, 64, 32)
REFINING_DILATIONS = (1, 2, 4, 8, 16, 1)

Convolution = TypeVar("Convolution", nn.Conv2d, nn.ConvTranspose2d)


def channels(base: int, width: int) -> int:
    """The paper's number of channels, `base`, in a network of `width` (32 is the paper's)."""
    return max(4, round(base * width / 32))


def conv(in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> nn.Module:
    """(B, in, H, W) -> (B, out, H / stride, W / stride): conv3x3 and LeakyReLU."""
    layer = bare_conv(in_channels, out_channels, stride=stride, dilation=dilation)
    return nn.Sequential(layer, nn.LeakyReLU(SLOPE, inplace=True))


def bare_conv(
    in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """(B, in, H, W) -> (B, out, H / stride, W / stride): conv3x3 alone."""
    kind = DilatedConv if dilation > 1 else nn.Conv2d
    how = {"stride": stride, "padding": dilation, "dilation": dilation}
    return he_initialise(kind(in_channels, out_channels, 3, **how))


class DilatedConv(nn.Conv2d):
    """A convolution that leaves channels_last for itself under autocast on a CPU.

    There the bfloat16 weight gradient of a dilated convolution (torch 2.13, AVX-512 BF16 without
    AMX) is not finite or off by its own size for many numbers of channels, and at times reads
    outside of its memory and ends the process. Contiguous tensors take another way.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        y = self._conv_forward(x.contiguous(), self.weight.contiguous(), self.bias)
        return y.contiguous(memory_format=torch.channels_last)


def predicting_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """(B, in, H, W) -> (B, out, H, W): conv3x3 alone, for an image or a flow."""
    return bare_conv(in_channels, out_channels)


def deconv(in_channels: int, out_channels: int) -> nn.Module:
    """(B, in, H, W) -> (B, out, 2H, 2W): transposed conv4x4 of stride 2 and LeakyReLU."""
    return nn.Sequential(
        _raising_deconv(in_channels, out_channels), nn.LeakyReLU(SLOPE, inplace=True)
    )


def image_deconv() -> nn.ConvTranspose2d:
    """(B, 3, H, W) -> (B, 3, 2H, 2W): transposed conv4x4 of stride 2 alone."""
    return _raising_deconv(IMAGE_CHANNELS, IMAGE_CHANNELS)


def _raising_deconv(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)
    return he_initialise(layer)


def he_initialise(layer: Convolution) -> Convolution:
    """The convolution itself, weights drawn from N(0, 2 / ((1 + 0.1^2) fan)), bias zero.

    fan = number of inputs that one output sees: stride x stride times fewer for a transposed
    convolution than its kernel has.
    """
    fan = layer.in_channels * math.prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        fan /= math.prod(layer.stride)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / ((1 + SLOPE**2) * fan)))
    nn.init.zeros_(layer.bias)
    return layer


def joined(parts: Sequence[Tensor], *, dtype: torch.dtype) -> Tensor:
    """Tensors (B, C_i, H, W) -> (B, sum of C_i, H, W) of that dtype.

    Under autocast the images are float32 among bfloat16 features; left to itself `cat` would make
    all of them float32, for every convolution after it to convert back.
    """
    return torch.cat([part.to(dtype) for part in parts], 1)


class DenseBlock(nn.Module):
    """(B, in, H, W) -> (B, `out_channels`, H, W): five conv3x3, each of which sees the input
    and the outputs of all before it."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        convs = []
        for base in DENSE_CHANNELS:
            convs.append(conv(in_channels, channels(base, width)))
            in_channels += channels(base, width)
        self.convs = nn.ModuleList(convs)
        self.out_channels = channels(DENSE_CHANNELS[-1], width)

    def forward(self, seen: Tensor) -> Tensor:
        for layer in self.convs[:-1]:
            seen = torch.cat((seen, layer(seen)), 1)
        return self.convs[-1](seen)


class RefiningBlock(nn.Module):
    """Feature (B, in, H, W) and image (B, 3, H, W) -> the image refined: seven dilated conv3x3
    whose output is added to it."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        widths = [channels(base, width) for base in REFINING_CHANNELS]
        ins = [in_channels + IMAGE_CHANNELS, *widths[:-1]]
        convs = [conv(i, o, dilation=d) for i, o, d in zip(ins, widths, REFINING_DILATIONS)]
        self.convs = nn.Sequential(*convs, predicting_conv(widths[-1], IMAGE_CHANNELS))

    def forward(self, feature: Tensor, image: Tensor) -> Tensor:
        return image + self.convs(joined((feature, image), dtype=feature.dtype))
