"""A camera that pans over a wall while textured things fly past: sharp frames of 240-fps video.

Each layer is a flat picture on a path; frame t is a pure function of the layers and of t. Pictures
are twice as fine as the frames and filtered to what the frames can hold, so that reading them
between their pixels moves them by any fraction of a pixel. Linear light, premultiplied alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import BLACK, Canvas, Paint, blank_canvas, codes_of, vivid
from .fronts import paint_facade
from .furniture import SIDES, paint_shelves
from .prints import PRINTS, paint_sign
from .walls import FLOORS, WALLS, paint_carpet

FINER = 2.0  # pixels of a picture per pixel of a frame
FILTER_PX = 0.4  # standard deviation of the filter, in pixels of a frame
MARGIN = 0.42  # of the background beyond the frame, in its heights; farther out it is mirrored


@dataclass(frozen=True)
class Path:
    """Where a layer's centre is at time t, in pixels, and how it is turned, in radians.

    Each coordinate is centre + sway sin(2 pi t / period + phase), t in frames; angle + spin t.
    """

    centre_xy: np.ndarray
    sway_xy: np.ndarray
    period_xy: np.ndarray
    phase_xy: np.ndarray
    angle: float = 0.0
    spin: float = 0.0

    def position_xy(self, time: float) -> np.ndarray:
        """(2,) pixels: x right, y down, from the top left corner of the frame."""
        turn = 2 * np.pi * time / self.period_xy + self.phase_xy
        return self.centre_xy + self.sway_xy * np.sin(turn)


@dataclass(frozen=True)
class Layer:
    """picture: (h, w, 4) float32 premultiplied linear light, `FINER` times as fine as the frame,
    its centre on the path. endless: mirrored beyond its border instead of clear."""

    picture: np.ndarray
    path: Path
    endless: bool = False

    def picture_from_frame(self, time: float) -> np.ndarray:
        """(2, 3) affine: pixels of the frame -> pixels of the picture, corner-based positions."""
        angle = self.path.angle + self.path.spin * time
        c, s = np.cos(angle), np.sin(angle)
        turn = FINER * np.array([(c, s), (-s, c)])
        middle = np.array(self.picture.shape[1::-1]) / 2
        return np.column_stack([turn, middle - turn @ self.path.position_xy(time)])


def frame_of(layers: Sequence[Layer], time: float, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 sRGB frame at a time, the later layers before the earlier ones."""
    light = np.zeros((*size_hw, 4), np.float32)
    for layer in layers:
        _lay_over(light, layer, time)
    return codes_of(light[..., :3])


def _lay_over(light: np.ndarray, layer: Layer, time: float) -> None:
    """Draws the layer into the part of the frame that it can touch."""
    height, width = light.shape[:2]
    reach = np.hypot(*layer.picture.shape[:2]) / (2 * FINER) + 1
    x, y = layer.path.position_xy(time)
    columns = _within(x, reach, width) if not layer.endless else slice(0, width)
    rows = _within(y, reach, height) if not layer.endless else slice(0, height)
    part = light[rows, columns]
    if not part.size:
        return
    affine = layer.picture_from_frame(time)
    affine[:, 2] += affine[:, :2] @ (columns.start + 0.5, rows.start + 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REFLECT_101 if layer.endless else cv2.BORDER_CONSTANT
    seen = cv2.warpAffine(layer.picture, affine, part.shape[1::-1], flags=flags, borderMode=border)
    part *= 1 - seen[..., 3:]
    part += seen


def _within(centre: float, reach: float, size: int) -> slice:
    start, stop = np.clip([np.floor(centre - reach), np.ceil(centre + reach)], 0, size).astype(int)
    return slice(int(start), int(stop))


# --- what there is to see ----------------------------------------------------------------------


def layers_of(key: tuple[int, ...], size_hw: tuple[int, int]) -> list[Layer]:
    """The background and, from far to near, six to nine things; the numbers are drawn by key."""
    rng = np.random.default_rng(key)
    layers = [_background(rng, size_hw)]
    for nearness in np.linspace(0, 1, int(rng.integers(6, 10))):
        layers.append(_thing(rng, size_hw, nearness))
    return layers


def _path(rng, centre_xy, sway_xy, speed: float, spin: float) -> Path:
    """To and fro through the centre at about `speed` pixels a frame in any direction."""
    way, phase = rng.uniform(0, 2 * np.pi), rng.uniform(-1.0, 0.2, 2)
    velocity = speed * np.array((np.cos(way), np.sin(way)))
    period = 2 * np.pi * np.array(sway_xy) / np.maximum(np.abs(velocity), 0.02)
    return Path(np.array(centre_xy), np.copysign(sway_xy, velocity), period, phase,
                rng.uniform(-0.6, 0.6), spin)


def _background(rng, size_hw) -> Layer:
    """A wall or a floor with things on it, unevenly lit, seen by a camera that pans and rolls."""
    height, width = size_hw
    unit = rng.uniform(2.2, 3.5) / height  # metres a pixel
    span = np.array((width, height)) + 2 * MARGIN * height
    canvas = blank_canvas(span * unit, FINER / unit)
    kinds = (_poster_wall, _poster_wall, _shelf_wall, _floor, paint_facade)
    kinds[rng.integers(len(kinds))](canvas, rng)
    light = canvas.light() * _pools_of_light(rng, canvas.pixels.shape[:2])
    sway, middle = np.array((0.33, 0.25)) * height, np.array((width, height)) / 2
    path = _path(rng, middle, sway, rng.uniform(1.3, 3), rng.normal(0, 0.0015))
    return Layer(_filtered(light), path, endless=True)


def _poster_wall(canvas: Canvas, rng) -> None:
    WALLS[rng.integers(len(WALLS))](canvas, rng)
    x = 0.1
    while x < canvas.width - 0.3:
        y, width = rng.uniform(0.05, 0.4), rng.uniform(0.5, 1.1)
        while y < canvas.height - 0.3:
            tall = width * rng.uniform(0.7, 1.4)
            PRINTS[rng.integers(len(PRINTS))](canvas.part(x, y, width, tall), rng)
            y += tall + rng.uniform(0.1, 0.6)
        x += width + rng.uniform(0.1, 0.5)


def _shelf_wall(canvas: Canvas, rng) -> None:
    paint_shelves(canvas, rng)
    for x in np.arange(rng.uniform(0.5, 1.2), canvas.width - 1, rng.uniform(1.5, 2.5)):
        size = rng.uniform(0.4, 0.9, 2)
        PRINTS[rng.integers(len(PRINTS))](canvas.part(x, rng.uniform(0.3, 2.0), *size), rng)


def _floor(canvas: Canvas, rng) -> None:
    FLOORS[rng.integers(len(FLOORS))](canvas, rng)
    for x in np.arange(0.3, canvas.width - 2, 2.6):
        paint_carpet(canvas.part(x, rng.uniform(0.2, 1.2), rng.uniform(1.2, 2), 1.5), rng)


def _thing(rng, size_hw, nearness: float) -> Layer:
    """A flat shape with a print or a material, shaded, with an outline and a shadow; the nearer,
    the larger and the faster."""
    height, width = size_hw
    reach = height * rng.uniform(0.07, 0.13) * (1 + 0.9 * nearness)  # half its size, in pixels
    shape, paints = _outline(rng), (*PRINTS, *SIDES, paint_sign, paint_shelves)
    paint = paints[rng.integers(len(paints))]
    speed, spin = rng.uniform(1, 4.2) * (0.6 + 0.8 * nearness), rng.normal(0, 0.012)
    centre = rng.uniform(0.1, 0.9, 2) * (width, height)
    path = _path(rng, centre, rng.uniform(0.12, 0.25, 2) * height, speed, spin)
    return Layer(_sprite(rng, paint, shape, FINER * reach), path)


def _outline(rng) -> np.ndarray:
    """(n, 2) corners within -1 to 1: a card, a disc, a polygon, a star or a cog."""
    kind, corners = rng.integers(5), int(rng.integers(3, 9))
    if kind == 0:
        wide = rng.uniform(0.6, 1, 2)
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * wide
    count, inner = ((64, 1.0), (corners, 1.0), (2 * corners, 0.55), (4 * corners, 0.82))[kind - 1]
    turns = np.arange(count) * 2 * np.pi / count
    step = 2 if kind == 4 else 1
    radius = np.where(np.arange(count) // step % 2 == 0, 1.0, inner)
    return radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)


def _sprite(rng, paint: Paint, shape: np.ndarray, reach: float) -> np.ndarray:
    """The picture of a thing that is 2 `reach` texels across and as large as 1 metre."""
    canvas = blank_canvas((1.0, 1.0), 2 * reach)
    paint(canvas, rng)
    rim = (shape + 1) / 2
    canvas.line(np.vstack([rim, rim[:1]]), 0.05, BLACK if rng.random() < 0.5 else vivid(rng))
    border = max(4, round(0.3 * reach))
    light = cv2.copyMakeBorder(canvas.light(), *[border] * 4, cv2.BORDER_REPLICATE)
    sheet = np.zeros(light.shape[:2], np.uint8)
    fixed = np.rint(((rim * 2 * reach) + border - 0.5) * 16).astype(np.int32)
    cover = cv2.fillPoly(sheet, [fixed], 255, cv2.LINE_AA, 4).astype(np.float32) / 255
    slope = np.linspace(1.35, 0.6, len(light), dtype=np.float32)[:, None]
    light *= (cover * slope)[..., None]
    shift = np.float32([(1, 0, 0.1 * reach), (0, 1, 0.12 * reach)])
    dark = cv2.GaussianBlur(cv2.warpAffine(cover, shift, cover.shape[::-1]), (0, 0), 0.06 * reach)
    light[..., 3] = cover + (1 - cover) * 0.55 * dark
    return _filtered(light)


def _pools_of_light(rng, size_hw) -> np.ndarray:
    """(h, w, 4) float32: what a few lamps do to a wall, and 1 for its alpha."""
    coarse = 0.35 + 0.25 * rng.random((4, 6)).astype(np.float32)
    for row, column in rng.integers((0, 0), (4, 6), (4, 2)):
        coarse[row, column] += rng.uniform(0.3, 0.9)
    field = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return np.dstack([field, field, field, np.ones_like(field)])


def _filtered(light: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(light, (0, 0), FINER * FILTER_PX)
