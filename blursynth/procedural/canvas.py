"""A drawing area measured in metres, and the colours to draw with.

Nothing here knows pixels but `Canvas` itself: a picture asked for at twice the density, or in
pieces, is the same picture.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from ..light import encode_codes, srgb_to_linear

Colour = tuple[float, float, float]
SHIFT = 4  # bits of the fraction of a pixel that cv2's drawing understands
FAR_PX = 9999  # beyond any picture: where coordinates are cut, far from cv2's own limits
THINNEST_PX = 0.3
STAIN_GRID = 96  # stains repeat after so many cells
CHANNELS = 4
STEPS = 1 << 15  # of linear light, in the table of its sRGB codes
HUES = (0.0, 0.03, 0.07, 0.12, 0.15, 0.3, 0.4, 0.48, 0.55, 0.6, 0.65, 0.78)
WHITE, BLACK = (245.0, 245.0, 240.0), (22.0, 22.0, 26.0)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """sRGB colour, 0 to 255, of hue, saturation and value in 0 to 1 (hue wraps)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def vivid(rng: np.random.Generator) -> Colour:
    """A saturated colour of one of the hues that people paint with."""
    hue = HUES[rng.integers(len(HUES))] + rng.normal(0, 0.015)
    return hsv(hue, rng.uniform(0.6, 0.9), rng.uniform(0.5, 0.95))


def muted(rng: np.random.Generator) -> Colour:
    """A greyish colour."""
    return hsv(rng.random(), rng.uniform(0.05, 0.3), rng.uniform(0.4, 0.85))


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter, kept within 0 to 255."""
    red, green, blue = (min(255.0, max(0.0, channel * factor)) for channel in colour)
    return red, green, blue


def contrasting(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on `colour`."""
    return BLACK if 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] > 125 else WHITE


@dataclass(frozen=True)
class Canvas:
    """A drawing area of `width` x `height` metres, x right and y down from its top left corner.

    `pixels` (h, w, 4) uint8, sRGB and alpha, is the part of it that is wanted: its first pixel's
    corner lies at (`left`, `top`) metres, and a metre is `px_per_m` pixels long.
    """

    pixels: np.ndarray
    px_per_m: float
    width: float
    height: float
    left: float = 0.0
    top: float = 0.0

    def fill(self, colour: Colour, alpha: int = 255) -> None:
        """One colour everywhere; alpha 0 leaves a see-through canvas of that hue to draw on."""
        self.pixels[:] = (*np.rint(colour).astype(int), alpha)

    def boxes(self, xywh, colours) -> None:
        """Filled rectangles: (n, 4) metres from their top left corners, (n, 3) colours."""
        x, y, width, height = np.asarray(xywh, np.float64).reshape(-1, 4).T
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        self.convex(np.moveaxis(np.array(corners), -1, 0), colours)

    def convex(self, polygons_xy, colours) -> None:
        """Filled convex polygons: (n, corners, 2) metres, (n, 3) colours, in order; what is much
        narrower than a pixel is left out, since cv2 would draw it a pixel wide."""
        fixed = self._fixed(np.asarray(polygons_xy, np.float64))
        colours = np.broadcast_to(np.asarray(colours, np.float64), (len(fixed), 3)).tolist()
        low, high = fixed.min(1), fixed.max(1)
        wide = ((high - low) > THINNEST_PX * 2**SHIFT).all(1)
        for index in np.flatnonzero(wide & self._sees(low, high)):
            colour = (*colours[index], 255)
            cv2.fillConvexPoly(self.pixels, fixed[index], colour, cv2.LINE_AA, SHIFT)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """One filled rectangle from its top left corner."""
        self.boxes([(x, y, width, height)], [colour])

    def polygon(self, points_xy, colour: Colour) -> None:
        """Filled polygon with smooth edges."""
        fixed = self._fixed(np.asarray(points_xy, np.float64))
        if self._sees(fixed.min(0), fixed.max(0)):
            cv2.fillPoly(self.pixels, [fixed], (*colour, 255), cv2.LINE_AA, SHIFT)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Filled circle around (x, y)."""
        turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        self.polygon(np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1), colour)

    def line(self, points_xy, thickness: float, colour: Colour) -> None:
        """Open polyline, at least one pixel thick."""
        fixed = self._fixed(np.asarray(points_xy, np.float64))
        thick = max(1, round(thickness * self.px_per_m))
        if self._sees(fixed.min(0), fixed.max(0), margin=thick):
            cv2.polylines(self.pixels, [fixed], False, (*colour, 255), thick, cv2.LINE_AA, SHIFT)

    def words(self, text: str, xywh: tuple[float, ...], colour: Colour, font: int) -> None:
        """Text as large as fits the rectangle, at its left and in the middle of its height."""
        x, y, width, height = xywh
        text_width, text_height = _text_size(text, font)
        scale = min(width / text_width, height / text_height)
        baseline = y + (height + scale * text_height) / 2
        frame = self._fixed(np.array([(x, y), (x + width, y + height)]))
        if self._sees(*frame) and scale * self.px_per_m > 0.03:
            at = np.rint(np.array([x - self.left, baseline - self.top]) * self.px_per_m)
            weight = max(1, round(1.5 * scale * self.px_per_m))
            ink, size = (*colour, 255), scale * self.px_per_m
            alpha = self.pixels[..., 3].copy()  # which some versions of cv2 spoil
            cv2.putText(self.pixels, text, at.astype(int), font, size, ink, weight, cv2.LINE_AA)
            self.pixels[..., 3] = alpha

    def part(self, x: float, y: float, width: float, height: float) -> Canvas:
        """The rectangle as a canvas of its own, on the same pixels; nothing drawn leaves it."""
        ends = np.array([(y - self.top, x - self.left), (y + height, x + width)])
        ends[1] -= (self.top, self.left)
        limits = self.pixels.shape[:2]
        (row, column), (end, side) = np.clip(np.rint(ends * self.px_per_m), 0, limits).astype(int)
        left, top = self.left + column / self.px_per_m - x, self.top + row / self.px_per_m - y
        pixels = self.pixels[row:end, column:side]
        return replace(self, pixels=pixels, width=width, height=height, left=left, top=top)

    def weather(self, rng: np.random.Generator, cell: tuple[float, float], amount: float) -> None:
        """Multiplies by smooth stains of about `cell` (x, y) metres, `amount` strong."""
        stains = 1 + amount * rng.standard_normal((STAIN_GRID, STAIN_GRID)).astype(np.float32)
        if not self.pixels.size:
            return
        step = 1 / (np.array(cell) * self.px_per_m)
        start = np.array([self.left, self.top]) / cell + 0.5 * step
        affine = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])
        flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, self.pixels.shape[1::-1]
        field = cv2.warpAffine(stains, affine, size, flags=flags, borderMode=cv2.BORDER_WRAP)
        field = cv2.merge([field, field, field, np.ones_like(field)])
        self.pixels[:] = cv2.multiply(self.pixels, field, dtype=cv2.CV_8U)

    def light(self) -> np.ndarray:
        """(h, w, 4) float32: linear light and alpha of the pixels, in [0, 1], not premultiplied."""
        return cv2.LUT(self.pixels, _LIGHT)

    def _fixed(self, points_xy: np.ndarray) -> np.ndarray:
        pixels = (points_xy - (self.left, self.top)) * self.px_per_m - 0.5
        return np.rint(np.clip(pixels, -FAR_PX, FAR_PX) * 2**SHIFT).astype(np.int32, order="C")

    def _sees(self, low: np.ndarray, high: np.ndarray, margin: float = 1.0) -> np.ndarray:
        """(...) whether frames from low to high (..., 2), in fixed point, touch the pixels."""
        ends = (np.array(self.pixels.shape[1::-1]) + margin) * 2**SHIFT
        inside = (high > -margin * 2**SHIFT) & (low < ends)
        return inside.all(-1) & bool(self.pixels.size)


def codes_of(light: np.ndarray) -> np.ndarray:
    """Linear light, 1 = white -> uint8 sRGB, clipped: `encode_codes` from a table."""
    return _CODES[np.clip(light * (STEPS - 1) + 0.5, 0, STEPS - 1).astype(np.uint16)]


@lru_cache(maxsize=4096)
def _text_size(text: str, font: int) -> tuple[float, float]:
    """Width and height of a text in a bold hand at cv2's scale 1."""
    (width, height), _ = cv2.getTextSize(text, font, 3.0, 2)
    return width / 3, height / 3


Paint = Callable[[Canvas, np.random.Generator], None]


def blank_canvas(size_m, px_per_m: float, window=(0.0, 0.0, 1.0, 1.0)) -> Canvas:
    """A canvas of `size_m` (width, height) whose pixels cover the window (x, y, width, height), in
    shares of the size, and perhaps a part of a pixel more."""
    width, height = size_m
    columns = max(2, int(np.ceil(width * window[2] * px_per_m)))
    rows = max(2, int(np.ceil(height * window[3] * px_per_m)))
    pixels = np.zeros((rows, columns, CHANNELS), np.uint8)
    return Canvas(pixels, px_per_m, width, height, window[0] * width, window[1] * height)


_CODES = encode_codes(np.arange(STEPS) / (STEPS - 1), "srgb")
_LIGHT = np.repeat(srgb_to_linear(np.arange(256) / 255)[None, :, None], CHANNELS, 2)
_LIGHT = _LIGHT.astype(np.float32)
_LIGHT[..., 3] = np.arange(256) / 255
