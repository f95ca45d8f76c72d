"""The losses: the paper's (equations 3 and 4, section 1.4), and those of the models that it is
compared with (section 1.7). Pure functions, one value per sample.

Frames (B, n, 3, H, W) float in [0, 1] in time order; a `Restoration` holds the predictions. With
photometric "sum", sums over pixels and channels; with "mean" all of it divided by the full-scale
pixel count H W.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from blurvid.restoration import Restoration
from blurvid.warp import area_downsample

CONSISTENCY_WEIGHT = 1e3
PENALTY_WEIGHT = 0.5
VARIATION_WEIGHT = 0.02
PAPER_TERMS = ("pml", "pt", "tcl")


class LossTerms(NamedTuple):
    """Each (B,). total = photometric + lambda_tc consistency + 0.5 penalty (equation 4);
    `reversed`, bool: the sample was compared with its frames in reverse."""

    total: Tensor
    photometric: Tensor
    consistency: Tensor
    penalty: Tensor
    reversed: Tensor


class PairTerms(NamedTuple):
    """Each (B,). total = middle + pairs."""

    total: Tensor
    middle: Tensor
    pairs: Tensor


class RecurrentTerms(NamedTuple):
    """Each (B,). total = middle + pairs + 0.02 variation."""

    total: Tensor
    middle: Tensor
    pairs: Tensor
    variation: Tensor


# --- the paper's -----------------------------------------------------------------------------


def restoration_loss(
    restoration: Restoration,
    frames: Tensor,
    *,
    photometric: str = "sum",
    order: str = "given",
    without: Sequence[str] = (),
) -> LossTerms:
    """L of equation 4 for frames (B, n, 3, H, W).

    photometric: with "mean" lambda_tc is divided as well, `consistency` itself is not. order:
    "given", or "invariant": per sample one direction for the whole sequence, the one of smaller
    L_mp + 0.5 L_p. without: terms that are left out (Table 3), and then 0: "tcl", the consistency;
    "pt", the penalty; "pml", all scales of the photometric loss but the full one.
    """
    pixels = _pixels(frames, photometric)
    images = restoration.images[-1:] if "pml" in without else restoration.images
    penalty_weight = 0 if "pt" in without else PENALTY_WEIGHT
    reverse = _chosen(DIRECTIONS, order, "order")(images, frames, penalty_weight)
    frames = torch.where(reverse[:, None, None, None, None], frames.flip(1), frames)
    l_mp = photometric_loss(images, frames) / pixels
    l_tc = l_p = torch.zeros_like(l_mp)
    if "pt" not in without:
        l_p = penalty_loss(images[-1], frames) / pixels
    if "tcl" not in without:
        l_tc = consistency_loss(restoration.feature_thetas, restoration.image_thetas)
    total = l_mp + CONSISTENCY_WEIGHT / pixels * l_tc + penalty_weight * l_p
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


def _as_given(images: Sequence[Tensor], frames: Tensor, penalty_weight: float) -> Tensor:
    """(B,) bool: no sample is reversed."""
    return torch.zeros(len(frames), dtype=torch.bool, device=frames.device)


@torch.no_grad()
def _nearer_reversed(images: Sequence[Tensor], frames: Tensor, penalty_weight: float) -> Tensor:
    """(B,) bool: the reversed frames have the smaller L_mp + 0.5 L_p."""

    def image_loss(target: Tensor) -> Tensor:
        penalty = penalty_weight * penalty_loss(images[-1], target) if penalty_weight else 0
        return photometric_loss(images, target) + penalty

    return image_loss(frames.flip(1)) < image_loss(frames)


# --- those blind to the order of time --------------------------------------------------------


def stage_loss(
    restoration: Restoration, frames: Tensor, *, photometric: str = "sum"
) -> PairTerms:
    """Of one stage of `jin2018`: the innermost k of the frames are predicted, and the outermost
    two of these learn, or the middle one alone."""
    pixels = _pixels(frames, photometric)
    predicted = restoration.images[-1]
    outer = (frames.shape[1] - predicted.shape[1]) // 2
    target = frames[:, outer : frames.shape[1] - outer]
    middle = pairs = predicted.new_zeros(len(predicted))
    if predicted.shape[1] == 1:
        middle = _absolute_difference(predicted, target) / pixels
    else:
        pairs = pair_loss(predicted[:, [0, -1]], target[:, [0, -1]]) / pixels
    return PairTerms(middle + pairs, middle, pairs)


def recurrent_loss(
    restoration: Restoration, frames: Tensor, *, photometric: str = "sum"
) -> RecurrentTerms:
    """Of `recurrent`: the middle frame's absolute difference, the pair loss of every pair, and the
    total variation of the flows at all their scales."""
    pixels = _pixels(frames, photometric)
    predicted, m = restoration.images[-1], frames.shape[1] // 2
    middle = _absolute_difference(predicted[:, m : m + 1], frames[:, m : m + 1]) / pixels
    pairs = pair_loss(predicted, frames) / pixels
    variation = sum(total_variation(flow) for flow in restoration.flows) / pixels
    total = middle + pairs + VARIATION_WEIGHT * variation
    return RecurrentTerms(total, middle, pairs, variation)


def pair_loss(predicted: Tensor, frames: Tensor) -> Tensor:
    """(B,): | |p_i + p_j| - |x_i + x_j| |_1 + | |p_i - p_j| - |x_i - x_j| |_1, summed over the
    pairs of frames i and their mirrors j; both (B, n, 3, H, W), a middle frame does not count.

    The same for each pair in either order (Jin et al. 2018).
    """
    half = frames.shape[1] // 2
    (p, p_mirror), (x, x_mirror) = (
        (images[:, :half], images.flip(1)[:, :half]) for images in (predicted, frames)
    )
    sums = _absolute_difference((p + p_mirror).abs(), (x + x_mirror).abs())
    return sums + _absolute_difference((p - p_mirror).abs(), (x - x_mirror).abs())


def total_variation(flow: Tensor) -> Tensor:
    """(B, n - 1, 2, H, W) -> (B,): the sum of absolute differences of neighbours, down and across."""
    down, across = (flow.diff(dim=dim).abs().flatten(1).sum(1) for dim in (-2, -1))
    return down + across


# --- which --------------------------------------------------------------------------------------

PIXEL_COUNTS = {"sum": lambda frames: 1, "mean": lambda frames: frames[0, 0, 0].numel()}
DIRECTIONS = {"given": _as_given, "invariant": _nearer_reversed}
LOSSES: dict[str, tuple[Callable[..., NamedTuple], type[NamedTuple]]] = {
    "full": (restoration_loss, LossTerms),
    "light": (restoration_loss, LossTerms),
    "jin2018": (stage_loss, PairTerms),
    "recurrent": (recurrent_loss, RecurrentTerms),
}
BLIND = ("jin2018", "recurrent")  # their losses do not see the order of time


def loss_of(
    name: str, *, photometric: str, order: str, without: Sequence[str]
) -> Callable[[Restoration, Tensor], NamedTuple]:
    """The loss by which the model of that name learns: (restoration, frames) -> its terms."""
    loss = LOSSES[name][0]
    if name in BLIND:
        return partial(loss, photometric=photometric)
    return partial(
        loss,
        photometric=photometric,
        order="invariant" if order == "invariant" else "given",
        without=without,
    )


def terms_of(name: str) -> tuple[str, ...]:
    """The names of the terms of that model's loss, the total first."""
    return LOSSES[name][1]._fields


def _pixels(frames: Tensor, photometric: str) -> int:
    return _chosen(PIXEL_COUNTS, photometric, "photometric")(frames)


def _chosen(choices: dict, choice: str, option: str):
    if choice not in choices:
        raise ValueError(f"expected {option} to be {' or '.join(choices)}, found {choice!r}")
    return choices[choice]
