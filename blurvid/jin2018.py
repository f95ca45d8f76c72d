"""`jin2018`: the networks of Jin, Meishvili and Favaro (CVPR 2018), written anew from their paper's
facts (section 1.7); their training code and weights were never published.

    B -> middle net -> f4;  B, f4 -> f3;  B, f3, f4 -> f5;  B and the two nearer frames -> f2, f1; f6, f7

f2 and f6 share a network, f1 and f7 another. For three frames: the middle net and the first pair.
They learn one stage after the other, from the middle outwards. What the facts leave open is chosen
here: He initialisation, a last layer that starts at zero (a frame starts as the picture that it is
added to), and that the maps which a non-middle net adds to are those of its adjacent frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blurvid.blocks import IMAGE_CHANNELS, bare_conv, channels, he_initialise, predicting_conv
from blurvid.restoration import FrameModel, Restoration, no_thetas, pad_to_multiple

if TYPE_CHECKING:
    from blurvid.model import ModelSpec

MIDDLE_CHANNELS, OTHER_CHANNELS, COLOUR_CHANNELS = 144, 128, 64
MIDDLE_DEPTH, OTHER_DEPTH = 4, 5  # space to depth: so many pixels a side become channels
SIDE = 20  # sides must divide by both
DILATIONS = (
    *((1, 1), (1, 1), (1, 1)),
    *((1, 2), (2, 4), (4, 8)),
    *((8, 4), (4, 2), (2, 1)),
    *((1, 1), (1, 1), (1, 1)),
)
GROUP = 3  # residual blocks between two fusing blocks


class ResidualBlock(nn.Module):
    """(B, C, H, W) -> the same: the identity, a conv1x1, and twice instance norm, ReLU, conv3x3."""

    def __init__(self, width: int, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(layer for d in dilations for layer in _normed(width, width, d)))
        self.branch = he_initialise(nn.Conv2d(width, width, 1))

    def forward(self, feature: Tensor) -> Tensor:
        return feature + self.branch(feature) + self.convs(feature)


class ColourNet(nn.Module):
    """Images of one colour channel, the adjacent one last, as maps (B, k r r, h, w) -> maps
    (B, r r, h, w): those of the last image plus what four groups of residual blocks find."""

    def __init__(self, images: int, depth: int, width: int) -> None:
        super().__init__()
        maps = depth * depth
        self.first = he_initialise(nn.Conv2d(images * maps, width, 5, padding=2))
        self.blocks = nn.ModuleList(ResidualBlock(width, dilations) for dilations in DILATIONS)
        self.fuse = nn.ModuleList(
            nn.Sequential(*_normed(width, maps, 1)) for _ in range(len(DILATIONS) // GROUP)
        )

    def forward(self, maps: Tensor) -> Tensor:
        feature = self.first(maps)
        total = maps[:, -self.fuse[0][-1].out_channels :]
        for number, block in enumerate(self.blocks):
            feature = block(feature)
            if number % GROUP == GROUP - 1:
                total = total + self.fuse[number // GROUP](feature)
        return total


class FrameNet(nn.Module):
    """k images (B, 3, H, W), the one that is added to last -> one frame (B, 3, H, W).

    Each colour goes through the same `ColourNet`; then all three are joined.
    """

    def __init__(self, images: int, *, depth: int, base: int, width: int) -> None:
        super().__init__()
        self.depth = depth
        self.colour = ColourNet(images, depth, channels(base, width))
        joined = channels(COLOUR_CHANNELS, width)
        self.join = he_initialise(nn.Conv2d(IMAGE_CHANNELS, joined, 3, padding=1))
        self.block = ResidualBlock(joined)
        self.predict_image = predicting_conv(joined, IMAGE_CHANNELS)
        nn.init.zeros_(self.predict_image.weight)

    def forward(self, *images: Tensor) -> Tensor:
        colours = torch.stack(images, 2).flatten(0, 1)  # (B 3, k, H, W)
        maps = self.colour(F.pixel_unshuffle(colours, self.depth))
        joined = F.pixel_shuffle(maps, self.depth).unflatten(0, (-1, IMAGE_CHANNELS)).squeeze(2)
        return images[-1] + self.predict_image(self.block(self.join(joined)))


class JinModel(FrameModel):
    """blur (B, 3, H, W) of any size -> `Restoration` of one scale.

    In training the frames up to the pair of the stage, the middle ones of all; the last stage, and
    `restoration`, give all of them.
    """

    stride = 1

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.stages = spec.stages
        other = {"depth": OTHER_DEPTH, "base": OTHER_CHANNELS, "width": spec.width}
        self.middle = FrameNet(1, depth=MIDDLE_DEPTH, base=MIDDLE_CHANNELS, width=spec.width)
        self.nearest = nn.ModuleList([FrameNet(2, **other), FrameNet(3, **other)])
        self.farther = nn.ModuleList(FrameNet(3, **other) for _ in range(self.stages - 2))
        self._stage = self.stages - 1

    def begin_stage(self, stage: int) -> None:
        self._stage = stage
        for number, networks in enumerate((self.middle, self.nearest, *self.farther)):
            networks.requires_grad_(number == stage)

    def forward(self, blur: Tensor) -> Restoration:
        self.check_blur(blur)
        return self._restoration(blur, self._stage)

    def restoration(self, blur: Tensor) -> Restoration:
        return self._restoration(blur, self.stages - 1)

    def _restoration(self, blur: Tensor, stage: int) -> Restoration:
        frames = self._outwards(pad_to_multiple(blur, SIDE), stage)
        none = no_thetas(blur, len(frames) - 1)
        return Restoration((torch.stack(frames, 1),), none, none).cut(blur.shape[-2:])

    def _outwards(self, blur: Tensor, stage: int) -> list[Tensor]:
        """The middle frame and the pairs of the stages up to this one, in time order."""
        frames = [self.middle(blur)]
        if stage:
            first, last = self.nearest
            before = first(blur, frames[0])
            frames = [before, *frames, last(blur, before, frames[0])]
        for network in self.farther[: max(stage - 1, 0)]:
            before, after = (network(blur, *nearer) for nearer in _nearer(frames))
            frames = [before, *frames, after]
        return frames


def _nearer(frames: Sequence[Tensor]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """For the frame before the first and the one after the last: the two nearer, adjacent last."""
    return (frames[1], frames[0]), (frames[-2], frames[-1])


def _normed(in_channels: int, out_channels: int, dilation: int) -> Sequence[nn.Module]:
    """Instance norm, ReLU, conv3x3."""
    layer = bare_conv(in_channels, out_channels, dilation=dilation)
    return nn.InstanceNorm2d(in_channels, affine=True), nn.ReLU(), layer
