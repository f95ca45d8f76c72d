"""Other packages' perspective views of a panorama, put into our conventions.

Each maker takes the full picture, (H, W, 3) uint8 RGB, once and gives a function
(camera, quat_wxyz) -> (h, w, 3) uint8 RGB view of a centred pinhole. `FED` says what they are given
so that they look through the centres of our pixels; the smooth panorama in the table of
`accuracy.py` shows that they do.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import equilib
import numpy as np
import py360convert
import pytorch360convert
import torch

from blursynth import rotation
from blursynth.camera import Camera

FED = """\
Fed to the peers: the full picture decoded to 8 bits; bilinear mode.
py360convert (uint8) and pytorch360convert (float): yaw, pitch, roll in degrees, and the field of view
between the centres of the outermost pixels, as their grids include both ends of it.
pyequilib (float): yaw and pitch negated, in radians. Its pixels look half a pixel left of and above
the centres and it reads the panorama one pixel right of and below its place, so it is given a
panorama moved by one pixel and asked for one row and column more, which are dropped: kinder than its
documented use.
resized: pytorch360convert on the 8-bit picture area-averaged to 2 pixels per pixel at the middle of
the camera."""

View = Callable[[Camera, np.ndarray], np.ndarray]


def py360convert_view(rgb: np.ndarray) -> View:
    """Bilinear samples of the uint8 picture."""

    def view(camera: Camera, quat_wxyz: np.ndarray) -> np.ndarray:
        yaw, pitch, roll = angles_deg(quat_wxyz)
        fov_deg = _fov_deg_between_centres(camera)
        return py360convert.e2p(rgb, fov_deg, yaw, pitch, camera.size_hw, in_rot_deg=roll)

    return view


def pytorch360convert_view(rgb: np.ndarray) -> View:
    """Bilinear samples of the picture as a float tensor."""
    tensor = torch.from_numpy(rgb).permute(2, 0, 1).float()

    def view(camera: Camera, quat_wxyz: np.ndarray) -> np.ndarray:
        yaw, pitch, roll = angles_deg(quat_wxyz)
        fov_deg = _fov_deg_between_centres(camera)
        seen = pytorch360convert.e2p(tensor, fov_deg, yaw, pitch, camera.size_hw, roll)
        return seen.round().to(torch.uint8).permute(1, 2, 0).numpy()

    return view


def pyequilib_view(rgb: np.ndarray) -> View:
    """Bilinear samples of the picture as a float array."""
    moved = cv2.copyMakeBorder(rgb, 1, 0, 0, 0, cv2.BORDER_REPLICATE)[:-1]
    moved = np.roll(moved, 1, axis=1).astype(np.float32).transpose(2, 0, 1)

    def view(camera: Camera, quat_wxyz: np.ndarray) -> np.ndarray:
        yaw, pitch, roll = np.radians(angles_deg(quat_wxyz))
        height, width = (side + 1 for side in camera.size_hw)
        seen = equilib.equi2pers(
            moved,
            {"yaw": -yaw, "pitch": -pitch, "roll": roll},
            height,
            width,
            fov_x=2 * np.degrees(np.arctan(width / 2 / camera.focal_px)),
            clip_output=False,
        )
        return np.rint(seen[:, 1:, 1:]).astype(np.uint8).transpose(1, 2, 0)

    return view


PEERS: dict[str, Callable[[np.ndarray], View]] = {
    "py360convert": py360convert_view,
    "pytorch360convert": pytorch360convert_view,
    "pyequilib": pyequilib_view,
}


def shrunk(rgb: np.ndarray, camera: Camera, samples_per_pixel: float = 2.0) -> np.ndarray:
    """The 8-bit picture area-averaged to so many pixels per pixel at the middle of the camera."""
    width = round(2 * np.pi * camera.focal_px * samples_per_pixel)
    if width >= rgb.shape[1]:
        return rgb
    return cv2.resize(rgb, (width, width // 2), interpolation=cv2.INTER_AREA)


def angles_deg(quat_wxyz: np.ndarray) -> tuple[float, float, float]:
    """(yaw right, pitch up, roll clockwise): the inverse of `rotation.quat_looking_at`."""
    turn = rotation.matrices(quat_wxyz)
    yaw = np.arctan2(turn[0, 2], turn[2, 2])
    pitch = np.arcsin(np.clip(-turn[1, 2], -1, 1))
    roll = np.arctan2(turn[1, 0], turn[1, 1])
    return tuple(np.degrees([yaw, pitch, roll]).tolist())


def _fov_deg_between_centres(camera: Camera) -> tuple[float, float]:
    """(horizontal, vertical), from the first to the last pixel centre of a centred pinhole."""
    height, width = camera.size_hw
    half = np.arctan(np.array([width - 1, height - 1]) / 2 / camera.focal_px)
    return tuple((2 * np.degrees(half)).tolist())
