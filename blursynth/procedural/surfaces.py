"""Flat rectangles in space, and the panorama that a camera between them sees.

World axes: x right, y down, z forward, the camera at the origin; metres. A point of a rectangle is
p = corner + u right + v down with u, v in [0, 1], so that a ray along d meets its plane where
(u, v, 1) is proportional to inverse([right down corner]) d: three numbers linear in d, the third
one the inverse distance. A linear number is one product per pixel, for over a panorama
d = (cos v sin u, sin v, cos v cos u); and its zero is a great circle, whence smooth edges.
Radiance is linear light, 1 = white.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from .canvas import Paint, blank_canvas

PICTURE_PX = 1200  # a piece of a rectangle is not drawn larger than this
MOST_CUTS = 6  # halvings of a rectangle, at most, to reach that
LEVELS = 6  # of a picture's pyramid
ROWS_AT_ONCE = 48  # of the panorama, so that what is computed on the way stays in the cache
NEARER = 0.985  # of two rectangles this close in distance the one painted later is seen
SHARPNESS = 0.9  # texture pixels per panorama pixel along the less foreshortened direction
SLANT = 0.6  # 0 keeps all detail of foreshortened surfaces (and aliases), 1 blurs both ways
LIGHT_STEP = 0.2  # metres between the points at which light is computed


@dataclass(frozen=True)
class Panel:
    """A rectangle that has not been painted: corner, right and down edges as (3,) metres.

    paint draws it, with the numbers of `key`. glow: the radiance of its white if it shines by
    itself, 0 if lamps light it. window: the part (x, y, width, height) of the whole picture.
    """

    corner: np.ndarray
    right: np.ndarray
    down: np.ndarray
    paint: Paint
    key: tuple[int, ...] = (0,)
    glow: float = 0.0
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @cached_property
    def size(self) -> np.ndarray:
        """(width, height) in metres of this part."""
        return np.array([np.linalg.norm(self.right), np.linalg.norm(self.down)])

    @property
    def normal(self) -> np.ndarray:
        """Unit vector towards the side from which the picture reads from left to right."""
        normal = np.cross(self.down, self.right)
        return normal / np.linalg.norm(normal)

    @property
    def faces_camera(self) -> bool:
        """Whether the camera is on that side, not in the plane nor behind."""
        return float(self.corner @ self.normal) < -1e-6

    def points(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(..., 3) metres of positions in [0, 1]."""
        return self.corner + u[..., None] * self.right + v[..., None] * self.down

    def distance(self) -> float:
        """From the camera to the nearest point, in metres."""
        edges = self.right, self.down
        nearest = np.array([np.clip(-self.corner @ edge / (edge @ edge), 0, 1) for edge in edges])
        return float(np.linalg.norm(self.points(*nearest)))

    def halves(self) -> list[Panel]:
        """The same picture in two pieces, cut across the longer edge."""
        x, y, width, height = self.window
        if self.size[0] >= self.size[1]:
            step, kept = self.right / 2, {"right": self.right / 2}
            windows = [(x, y, width / 2, height), (x + width / 2, y, width / 2, height)]
        else:
            step, kept = self.down / 2, {"down": self.down / 2}
            windows = [(x, y, width, height / 2), (x, y + height / 2, width, height / 2)]
        corners = (self.corner, self.corner + step)
        return [replace(self, corner=c, window=w, **kept) for c, w in zip(corners, windows)]


@dataclass(frozen=True)
class Surface:
    """A painted and lit panel.

    uvw_from_direction: (3, 3), see above. outline: (n, 3) unit directions all around it.
    atlas: (h, w, 4) float32 premultiplied linear radiance and alpha, all levels of a pyramid.
    levels: (LEVELS, 4) where in the atlas each begins (x, y) and how far u and v reach there.
    px_per_m: of the finest level.
    """

    uvw_from_direction: np.ndarray
    outline: np.ndarray
    atlas: np.ndarray
    levels: np.ndarray
    px_per_m: float


# --- panels to surfaces ------------------------------------------------------------------------


def pieces(panel: Panel, pixel_rad: float, cuts: int = MOST_CUTS) -> Iterator[Panel]:
    """The panel in pieces that are small enough to be drawn as sharp as they are seen."""
    if cuts and panel.size.max() * _density(panel, pixel_rad) > PICTURE_PX:
        for half in panel.halves():
            yield from pieces(half, pixel_rad, cuts - 1)
    else:
        yield panel


def surface_of(panel: Panel, light: Callable, pixel_rad: float) -> Surface:
    """Draws and lights it. light: (points (..., 3), normal) -> (..., 3) irradiance."""
    whole = panel.size / panel.window[2:]
    density = min(_density(panel, pixel_rad), 1.5 * PICTURE_PX / panel.size.max())
    canvas = blank_canvas(whole, density, panel.window)
    panel.paint(canvas, np.random.default_rng(panel.key))
    picture = canvas.light()
    picture *= _light_over(panel, light, picture.shape[:2])
    if canvas.pixels[..., 3].min() < 255:
        picture[..., :3] *= picture[..., 3:]
    atlas, levels = _pyramid(picture, panel.size * density)
    matrix = np.linalg.inv(np.stack([panel.right, panel.down, panel.corner], 1))
    return Surface(matrix, _outline(panel), atlas, levels, density)


def _density(panel: Panel, pixel_rad: float) -> float:
    """Pixels per metre that its nearest point deserves."""
    return SHARPNESS / (pixel_rad * max(panel.distance(), 0.2))


def _light_over(panel: Panel, light: Callable, size_hw) -> np.ndarray:
    """(h, w, 4) float32, or what broadcasts to it: the factors of red, green, blue and alpha."""
    if panel.glow:
        return np.array((panel.glow, panel.glow, panel.glow, 1), np.float32)
    across, down = (int(np.clip(np.ceil(size / LIGHT_STEP), 3, 40)) for size in panel.size)
    u, v = np.meshgrid((np.arange(across) + 0.5) / across, (np.arange(down) + 0.5) / down)
    grid = np.ones((down, across, 4), np.float32)
    grid[..., :3] = light(panel.points(u, v), panel.normal)
    return cv2.resize(grid, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def _pyramid(picture: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level 0 at the left; the others, each half as large, below each other at its right."""
    rows, columns = picture.shape[:2]
    images = [picture]
    for _ in range(LEVELS - 1):
        size = tuple(max(1, -(-n // 2)) for n in images[-1].shape[1::-1])
        images.append(cv2.resize(images[-1], size, interpolation=cv2.INTER_AREA))
    tall = max(rows, sum(len(image) for image in images[1:]))
    atlas = np.zeros((tall, columns + images[1].shape[1], 4), np.float32)
    levels, x, y = [], 0, 0
    for image in images:
        atlas[y : y + len(image), x : x + image.shape[1]] = image
        scale = np.array(image.shape[1::-1]) / (columns, rows)
        levels.append((x, y, *(extent * scale)))
        x, y = columns, y + len(image) if x else 0
    return atlas, np.array(levels, np.float32)


def _outline(panel: Panel) -> np.ndarray:
    """(n, 3) unit directions all around it, close enough to bound its image."""
    side = np.linspace(0, 1, 65)
    zero, one = np.zeros_like(side), np.ones_like(side)
    u, v = np.hstack([[side, zero], [side, one], [zero, side], [one, side]])
    points = panel.points(u, v)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# --- surfaces to a panorama --------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """The panorama while it is painted: radiance (H, W, 3), and the inverse distance (H, W) of what
    each pixel shows, both float32."""

    radiance: np.ndarray
    nearness: np.ndarray

    @property
    def pixel_rad(self) -> float:
        """The height of a pixel as an angle."""
        return np.pi / len(self.radiance)


def paint_surfaces(view: View, surfaces: Iterable[Surface]) -> None:
    """Paints them in the order given, which should be from far to near: what is farther than what
    is there already stays hidden, but only the order makes soft edges right."""
    for surface in surfaces:
        for rows, columns in _blocks(surface, view.radiance.shape[:2]):
            _paint_block(view, surface, rows, columns)


def _blocks(surface: Surface, size_hw) -> Iterator[tuple[slice, slice]]:
    """Rectangles of pixels that together hold its image; none crosses the seam."""
    height, width = size_hw
    x, y, z = surface.outline.T
    v = height * (np.arcsin(np.clip(y, -1, 1)) / np.pi + 0.5)
    first, last = v.min() - 2, v.max() + 2
    towards = surface.outline.mean(0)
    middle = np.arctan2(towards[0], towards[2])
    turns = (np.arctan2(x, z) - middle + np.pi) % (2 * np.pi) - np.pi
    at_pole = [_inside(surface.uvw_from_direction @ (0, sign, 0)) for sign in (-1.0, 1.0)]
    at_pole = [at_pole[0] or first < 1, at_pole[1] or last > height - 1]
    first, last = (0 if at_pole[0] else first), (height if at_pole[1] else last)
    u = width * ((turns + middle) / (2 * np.pi) + 0.5)
    polar = max(abs(first / height - 0.5), abs(last / height - 0.5)) * np.pi
    slack = 3 / max(np.cos(min(polar, np.pi / 2)), 3 / width)
    start, stop = u.min() - slack, u.max() + slack
    if any(at_pole) or stop - start >= width:
        start, stop = 0, width
    for columns in _around_the_seam(int(start), int(stop) + 1, width):
        for row in range(max(int(first), 0), min(int(last) + 1, height), ROWS_AT_ONCE):
            yield slice(row, min(row + ROWS_AT_ONCE, int(last) + 1, height)), columns


def _inside(uvw: np.ndarray) -> bool:
    return bool(uvw[2] > 0 and 0 <= uvw[0] <= uvw[2] and 0 <= uvw[1] <= uvw[2])


def _around_the_seam(start: int, stop: int, width: int) -> list[slice]:
    if stop - start >= width:
        return [slice(0, width)]
    parts = [(start + shift, stop + shift) for shift in (-width, 0, width)]
    clipped = [(max(a, 0), min(b, width)) for a, b in parts]
    return [slice(a, b) for a, b in clipped if b > a]


def _paint_block(view: View, surface: Surface, rows: slice, columns: slice) -> None:
    u, v, w, cover = _coordinates(view, surface, rows, columns)
    cover[w < view.nearness[rows, columns] * NEARER] = 0
    if not cover.any():
        return
    colour = _look_up(surface, u, v, w, view.pixel_rad)
    colour *= cover[..., None]
    radiance, nearness = view.radiance[rows, columns], view.nearness[rows, columns]
    radiance *= 1 - colour[..., 3:]
    radiance += colour[..., :3]
    np.copyto(nearness, w, where=colour[..., 3] > 0.5)


def _coordinates(view: View, surface: Surface, rows: slice, columns: slice) -> tuple:
    """u, v, inverse distance and cover of a block's pixels, float32. Cover is 1 inside and falls to
    0 within a pixel outside, so that neighbours leave no gap."""
    height, width = view.radiance.shape[:2]
    down = ((np.arange(rows.start, rows.stop) + 0.5) / height - 0.5) * np.pi
    round_ = ((np.arange(columns.start, columns.stop) + 0.5) / width - 0.5) * 2 * np.pi
    sin_v, cos_v = np.sin(down)[:, None], np.cos(down)[:, None].astype(np.float32)

    def linear(row):
        return cos_v * (row[0] * np.sin(round_) + row[2] * np.cos(round_)).astype(np.float32) + (
            row[1] * sin_v
        ).astype(np.float32)

    along, below, near = surface.uvw_from_direction
    u, v, w = linear(along), linear(below), linear(near)
    edge = u * np.float32(1 / np.linalg.norm(along))
    for row, value in ((below, v), (near - along, w - u), (near - below, w - v)):
        np.minimum(edge, value * np.float32(1 / np.linalg.norm(row)), out=edge)
    cover = np.clip(edge / np.float32(view.pixel_rad) + 1, 0, 1)
    cover[w <= 1e-5] = 0
    np.maximum(w, np.float32(1e-5), out=w)
    return u / w, v / w, w, cover


def _look_up(surface: Surface, u, v, w, pixel_rad: float) -> np.ndarray:
    """(h, w, 4) premultiplied radiance, from the two levels whose pixels are of the size seen."""
    plane = float(np.linalg.norm(surface.uvw_from_direction[2]))
    finest = np.log2(surface.px_per_m * pixel_rad) + SLANT * np.log2(plane)
    level = np.clip(finest - (1 + SLANT) * np.log2(w), 0, LEVELS - 1.001, dtype=np.float32)
    whole = level.astype(np.intp)
    fine, coarse = _tap(surface, whole, u, v), _tap(surface, whole + 1, u, v)
    coarse -= fine
    coarse *= (level - whole)[..., None]
    return fine.__iadd__(coarse)


def _tap(surface: Surface, level: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    x, y, width, height = surface.levels.T
    half, across, tall = np.float32(0.5), width[level], height[level]
    along = np.clip(u * across - half, 0, np.maximum(across - 1, 0)) + x[level]
    below = np.clip(v * tall - half, 0, np.maximum(tall - 1, 0)) + y[level]
    return cv2.remap(surface.atlas, along, below, cv2.INTER_LINEAR)
