"""`recurrent`: a baseline of the kind of Purohit, Shah and Rajagopalan (CVPR 2019), whose code was
never released (section 1.7).

    blur -> encoder, middle decoder -> middle frame
    blur, predicted middle -> motion encoder -> ConvLSTM, one step a pair outwards -> flows
    middle frame, moved by a flow -> each other frame

What is left open is chosen here: the ConvLSTM sees nothing but its own state, whose first hidden
part is the encoding; each step's state gives the flows of both frames of a pair. Flows start near 0
but not at it: under a loss that is blind to their order, two equal frames would never part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from blurvid.blocks import (
    IMAGE_CHANNELS,
    SLOPE,
    channels,
    conv,
    deconv,
    he_initialise,
    joined,
    predicting_conv,
)
from blurvid.decoder import FrameDecoder
from blurvid.encoder import Encoder, encoder_channels
from blurvid.full import decode_middle, scaled_bases
from blurvid.restoration import FrameModel, Restoration, no_thetas
from blurvid.warp import flow_warp

if TYPE_CHECKING:
    from blurvid.model import ModelSpec

# Channels and stride of the motion encoder's conv5x5.
MOTION_LAYERS = ((64, 1), (64, 1), (64, 2), (128, 1), (128, 1), (128, 2), (128, 2))
STATE_CHANNELS = 128
FLOW_CHANNELS = (128, 64, 64, 32)  # of the flow decoder at the scales 1/8, 1/4, 1/2, 1
PAIR = 2
FIRST_FLOW = 0.01  # of what He initialisation would give


class MotionEncoder(nn.Module):
    """Blur and middle frame (B, 3, H, W) -> encoding (B, C, H/8, W/8): seven conv5x5."""

    def __init__(self, width: int) -> None:
        super().__init__()
        outs = [channels(base, width) for base, _ in MOTION_LAYERS]
        ins = [2 * IMAGE_CHANNELS, *outs[:-1]]
        self.convs = nn.Sequential(
            *(_conv5(i, o, stride) for i, o, (_, stride) in zip(ins, outs, MOTION_LAYERS))
        )

    def forward(self, blur: Tensor, middle: Tensor) -> Tensor:
        return self.convs(torch.cat((blur, middle), 1))


class ConvLSTM(nn.Module):
    """Hidden and cell (B, C, h, w) -> those of the next step; there is no input beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gates = he_initialise(nn.Conv2d(width, 4 * width, 3, padding=1))

    def forward(self, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        keep, write, show, new = self.gates(hidden).chunk(4, 1)
        cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
        return show.sigmoid() * cell.tanh(), cell


class FlowDecoder(nn.Module):
    """State (B, C, H/8, W/8) -> flows (B, 4, sH, sW) in pixels of their scale at s = 1/8, 1/4,
    1/2, 1: (x, y) of the pair's frame before the middle, then of that after it."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        outs = [channels(base, width) for base in FLOW_CHANNELS]
        flows = 2 * PAIR
        self.hide = nn.ModuleList([conv(state, outs[0])])
        self.hide.extend(conv(o + flows, o) for o in outs[1:])
        self.raise_feature = nn.ModuleList(deconv(i, o) for i, o in zip(outs, outs[1:]))
        self.predict_flow = nn.ModuleList(_hushed(predicting_conv(o, flows)) for o in outs)

    def forward(self, state: Tensor) -> list[Tensor]:
        feature = self.hide[0](state)
        flows = [self.predict_flow[0](feature)]
        scales = zip(self.raise_feature, self.hide[1:], self.predict_flow[1:])
        for raise_feature, hide, predict_flow in scales:
            coarse = doubled_flow(flows[-1])
            raised = raise_feature(feature)
            feature = hide(joined((raised, coarse), dtype=raised.dtype))
            flows.append(coarse + predict_flow(feature))
        return flows


class RecurrentModel(FrameModel):
    """blur (B, 3, H, W), sides multiples of 32 -> `Restoration` of one scale with its flows."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        features, state = encoder_channels(spec.width), channels(STATE_CHANNELS, spec.width)
        self.encoder = Encoder(spec.width)
        self.middle = FrameDecoder(features[0], [*features[1:], 0], width=spec.width)
        self.motion_encoder = MotionEncoder(spec.width)
        self.recurrence = ConvLSTM(state)
        self.flow_decoder = FlowDecoder(state, spec.width)

    def forward(self, blur: Tensor) -> Restoration:
        self.check_blur(blur)
        bases = scaled_bases(blur, residual=self.spec.residual)
        middle = decode_middle(self.middle, self.encoder(blur), bases).refined
        flows = self.flows(blur, middle)
        moved = [flow_warp(middle, flow) for flow in flows[-1].unbind(1)]
        half = len(moved) // 2
        images = torch.stack([*moved[:half], middle, *moved[half:]], 1)
        none = no_thetas(blur, len(moved))
        return Restoration((images,), none, none, flows)

    def flows(self, blur: Tensor, middle: Tensor) -> tuple[Tensor, ...]:
        """For each of four scales (B, n - 1, 2, sH, sW): the flows of the other frames in time
        order."""
        hidden = self.motion_encoder(blur, middle)
        cell, pairs = torch.zeros_like(hidden), []
        for _ in range(self.spec.frames // 2):
            hidden, cell = self.recurrence(hidden, cell)
            pairs.append(self.flow_decoder(hidden))
        return tuple(_in_time_order(scale) for scale in zip(*pairs))


def doubled_flow(flow: Tensor) -> Tensor:
    """(B, C, h, w) in pixels -> (B, C, 2h, 2w) in pixels of that scale: twice as long."""
    return 2 * nn.functional.interpolate(
        flow, scale_factor=2, mode="bilinear", align_corners=False
    )


def _in_time_order(pairs: Sequence[Tensor]) -> Tensor:
    """Flows (B, 4, h, w) of the pairs from the middle outwards -> (B, n - 1, 2, h, w)."""
    before, after = zip(*(pair.chunk(PAIR, 1) for pair in pairs))
    flows = torch.stack([*reversed(before), *after], 1)
    return flows.to(torch.promote_types(flows.dtype, torch.float32))


def _conv5(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    layer = nn.Conv2d(in_channels, out_channels, 5, stride=stride, padding=2)
    return nn.Sequential(he_initialise(layer), nn.LeakyReLU(SLOPE, inplace=True))


def _hushed(layer: nn.Conv2d) -> nn.Conv2d:
    with torch.no_grad():
        layer.weight *= FIRST_FLOW
    return layer
