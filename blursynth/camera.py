"""Pinhole and unified sphere: pixels -> rays -> pixels (Mei & Rives 2007; spec 1.1).

Camera axes: x right, y down, z forward. The centre of pixel (row i, column j) is (j + 0.5, i + 0.5).
Arrays in, arrays out; nothing is written to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A virtual camera on the unified sphere.

    size_hw: pixels. focal_px > 0. xi >= 0: 0 is the pinhole. principal_xy: in pixels, from the
    left upper corner of the left upper pixel.
    """

    size_hw: tuple[int, int]
    focal_px: float
    xi: float
    principal_xy: tuple[float, float]

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1 or not self.focal_px > 0 or not self.xi >= 0:
            raise ValueError(
                "expected a camera of at least one pixel, a positive focal length and xi >= 0, "
                f"found {self.size_hw}, {self.focal_px} and {self.xi}"
            )


def centred_camera(size_hw: tuple[int, int], hfov_deg: float, xi: float = 0.0) -> Camera:
    """The camera whose horizontal field of view is `hfov_deg` from edge to edge.

    f = (W/2) (xi + cos h) / sin h, h = hfov/2; the principal point is the image's centre.
    """
    height, width = size_hw
    half = np.radians(hfov_deg) / 2
    if not 0 < hfov_deg < max_hfov_deg(xi):
        raise ValueError(
            f"expected a field of view above 0 and below {max_hfov_deg(xi):.1f} degrees "
            f"at xi = {xi:g}, found {hfov_deg:g}"
        )
    focal_px = float(width / 2 * (xi + np.cos(half)) / np.sin(half))
    return Camera((height, width), focal_px, float(xi), (width / 2, height / 2))


def max_hfov_deg(xi: float) -> float:
    """The field of view at which the projection stops being one to one, in degrees.

    r(h) = sin h / (xi + cos h) grows while 1 + xi cos h > 0 and xi + cos h > 0.
    """
    return float(2 * np.degrees(np.arccos(-xi if xi < 1 else -1 / xi)))


def hfov_deg_of(camera: Camera) -> float:
    """The field of view of a centred camera of this width and focal length: the inverse."""
    edge = Camera(camera.size_hw, camera.focal_px, camera.xi, (0.0, 0.0))
    x, _, z = rays(np.array([camera.size_hw[1] / 2, 0.0]), edge)
    return float(2 * np.degrees(np.arctan2(x, z)))


def pixel_centres(size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 2) float64 positions (x, y) of the pixels' centres."""
    height, width = size_hw
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


def rays(points_xy: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., 2) pixels -> (..., 3) unit rays in the camera's axes: the inverse of `project`.

    NaN where no ray reaches the pixel (xi > 1, beyond the sphere's outline).
    """
    xi = camera.xi
    plane = (points_xy - np.array(camera.principal_xy)) / camera.focal_px
    r2 = np.sum(plane * plane, axis=-1)
    with np.errstate(invalid="ignore"):
        lift = (xi + np.sqrt(1 + (1 - xi * xi) * r2)) / (1 + r2)
    return np.stack([lift * plane[..., 0], lift * plane[..., 1], lift - xi], axis=-1)


def project(directions: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., 3) unit directions in the camera's axes -> (..., 2) pixels; NaN where it sees none."""
    depth = directions[..., 2] + camera.xi
    limit = np.cos(np.radians(max_hfov_deg(camera.xi)) / 2) + camera.xi
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(depth > max(limit, 0.0), camera.focal_px / depth, np.nan)
    return directions[..., :2] * scale[..., None] + np.array(camera.principal_xy)
