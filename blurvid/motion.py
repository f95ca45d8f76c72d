"""What the transformer networks say of the motion, held against the true one (spec 4; 5.3.1).

    samples -> thetas of the finest scale -> pixels, target -> source -> end-point errors

A theta moves the middle frame into another one, as `affine_warp` does: it takes a place of that
frame, in normalised coordinates of the padded image, to a place of the middle frame. In pixels the
centre of pixel (row i, column j) is (j + 0.5, i + 0.5), padded or not, as the padding lies at the
right and the bottom. Known true motions are homographies: panoramas seen by a pinhole.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from blursynth.motion import homography
from blurvid.restoration import STRIDE, Restoration

FTN, ITN, IDENTITY = "FTN", "ITN", "identity"
LEAST_AREA = 1e-12  # that a transformation with an inverse makes of a square of area 1

# --- geometry -------------------------------------------------------------------------------


def pixel_transforms(thetas: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(..., 2, 3) of an image of this (padded) size -> (..., 3, 3) float64 in its pixels: the
    same way, target -> source. The inverse of `normalised_thetas`."""
    square = np.zeros((*thetas.shape[:-2], 3, 3))
    square[..., :2, :], square[..., 2, 2] = thetas, 1
    to_normalised = _normalisation(size_hw)
    return np.linalg.inv(to_normalised) @ square @ to_normalised


def normalised_thetas(transforms: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(..., 3, 3) affine transformations of pixels -> (..., 2, 3) float64 thetas of an image of
    this (padded) size. ValueError where one is not affine: no theta is a homography."""
    to_normalised = _normalisation(size_hw)
    square = to_normalised @ transforms @ np.linalg.inv(to_normalised)
    square = square / square[..., 2:, 2:]
    if not np.allclose(square[..., 2, :], [0, 0, 1], atol=1e-9):
        raise ValueError(
            f"expected affine transformations, found a last row of {square[..., 2, :].tolist()}"
        )
    return square[..., :2, :]


def _normalisation(size_hw: tuple[int, int]) -> np.ndarray:
    """(3, 3): pixels -> coordinates from -1 to 1 between the outer edges of the image."""
    height, width = size_hw
    return np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])


def transformed(transforms: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    """(..., 3, 3), points (N, 2) -> (..., N, 2): where they go; NaN for those that go behind the
    camera (w <= 0)."""
    homogeneous = np.concatenate([points_xy, np.ones_like(points_xy[:, :1])], 1)
    moved = homogeneous @ np.swapaxes(transforms, -1, -2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(moved[..., 2:] > 0, moved[..., :2] / moved[..., 2:], np.nan)


def inverses(transforms: np.ndarray) -> np.ndarray:
    """(..., 3, 3) -> (..., 3, 3): source -> target; NaN where there is no way back."""
    regular = np.abs(np.linalg.det(transforms)) > LEAST_AREA
    found = np.full(transforms.shape, np.nan)
    found[regular] = np.linalg.inv(transforms[regular])
    return found


def padded_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    """The size that the networks see: sides raised to multiples of `STRIDE`."""
    height, width = (-(-side // STRIDE) * STRIDE for side in size_hw)
    return height, width


def others(n: int) -> list[int]:
    """The numbers of the n frames without the middle one, in time order: those of the thetas."""
    return [k for k in range(n) if k != n // 2]


def true_transforms(meta: Mapping[str, Any]) -> np.ndarray:
    """(n - 1, 3, 3) float64: for each non-middle frame the true pixel transformation to the middle
    frame, target -> source."""
    n = len(meta["times"])
    return np.stack([homography(meta, k, n // 2) for k in others(n)])


# --- paths ----------------------------------------------------------------------------------


def true_paths(meta: Mapping[str, Any], points_xy: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the middle frame -> (n, N, 2): where each lies in frame 0 ... n - 1; NaN
    where that is behind the camera."""
    n = len(meta["times"])
    return transformed(np.stack([homography(meta, n // 2, k) for k in range(n)]), points_xy)


def predicted_paths(transforms: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    """(n - 1, 3, 3) of the non-middle frames in pixels, target -> source, and points (N, 2) of the
    middle frame -> (n, N, 2): where each goes in frame 0 ... n - 1; NaN where a transformation
    has no inverse."""
    moved = transformed(inverses(transforms), points_xy)
    return np.insert(moved, len(transforms) // 2, points_xy, axis=0)


# --- end-point errors -----------------------------------------------------------------------


class EndPointErrors(NamedTuple):
    """Pixels, (samples, n) float64, column k for true frame k, NaN at the middle frame.

    forward: theta of frame k against it. backward: theta of frame n - 1 - k, that is, the thetas
    reversed in time; equal to `forward` where nothing moves.
    """

    forward: np.ndarray
    backward: np.ndarray


def end_points(size_hw: tuple[int, int]) -> np.ndarray:
    """(5, 2) x, y: the outer corners of the image and its centre."""
    height, width = size_hw
    return np.array([[0, 0], [width, 0], [0, height], [width, height], [width / 2, height / 2]])


def end_point_errors(transforms: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """(n - 1, 3, 3) of the non-middle frames in time order, in pixels, target -> source -> (n,):
    the distance of where they and the true homographies take a point, mean over `end_points`.

    Points whose true place is behind the camera are left out; NaN where none is left, and at the
    middle frame.
    """
    n, points = len(meta["times"]), end_points(meta["size_hw"])
    apart = transformed(transforms, points) - transformed(true_transforms(meta), points)
    distance = np.linalg.norm(apart, axis=-1)
    errors = np.full(n, np.nan)
    errors[others(n)] = mean_of_known(distance)
    return errors


def sample_errors(
    thetas: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> dict[str, EndPointErrors]:
    """network -> (n - 1, 2, 3) -> row -> errors (1, n): the networks', and the identity's."""
    size_hw = padded_hw(meta["size_hw"])
    rows = {}
    for network, chain in thetas.items():
        transforms = pixel_transforms(chain, size_hw)
        directions = (transforms, transforms[::-1])
        rows[network] = EndPointErrors(*(end_point_errors(t, meta)[None] for t in directions))
    still = end_point_errors(np.tile(np.eye(3), (len(meta["times"]) - 1, 1, 1)), meta)[None]
    return {**rows, IDENTITY: EndPointErrors(still, still)}


def runs_backward(errors: Mapping[str, EndPointErrors]) -> np.ndarray:
    """(samples,) bool: whether the thetas reversed in time are nearer to the truth.

    One direction for all frames and networks of a sample, that of the smaller mean error.
    """
    ahead, back = (
        sum(mean_of_known(getattr(row, direction)) for row in errors.values())
        for direction in EndPointErrors._fields
    )
    return back < ahead


def in_better_direction(errors: Mapping[str, EndPointErrors]) -> dict[str, np.ndarray]:
    """row -> (samples, n) px in the direction that `runs_backward` chooses."""
    backward = runs_backward(errors)[:, None]
    return {row: np.where(backward, e.backward, e.forward) for row, e in errors.items()}


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis without NaN; NaN where nothing else is there."""
    count = np.isfinite(values).sum(-1)
    with np.errstate(invalid="ignore"):
        return np.nansum(values, -1) / count


def joined_errors(parts: Sequence[EndPointErrors]) -> EndPointErrors:
    """The errors of one row, samples after samples."""
    return EndPointErrors(*(np.concatenate(direction) for direction in zip(*parts, strict=True)))


# --- a model's answer -----------------------------------------------------------------------


def finest_thetas(restoration: Restoration) -> dict[str, np.ndarray]:
    """network -> (B, n - 1, 2, 3) float64 of those networks that the model has.

    ValueError where it has none, and where a theta is not finite.
    """
    chains = {ITN: restoration.image_thetas, FTN: restoration.feature_thetas}
    found = {name: c[:, :, -1].double().cpu().numpy() for name, c in chains.items() if c.shape[2]}
    if not found:
        raise ValueError(
            "expected a checkpoint of a model with FTN or ITN, found one that predicts no "
            "transformation; choose another"
        )
    if not all(np.isfinite(thetas).all() for thetas in found.values()):
        raise ValueError(
            "expected finite transformations from the checkpoint, found NaN or infinity: "
            "its training has diverged; take an earlier one"
        )
    return found
