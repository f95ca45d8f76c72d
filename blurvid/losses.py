"""The loss (equations 3 and 4, section 1.4): pure functions, one value per sample.

Frames (B, n, 3, H, W) float in [0, 1] in time order; a `Restoration` holds the predictions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from blurvid.model import Restoration
from blurvid.warp import area_downsample

CONSISTENCY_WEIGHT = 1e3
PENALTY_WEIGHT = 0.5


class LossTerms(NamedTuple):
    """Each (B,). total = photometric + lambda_tc consistency + 0.5 penalty (equation 4);
    `reversed`, bool: the sample was compared with its frames in reverse."""

    total: Tensor
    photometric: Tensor
    consistency: Tensor
    penalty: Tensor
    reversed: Tensor


def restoration_loss(
    restoration: Restoration, frames: Tensor, *, photometric: str = "sum", order: str = "given"
) -> LossTerms:
    """L of equation 4 for frames (B, n, 3, H, W).

    photometric: "sum", or "mean": all of L divided by the full-scale pixel count H W (so is
    lambda_tc; `consistency` itself is not). order: "given", or "invariant": per sample one
    direction for the whole sequence, the one of smaller L_mp + 0.5 L_p.
    """
    pixels = _chosen(PIXEL_COUNTS, photometric, "photometric")(frames)
    reverse = _chosen(DIRECTIONS, order, "order")(restoration.images, frames)
    frames = torch.where(reverse[:, None, None, None, None], frames.flip(1), frames)
    l_mp = photometric_loss(restoration.images, frames) / pixels
    l_p = penalty_loss(restoration.images[-1], frames) / pixels
    l_tc = consistency_loss(restoration.feature_thetas, restoration.image_thetas)
    total = l_mp + CONSISTENCY_WEIGHT / pixels * l_tc + PENALTY_WEIGHT * l_p
    return LossTerms(total, l_mp, l_tc, l_p, reverse)


def photometric_loss(images: Sequence[Tensor], frames: Tensor) -> Tensor:
    """L_mp (B,): sum of |yhat - y| over frames, scales, channels and pixels.

    images: one (B, n, 3, sH, sW) a scale; the frames (B, n, 3, H, W) are area-downsampled.
    """
    return sum(_absolute_difference(image, _at_scale_of(image, frames)) for image in images)


def consistency_loss(feature_thetas: Tensor, image_thetas: Tensor) -> Tensor:
    """L_tc (B,): the l2 distances of the six parameters between adjacent scales, summed over
    frames, scales and the two chains, each (B, n - 1, scales, 2, 3). At distance zero the
    gradient is zero."""
    return _chain_length(feature_thetas) + _chain_length(image_thetas)


def penalty_loss(full: Tensor, frames: Tensor) -> Tensor:
    """L_p (B,), never positive: minus the sum of |yhat_i - y_(n+1-i)| over all frames but the
    middle one; full and frames (B, n, 3, H, W)."""
    middle = frames.shape[1] // 2
    mirrored = frames.flip(1)
    before = _absolute_difference(full[:, :middle], mirrored[:, :middle])
    after = _absolute_difference(full[:, middle + 1 :], mirrored[:, middle + 1 :])
    return -(before + after)


def _absolute_difference(predicted: Tensor, target: Tensor) -> Tensor:
    """(B, n, 3, h, w) twice -> (B,) sums of absolute differences."""
    if predicted.shape != target.shape:
        raise ValueError(
            f"expected frames of {tuple(predicted.shape)}, found {tuple(target.shape)}"
        )
    return (predicted - target).abs().flatten(1).sum(1)


def _at_scale_of(image: Tensor, frames: Tensor) -> Tensor:
    return area_downsample(frames, frames.shape[-2] // image.shape[-2])


def _chain_length(thetas: Tensor) -> Tensor:
    steps = (thetas[:, :, 1:] - thetas[:, :, :-1]).flatten(-2)
    return torch.linalg.vector_norm(steps, dim=-1).sum((1, 2))


def _as_given(images: Sequence[Tensor], frames: Tensor) -> Tensor:
    """(B,) bool: no sample is reversed."""
    return torch.zeros(len(frames), dtype=torch.bool, device=frames.device)


@torch.no_grad()
def _nearer_reversed(images: Sequence[Tensor], frames: Tensor) -> Tensor:
    """(B,) bool: the reversed frames have the smaller L_mp + 0.5 L_p."""
    return _image_loss(images, frames.flip(1)) < _image_loss(images, frames)


def _image_loss(images: Sequence[Tensor], frames: Tensor) -> Tensor:
    return photometric_loss(images, frames) + PENALTY_WEIGHT * penalty_loss(images[-1], frames)


PIXEL_COUNTS = {"sum": lambda frames: 1, "mean": lambda frames: frames[0, 0, 0].numel()}
DIRECTIONS = {"given": _as_given, "invariant": _nearer_reversed}


def _chosen(choices: dict, choice: str, option: str):
    if choice not in choices:
        raise ValueError(f"expected {option} to be {' or '.join(choices)}, found {choice!r}")
    return choices[choice]
