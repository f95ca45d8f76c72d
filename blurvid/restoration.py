"""What every model has in common: one blurred image in, its frames and what moved them out.

Lists over scales run coarse to fine, lists over frames in time order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from blurvid.blocks import IMAGE_CHANNELS

if TYPE_CHECKING:
    from blurvid.model import ModelSpec

STRIDE = 32


class Restoration(NamedTuple):
    """What a model predicts.

    images: one (B, n, 3, sH, sW) a scale that is supervised, all frames in time order; full scale
    last. feature_thetas, image_thetas (B, n - 1, scales, 2, 3): the chains of FTN
    (s = 1/32 ... 1/2) and ITN (s = 1/16 ... 1) of the non-middle frames in time order, of 0 scales
    in a model without them. flows: one (B, n - 1, 2, sH, sW) a scale in pixels (x, y), where the
    middle frame itself is moved by them.
    """

    images: tuple[Tensor, ...]
    feature_thetas: Tensor
    image_thetas: Tensor
    flows: tuple[Tensor, ...] = ()


class FrameModel(nn.Module):
    """blur (B, 3, H, W) in [0, 1], H and W multiples of `stride` -> `Restoration`.

    A model of several `stages` learns one after the other; what the call gives meanwhile is its
    own affair, `restore` always gives all frames.
    """

    stride = STRIDE
    stages = 1

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec

    def begin_stage(self, stage: int) -> None:
        """From now on the weights of that stage (0 ... stages - 1) learn, and no others."""

    def restore(self, blur: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] of any size -> the frames (B, n, 3, H, W), unclamped."""
        height, width = blur.shape[-2:]
        return self(pad_to_multiple(blur, self.stride)).images[-1][..., :height, :width]

    def check_blur(self, blur: Tensor) -> None:
        """ValueError for what is no batch of images in multiples of the stride."""
        shape = tuple(blur.shape)
        fits = len(shape) == 4 and shape[1] == IMAGE_CHANNELS and 0 not in shape
        if not fits or shape[2] % self.stride or shape[3] % self.stride:
            raise ValueError(
                f"expected a blur of (B, 3, H, W) with H and W multiples of {self.stride}, "
                f"found {shape}"
            )


def no_thetas(blur: Tensor, others: int) -> Tensor:
    """(B, others, 0, 2, 3): the thetas of a model that has none."""
    return blur.new_zeros(len(blur), others, 0, 2, 3)


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


def _reflected_indices(size: int, padded: int, device: torch.device) -> Tensor:
    """0, 1, ..., size - 1, size - 2, ..., 0, 1, ...: `padded` of them."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(padded, device=device) % period
    return torch.minimum(index, period - index)
