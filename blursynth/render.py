"""PanoramaSpec + level -> frames and the blurred image.

Frames of one exposure see nearly the same part of the panorama. So that part is photographed once,
finely, by a camera between them, each fine pixel averaged over the area of one camera pixel; every
frame is one bilinear sample per pixel of that canvas. A frame that lies too far from the others, or
is stretched too much in their canvas, gets a canvas of its own, which is plain supersampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from . import rotation
from .camera import Camera, hfov_deg_of, pixel_centres, project, rays
from .light import linear_to_srgb, mean_of_frames
from .motion import flow
from .panorama import Level, sample
from .schema import SCHEMA_VERSION, Sample
from .spec import PanoramaOptions, PanoramaSpec

FINENESS = 3  # samples of the canvas per camera pixel, along each side
MOST_STRETCH = 1.8  # of a frame's pixel in the canvas, along each axis, either way
LIGHT_STEPS = 65535


def render_sample(spec: PanoramaSpec, level: Level, options: PanoramaOptions) -> Sample:
    """The blur, the stored frames and their metadata (spec 2.2)."""
    averaged_times = np.arange(spec.n) / (spec.n - 1)
    frames = render_frames(level, spec, averaged_times)
    stored_at = _positions(spec.times, averaged_times)
    missing = [t for t, at in zip(spec.times, stored_at, strict=True) if at is None]
    extra = iter(render_frames(level, spec, np.array(missing)) if missing else [])
    stored = [next(extra) if at is None else frames[at] for at in stored_at]
    blur = mean_of_frames(frames, options.response)
    middle = frames[spec.n // 2]
    meta = _metadata(spec, options, clipped=float(np.mean(np.any(middle == 255, axis=-1))))
    return Sample(spec.key, blur, np.stack(stored), meta)


def _positions(times: tuple[float, ...], among: np.ndarray) -> list[int | None]:
    """Where each time stands among the others, None where it does not."""
    nearest = [int(np.argmin(np.abs(among - t))) for t in times]
    return [k if abs(among[k] - t) < 1e-12 else None for k, t in zip(nearest, times, strict=True)]


def render_frames(level: Level, spec: PanoramaSpec, times: np.ndarray) -> np.ndarray:
    """(m, H, W, 3) uint8 sRGB frames at the times of the exposure, rounded as a camera stores them.
    """
    orientations = rotation.slerp(*(np.array(q) for q in spec.quat_first_last), times)
    frames = [encode_frame(light) for light in render_light(level, spec.camera, orientations)]
    return np.stack(frames)


def render_light(level: Level, camera: Camera, quats_wxyz: np.ndarray):
    """Generates (H, W, 3) float32 linear light, one for each orientation on a path, in order."""
    canvas = _canvas_camera(camera, quats_wxyz)
    if canvas is None:
        half = len(quats_wxyz) // 2
        yield from render_light(level, camera, quats_wxyz[:half])
        yield from render_light(level, camera, quats_wxyz[half:])
        return
    light = _photograph(level, canvas)
    for quat in quats_wxyz:
        yield _warp(light, canvas, camera, quat)


def encode_frame(light: np.ndarray) -> np.ndarray:
    """(H, W, 3) linear light -> uint8 sRGB, clipped at white, rounded."""
    steps = (np.clip(light, 0, 1) * LIGHT_STEPS + 0.5).astype(np.uint16)
    return _srgb_table()[steps]


@lru_cache
def _srgb_table() -> np.ndarray:
    codes = linear_to_srgb(np.arange(LIGHT_STEPS + 1) / LIGHT_STEPS)
    return np.rint(codes * 255).astype(np.uint8)


# --- canvases --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Canvas:
    """A finer and larger camera of the same kind and its orientation."""

    camera: Camera
    quat_wxyz: np.ndarray


def _canvas_camera(camera: Camera, quats_wxyz: np.ndarray) -> Canvas | None:
    """The canvas that holds the frames of all orientations; None where they need several."""
    middle = quats_wxyz[len(quats_wxyz) // 2]
    if len(quats_wxyz) == 1:
        return Canvas(_finer(camera, (0.0, 0.0), camera.size_hw[::-1]), middle)
    points = _outline(camera.size_hw)
    turns = rotation.matrices(middle).T @ rotation.matrices(quats_wxyz)
    seen = np.stack([_moved(points, camera, turn) for turn in turns])
    if not np.all(np.isfinite(seen)) or not _little_stretched(points, camera, turns):
        return None
    low, high = np.floor(seen.min((0, 1))) - 1, np.ceil(seen.max((0, 1))) + 1
    if np.prod(high - low) > len(quats_wxyz) * np.prod(camera.size_hw):
        return None
    return Canvas(_finer(camera, low, high - low), middle)


def _finer(camera: Camera, corner_xy, extent_xy) -> Camera:
    """FINENESS times the resolution, over the rectangle of the image plane that begins at corner."""
    width, height = (int(side) * FINENESS for side in extent_xy)
    principal = (np.array(camera.principal_xy) - corner_xy) * FINENESS
    return Camera((height, width), camera.focal_px * FINENESS, camera.xi, tuple(principal))


def _outline(size_hw: tuple[int, int]) -> np.ndarray:
    """(N, 2) points along the image's border, corners included; a frame's bounds lie on it."""
    height, width = size_hw
    t = np.linspace(0, 1, 33)
    sides = [(t, 0 * t), (t, 0 * t + 1), (0 * t, t), (0 * t + 1, t)]
    return np.concatenate([np.stack([x * width, y * height], -1) for x, y in sides])


def _moved(points_xy: np.ndarray, camera: Camera, turn: np.ndarray) -> np.ndarray:
    """Where points of a frame lie in the image plane of a camera turned against it."""
    return project(rays(points_xy, camera) @ turn.T, camera)


def _little_stretched(points: np.ndarray, camera: Camera, turns: np.ndarray) -> bool:
    for turn in turns[[0, -1]]:
        here, right, below = (
            _moved(points + step, camera, turn) for step in ((0, 0), (0.5, 0), (0, 0.5))
        )
        for step in (right - here, below - here):
            length = 2 * np.linalg.norm(step, axis=-1)
            if not np.all((length < MOST_STRETCH) & (length > 1 / MOST_STRETCH)):
                return False
    return True


def _photograph(level: Level, canvas: Canvas) -> np.ndarray:
    """The canvas in linear light, each value the mean over one pixel of the frames' camera.

    The value at (row i, column j) is that of the camera pixel centred on that canvas pixel.
    """
    camera = canvas.camera
    directions = rays(pixel_centres(camera.size_hw), camera)
    fine = sample(level, directions @ rotation.matrices(canvas.quat_wxyz).T)
    return cv2.blur(fine, (FINENESS, FINENESS), borderType=cv2.BORDER_REPLICATE)


def _warp(light: np.ndarray, canvas: Canvas, camera: Camera, quat_wxyz: np.ndarray) -> np.ndarray:
    """One bilinear sample of the canvas per pixel of the frame."""
    turn = rotation.matrices(canvas.quat_wxyz).T @ rotation.matrices(quat_wxyz)
    directions = rays(pixel_centres(camera.size_hw), camera) @ turn.T
    xy = (project(directions, canvas.camera) - 0.5).astype(np.float32)
    return cv2.remap(
        light, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


# --- metadata --------------------------------------------------------------------------------


def _metadata(spec: PanoramaSpec, options: PanoramaOptions, *, clipped: float) -> dict:
    camera = spec.camera
    first, last = (np.array(q) for q in spec.quat_first_last)
    vector = rotation.rotation_vector_deg(first, last)
    meta = {
        "schema": SCHEMA_VERSION,
        "kind": "panorama",
        "source": spec.source,
        "n": spec.n,
        "times": list(spec.times),
        "response": options.response,
        "exact_mean": True,
        "seed": options.seed,
        "direction": vector[[1, 0, 2]].tolist(),
        "clipped": clipped,
        "size_hw": list(camera.size_hw),
        "hfov_deg": hfov_deg_of(camera),
        "xi": camera.xi,
        "focal_px": camera.focal_px,
        "principal_xy": list(camera.principal_xy),
        "beta_deg": list(spec.beta_deg),
        "quat_wxyz": rotation.slerp(first, last, np.array(spec.times)).tolist(),
        "quat_first_last": [first.tolist(), last.tolist()],
    }
    return {**meta, "max_step_px": max_step_px(meta)}


def max_step_px(meta: dict) -> float:
    """How far the fastest pixel moves between two neighbours of the n averaged frames.

    The angular velocity is constant in the camera's axes, so each step moves the image alike.
    """
    first, last = (np.array(q) for q in meta["quat_first_last"])
    step = rotation.slerp(first, last, np.array([0.0, 1 / (meta["n"] - 1)]))
    moved = flow({**meta, "quat_wxyz": step}, 0, 1)
    return float(np.nanmax(np.linalg.norm(moved, axis=-1)))
