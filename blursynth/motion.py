"""What a panorama sample's metadata say of its motion, in closed form and in pixels (spec 2.4, 8).

Frames are numbered as they are stored. A position is (x, y); the centre of pixel (row i, column j)
is (j + 0.5, i + 0.5). To warp frame i into frame j, sample i at `positions(meta, j, i)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from .camera import Camera, pixel_centres, project, rays
from .rotation import matrices, shaken_path

MOST_FRAMES = 10_001
STEPS_AT_ONCE = 64  # of which the positions are held in memory


def homography(meta: Mapping[str, Any], i: int, j: int) -> np.ndarray:
    """(3, 3) float64 H with x_j ~ H x_i in homogeneous pixels: H = K R_j^T R_i K^-1.

    Not normalised, so that those of i to j and of j to k multiply to that of i to k. Pinholes only.
    """
    camera = camera_of(meta)
    if camera.xi != 0:
        raise ValueError(
            f"expected a pinhole camera (xi = 0), found xi = {camera.xi:g}: "
            "between such frames there is a flow, but no homography"
        )
    intrinsics = np.diag([camera.focal_px, camera.focal_px, 1.0])
    intrinsics[:2, 2] = camera.principal_xy
    return intrinsics @ relative_rotation(meta, i, j) @ np.linalg.inv(intrinsics)


def positions(meta: Mapping[str, Any], i: int, j: int) -> np.ndarray:
    """(H, W, 2) float64: where each pixel centre of frame i lies in frame j, for any xi.

    May lie outside of frame j; NaN where frame j's camera cannot see it at all.
    """
    camera = camera_of(meta)
    directions = rays(pixel_centres(camera.size_hw), camera)
    return project(directions @ relative_rotation(meta, i, j).T, camera)


def flow(meta: Mapping[str, Any], i: int, j: int) -> np.ndarray:
    """(H, W, 2) float64: `positions(meta, i, j)` minus the pixel centres themselves."""
    return positions(meta, i, j) - pixel_centres(camera_of(meta).size_hw)


def visible(meta: Mapping[str, Any], i: int, j: int) -> np.ndarray:
    """(H, W) bool: the pixels of frame j that frame i sees as well.

    Those whose position in frame i is inside the hull of its pixel centres, so that a bilinear
    sample there needs no pixel from beyond the border (1e-6 px of rounding is forgiven).
    """
    xy = positions(meta, j, i)
    height, width = xy.shape[:2]
    farthest = np.array([width, height]) - 0.5
    with np.errstate(invalid="ignore"):
        return np.all((xy >= 0.5 - 1e-6) & (xy <= farthest + 1e-6), axis=-1)


def blur_length_px(meta: Mapping[str, Any]) -> float:
    """How far the picture moves from the first stored frame to the last, in pixels.

    A panorama: the mean over pixels of `flow`'s length, without those that the last frame's camera
    cannot see (NaN where it sees none); the way there, which a shaken path makes longer, is not in
    it. A video: the length of the mean flow, as `direction` holds
    it (spec 1.5); what moves against the mean is not in it.
    """
    if meta["kind"] == "video":
        return float(np.linalg.norm(meta["direction"]))
    lengths = np.linalg.norm(flow(meta, 0, len(meta["quat_wxyz"]) - 1), axis=-1)
    seen = np.isfinite(lengths)
    return float(lengths[seen].mean()) if seen.any() else float("nan")


def relative_rotation(meta: Mapping[str, Any], i: int, j: int) -> np.ndarray:
    """(3, 3) R_j^T R_i: directions in the axes of camera i -> in those of camera j."""
    rotation_i, rotation_j = matrices(np.array([meta["quat_wxyz"][k] for k in (i, j)]))
    return rotation_j.T @ rotation_i


def camera_of(meta: Mapping[str, Any]) -> Camera:
    """The camera that a panorama sample was taken with."""
    if meta.get("kind") != "panorama":
        raise ValueError(
            "expected the metadata of a panorama sample, whose motion is known, "
            f"found kind {meta.get('kind')!r}"
        )
    height, width = meta["size_hw"]
    x, y = meta["principal_xy"]
    return Camera((height, width), meta["focal_px"], meta["xi"], (x, y))


def orientations(meta: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    """(m, 4) wxyz, world_from_camera, of a panorama sample's camera at any times in [0, 1]."""
    first, last = (np.array(end) for end in meta["quat_first_last"])
    return shaken_path(first, last, meta.get("shake_deg", ()), np.asarray(times))


# --- before there are frames -----------------------------------------------------------------


def turned_positions(points_xy: np.ndarray, camera: Camera, turns: np.ndarray) -> np.ndarray:
    """(N, 2) points of a frame, (m, 3, 3) turns -> (m, N, 2): where they lie in the image plane of
    the camera that sees R = turn of what the frame's camera sees."""
    return project(rays(points_xy, camera) @ turns.swapaxes(-1, -2), camera)


def max_step_px(
    camera: Camera,
    first_wxyz: np.ndarray,
    last_wxyz: np.ndarray,
    n: int,
    shake_deg: Sequence[Sequence[float]] = (),
) -> float:
    """How far the fastest pixel moves between two neighbours of n frames along the shaken path.

    Along the Slerp path (no shake) the angular velocity is constant in the camera's axes, so each
    step moves the image alike, and one is looked at. The speed is smooth over the image: it is
    looked for on a grid that holds the corner pixels.
    """
    steps = n - 1 if len(shake_deg) else 1
    times = np.arange(steps + 1) / (n - 1)
    path = shaken_path(np.array(first_wxyz), np.array(last_wxyz), shake_deg, times)
    points = _speed_grid(camera.size_hw)
    turns = np.stack([b.T @ a for a, b in pairwise(matrices(path))])
    parts = (turns[k : k + STEPS_AT_ONCE] for k in range(0, steps, STEPS_AT_ONCE))
    return max(_farthest(points, camera, part) for part in parts)


def _farthest(points_xy: np.ndarray, camera: Camera, turns: np.ndarray) -> float:
    moved = turned_positions(points_xy, camera, turns) - points_xy
    return float(np.nanmax(np.linalg.norm(moved, axis=-1)))


def enough_frames(
    camera: Camera,
    ends_wxyz: Sequence[np.ndarray],
    n: int,
    *,
    max_step: float,
    shake_deg: Sequence[Sequence[float]] = (),
) -> int:
    """The least odd number, n or more, at which no pixel moves farther than `max_step` between two
    neighbouring frames (along a shaken path one that is enough, while two frames less are not)."""
    few = n

    def step_px(n: int) -> float:
        return max_step_px(camera, *ends_wxyz, n, shake_deg)

    while (step := step_px(n)) > max_step:
        if n > MOST_FRAMES:
            raise ValueError(
                f"expected at most {MOST_FRAMES:,} frames, found that --max-step-px {max_step:g} "
                "needs more; raise it"
            )
        n = max(n + 2, 2 * int(np.ceil((n - 1) * step / max_step / 2)) + 1)
    while n > few and step_px(n - 2) <= max_step:
        n -= 2
    return n


@lru_cache
def _speed_grid(size_hw: tuple[int, int]) -> np.ndarray:
    """Every pixel centre along the border, where the fastest are, and a grid of those inside."""
    height, width = size_hw
    x, y = (np.linspace(0.5, side - 0.5, min(side, 17)) for side in (width, height))
    inside = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    centres = pixel_centres(size_hw)
    return np.concatenate([inside, *centres[[0, -1]], *centres[:, [0, -1]].swapaxes(0, 1)])
