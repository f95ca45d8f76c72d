"""PanoramaSpec + level -> frames and the blurred image.

Frames of one exposure see nearly the same part of the panorama. So that part is photographed once,
finely, by a camera between them, each fine pixel averaged in linear light over the area of one
camera pixel, clipped and encoded; every frame is one bilinear sample per pixel of that canvas.
A frame that lies too far from the others, or is stretched too much in their canvas, gets a canvas of
its own, which is plain supersampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from . import rotation
from .camera import Camera, hfov_deg_of, pixel_centres, project, rays
from .light import WHITE_STEPS, clipped_share, mean_of_frames, srgb_codes
from .motion import max_step_px, turned_positions
from .panorama import Level, sample
from .schema import SCHEMA_VERSION, Sample
from .spec import PanoramaOptions, PanoramaSpec

MOST_STRETCH = 1.8  # of a frame's pixel in the canvas, along each axis, either way


def render_sample(
    spec: PanoramaSpec,
    level: Level,
    options: PanoramaOptions,
    rng: np.random.Generator | None = None,
) -> Sample:
    """The blur, the stored frames and their metadata (spec 2.2). rng: where there is noise."""
    times = np.arange(spec.n) / (spec.n - 1)
    disturb = options.camera.noise.drawn_by(rng)
    frames, blur = EXPOSURES[options.clip](level, spec, times, options.response, disturb)
    stored_at = _positions(spec.times, times)
    missing = [t for t, at in zip(spec.times, stored_at, strict=True) if at is None]
    extra = iter(render_frames(level, spec, np.array(missing)) if missing else [])
    stored = [next(extra) if at is None else frames[at] for at in stored_at]
    clipped = clipped_share(frames[spec.n // 2])
    return Sample(spec.key, blur, np.stack(stored), _metadata(spec, options, clipped))


def _clipped_in_each_frame(
    level: Level, spec: PanoramaSpec, times: np.ndarray, response: str, disturb: Callable | None
) -> tuple[np.ndarray, np.ndarray]:
    """The frames, and the mean of what they store: exact but for the noise."""
    frames = render_frames(level, spec, times)
    return frames, mean_of_frames(frames, response, disturb)


def _clipped_on_the_sensor(
    level: Level, spec: PanoramaSpec, times: np.ndarray, response: str, disturb: Callable | None
) -> tuple[np.ndarray, np.ndarray]:
    """The frames, and the mean of the light itself, of which what is above white is lost last."""
    lights = list(render_views(level, spec.camera, _orientations(spec, times), as_light))
    mean = np.mean(lights, 0)
    if disturb is not None:
        mean = disturb(mean).astype(np.float32)
    return np.stack([encode_frame(light) for light in lights]), encode_frame(mean)


EXPOSURES = {"frame": _clipped_in_each_frame, "sensor": _clipped_on_the_sensor}


def _positions(times: tuple[float, ...], among: np.ndarray) -> list[int | None]:
    """Where each time stands among the others, None where it does not."""
    nearest = [int(np.argmin(np.abs(among - t))) for t in times]
    return [k if abs(among[k] - t) < 1e-12 else None for k, t in zip(nearest, times, strict=True)]


def render_frames(level: Level, spec: PanoramaSpec, times: np.ndarray) -> np.ndarray:
    """(m, H, W, 3) uint8 sRGB frames at the times of the exposure, as a camera stores them."""
    quats_wxyz = _orientations(spec, times)
    return np.stack(list(render_views(level, spec.camera, quats_wxyz, encode_frame)))


def _orientations(spec: PanoramaSpec, times: np.ndarray) -> np.ndarray:
    first, last = (np.array(q) for q in spec.quat_first_last)
    return rotation.shaken_path(first, last, spec.shake_deg, times)


def render_views(
    level: Level,
    camera: Camera,
    quats_wxyz: np.ndarray,
    develop: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """(H, W, 3) views, one for each orientation on a path, in order.

    develop: `encode_frame` or `as_light`, done to the canvas before views are sampled from it.
    """
    if len(quats_wxyz) == 1:
        canvas = _canvas_of_one(camera, quats_wxyz[0], level.fineness)
    else:
        canvas = _canvas_of_all(camera, quats_wxyz, level.fineness)
    if canvas is None:
        half = len(quats_wxyz) // 2
        yield from render_views(level, camera, quats_wxyz[:half], develop)
        yield from render_views(level, camera, quats_wxyz[half:], develop)
        return
    picture = develop(_photograph(level, canvas))
    turns = rotation.matrices(canvas.quat_wxyz).T @ rotation.matrices(quats_wxyz)
    view = _views_of_pinhole if camera.xi == 0 else _views_of_sphere
    for seen in view(picture, canvas, camera, turns):
        yield cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB)


def encode_frame(light: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 4) linear light -> uint8 sRGB, clipped at white, rounded.

    Light is uint16 in WHITE_STEPS, or float32 with 1 = white.
    """
    if light.dtype != np.uint16:
        light = cv2.multiply(light, (WHITE_STEPS,) * 4, dtype=cv2.CV_16U)
    return cv2.LUT(light, srgb_codes())


def as_light(light: np.ndarray) -> np.ndarray:
    """Linear light as the level holds it -> float32 with 1 = white."""
    return light / np.float32(WHITE_STEPS) if light.dtype == np.uint16 else light


# --- canvases --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Canvas:
    """A finer and larger camera of the same kind and its orientation.

    fineness: its pixels per pixel of the frames' camera, along each side.
    """

    camera: Camera
    quat_wxyz: np.ndarray
    fineness: int

    @property
    def centre(self) -> float:
        """Where in a pixel the middle of the box over `fineness` pixels lies."""
        return 0.5 if self.fineness % 2 else 0.0


def _canvas_of_one(camera: Camera, quat_wxyz: np.ndarray, fineness: int) -> Canvas:
    """The frame's own camera, finer."""
    whole = np.array(camera.size_hw[::-1])
    return Canvas(_finer(camera, np.zeros(2), whole, fineness), quat_wxyz, fineness)


def _canvas_of_all(camera: Camera, quats_wxyz: np.ndarray, fineness: int) -> Canvas | None:
    """The canvas that holds the frames of all orientations; None where they need several."""
    middle = quats_wxyz[len(quats_wxyz) // 2]
    turns = rotation.matrices(middle).T @ rotation.matrices(quats_wxyz)
    outline = _outline(camera.size_hw)
    seen = turned_positions(outline, camera, turns)
    if not np.all(np.isfinite(seen)) or not _little_stretched(outline, camera, turns):
        return None
    low, high = np.floor(seen.min((0, 1))) - 1, np.ceil(seen.max((0, 1))) + 1
    if np.prod(high - low) > len(quats_wxyz) * np.prod(camera.size_hw):
        return None
    return Canvas(_finer(camera, low, high - low, fineness), middle, fineness)


def _finer(
    camera: Camera, corner_xy: np.ndarray, extent_xy: np.ndarray, fineness: int
) -> Camera:
    """`fineness` times the resolution, over the rectangle of the image plane that begins at corner."""
    width, height = (int(side) * fineness for side in extent_xy)
    principal = (np.array(camera.principal_xy) - corner_xy) * fineness
    return Camera((height, width), camera.focal_px * fineness, camera.xi, tuple(principal))


@lru_cache
def _outline(size_hw: tuple[int, int]) -> np.ndarray:
    """(N, 2) points along the image's border, corners included; a frame's bounds lie on it."""
    height, width = size_hw
    t = np.linspace(0, 1, 9)
    sides = [(t, 0 * t), (t, 0 * t + 1), (0 * t, t), (0 * t + 1, t)]
    return np.concatenate([np.stack([x * width, y * height], -1) for x, y in sides])


def _little_stretched(points: np.ndarray, camera: Camera, turns: np.ndarray) -> bool:
    here, right, below = (turned_positions(points + step, camera, turns) for step in ((0, 0), (1, 0), (0, 1)))
    lengths = np.linalg.norm([right - here, below - here], axis=-1)
    return bool(np.all((lengths < MOST_STRETCH) & (lengths > 1 / MOST_STRETCH)))


def _photograph(level: Level, canvas: Canvas) -> np.ndarray:
    """The canvas in linear light, each value the mean over one pixel of the frames' camera: that
    centred on the canvas pixel, or, where the fineness is even, on its left upper corner."""
    fine = sample(level, canvas.camera, rotation.matrices(canvas.quat_wxyz))
    return cv2.blur(fine, (level.fineness,) * 2, borderType=cv2.BORDER_REPLICATE)


def _views_of_pinhole(
    picture: np.ndarray, canvas: Canvas, camera: Camera, turns: np.ndarray
) -> Iterator[np.ndarray]:
    """One bilinear sample of the canvas per pixel of each frame: frames are homographies of it."""
    to_canvas = _intrinsics(canvas.camera, canvas.centre) @ turns @ _inverse_intrinsics(camera)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = camera.size_hw[::-1]
    for matrix in to_canvas:
        yield cv2.warpPerspective(
            picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )


def _views_of_sphere(
    picture: np.ndarray, canvas: Canvas, camera: Camera, turns: np.ndarray
) -> Iterator[np.ndarray]:
    """The same for xi > 0, where a frame's pixels are projected into the canvas one by one."""
    for turn in turns:
        xy = project(_rays_of(camera) @ turn.T, canvas.camera) - canvas.centre
        x, y = np.moveaxis(xy.astype(np.float32), -1, 0)
        yield cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _intrinsics(camera: Camera, centre: float = 0.5) -> np.ndarray:
    """K with respect to array indices; centre: where in its pixel the value of an index lies."""
    (x, y), f = camera.principal_xy, camera.focal_px
    return np.array([[f, 0, x - centre], [0, f, y - centre], [0, 0, 1]])


def _inverse_intrinsics(camera: Camera) -> np.ndarray:
    """The inverse of `_intrinsics(camera)`."""
    (x, y), f = camera.principal_xy, camera.focal_px
    return np.array([[1 / f, 0, (0.5 - x) / f], [0, 1 / f, (0.5 - y) / f], [0, 0, 1]])


@lru_cache(maxsize=4)
def _rays_of(camera: Camera) -> np.ndarray:
    return rays(pixel_centres(camera.size_hw), camera)


# --- metadata --------------------------------------------------------------------------------


def _metadata(spec: PanoramaSpec, options: PanoramaOptions, clipped: float) -> dict:
    camera = spec.camera
    first, last = (np.array(q) for q in spec.quat_first_last)
    vector = rotation.rotation_vector_deg(first, last)
    return {
        "schema": SCHEMA_VERSION,
        "kind": "panorama",
        "source": spec.source,
        "n": spec.n,
        "times": list(spec.times),
        "response": options.response,
        "exact_mean": options.clip == "frame" and not options.camera.noise.told,
        "seed": options.seed,
        "direction": vector[[1, 0, 2]].tolist(),
        "clipped": clipped,
        "size_hw": list(camera.size_hw),
        "hfov_deg": hfov_deg_of(camera),
        "xi": camera.xi,
        "focal_px": camera.focal_px,
        "principal_xy": list(camera.principal_xy),
        "beta_deg": list(spec.beta_deg),
        "quat_wxyz": _orientations(spec, np.array(spec.times)).tolist(),
        "quat_first_last": [first.tolist(), last.tolist()],
        "max_step_px": max_step_px(camera, first, last, spec.n, spec.shake_deg),
        **({"shake_deg": [list(one) for one in spec.shake_deg]} if spec.shake_deg else {}),
        **options.camera.noise.told,
    }
