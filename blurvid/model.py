"""The paper's model: one blurred image in, 3 or 7 frames and their transformations out.

    blur -> encoder -> U_e -> middle decoder ------------------------> middle frame
                        |          | images
                        |-> FTN    |-> ITN
                        |    \\        /
                        \\-> non-middle decoder, one a frame ---------> the other frames

Lists over scales run coarse to fine, lists over frames in time order (section 1.3).
"""

from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from blurvid.blocks import IMAGE_CHANNELS
from blurvid.decoder import DecodedFrame, FrameDecoder
from blurvid.encoder import Encoder, encoder_channels
from blurvid.transformers import FeatureTransformer, ImageTransformer
from blurvid.warp import area_downsample

NAME = "full"
FRAME_COUNTS = (3, 7)
STRIDE = 32
DECODER_FACTORS = (16, 8, 4, 2, 1)


@dataclass(frozen=True)
class ModelSpec:
    """What a model is made of: number of frames (3 or 7), width (32 is the paper's; every number
    of channels follows it) and whether the blurred image is added to each predicted one."""

    frames: int = 3
    width: int = 32
    residual: bool = True

    def __post_init__(self):
        if type(self.frames) is not int or self.frames not in FRAME_COUNTS:
            raise ValueError(f"expected a model of 3 or 7 frames, found frames={self.frames!r}")
        if type(self.width) is not int or self.width < 1:
            raise ValueError(f"expected a width of at least 1, found width={self.width!r}")
        if type(self.residual) is not bool:
            raise ValueError(f"expected residual true or false, found {self.residual!r}")

    def to_dict(self) -> dict:
        """The spec as JSON holds it, under its model's name; `from_dict` is the way back."""
        return {"name": NAME, **asdict(self)}

    @classmethod
    def from_dict(cls, stored: dict) -> "ModelSpec":
        """The spec of a `to_dict`; ValueError where name or keys are others than those."""
        if not isinstance(stored, dict) or stored.get("name") != NAME:
            raise ValueError(f"expected a model spec of name {NAME!r}, found {stored!r}")
        expected = sorted(["name", *(field.name for field in fields(cls))])
        if sorted(map(str, stored)) != expected:
            found = ", ".join(sorted(map(str, stored)))
            raise ValueError(f"expected a model spec of {', '.join(expected)}, found {found}")
        return cls(**{key: value for key, value in stored.items() if key != "name"})


class Restoration(NamedTuple):
    """What the model predicts, unclamped.

    images: five of (B, n, 3, sH, sW), s = 1/16, 1/8, 1/4, 1/2, 1, frames in time order; at full
    scale the refined prediction. feature_thetas, image_thetas (B, n - 1, 5, 2, 3): the chains of
    FTN (s = 1/32 ... 1/2) and ITN (s = 1/16 ... 1) of the non-middle frames in time order.
    """

    images: tuple[Tensor, ...]
    feature_thetas: Tensor
    image_thetas: Tensor


class NonMiddleFrame(nn.Module):
    """Own FTN, ITN, decoder and refining block of one non-middle frame (equations 1 and 2)."""

    def __init__(self, width: int):
        super().__init__()
        features = encoder_channels(width)
        self.feature_transformer = FeatureTransformer(features, width)
        self.image_transformer = ImageTransformer(_at_decoder_scales(features), width)
        skips = [3 * c + IMAGE_CHANNELS for c in features[1:]] + [IMAGE_CHANNELS]
        self.decoder = FrameDecoder(3 * features[0], skips, width=width)

    def forward(
        self, features: list[Tensor], middle: DecodedFrame, bases: list[Tensor]
    ) -> tuple[DecodedFrame, Tensor, Tensor]:
        """The frame and the thetas (B, 5, 2, 3) of its FTN and its ITN."""
        transformed, feature_thetas = self.feature_transformer(features)
        warped, image_thetas = self.image_transformer(_at_decoder_scales(features), middle.images)
        guided = [[*pair, feature] for pair, feature in zip(transformed, features)]
        skips = [[*g, w] for g, w in zip([*guided[1:], []], warped)]
        frame = self.decoder(torch.cat(guided[0], 1), skips, bases)
        return frame, feature_thetas, image_thetas


class RestorationModel(nn.Module):
    """blur (B, 3, H, W) in [0, 1], H and W multiples of 32 -> `Restoration`."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.spec = spec
        features = encoder_channels(spec.width)
        self.encoder = Encoder(spec.width)
        self.middle = FrameDecoder(features[0], [*features[1:], 0], width=spec.width)
        self.others = nn.ModuleList(NonMiddleFrame(spec.width) for _ in range(spec.frames - 1))

    def forward(self, blur: Tensor) -> Restoration:
        _check_blur(blur)
        features = self.encoder(blur)
        bases = self._bases(blur)
        middle = self.middle(features[0], [*([f] for f in features[1:]), []], bases)
        others = [other(features, middle, bases) for other in self.others]
        decoded, feature_thetas, image_thetas = zip(*others)
        half = len(others) // 2
        images = _in_time_order([*decoded[:half], middle, *decoded[half:]])
        return Restoration(images, torch.stack(feature_thetas, 1), torch.stack(image_thetas, 1))

    def restore(self, blur: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] of any size -> the frames (B, n, 3, H, W), unclamped."""
        height, width = blur.shape[-2:]
        return self(pad_to_multiple(blur)).images[-1][..., :height, :width]

    def _bases(self, blur: Tensor) -> list[Tensor]:
        """The images that the predicted ones are added to, one a decoder scale."""
        base = blur if self.spec.residual else torch.zeros_like(blur)
        return [area_downsample(base, factor) for factor in DECODER_FACTORS]


def build_model(spec: ModelSpec) -> RestorationModel:
    """A fresh model on the CPU; its weights are drawn from torch's generator, which the caller
    seeds."""
    return RestorationModel(spec)


def pad_to_multiple(image: Tensor, multiple: int = STRIDE) -> Tensor:
    """(..., H, W) of any dtype -> sides raised to multiples by reflection at right and bottom.

    The edge pixel is the mirror (as in torch's `reflect`); a side too short for one reflection
    is reflected to and fro, and a side of one pixel is repeated.
    """
    for dim in (-2, -1):
        size = image.shape[dim]
        if size % multiple:
            indices = _reflected_indices(size, size + -size % multiple, image.device)
            image = image.index_select(dim, indices)
    return image


def count_parameters(model: nn.Module) -> int:
    """Number of weights and biases."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: RestorationModel, size_hw: tuple[int, int]) -> int:
    """Multiply-adds of convolutions and linear layers in restoring one image of H x W (padding
    included, warps and activations not); nothing is computed."""
    device = next(model.parameters()).device
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        counter = FlopCounterMode(display=False)
        with counter:
            model.restore(torch.zeros(1, IMAGE_CHANNELS, *size_hw, device=device))
    return counter.get_total_flops() // 2


def _reflected_indices(size: int, padded: int, device: torch.device) -> Tensor:
    """0, 1, ..., size - 1, size - 2, ..., 0, 1, ...: `padded` of them."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(padded, device=device) % period
    return torch.minimum(index, period - index)


def _check_blur(blur: Tensor) -> None:
    shape = tuple(blur.shape)
    fits = len(shape) == 4 and shape[1] == IMAGE_CHANNELS and 0 not in shape
    if not fits or shape[2] % STRIDE or shape[3] % STRIDE:
        raise ValueError(
            f"expected a blur of (B, 3, H, W) with H and W multiples of {STRIDE}, found {shape}"
        )


def _at_decoder_scales(features: list) -> list:
    """What stands at s = 1/32 ... 1/2 read at s = 1/16 ... 1: full scale takes from 1/2."""
    return [*features[1:], features[-1]]


def _in_time_order(frames: list[DecodedFrame]) -> tuple[Tensor, ...]:
    """Frames in time order -> for each scale the supervised images (B, n, 3, sH, sW)."""
    return tuple(torch.stack(scale, 1) for scale in zip(*(f.supervised for f in frames)))
