"""A place around the camera: boxes, what hangs on them, lamps, shadows, sky; and its panorama."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from .canvas import Paint
from .surfaces import Panel, View, paint_surfaces, pieces, surface_of

DOWN = np.array((0.0, 1.0, 0.0))
STRAY = 0.15  # of a lamp's light that goes where it does not point, or into shadows
SKY_SHARE = 9  # sixteenths of a panorama's rows: down to a little below the horizon
DIMMEST = 0.004  # irradiance that is not worth a lamp's shadows


@dataclass(frozen=True)
class Box:
    """An upright box: centre (x, z) and foot (y of its lower side) in metres, size (width, height,
    depth), its width along (cos turn, 0, sin turn), its front where the depth begins."""

    centre_xz: tuple[float, float]
    foot: float
    size: tuple[float, float, float]
    turn: float = 0.0

    @property
    def axes(self) -> np.ndarray:
        """Rows: unit vectors along width, height (down) and depth."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)])

    @property
    def centre(self) -> np.ndarray:
        """(3,) metres."""
        return np.array((self.centre_xz[0], self.foot - self.size[1] / 2, self.centre_xz[1]))

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """The point at -1 to 1 of the half sizes along width, down and depth."""
        return self.centre + (np.array((x, y, z)) * self.size / 2) @ self.axes

    def side(self, start, end, paint: Paint, key) -> Panel:
        """The upright face from one edge to another, edges given as signs of (width, depth)."""
        corner, other = self.at(start[0], -1, start[1]), self.at(end[0], -1, end[1])
        return Panel(corner, other - corner, self.size[1] * DOWN, paint, key)

    def on_top(self, x: float, z: float, size, turn: float) -> Box:
        """Another box standing on this one, its centre at -1 to 1 of the half sizes."""
        at = self.at(x, -1, z)
        return Box((at[0], at[2]), at[1], size, turn)


@dataclass(frozen=True)
class Lamp:
    """Irradiance power (rgb) / distance^2 along the unit vector `towards`, less beside it."""

    position: np.ndarray
    power: np.ndarray
    towards: np.ndarray


@dataclass
class Place:
    """What a builder fills: things, each its panels in the order of painting, and their light.

    backdrop: panels behind all things. shadows: what lamps do not shine through. ambient: (3,)
    irradiance everywhere. sky: (..., 3) directions -> radiance.
    """

    key: tuple[int, ...]
    ambient: np.ndarray
    sky: Callable[[np.ndarray], np.ndarray] | None = None
    backdrop: list[Panel] = field(default_factory=list)
    things: list[Sequence[Panel]] = field(default_factory=list)
    shadows: list[Box] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys: Iterator[tuple[int, ...]] = ((*self.key, number) for number in count())

    def stand(self, box: Box, side: Paint, *, front: Paint | None = None, top=None) -> list[Panel]:
        """Adds a box that throws a shadow; front and top look like the sides unless given."""
        thing = faces(box, self.keys, side, front=front, top=top)
        self.things.append(thing)
        self.shadows.append(box)
        return thing

    def light(self, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """(..., 3) irradiance at points (..., 3) of a surface with this normal."""
        flat = points.reshape(-1, 3) + 0.01 * normal
        total = np.tile(self.ambient, (len(flat), 1))
        for lamp in self.lamps:
            total += _irradiance(flat, normal, lamp, self.shadows)
        return total.reshape(points.shape)


def faces(box: Box, keys: Iterator, side: Paint, *, front: Paint | None = None, top=None):
    """The six panels of a box: front, its right, back, left, top, bottom."""
    turns = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    paints = [front or side, side, side, side]
    width, _, depth = box.axes * np.array(box.size)[:, None]
    return [
        *(box.side(turns[i], turns[i + 1], paints[i], next(keys)) for i in range(4)),
        Panel(box.at(-1, -1, 1), width, -depth, top or side, next(keys)),
        Panel(box.at(-1, 1, -1), width, depth, top or side, next(keys)),
    ]


def inset(panel: Panel, xywh, paint: Paint, key, **how) -> Panel:
    """A rectangle (metres from the panel's top left) on a panel; how: `lift` metres before it,
    `glow` of its own."""
    x, y, width, height = xywh
    right, down = panel.right / panel.size[0], panel.down / panel.size[1]
    corner = panel.corner + x * right + y * down + how.get("lift", 0.02) * panel.normal
    return Panel(corner, width * right, height * down, paint, key, how.get("glow", 0.0))


def look_around(place: Place, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 linear RGB panorama of the place, unclipped, 1 = white."""
    view = View(np.zeros((*size_hw, 3), np.float32), np.zeros(size_hw, np.float32))
    if place.sky is not None:
        shown = size_hw[0] * SKY_SHARE // 16
        view.radiance[:shown] = place.sky(directions(size_hw)[:shown])
    things = sorted(place.things, key=lambda thing: -min(panel.distance() for panel in thing))
    for panel in [*place.backdrop, *(panel for thing in things for panel in thing)]:
        if panel.faces_camera:
            parts = pieces(panel, view.pixel_rad)
            paint_surfaces(view, (surface_of(p, place.light, view.pixel_rad) for p in parts))
    return view.radiance


def directions(size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 unit directions of the pixel centres of a panorama."""
    height, width = size_hw
    v = ((np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - 0.5) * np.float32(np.pi)
    u = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5) * np.float32(2 * np.pi)
    y = np.broadcast_to(np.sin(v), size_hw)
    return np.stack([np.cos(v) * np.sin(u), y, np.cos(v) * np.cos(u)], -1)


def _irradiance(points: np.ndarray, normal: np.ndarray, lamp: Lamp, boxes) -> np.ndarray:
    """(n, 3) of one lamp at points (n, 3) with one normal."""
    to_lamp = lamp.position - points
    distance2 = np.maximum(np.sum(to_lamp**2, 1), 0.25)
    ray = to_lamp / np.sqrt(distance2)[:, None]
    share = np.maximum(ray @ normal, 0) * np.maximum(-ray @ lamp.towards, STRAY) / distance2
    if share.max() * lamp.power.max() < DIMMEST:
        return np.zeros((len(points), 3))
    share[_hidden(points, to_lamp, boxes)] *= STRAY
    return share[:, None] * lamp.power


def _hidden(points: np.ndarray, to_lamp: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """(n,) whether a box lies between the point and its lamp, by the slabs on the way."""
    hidden = np.zeros(len(points), bool)
    for box in _near_the_way(points, to_lamp, boxes):
        start, step = (points - box.centre) @ box.axes.T, to_lamp @ box.axes.T
        step = np.where(np.abs(step) < 1e-9, 1e-9, step)
        half = np.array(box.size) / 2
        low, high = (-half - start) / step, (half - start) / step
        near, far = np.minimum(low, high).T, np.maximum(low, high).T
        first = np.maximum(np.maximum(near[0], near[1]), near[2])
        last = np.minimum(np.minimum(far[0], far[1]), far[2])
        hidden |= (first < last) & (last > 1e-3) & (first < 0.97)
    return hidden


def _near_the_way(points: np.ndarray, to_lamp: np.ndarray, boxes: Sequence[Box]) -> list[Box]:
    """Those boxes whose surrounding sphere comes near the segments from the points to the lamp."""
    if not boxes:
        return []
    start, step = points.mean(0), to_lamp.mean(0)
    spread = np.sqrt(np.max(np.sum((points - start) ** 2, 1)))
    reach = spread + np.sqrt(np.sum(np.array([box.size for box in boxes]) ** 2, 1)) / 2
    away = np.array([box.centre for box in boxes]) - start
    along = np.clip(away @ step / (step @ step), 0, 1)
    near = np.sum((away - along[:, None] * step) ** 2, 1) < reach**2
    return [box for box, is_near in zip(boxes, near) if is_near]
