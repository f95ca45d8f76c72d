"""Places to stand in: furnished rooms and streets, by day and by night.

A place is drawn from its own random numbers, stands around the camera at any turn, and is a list of
things, each a list of panels, with the lamps that light them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from . import procedural_textures as tex
from .procedural_canvas import Paint, hsv, shaded, vivid
from .procedural_surfaces import Panel, View, paint_surfaces, pieces, surface_of

UP = np.array((0.0, -1.0, 0.0))
FAR = 1e3  # metres to the sun
KEEP_CLEAR = 1.3  # metres around the camera without furniture


@dataclass(frozen=True)
class Box:
    """An upright box: centre (x, z) and foot (y of its lower side) in metres, size (width, height,
    depth), its width along (cos turn, 0, sin turn)."""

    centre_xz: tuple[float, float]
    foot: float
    size: tuple[float, float, float]
    turn: float = 0.0

    @property
    def axes(self) -> np.ndarray:
        """Rows: unit vectors along width, down and along depth (away from the front)."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)])

    @property
    def centre(self) -> np.ndarray:
        """(3,) metres."""
        return np.array((self.centre_xz[0], self.foot - self.size[1] / 2, self.centre_xz[1]))

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """The point at shares -1 to 1 of the half sizes along width, down, depth."""
        return self.centre + (np.array((x, y, z)) * self.size / 2) @ self.axes

    def side(self, start, end, paint: Paint, key) -> Panel:
        """The upright face between two corners, given as signs of (width, depth)."""
        corner, other = self.at(start[0], -1, start[1]), self.at(end[0], -1, end[1])
        return Panel(corner, other - corner, self.size[1] * -UP, paint, key)


@dataclass
class Place:
    """Things (each a sequence of panels, in the order of painting), what throws shadows, and light.

    lamps: (position, power rgb): irradiance is power / distance^2. ambient: irradiance everywhere.
    """

    key: tuple[int, ...]
    sky: Callable[[np.ndarray], np.ndarray] | None = None
    backdrop: list[Panel] = field(default_factory=list)
    things: list[Sequence[Panel]] = field(default_factory=list)
    shadows: list[Box] = field(default_factory=list)
    lamps: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    ambient: np.ndarray = field(default_factory=lambda: np.full(3, 0.3))

    def __post_init__(self) -> None:
        self._numbers = count()

    def next_key(self) -> tuple[int, ...]:
        """The random numbers of one more panel."""
        return (*self.key, next(self._numbers))

    def add_box(self, box: Box, side: Paint, *, front: Paint | None = None, top=None) -> list[Panel]:
        """A box that throws a shadow; front and top are painted like the sides unless given."""
        turns = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        paints = [front or side, side, side, side]
        faces = [box.side(turns[i], turns[(i + 1) % 4], paints[i], self.next_key()) for i in range(4)]
        width, _, depth = box.axes * np.array(box.size)[:, None]
        lid = Panel(box.at(-1, -1, 1), width, -depth, top or side, self.next_key())
        base = Panel(box.at(-1, 1, -1), width, depth, top or side, self.next_key())
        thing = [*faces, lid, base]
        self.things.append(thing)
        self.shadows.append(box)
        return thing

    def light(self, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """(..., 3) irradiance at points (..., 3) of a surface with this normal."""
        flat = points.reshape(-1, 3) + 0.01 * normal
        total = np.tile(self.ambient * (0.8 + 0.2 * normal @ UP), (len(flat), 1))
        for position, power in self.lamps:
            to_lamp = position - flat
            distance2 = np.maximum(np.sum(to_lamp**2, 1), 0.25)
            cosine = np.maximum(to_lamp @ normal, 0) / np.sqrt(distance2)
            seen = _unshaded(flat, to_lamp, self.shadows) if cosine.any() else 0
            total += (cosine * seen / distance2)[:, None] * power
        return total.reshape(points.shape)


def _unshaded(points: np.ndarray, to_lamp: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """(n,) 1 where no box lies between the point and its lamp, else 0.1 of stray light."""
    if not boxes:
        return np.ones(len(points))
    axes = np.stack([box.axes for box in boxes])
    centres, halves = np.stack([box.centre for box in boxes]), np.array([box.size for box in boxes]) / 2
    start = points @ axes.reshape(-1, 3).T - np.einsum("bij,bj->bi", axes, centres).ravel()
    step = to_lamp @ axes.reshape(-1, 3).T
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    enter, leave = (-halves.ravel() - start) / step, (halves.ravel() - start) / step
    first = np.minimum(enter, leave).reshape(len(points), -1, 3).max(2)
    last = np.maximum(enter, leave).reshape(len(points), -1, 3).min(2)
    hidden = (first < last - 1e-9) & (last > 1e-3) & (first < 0.97)
    return np.where(hidden.any(1), 0.1, 1.0)


def look_around(place: Place, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 linear RGB panorama of the place, unclipped, 1 = white."""
    height, width = size_hw
    view = View(np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32))
    if place.sky is not None:
        view.radiance[:] = place.sky(_directions(size_hw))
    things = sorted(place.things, key=lambda thing: -min(panel.distance() for panel in thing))
    for panel in [*place.backdrop, *(panel for thing in things for panel in thing)]:
        if panel.faces_camera:
            parts = pieces(panel, view.pixel_rad)
            paint_surfaces(view, [surface_of(p, place.light, view.pixel_rad) for p in parts])
    return view.radiance


def _directions(size_hw: tuple[int, int]) -> np.ndarray:
    height, width = size_hw
    v = ((np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - 0.5) * np.float32(np.pi)
    u = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5) * np.float32(2 * np.pi)
    y = np.broadcast_to(np.sin(v), size_hw)
    return np.stack([np.cos(v) * np.sin(u), y, np.cos(v) * np.cos(u)], -1)


def inset(panel: Panel, xywh, paint: Paint, key, **how) -> Panel:
    """A rectangle (metres from the panel's top left) on a panel, `lift` metres before it."""
    x, y, width, height = xywh
    right, down = panel.right / panel.size[0], panel.down / panel.size[1]
    corner = panel.corner + x * right + y * down + how.get("lift", 0.02) * panel.normal
    return Panel(corner, width * right, height * down, paint, key, how.get("glow", 0.0))


# --- rooms -------------------------------------------------------------------------------------


def room(key: tuple[int, ...]) -> Place:
    """A furnished room with lamps under its ceiling and a window."""
    rng, place = np.random.default_rng(key), Place(key)
    size = rng.uniform(5, 10), rng.uniform(2.7, 4.2), rng.uniform(5, 10)
    eye, turn = rng.uniform(1.2, 1.7), rng.uniform(0, 2 * np.pi)
    spot = rng.uniform(-0.4, 0.4, 2) * (np.array((size[0], size[2])) - 3)
    shell = Box((0.0, 0.0), eye, size, turn)
    shell = Box(tuple(-(spot[0] * shell.axes[0] + spot[1] * shell.axes[2])[[0, 2]]), eye, size, turn)
    walls = _shell_of_room(place, shell, rng)
    for index, wall in enumerate(walls):
        _furnish(place, wall, rng, with_window=index == 0)
    _hang_lamps(place, shell, rng)
    _stand_around(place, shell, rng)
    _even_out(place, walls)
    return place


def _shell_of_room(place: Place, shell: Box, rng) -> list[Panel]:
    turns = [(-1, 1), (1, 1), (1, -1), (-1, -1)]
    paints = [tex.WALLS[i] for i in rng.integers(len(tex.WALLS), size=2)]
    key = place.next_key()
    walls = [shell.side(turns[i], turns[(i + 1) % 4], paints[i % 2], (*key, i % 2)) for i in range(4)]
    width, _, depth = shell.axes * np.array(shell.size)[:, None]
    floor = Panel(shell.at(-1, 1, 1), width, -depth, tex.FLOORS[rng.integers(3)], place.next_key())
    ceiling = Panel(shell.at(-1, -1, -1), width, depth, tex.paint_ceiling, place.next_key())
    carpet = rng.uniform(0.3, 0.5, 2) * floor.size
    frame = (*(rng.uniform(0.2, 0.8, 2) * (floor.size - carpet)), *carpet)
    rug = inset(floor, frame, tex.paint_carpet, place.next_key(), lift=0.01)
    skirting = [inset(wall, (0, wall.size[1] - 0.12, wall.size[0], 0.12),
                      tex.painted(shaded(vivid(rng), 0.4)), place.next_key()) for wall in walls]
    place.backdrop += [*walls, floor, ceiling, rug, *skirting]
    return walls


def _furnish(place: Place, wall: Panel, rng, *, with_window: bool) -> None:
    """Things side by side along a wall, posters above the lower ones."""
    x, first = rng.uniform(0.6, 1.0), with_window
    while x < wall.size[0] - 1.6:
        room_left = wall.size[0] - 0.7 - x
        width = min(rng.uniform(0.9, 2.4), room_left)
        kind = "window" if first else ("shelf", "cabinet", "door", "posters", "posters")[rng.integers(5)]
        {"window": _window, "shelf": _shelf, "cabinet": _cabinet, "door": _door,
         "posters": _posters}[kind](place, wall, (x, max(width, 1.6) if first else width), rng)
        x, first = x + max(width, 1.6 if first else 0) + rng.uniform(0.1, 0.4), False


def _against(wall: Panel, x: float, size: tuple[float, float, float]) -> Box:
    right = wall.right / wall.size[0]
    foot = wall.corner + wall.down + (x + size[0] / 2) * right + (size[2] / 2 + 0.01) * wall.normal
    return Box((foot[0], foot[2]), foot[1], size, float(np.arctan2(right[2], right[0])))


def _window(place: Place, wall: Panel, span, rng) -> None:
    x, width = span
    frame = (x, 0.5, width, wall.size[1] - 1.4)
    glow = rng.uniform(3, 6)
    pane = inset(wall, frame, tex.paint_view, place.next_key(), glow=glow)
    edge = (x - 0.1, 0.4, width + 0.2, wall.size[1] - 1.2)
    rim = inset(wall, edge, tex.painted(hsv(0.1, 0.1, 0.9)), place.next_key(), lift=0.01)
    place.things.append([rim, pane])
    middle = pane.points(np.array(0.5), np.array(0.5)) + 0.4 * pane.normal
    power = 0.25 * glow * np.prod(pane.size) / np.pi * np.array((0.85, 0.95, 1.1))
    place.lamps.append((middle, power))


def _shelf(place: Place, wall: Panel, span, rng) -> None:
    size = span[1], min(rng.uniform(1.4, 2.4), wall.size[1] - 0.3), rng.uniform(0.25, 0.4)
    wood = tex.painted(hsv(0.08, rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.7)), 0.1)
    place.add_box(_against(wall, span[0], size), wood, front=tex.paint_shelves)


def _cabinet(place: Place, wall: Panel, span, rng) -> None:
    size = span[1], rng.uniform(0.8, 1.1), rng.uniform(0.4, 0.6)
    paint = tex.paint_cabinet
    place.add_box(_against(wall, span[0], size), paint, top=tex.paint_planks)
    above = wall.size[1] - size[1] - 0.3
    frame = (span[0] + 0.1, 0.25, span[1] - 0.2, above - 0.1)
    place.things[-1].insert(0, inset(wall, frame, tex.paint_poster, place.next_key()))


def _door(place: Place, wall: Panel, span, rng) -> None:
    tall = min(2.1, wall.size[1] - 0.5)
    frame = (span[0], wall.size[1] - tall, 0.95, tall)
    sign = (span[0] + 0.05, wall.size[1] - tall - 0.35, 0.85, 0.28)
    thing = [inset(wall, frame, tex.paint_door, place.next_key()),
             inset(wall, sign, tex.paint_sign, place.next_key())]
    if span[1] > 1.5:
        rest = (span[0] + 1.05, 0.5, span[1] - 1.05, min(1.6 * (span[1] - 1.05), wall.size[1] - 1))
        thing.append(inset(wall, rest, tex.paint_poster, place.next_key()))
    place.things.append(thing)


def _posters(place: Place, wall: Panel, span, rng) -> None:
    """Two columns of posters, of different proportions."""
    thing, x, free = [], span[0], wall.size[1] - 0.6
    for share in (0.6, 0.36):
        width, y = share * span[1], 0.25
        while y + 0.4 < free:
            height = min(width * rng.uniform(0.8, 1.5), free - y)
            frame = (x, y, width, height)
            thing.append(inset(wall, frame, tex.paint_poster, place.next_key()))
            y += height + 0.08
        x += width + 0.04 * span[1]
    place.things.append(thing)


def _hang_lamps(place: Place, shell: Box, rng) -> None:
    """Rows of bright panels below the ceiling; a lamp for each."""
    rows, columns = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    colour = np.array((1.0, rng.uniform(0.82, 0.97), rng.uniform(0.62, 0.95)))
    size, drop = (rng.uniform(0.2, 1.2), rng.uniform(0.2, 0.4)), rng.uniform(0.05, 0.5)
    for row, column in np.ndindex(rows, columns):
        at = shell.at((2 * column + 1) / columns - 1, -1, (2 * row + 1) / rows - 1)
        box = Box((at[0], at[2]), at[1] + drop, (size[0], 0.06, size[1]), shell.turn)
        thing = place.add_box(box, tex.painted((60, 60, 64)))
        place.shadows.pop()
        base = thing.pop()
        bright = tex.painted(tuple(255 * colour ** (1 / 2.2)), 0)
        thing.append(inset(base, (0, 0, *base.size), bright, place.next_key(), lift=0.0,
                           glow=rng.uniform(15, 60)))
        place.lamps.append((at + (0, drop + 0.3, 0), 1.2 * colour))


def _stand_around(place: Place, shell: Box, rng) -> None:
    """Columns, tables, crates in the room, none too near the camera or into each other."""
    taken: list[np.ndarray] = []
    for _ in range(40):
        at = shell.at(*(rng.uniform(-1, 1, 3) * (1 - 2.4 / np.array(shell.size))))[[0, 2]]
        kind, turn = rng.integers(3), rng.uniform(0, np.pi)
        if np.linalg.norm(at) < KEEP_CLEAR or any(np.linalg.norm(at - o) < 1.5 for o in taken):
            continue
        taken.append(at)
        foot = shell.foot
        if kind == 0 and shell.size[0] > 6:
            thick = rng.uniform(0.3, 0.6)
            place.add_box(Box(tuple(at), foot, (thick, shell.size[1], thick), turn), tex.paint_column)
        elif kind == 1:
            _table(place, Box(tuple(at), foot, (rng.uniform(0.9, 1.4), 0.75, 0.8), turn), rng)
        else:
            side = tex.SIDES[rng.integers(len(tex.SIDES))]
            size = rng.uniform(0.4, 0.9, 3)
            place.add_box(Box(tuple(at), foot, tuple(size), turn), side)


def _table(place: Place, box: Box, rng) -> None:
    """A top on four legs, something on it."""
    dark, top = tex.painted((70, 48, 34), 0.1), 0.05
    for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        at = box.at(0.9 * x, 1, 0.85 * z)
        place.add_box(Box((at[0], at[2]), box.foot, (0.06, 0.7, 0.06), box.turn), dark)
    plate = Box(box.centre_xz, box.foot - 0.7, (box.size[0], top, box.size[2]), box.turn)
    place.add_box(plate, dark, top=(tex.paint_plaid, tex.paint_planks)[rng.integers(2)])
    at = plate.at(*rng.uniform(-0.5, 0.5, 3))
    size = tuple(rng.uniform(0.15, 0.4, 3))
    paint = tex.SIDES[rng.integers(len(tex.SIDES))]
    place.add_box(Box((at[0], at[2]), box.foot - 0.75, size, rng.uniform(0, 3)), paint)


def _even_out(place: Place, walls: Sequence[Panel]) -> None:
    """Scales the lamps so that the walls receive a mean irradiance of 0.8."""
    u, v = np.meshgrid(np.linspace(0.1, 0.9, 6), np.linspace(0.1, 0.9, 5))
    mean = np.mean([place.light(wall.points(u, v), wall.normal) for wall in walls])
    gain = (0.8 - place.ambient.mean()) / (mean - place.ambient.mean())
    place.lamps = [(position, power * gain) for position, power in place.lamps]


# --- streets -----------------------------------------------------------------------------------


def street(key: tuple[int, ...], *, night: bool = False) -> Place:
    """A street between rows of houses, with cars, trees, lamps, signs; sun or lamps."""
    rng = np.random.default_rng(key)
    turn, eye = rng.uniform(0, 2 * np.pi), rng.uniform(1.4, 1.8)
    half = rng.uniform(7, 11)
    ground = Box((0.0, 0.0), eye, (2 * half + 1, 1.0, 120.0), turn)
    side = rng.uniform(-0.6, 0.6) * half
    shift = side * ground.axes[0]
    ground = Box((-shift[0], -shift[2]), eye, ground.size, turn)
    sun = _sun(rng, turn)
    place = Place(key, _night_sky() if night else _day_sky(sun))
    place.ambient = np.array((0.05, 0.06, 0.09)) if night else np.array((0.28, 0.33, 0.42))
    if not night:
        place.lamps.append((sun * FAR, 1.1 * FAR**2 * np.array((1.0, 0.93, 0.8))))
    _ground_and_clouds(place, ground, rng, night)
    for sign in (-1, 1):
        _houses(place, ground, sign, rng, night)
    _street_furniture(place, ground, rng, night)
    return place


def _sun(rng, turn: float) -> np.ndarray:
    height, way = np.radians(rng.uniform(25, 60)), turn + rng.uniform(0.5, 2.6)
    return np.array((np.cos(height) * np.sin(way), -np.sin(height), np.cos(height) * np.cos(way)))


def _day_sky(sun: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Blue above, pale at the horizon, a glow and the disc of the sun."""

    def sky(directions: np.ndarray) -> np.ndarray:
        up = np.clip(-directions[..., 1:2], 0, 1)
        towards = (directions @ sun.astype(np.float32))[..., None]
        blue = np.array((0.10, 0.25, 0.62), np.float32)
        pale = np.array((0.72, 0.82, 0.95), np.float32)
        radiance = pale + (blue - pale) * np.sqrt(up)
        radiance += np.exp((towards - 1) * 60) * np.float32(1.5)
        radiance += np.clip((towards - np.cos(0.02)) / 5e-5, 0, 1) * np.float32(80)
        return radiance

    return sky


def _night_sky() -> Callable[[np.ndarray], np.ndarray]:
    def sky(directions: np.ndarray) -> np.ndarray:
        up = np.clip(-directions[..., 1:2], 0, 1)
        return np.array((0.06, 0.05, 0.07), np.float32) * (1.2 - up)

    return sky


def _ground_and_clouds(place: Place, ground: Box, rng, night: bool) -> None:
    width, _, depth = ground.axes * np.array(ground.size)[:, None]
    floor = Panel(ground.at(-1, 1, 1), width, -depth, tex.paint_street, place.next_key())
    high, far = 300 * UP, 4000 * ground.axes
    clouds = Panel(high - far[0] / 2 - far[2] / 2, far[0], far[2], tex.paint_clouds, place.next_key(),
                   0.04 if night else rng.uniform(0.9, 1.2))
    place.backdrop += [clouds, floor]


def _houses(place: Place, ground: Box, sign: int, rng, night: bool) -> None:
    """A row of houses along one side, one across each end of the street."""
    z = -ground.size[2] / 2
    while z < ground.size[2] / 2:
        size = rng.uniform(8, 16), rng.uniform(7, 17), 8.0
        x = sign * (ground.size[0] / 2 + size[2] / 2 - 0.5)
        _house(place, ground, (x, z + size[0] / 2), (size, sign * np.pi / 2), rng, night)
        z += size[0] + (rng.uniform(1, 3) if rng.random() < 0.2 else 0)
    end = (ground.size[0] + 16, rng.uniform(12, 18), 8.0)
    _house(place, ground, (0, sign * ground.size[2] / 2), (end, 0 if sign > 0 else np.pi), rng, night)


def _house(place: Place, ground: Box, xz, size_turn, rng, night: bool) -> None:
    size, turn = size_turn
    at = ground.centre + xz[0] * ground.axes[0] + xz[1] * ground.axes[2]
    box = Box((at[0], at[2]), ground.foot, size, ground.turn - turn)
    thing = place.add_box(box, tex.paint_facade)
    front = thing[0]
    for _ in range(int(rng.integers(1, 4))):
        wide = rng.uniform(1.5, 3.5)
        x, y = rng.uniform(0.3, size[0] - wide - 0.3), rng.uniform(0.3, 0.75) * (size[1] - 2.5)
        paint = tex.paint_sign if rng.random() < 0.6 else tex.paint_poster
        tall = wide * (0.35 if paint is tex.paint_sign else 0.9)
        glow = rng.uniform(1.5, 12) if night else 0.0
        thing.append(inset(front, (x, y, wide, tall), paint, place.next_key(), lift=0.06, glow=glow))
    for x in np.arange(1.0, size[0] - 1.5, rng.uniform(2.2, 3.5)) if night else ():
        if rng.random() < 0.5:
            y = size[1] - 3.6 - 3 * int(rng.integers(1, 4)) + 0.5
            thing.append(inset(front, (x, max(y, 0.6), 1.1, 1.6), tex.paint_view, place.next_key(),
                               lift=0.05, glow=rng.uniform(0.3, 2.5)))


def _street_furniture(place: Place, ground: Box, rng, night: bool) -> None:
    road, z = 3.5, -45.0
    while z < 45:
        for sign in (-1, 1):
            kinds = (_car, _tree, _lamp_post, _kiosk, _signpost)
            kind = kinds[rng.integers(len(kinds))]
            side = road - 1.0 if kind is _car else road + rng.uniform(0.6, 1.5)
            at = ground.centre + sign * side * ground.axes[0] + z * ground.axes[2]
            if np.hypot(at[0], at[2]) > 2.2:
                kind(place, Box((at[0], at[2]), ground.foot, (1, 1, 1), ground.turn + (sign < 0) * np.pi),
                     rng, night)
        z += rng.uniform(4.5, 7)


def _car(place: Place, spot: Box, rng, night: bool) -> None:
    along = spot.turn + np.pi / 2
    body = Box(spot.centre_xz, spot.foot - 0.05, (4.2, 0.85, 1.75), along)
    cabin = Box(spot.centre_xz, spot.foot - 0.9, (2.4, 0.6, 1.5), along)
    key = place.next_key()
    thing = place.add_box(body, tex.paint_car_side, top=tex.painted(vivid(np.random.default_rng(key))))
    roof = place.add_box(cabin, tex.paint_car_glass, top=tex.painted(vivid(rng)))
    del thing, roof


def _tree(place: Place, spot: Box, rng, night: bool) -> None:
    """A trunk under a crown of sprays of leaves that face every way."""
    tall, reach = rng.uniform(2.2, 3), rng.uniform(1.0, 1.6)
    place.add_box(Box(spot.centre_xz, spot.foot, (0.25, tall + 0.6, 0.25), spot.turn), tex.paint_planks)
    middle = np.array((spot.centre_xz[0], spot.foot - tall - 0.7 * reach, spot.centre_xz[1]))
    sprays = []
    for _ in range(16):
        towards = rng.normal(size=3)
        towards /= np.linalg.norm(towards)
        at = middle + 0.6 * reach * towards
        facing = -at / np.linalg.norm(at) + 0.5 * towards
        right = np.cross(UP, facing)
        right *= 1.3 * reach / np.linalg.norm(right)
        down = np.cross(right, facing)
        down *= -1.3 * reach / np.linalg.norm(down)
        sprays.append(Panel(at - (right + down) / 2, right, down, tex.paint_leaves, place.next_key()))
    place.things.append(sorted(sprays, key=lambda panel: -panel.distance()))


def _lamp_post(place: Place, spot: Box, rng, night: bool) -> None:
    tall = rng.uniform(3.5, 5)
    iron = tex.painted((52, 56, 60))
    place.add_box(Box(spot.centre_xz, spot.foot, (0.12, tall, 0.12), spot.turn), iron)
    head = Box(spot.centre_xz, spot.foot - tall, (0.45, 0.35, 0.45), spot.turn)
    thing = place.add_box(head, iron)
    place.shadows.pop()
    warm = np.array((1.0, rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.7)))
    bright = tex.painted(tuple(255 * warm ** (1 / 2.2)), 0.0)
    glow = rng.uniform(20, 60) if night else 1.2
    thing += [inset(side, (0.05, 0.05, 0.35, 0.25), bright, place.next_key(), glow=glow)
              for side in thing[:4]]
    if night:
        place.lamps.append((head.centre + (0, 0.1, 0), 9 * warm))


def _kiosk(place: Place, spot: Box, rng, night: bool) -> None:
    """A poster column, a crate or a bin."""
    size = (1.1, 2.4, 1.1) if rng.random() < 0.6 else (0.7, 0.9, 0.7)
    paint = tex.paint_poster if size[1] > 2 else tex.SIDES[rng.integers(3)]
    place.add_box(Box(spot.centre_xz, spot.foot, size, spot.turn + rng.uniform(0, 1)), paint,
                  top=tex.painted((80, 84, 88)))


def _signpost(place: Place, spot: Box, rng, night: bool) -> None:
    tall = rng.uniform(2.2, 2.8)
    place.add_box(Box(spot.centre_xz, spot.foot, (0.06, tall, 0.06), spot.turn), tex.painted((150, 150, 155)))
    board = Box(spot.centre_xz, spot.foot - tall + 0.6, (rng.uniform(0.7, 1.6), 0.5, 0.05),
                spot.turn + rng.uniform(-0.4, 0.4) + np.pi / 2 * rng.integers(4))
    place.add_box(board, tex.paint_sign)
