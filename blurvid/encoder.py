"""The encoder: one blurred image into features at five scales (section 1.3)."""

from torch import Tensor, nn

from blurvid.blocks import IMAGE_CHANNELS, channels, conv

# Channels of U_e(s) at the scales s = 1/32, 1/16, 1/8, 1/4, 1/2: coarse to fine, as everywhere.
ENCODER_CHANNELS = (512, 256, 128, 64, 32)


def encoder_channels(width: int) -> list[int]:
    """Channels of the five features, coarse to fine, in a network of `width`."""
    return [channels(base, width) for base in ENCODER_CHANNELS]


class Encoder(nn.Module):
    """(B, 3, H, W), H and W multiples of 32 -> the features U_e(s), five of (B, C_s, sH, sW),
    coarse (1/32) to fine (1/2)."""

    def __init__(self, width: int):
        super().__init__()
        outs = encoder_channels(width)[::-1]
        ins = [IMAGE_CHANNELS, *outs[:-1]]
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(i, o, stride=2), conv(o, o)) for i, o in zip(ins, outs)
        )

    def forward(self, blur: Tensor) -> list[Tensor]:
        features = []
        for block in self.blocks:
            blur = block(blur)
            features.append(blur)
        return features[::-1]
