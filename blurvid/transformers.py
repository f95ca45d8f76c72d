"""What turns the middle frame's features and images into another frame's: spatial transformer
(STN), local warping (LW), feature and image transformer networks (FTN, ITN; equation 1).

Lists over scales run coarse to fine. Every transformer starts as the identity.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from blurvid.blocks import channels, conv, predicting_conv
from blurvid.warp import affine_warp, flow_warp

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


class FeatureTransformer(nn.Module):
    """FTN of one frame: features U_e(s), a list of (B, C_s, h, w) -> for each scale the pair
    STN(U_e(s)), LW(U_e(s)) (equation 1), and the thetas (B, scales, 2, 3)."""

    def __init__(self, feature_channels: Sequence[int], width: int):
        super().__init__()
        self.localise = nn.ModuleList(Localisation(c, width) for c in feature_channels)
        self.local_warping = nn.ModuleList(LocalWarping(c, width) for c in feature_channels)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        thetas = [localise(feature) for localise, feature in zip(self.localise, features)]
        flows = [flow_of(feature) for flow_of, feature in zip(self.local_warping, features)]
        transformed = [
            (affine_warp(feature, theta), flow_warp(feature, flow))
            for feature, theta, flow in zip(features, thetas, flows)
        ]
        return transformed, torch.stack(thetas, 1)


class ImageTransformer(nn.Module):
    """ITN of one frame: features that tell the motion, a list of (B, C_s, h, w), and as many
    images (B, 3, h', w') -> the images warped by STNs, and the thetas (B, scales, 2, 3)."""

    def __init__(self, feature_channels: Sequence[int], width: int):
        super().__init__()
        self.localise = nn.ModuleList(Localisation(c, width) for c in feature_channels)

    def forward(
        self, features: Sequence[Tensor], images: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        thetas = [localise(feature) for localise, feature in zip(self.localise, features)]
        warped = [affine_warp(image, theta) for image, theta in zip(images, thetas)]
        return warped, torch.stack(thetas, 1)
