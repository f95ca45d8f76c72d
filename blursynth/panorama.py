"""An equirectangular image in linear light, at the scale the camera needs (spec 1.1, 5.1).

World axes: x right, y down, z forward. A direction (x, y, z) lies at u = W (atan2(x, z)/2pi + 1/2),
v = H (asin y/pi + 1/2); pixel centres at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .camera import Camera, pixel_centres, rays
from .imagefile import JPG_SIGNATURE, decode_file
from .light import LUMINANCE, linear_steps
from .schema import image_size
from .spec import QUALITIES, PanoramaOptions, Quality

MAX_WIDTH = 32767
ASPECT_TOLERANCE = 0.01
MIDDLE_GREY = 0.18
EDGE_SHARE = 0.5  # of the density in the middle that suffices at the edge: that of 90 degrees
MOST_FINENESS = 12
MOST_LIGHT = 1e30
JPG_SCALES = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}


@dataclass(frozen=True)
class Level:
    """A panorama in linear light, ready to be sampled.

    padded: (H + 2, W + 2, 4) RGB and one channel unused (four are sampled twice as fast as three),
    uint16 in WHITE_STEPS, or float32 with 1 = white where there may be light above it; one column
    more beyond the seam on each side and one row more beyond each pole, half a turn away.
    size_hw: without them. fineness: of the canvases that are taken of it.
    """

    padded: np.ndarray
    size_hw: tuple[int, int]
    fineness: int


def load_level(path: Path, options: PanoramaOptions) -> Level:
    """The panorama of a file at the scale that its camera needs; ValueError where it is none."""
    camera = options.camera.rendered()
    quality = quality_for(camera, QUALITIES[options.quality])
    image = _read(path, camera, quality)
    _refuse_other_shapes(image.shape)
    linear = _linear_rgb(image)
    if path.suffix.lower() == ".hdr":
        linear = exposed(linear, options.exposure)
    return level_of(_shrunk(linear, camera, quality), quality.fineness)


def level_of(linear: np.ndarray, fineness: int = QUALITIES["default"].fineness) -> Level:
    """(H, W, 3) linear light, uint16 or float32 -> the level with its borders."""
    height, width = linear.shape[:2]
    padded = np.empty((height + 2, width + 2, 4), linear.dtype)
    inside = padded[1:-1, 1:-1]
    cv2.cvtColor(linear, cv2.COLOR_RGB2RGBA, dst=inside)
    padded[[0, -1], 1:-1] = np.roll(inside[[0, -1]], width // 2, axis=1)
    padded[:, 0], padded[:, -1] = padded[:, -2], padded[:, 1]
    return Level(padded, (height, width), fineness)


def exposed(linear: np.ndarray, exposure: str) -> np.ndarray:
    """HDR light multiplied by its gain; ValueError where float32 cannot hold sums of it."""
    with np.errstate(over="ignore", invalid="ignore"):
        linear = linear * exposure_gain(linear, exposure)
    if not np.max(linear) < MOST_LIGHT:
        raise ValueError(f"its light is too great for --exposure {exposure}")
    return linear


def exposure_gain(linear: np.ndarray, exposure: str) -> float:
    """What HDR light is multiplied by: `auto` maps the median luminance to 0.18, a number of EV
    multiplies by 2^EV, with 1.0 = white."""
    if exposure != "auto":
        return float(2.0 ** float(exposure))
    median = float(np.median(linear @ LUMINANCE))
    if not median > 0:
        raise ValueError("its median luminance is zero; set --exposure to a number of stops")
    return MIDDLE_GREY / median


# --- positions and sampling ------------------------------------------------------------------


def panorama_xy(directions: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(..., 3) unit world directions -> (..., 2) positions (u, v) in pixels."""
    height, width = size_hw
    x, y, z = np.moveaxis(directions, -1, 0)
    u = width * (np.arctan2(x, z) / (2 * np.pi) + 0.5)
    v = height * (np.arcsin(np.clip(y, -1, 1)) / np.pi + 0.5)
    return np.stack([u, v], axis=-1)


def sample(level: Level, camera: Camera, world_from_camera: np.ndarray) -> np.ndarray:
    """(H, W, 4) light, as the level holds it, at the camera's pixel centres, bilinear across seam and
    poles.

    world_from_camera: (3, 3). Positions as `panorama_xy` has them, in float32: to 1/500 of a pixel.
    """
    height, width = level.size_hw
    x, y, z = _world_directions(camera, world_from_camera)
    u = np.arctan2(x, z)
    v = np.arctan2(y, np.sqrt(x * x + z * z))
    u *= np.float32(width / (2 * np.pi))
    v *= np.float32(height / np.pi)
    u += np.float32(width / 2 + 0.5)  # 0.5 = 1 for the border less 0.5 for the pixel's centre
    v += np.float32(height / 2 + 0.5)
    return cv2.remap(level.padded, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _world_directions(camera: Camera, world_from_camera: np.ndarray) -> list[np.ndarray]:
    """x, y, z (H, W) float32 of every pixel's ray, of any length, without a matrix per pixel."""
    if camera.xi != 0:
        world = rays(pixel_centres(camera.size_hw), camera) @ world_from_camera.T
        return [np.ascontiguousarray(one, np.float32) for one in np.moveaxis(world, -1, 0)]
    (height, width), (centre_x, centre_y) = camera.size_hw, camera.principal_xy
    right = ((np.arange(width) + 0.5 - centre_x) / camera.focal_px)[None]
    down = ((np.arange(height) + 0.5 - centre_y) / camera.focal_px)[:, None]
    return [
        (a * right).astype(np.float32) + (b * down + c).astype(np.float32)
        for a, b, c in world_from_camera
    ]


def quality_for(camera: Camera, quality: Quality) -> Quality:
    """The quality, raised for wide views: a pinhole's pixels see ever smaller angles towards the
    edge, so the level must be denser there, and the canvas finer in the middle to sample it."""
    factor = max(1.0, EDGE_SHARE / edge_scale(camera))
    return Quality(
        min(int(np.ceil(quality.fineness * factor - 1e-9)), MOST_FINENESS),
        quality.least_density * factor,
        quality.most_density * factor,
    )


def edge_scale(camera: Camera) -> float:
    """The angle that a pixel at the middle of the right edge sees along x, less than 1 where it is
    smaller than that of the central pixel."""
    little, edge = 1e-3, camera.size_hw[1] / 2
    x = np.array([0.0, little, edge - little, edge])
    seen = rays(np.stack([x, 0 * x], -1) + camera.principal_xy, camera)
    angles = np.arctan2(seen[:, 0], seen[:, 2])
    return float((angles[3] - angles[2]) / (angles[1] - angles[0]))


def density(panorama_width: int, camera: Camera) -> float:
    """Panorama pixels per camera pixel at the middle of the image."""
    return panorama_width * (1 + camera.xi) / (2 * np.pi * camera.focal_px)


# --- decoding --------------------------------------------------------------------------------


def _read(path: Path, camera: Camera, quality: Quality) -> np.ndarray:
    """BGR, of any depth; JPEGs at the smallest scale that the quality allows."""
    data = path.read_bytes()
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if data.startswith(JPG_SIGNATURE):
        size_hw = image_size(data, "jpg")
        _refuse_too_wide(max(size_hw))
        flags = _jpg_flags(size_hw, density(max(size_hw), camera), quality)
    return decode_file(data, flags)


def _jpg_flags(size_hw: tuple[int, int], full_density: float, quality: Quality) -> int:
    """For the smallest scale that the quality allows, of those that divide both sides: where one
    does not, the last column or row would stand for a part of a pixel."""
    for scale, flags in JPG_SCALES.items():
        divides = not (size_hw[0] % scale or size_hw[1] % scale)
        if divides and full_density / scale >= quality.least_density:
            return flags
    return cv2.IMREAD_COLOR


def _linear_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) linear light RGB of what was decoded: uint16 steps, or float32 as it is."""
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"expected 8 or 16 bits per channel or Radiance .hdr, found {image.dtype}")
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if rgb.dtype == np.float32:
        if not np.all(np.isfinite(rgb)):
            raise ValueError("it holds values that are not finite")
        return np.maximum(rgb, 0)
    return cv2.LUT(rgb, linear_steps(rgb.dtype.type))


def _refuse_other_shapes(shape: tuple[int, ...]) -> None:
    height, width = shape[:2]
    if abs(width - 2 * height) > ASPECT_TOLERANCE * 2 * height:
        raise ValueError(f"expected a panorama twice as wide as high, found {width}x{height}")
    _refuse_too_wide(width)


def _refuse_too_wide(width: int) -> None:
    if width > MAX_WIDTH:
        raise ValueError(f"expected at most {MAX_WIDTH} pixels of width, found {width}")


def _shrunk(linear: np.ndarray, camera: Camera, quality: Quality) -> np.ndarray:
    """Area-averaged in linear light where it is finer than the quality needs."""
    height, width = linear.shape[:2]
    scale = quality.most_density / density(width, camera)
    if scale >= 1:
        return linear
    size = (max(round(width * scale), 2), max(round(height * scale), 1))
    return cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
