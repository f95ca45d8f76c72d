"""The paper's models, `full` and `light`: 3 or 7 frames and their transformations (4.1, 4.2, 5.4.1).

    blur -> encoder -> U_e -> middle decoder ------------------------> middle frame
                        |          | images
                        |-> FTN    |-> ITN
                        |    \\        /
                        \\-> non-middle decoder ----------------------> the other frames

`full` has transformers and a decoder of its own for each non-middle frame; in `light` they share
one decoder, and the transformers of the frames after the middle are the inverses of those before.
Lists over scales run coarse to fine, lists over frames in time order (section 1.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from blurvid.blocks import IMAGE_CHANNELS
from blurvid.decoder import DecodedFrame, FrameDecoder
from blurvid.encoder import Encoder, encoder_channels
from blurvid.restoration import FrameModel, Restoration
from blurvid.transformers import (
    FeatureTransformer,
    ImageTransformer,
    Motion,
    transformed_features,
    transformed_images,
)
from blurvid.warp import area_downsample

if TYPE_CHECKING:
    from blurvid.model import ModelSpec

DECODER_FACTORS = (16, 8, 4, 2, 1)


class FrameMotion(nn.Module):
    """FTN and ITN of one frame, as far as the spec has them: features U_e(s) -> `Motion`."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        features = encoder_channels(spec.width)
        self.feature_transformer = FeatureTransformer(
            features, spec.width, stn=spec.has("ftn"), lw=spec.has("lw")
        )
        at_decoder_scales = _at_decoder_scales(features) if spec.has("itn") else []
        self.image_transformer = ImageTransformer(at_decoder_scales, spec.width)

    def forward(self, features: Sequence[Tensor]) -> Motion:
        feature_thetas, flows = self.feature_transformer(features)
        image_thetas = self.image_transformer(_at_decoder_scales(features))
        return Motion(feature_thetas, flows, image_thetas)


class NonMiddleFrame(FrameMotion):
    """Own FTN, ITN, decoder and refining block of one non-middle frame (equations 1 and 2)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.decoder = non_middle_decoder(spec)


class FullModel(FrameModel):
    """The paper's model."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        features = encoder_channels(spec.width)
        self.encoder = Encoder(spec.width)
        self.middle = FrameDecoder(features[0], [*features[1:], 0], width=spec.width)
        self._add_others(spec)

    def _add_others(self, spec: ModelSpec) -> None:
        self.others = nn.ModuleList(NonMiddleFrame(spec) for _ in range(spec.frames - 1))

    def motions(self, features: Sequence[Tensor]) -> list[Motion]:
        """What moves the middle frame to each of the others."""
        return [other(features) for other in self.others]

    def decoders(self) -> list[FrameDecoder]:
        """That of each non-middle frame."""
        return [other.decoder for other in self.others]

    def forward(self, blur: Tensor) -> Restoration:
        self.check_blur(blur)
        features = self.encoder(blur)
        bases = scaled_bases(blur, residual=self.spec.residual)
        middle = decode_middle(self.middle, features, bases)
        motions = self.motions(features)
        others = [
            decode_other(decoder, features, motion, middle=middle, bases=bases)
            for decoder, motion in zip(self.decoders(), motions)
        ]
        half = len(others) // 2
        images = _in_time_order([*others[:half], middle, *others[half:]])
        feature_thetas = torch.stack([motion.feature_thetas for motion in motions], 1)
        image_thetas = torch.stack([motion.image_thetas for motion in motions], 1)
        return Restoration(images, feature_thetas, image_thetas)


class LightModel(FullModel):
    """The lighter model (5.4.1)."""

    def _add_others(self, spec: ModelSpec) -> None:
        self.before = nn.ModuleList(FrameMotion(spec) for _ in range(spec.frames // 2))
        self.decoder = non_middle_decoder(spec)

    def motions(self, features: Sequence[Tensor]) -> list[Motion]:
        before = [motion(features) for motion in self.before]
        return [*before, *(motion.inverse() for motion in reversed(before))]

    def decoders(self) -> list[FrameDecoder]:
        return [self.decoder] * (self.spec.frames - 1)


def non_middle_decoder(spec: ModelSpec) -> FrameDecoder:
    """Skips U_t(s) (+) U_e(s) and the image I_t(s), bottleneck U_t(1/32) (+) U_e(1/32)."""
    features = encoder_channels(spec.width)
    copies = 1 + spec.has("ftn") + spec.has("lw")
    image = IMAGE_CHANNELS * spec.has("itn")
    skips = [copies * c + image for c in features[1:]] + [image]
    return FrameDecoder(copies * features[0], skips, width=spec.width)


def decode_middle(
    decoder: FrameDecoder, features: Sequence[Tensor], bases: Sequence[Tensor]
) -> DecodedFrame:
    """Of the features U_e(s) alone."""
    return decoder(features[0], [*([f] for f in features[1:]), []], bases)


def decode_other(
    decoder: FrameDecoder,
    features: Sequence[Tensor],
    motion: Motion,
    *,
    middle: DecodedFrame,
    bases: Sequence[Tensor],
) -> DecodedFrame:
    """A non-middle frame from what its motion makes of features and middle images (equation 2)."""
    moved = transformed_features(features, motion)
    images = transformed_images(middle.images, motion)
    guided = [[*parts, feature] for parts, feature in zip(moved, features)]
    skips = [[*g, *image] for g, image in zip([*guided[1:], []], images)]
    return decoder(torch.cat(guided[0], 1), skips, bases)


def scaled_bases(blur: Tensor, *, residual: bool) -> list[Tensor]:
    """The images that the predicted ones are added to, one a decoder scale."""
    base = blur if residual else torch.zeros_like(blur)
    return [area_downsample(base, factor) for factor in DECODER_FACTORS]


def _at_decoder_scales(features: Sequence) -> list:
    """What stands at s = 1/32 ... 1/2 read at s = 1/16 ... 1: full scale takes from 1/2."""
    return [*features[1:], features[-1]]


def _in_time_order(frames: Sequence[DecodedFrame]) -> tuple[Tensor, ...]:
    """Frames in time order -> for each scale the supervised images (B, n, 3, sH, sW)."""
    return tuple(torch.stack(scale, 1) for scale in zip(*(f.supervised for f in frames)))
