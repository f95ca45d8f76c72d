"""The decoder: from the bottleneck to images at five scales and one refined frame (section 1.3).

Scales run coarse to fine: 1/16, 1/8, 1/4, 1/2, 1.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from blurvid.blocks import (
    IMAGE_CHANNELS,
    DenseBlock,
    RefiningBlock,
    channels,
    deconv,
    image_deconv,
    joined,
    predicting_conv,
)

# Channels to which block s raises the feature before it.
DECODER_CHANNELS = (256, 128, 64, 32, 32)


class DecodedFrame(NamedTuple):
    """Five images (B, 3, sH, sW), coarse to fine, none of them refined; `refined` (B, 3, H, W)
    is the full-scale prediction."""

    images: tuple[Tensor, ...]
    refined: Tensor

    @property
    def supervised(self) -> tuple[Tensor, ...]:
        """The five images that the loss sees: at full scale the refined one alone."""
        return (*self.images[:-1], self.refined)


class DecoderBlock(nn.Module):
    """Feature (B, in, h, w), image (B, 3, h, w) or None, skips of (B, `skip` in all, 2h, 2w) ->
    feature (B, `out_channels`, 2h, 2w) and image (B, 3, 2h, 2w) of the next scale."""

    def __init__(self, in_channels: int, base: int, *, skip: int, width: int, first: bool):
        super().__init__()
        raised = channels(base, width)
        self.raise_feature = deconv(in_channels, raised)
        self.raise_image = None if first else image_deconv()
        self.dense = DenseBlock(raised + skip + (0 if first else IMAGE_CHANNELS), width)
        self.out_channels = self.dense.out_channels
        self.predict_image = predicting_conv(self.out_channels, IMAGE_CHANNELS)

    def forward(
        self, feature: Tensor, image: Tensor | None, skips: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        raised = self.raise_feature(feature)
        parts = [raised, *skips]
        if self.raise_image is not None:
            parts.append(self.raise_image(image))
        feature = self.dense(joined(parts, dtype=raised.dtype))
        return feature, self.predict_image(feature)


class FrameDecoder(nn.Module):
    """Decodes one frame: five blocks, then the refining block.

    bottleneck (B, C, H/32, W/32); skips: for each scale the tensors to concatenate (`skips`
    channels in all, none is allowed); bases: for each scale the image (B, 3, sH, sW) that is
    added to the predicted one.
    """

    def __init__(self, bottleneck: int, skips: Sequence[int], *, width: int):
        super().__init__()
        blocks = []
        for scale, (base, skip) in enumerate(zip(DECODER_CHANNELS, skips)):
            block = DecoderBlock(bottleneck, base, skip=skip, width=width, first=scale == 0)
            bottleneck = block.out_channels
            blocks.append(block)
        self.blocks = nn.ModuleList(blocks)
        self.refine = RefiningBlock(bottleneck, width)

    def forward(
        self, bottleneck: Tensor, skips: Sequence[Sequence[Tensor]], bases: Sequence[Tensor]
    ) -> DecodedFrame:
        feature, image, images = bottleneck, None, []
        for block, skip, base in zip(self.blocks, skips, bases):
            feature, predicted = block(feature, image, skip)
            image = predicted + base
            images.append(image)
        return DecodedFrame(tuple(images), self.refine(feature, image))
