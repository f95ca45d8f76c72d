"""What turns the middle frame's features and images into another frame's: spatial transformer
(STN), local warping (LW), feature and image transformer networks (FTN, ITN; equation 1).

Lists over scales run coarse to fine. Every transformer starts as the identity. Networks say how a
frame moves (`Motion`); functions move features and images by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from blurvid.blocks import channels, conv, predicting_conv
from blurvid.warp import affine_warp, flow_warp, inverse_affine

HIDDEN_CHANNELS = 32
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Localisation(nn.Module):
    """Feature (B, in, h, w) -> theta (B, 2, 3) of `affine_warp`: an STN's localisation net.

    Runs in the precision of its weights also under autocast: bfloat16 gradients of a
    convolution on a 1x1 map come out non-finite now and then (torch 2.13, CPU).
    """

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        hidden = channels(HIDDEN_CHANNELS, width)
        self.convs = nn.Sequential(
            conv(in_channels, hidden, stride=2), conv(hidden, hidden, stride=2)
        )
        self.linear = nn.Linear(hidden, len(IDENTITY))
        nn.init.zeros_(self.linear.weight)
        with torch.no_grad():
            self.linear.bias.copy_(torch.tensor(IDENTITY))

    def forward(self, feature: Tensor) -> Tensor:
        with torch.autocast(feature.device.type, enabled=False):
            pooled = self.convs(feature.to(self.linear.weight.dtype)).mean((-2, -1))
            return self.linear(pooled).unflatten(1, (2, 3))


class LocalWarping(nn.Module):
    """Feature (B, in, h, w) -> flow (B, 2, h, w) of `flow_warp`, in pixels (x, y): LW's net."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        hidden = channels(HIDDEN_CHANNELS, width)
        self.hide = conv(in_channels, hidden)
        self.predict_flow = predicting_conv(hidden, 2)
        nn.init.zeros_(self.predict_flow.weight)

    def forward(self, feature: Tensor) -> Tensor:
        return self.predict_flow(self.hide(feature))


class Motion(NamedTuple):
    """Where one frame's features and images are found in the middle frame's.

    feature_thetas (B, scales, 2, 3) of FTN's STNs, flows of LW, one (B, 2, h, w) a scale in pixels,
    image_thetas (B, scales, 2, 3) of ITN. What a model lacks has no scales.
    """

    feature_thetas: Tensor
    flows: tuple[Tensor, ...]
    image_thetas: Tensor

    def inverse(self) -> Motion:
        """That of the mirrored frame, if the motion is symmetric about the middle: thetas
        inverted, flows negated (5.4.1)."""
        return Motion(
            inverse_affine(self.feature_thetas),
            tuple(-flow for flow in self.flows),
            inverse_affine(self.image_thetas),
        )


class FeatureTransformer(nn.Module):
    """FTN of one frame: features U_e(s), a list of (B, C_s, h, w) -> thetas (B, scales, 2, 3) of
    its STNs and flows of its LW; of 0 scales where it has none."""

    def __init__(
        self, feature_channels: Sequence[int], width: int, *, stn: bool = True, lw: bool = True
    ):
        super().__init__()
        self.localise = nn.ModuleList(Localisation(c, width) for c in feature_channels if stn)
        self.local_warping = nn.ModuleList(LocalWarping(c, width) for c in feature_channels if lw)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        flows = tuple(flow_of(feature) for flow_of, feature in zip(self.local_warping, features))
        return _thetas(self.localise, features), flows


class ImageTransformer(nn.Module):
    """ITN of one frame: features that tell the motion, a list of (B, C_s, h, w) -> thetas
    (B, scales, 2, 3)."""

    def __init__(self, feature_channels: Sequence[int], width: int):
        super().__init__()
        self.localise = nn.ModuleList(Localisation(c, width) for c in feature_channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return _thetas(self.localise, features)


def transformed_features(features: Sequence[Tensor], motion: Motion) -> list[list[Tensor]]:
    """U_t(s): for each feature U_e(s) (B, C_s, h, w) its STN(U_e(s)) and LW(U_e(s)), as far as the
    motion has them (equation 1)."""
    moved: list[list[Tensor]] = [[] for _ in features]
    for scale, theta in enumerate(motion.feature_thetas.unbind(1)):
        moved[scale].append(affine_warp(features[scale], theta))
    for scale, flow in enumerate(motion.flows):
        moved[scale].append(flow_warp(features[scale], flow))
    return moved


def transformed_images(images: Sequence[Tensor], motion: Motion) -> list[list[Tensor]]:
    """I_t(s): each image (B, 3, h, w) as its STN moves it; an empty list where there is none."""
    moved: list[list[Tensor]] = [[] for _ in images]
    for scale, theta in enumerate(motion.image_thetas.unbind(1)):
        moved[scale].append(affine_warp(images[scale], theta))
    return moved


def _thetas(localise: nn.ModuleList, features: Sequence[Tensor]) -> Tensor:
    """(B, scales, 2, 3), one theta a net."""
    if not localise:
        return features[0].new_zeros(len(features[0]), 0, 2, 3, dtype=torch.float32)
    return torch.stack([net(feature) for net, feature in zip(localise, features)], 1)
