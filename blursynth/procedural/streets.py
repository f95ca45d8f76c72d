"""Streets between rows of houses, with cars, trees, signs: under the sun or under lamps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from .canvas import vivid
from .fronts import (
    paint_car_glass,
    paint_car_side,
    paint_facade,
    paint_leaves,
    paint_street,
    paint_view,
)
from .furniture import SIDES
from .places import DOWN, Box, Lamp, Place, faces, inset
from .prints import paint_poster, paint_sign
from .surfaces import Panel
from .walls import painted, paint_planks

ROAD = 7.0  # metres
LENGTH = 110.0
SUN_AWAY = 1e3  # metres: its rays are parallel enough
SUN_RADIUS = 0.018  # radians: four times the true one, so that small panoramas show it
SUN_RADIANCE = 80.0
IRON = (52.0, 56.0, 60.0)


def street(key: tuple[int, ...], *, night: bool) -> Place:
    """A street; the numbers are drawn by key, the same for day and night."""
    rng = np.random.default_rng(key)
    turn, eye, half = rng.uniform(0, 2 * np.pi), rng.uniform(1.4, 1.8), rng.uniform(7, 11)
    along = Box((0.0, 0.0), eye, (2 * half + 1, 1.0, LENGTH), turn)
    spot = np.array((rng.uniform(-0.6, 0.6) * half, rng.uniform(-3, 3))) @ along.axes[[0, 2]]
    ground = Box((-spot[0], -spot[2]), eye, along.size, turn)
    place = (_night if night else _day)(key, rng, turn)
    width, _, depth = ground.axes * np.array(ground.size)[:, None]
    road = partial(paint_street, road_width=ROAD)
    place.backdrop.append(Panel(ground.at(-1, 1, 1), width, -depth, road, next(place.keys)))
    for sign in (-1, 1):
        _houses(place, ground, sign, rng, night)
    _along_the_kerbs(place, ground, rng, night)
    return place


def _day(key, rng, turn: float) -> Place:
    height = np.radians(rng.uniform(25, 50))
    way = -turn + np.pi * rng.integers(2) + rng.choice((-1, 1)) * rng.uniform(0.15, 0.5)
    sun = np.array((np.cos(height) * np.sin(way), -np.sin(height), np.cos(height) * np.cos(way)))
    place = Place(key, np.array((0.3, 0.34, 0.42)), _day_sky(sun, _clouds(rng)))
    power = 1.1 * SUN_AWAY**2 * np.array((1.0, 0.93, 0.8))
    place.lamps.append(Lamp(sun * SUN_AWAY, power, -sun))
    return place


def _night(key, rng, turn: float) -> Place:
    """The last light: orange behind one end of the street, deep blue above."""
    clouds, west = _clouds(rng), np.array((-np.sin(turn), 0.0, np.cos(turn)), np.float32)
    blue, glow = np.array((0.02, 0.04, 0.13), np.float32), np.array((0.75, 0.3, 0.12), np.float32)

    def sky(directions: np.ndarray) -> np.ndarray:
        up = np.clip(-directions[..., 1:2], 0, 1)
        warm = np.exp(-5 * up) * (0.55 + 0.45 * (directions @ west))[..., None]
        return (blue + warm * glow) * (1 + np.float32(0.8) * clouds(directions))

    return Place(key, np.array((0.14, 0.15, 0.22)), sky)


def _day_sky(sun: np.ndarray, clouds: Callable) -> Callable:
    """Blue above, pale at the horizon; clouds; a glow and the disc of the sun."""
    blue, pale = np.array((0.10, 0.25, 0.62), np.float32), np.array((0.6, 0.72, 0.88), np.float32)

    def sky(directions: np.ndarray) -> np.ndarray:
        towards = (directions @ sun.astype(np.float32))[..., None]
        thick = clouds(directions)
        radiance = pale + (blue - pale) * np.sqrt(np.clip(-directions[..., 1:2], 0, 1))
        radiance += thick * (np.float32(1.15) - np.float32(0.4) * thick - radiance)
        radiance += np.exp((towards - 1) * 90) * np.float32(1.2)
        edge = np.cos(SUN_RADIUS)
        disc = np.clip((towards - edge) / (0.3 * (1 - edge)), 0, 1)
        return radiance + disc * np.float32(SUN_RADIANCE) * (1 - np.float32(0.7) * thick)

    return sky


def _clouds(rng) -> Callable[[np.ndarray], np.ndarray]:
    """Cover (..., 1) from 0 to 1 of a flat layer of ragged clouds over directions (..., 3)."""
    side, field = 512, np.zeros((512, 512), np.float32)
    for octave in range(6):
        coarse = rng.standard_normal((8 * 2**octave,) * 2).astype(np.float32)
        field += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * 0.6**octave

    def cover(directions: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(directions, -1, 0)
        per_height = np.float32(60) / (np.maximum(-y, 0) + np.float32(0.12))
        at = (x * per_height + 256).astype(np.float32), (z * per_height + 256).astype(np.float32)
        thick = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return np.clip(thick - np.float32(0.1), 0, 1)[..., None]

    return cover


def _houses(place: Place, ground: Box, sign: int, rng, night: bool) -> None:
    """A row of houses along one side, and one across one end of the street."""
    z = -ground.size[2] / 2
    while z < ground.size[2] / 2:
        size = (rng.uniform(8, 16), rng.uniform(7, 17), 8.0)
        x = sign * (ground.size[0] / 2 + size[2] / 2 - 0.5)
        _house(place, _beside(ground, (x, z + size[0] / 2), size, -sign * np.pi / 2), rng, night)
        z += size[0] + (rng.uniform(1, 3) if rng.random() < 0.2 else 0)
    size = (ground.size[0] + 16, rng.uniform(12, 18), 8.0)
    turn = 0.0 if sign > 0 else np.pi
    _house(place, _beside(ground, (0, sign * ground.size[2] / 2), size, turn), rng, night)


def _beside(ground: Box, xz, size, turn: float) -> Box:
    """A box on the ground, (x, z) metres from its centre and turned against it."""
    at = ground.centre + xz[0] * ground.axes[0] + xz[1] * ground.axes[2]
    return Box((at[0], at[2]), ground.foot, size, ground.turn + turn)


def _house(place: Place, box: Box, rng, night: bool) -> None:
    """A house with signs; at night they and some windows shine."""
    thing, size = place.stand(box, paint_facade), box.size
    for x in np.arange(1.0, size[0] - 1.5, rng.uniform(2.2, 3.5)) if night else ():
        y = max(size[1] - 3.1 - 3 * int(rng.integers(1, 4)), 0.6)
        pane, glow = (x, y, 1.1, 1.6), rng.uniform(0.3, 2.5)
        thing.append(inset(thing[0], pane, paint_view, next(place.keys), lift=0.05, glow=glow))
    for _ in range(int(rng.integers(1, 4))):
        wide = rng.uniform(1.5, 3.5)
        x, y = rng.uniform(0.3, size[0] - wide - 0.3), rng.uniform(0.3, 0.75) * (size[1] - 3.5)
        paint, shape = (paint_sign, 0.35) if rng.random() < 0.6 else (paint_poster, 0.9)
        glow, frame = night * rng.uniform(0.8, 4), (x, y, wide, shape * wide)
        thing.append(inset(thing[0], frame, paint, next(place.keys), lift=0.06, glow=glow))


def _along_the_kerbs(place: Place, ground: Box, rng, night: bool) -> None:
    """Cars on the road, the rest on the pavements, none where the camera stands."""
    kinds, z = (_car, _tree, _lamp_post, _kiosk, _signpost), -45.0
    while z < 45:
        for sign in (-1, 1):
            kind = kinds[rng.integers(len(kinds))]
            x = sign * (ROAD / 2 + (-1.1 if kind is _car else rng.uniform(0.6, 1.5)))
            spot = _beside(ground, (x, z), (1.0, 1.0, 1.0), 0.0 if sign > 0 else np.pi)
            if np.hypot(*spot.centre_xz) > 2.8:
                kind(place, spot, rng, night)
        z += rng.uniform(4.5, 7)


def _car(place: Place, spot: Box, rng, night: bool) -> None:
    colour, along = vivid(rng), spot.turn + np.pi / 2
    body = Box(spot.centre_xz, spot.foot - 0.05, (4.2, 0.85, 1.75), along)
    cabin = Box(spot.centre_xz, spot.foot - 0.9, (2.4, 0.6, 1.5), along)
    place.stand(body, partial(paint_car_side, colour=colour), top=painted(colour))
    place.stand(cabin, partial(paint_car_glass, colour=colour), top=painted(colour))


def _tree(place: Place, spot: Box, rng, night: bool) -> None:
    """A trunk under a crown of sprays of leaves, each turned more or less to the camera."""
    tall, reach = rng.uniform(2.2, 3), rng.uniform(1.0, 1.6)
    trunk = Box(spot.centre_xz, spot.foot, (0.25, tall + 0.6, 0.25), spot.turn)
    place.stand(trunk, paint_planks)
    middle = trunk.at(0, -1, 0) - 0.5 * reach * DOWN
    sprays = []
    for _ in range(18):
        out = rng.normal(size=3)
        at = middle + 0.6 * reach * out / np.linalg.norm(out)
        away = at / np.linalg.norm(at) + 0.3 * rng.normal(size=3)
        right = np.cross(DOWN, away)
        right *= 1.3 * reach / np.linalg.norm(right)
        down = np.cross(away, right)
        down *= 1.3 * reach / np.linalg.norm(down)
        sprays.append(Panel(at - (right + down) / 2, right, down, paint_leaves, next(place.keys)))
    place.things.append(sorted(sprays, key=lambda panel: -panel.distance()))


def _lamp_post(place: Place, spot: Box, rng, night: bool) -> None:
    tall, warm = rng.uniform(3.5, 5), np.array((1.0, rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.7)))
    post = Box(spot.centre_xz, spot.foot, (0.12, tall, 0.12), spot.turn)
    place.stand(post, painted(IRON))
    thing = faces(post.on_top(0, 0, (0.45, 0.35, 0.45), spot.turn), place.keys, painted(IRON))
    bright, glow = painted(tuple(255 * warm ** (1 / 2.2)), 0.0), rng.uniform(20, 60)
    panes = [inset(side, (0.05, 0.05, 0.35, 0.25), bright, next(place.keys),
                   glow=glow if night else 1.1) for side in thing[:4]]
    place.things.append(thing + panes)
    if night:
        place.lamps.append(Lamp(post.at(0, -1, 0) - 0.1 * DOWN, 40 * warm, DOWN))


def _kiosk(place: Place, spot: Box, rng, night: bool) -> None:
    """A pillar of posters or a crate."""
    pillar = rng.random() < 0.6
    size, paint = ((1.1, 2.4, 1.1), paint_poster) if pillar else ((0.7, 0.9, 0.7), SIDES[0])
    box = Box(spot.centre_xz, spot.foot, size, spot.turn + rng.uniform(0, 1))
    place.stand(box, paint, top=painted(IRON))


def _signpost(place: Place, spot: Box, rng, night: bool) -> None:
    tall, turn = rng.uniform(2.2, 2.8), rng.uniform(-0.4, 0.4) + np.pi / 2 * rng.integers(4)
    place.stand(Box(spot.centre_xz, spot.foot, (0.06, tall, 0.06), spot.turn), painted(IRON))
    size = (rng.uniform(0.7, 1.6), 0.5, 0.05)
    board = Box(spot.centre_xz, spot.foot - tall + 0.6, size, spot.turn + turn)
    place.stand(board, paint_sign)
