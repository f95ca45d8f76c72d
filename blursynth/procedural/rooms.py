"""Furnished rooms: walls with things along them, lamps under the ceiling, tables and crates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .canvas import hsv, shaded, vivid
from .fronts import paint_view
from .furniture import (
    SIDES,
    paint_cabinet,
    paint_column,
    paint_door,
    paint_plaid,
    paint_shelves,
)
from .places import DOWN, Box, Lamp, Place, faces, inset
from .prints import paint_poster, paint_sign
from .surfaces import Panel
from .walls import FLOORS, WALLS, paint_carpet, paint_ceiling, paint_planks, painted

KEEP_CLEAR = 1.3  # metres around the camera without furniture
WALL_IRRADIANCE = 0.75  # mean over the walls, so that every room is well exposed
WIDTHS = (0.9, 2.4)  # metres of wall that one thing takes


def room(key: tuple[int, ...]) -> Place:
    """A furnished room with lamps under its ceiling and one window, drawn by its key."""
    rng, place = np.random.default_rng(key), Place(key, np.full(3, 0.3))
    size = (rng.uniform(5, 10), rng.uniform(2.7, 4.2), rng.uniform(5, 10))
    spot = rng.uniform(-0.4, 0.4, 2) * (np.array(size)[[0, 2]] - 3)
    eye, turn = rng.uniform(1.2, 1.7), rng.uniform(0, 2 * np.pi)
    axes = Box((0.0, 0.0), eye, size, turn).axes
    shell = Box(tuple(-(spot @ axes[[0, 2]])[[0, 2]]), eye, size, turn)
    walls = _shell(place, shell, rng)
    for index, wall in enumerate(walls):
        _furnish(place, wall, rng, has_window=index == 0)
    _hang_lamps(place, shell, rng)
    _stand_around(place, shell, rng)
    _even_out(place, walls)
    return place


def _shell(place: Place, shell: Box, rng) -> list[Panel]:
    """Walls of two kinds, floor, ceiling, a carpet and skirting boards; the walls are returned."""
    turns = [(-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1)]
    paints = [WALLS[i] for i in rng.choice(len(WALLS), 2, replace=False)]
    keys = [next(place.keys) for _ in range(2)]
    walls = [shell.side(turns[i], turns[i + 1], paints[i % 2], keys[i % 2]) for i in range(4)]
    width, _, depth = shell.axes * np.array(shell.size)[:, None]
    floor = Panel(shell.at(-1, 1, 1), width, -depth, FLOORS[rng.integers(3)], next(place.keys))
    ceiling = Panel(shell.at(-1, -1, -1), width, depth, paint_ceiling, next(place.keys))
    carpet = rng.uniform(0.3, 0.5, 2) * floor.size
    frame = (*(rng.uniform(0.2, 0.8, 2) * (floor.size - carpet)), *carpet)
    board = painted(shaded(vivid(rng), 0.5))
    place.backdrop += [*walls, floor, ceiling]
    place.backdrop += [inset(floor, frame, paint_carpet, next(place.keys), lift=0.01)]
    for wall in walls:
        strip = (0, wall.size[1] - 0.12, wall.size[0], 0.12)
        place.backdrop.append(inset(wall, strip, board, next(place.keys)))
    return walls


def _furnish(place: Place, wall: Panel, rng, *, has_window: bool) -> None:
    """Things side by side along a wall."""
    x, kinds = rng.uniform(0.6, 1.0), (_shelf, _cabinet, _door, _posters, _posters)
    if has_window:
        x += _window(place, wall, x, rng)
    while x < wall.size[0] - 1.6:
        width = min(rng.uniform(*WIDTHS), wall.size[0] - 0.7 - x)
        kinds[rng.integers(len(kinds))](place, wall, (x, width), rng)
        x += width + rng.uniform(0.1, 0.4)


def _against(wall: Panel, x: float, size: tuple[float, float, float]) -> Box:
    """The box of that size that stands with its back to the wall, x metres along it."""
    right = wall.right / wall.size[0]
    foot = wall.corner + wall.down + (x + size[0] / 2) * right + (size[2] / 2 + 0.01) * wall.normal
    return Box((foot[0], foot[2]), foot[1], size, float(np.arctan2(right[2], right[0])))


def _window(place: Place, wall: Panel, x: float, rng) -> float:
    """A bright view in a frame, and its light; returns the width it takes."""
    width, glow = rng.uniform(1.6, 2.6), rng.uniform(2, 4)
    frame = np.array((x, 0.5, width, wall.size[1] - 1.4))
    pane = inset(wall, frame, paint_view, next(place.keys), glow=glow)
    edge, white = frame + (-0.1, -0.1, 0.2, 0.2), painted(hsv(0.1, 0.1, 0.9))
    place.things.append([inset(wall, edge, white, next(place.keys), lift=0.01), pane])
    middle = pane.points(np.array(0.5), np.array(0.5)) + 0.4 * pane.normal
    power = 0.1 * glow * np.prod(pane.size) * np.array((0.85, 0.95, 1.1))
    place.lamps.append(Lamp(middle, power, pane.normal))
    return float(width + 0.3)


def _shelf(place: Place, wall: Panel, span, rng) -> None:
    size = (span[1], min(rng.uniform(1.4, 2.4), wall.size[1] - 0.3), rng.uniform(0.25, 0.4))
    wood = painted(hsv(0.08, rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.7)), 0.1)
    place.stand(_against(wall, span[0], size), wood, front=paint_shelves)


def _cabinet(place: Place, wall: Panel, span, rng) -> None:
    """A cabinet below a poster."""
    size = (span[1], rng.uniform(0.8, 1.1), rng.uniform(0.4, 0.6))
    thing = place.stand(_against(wall, span[0], size), paint_cabinet, top=paint_planks)
    frame = (span[0] + 0.1, 0.25, span[1] - 0.2, wall.size[1] - size[1] - 0.4)
    thing.insert(0, inset(wall, frame, paint_poster, next(place.keys)))


def _door(place: Place, wall: Panel, span, rng) -> None:
    """A door below its sign, a poster beside it where there is room."""
    (x, width), tall = span, min(2.1, wall.size[1] - 0.5)
    frame = (x, wall.size[1] - tall, 0.95, tall)
    sign = (x + 0.05, wall.size[1] - tall - 0.35, 0.85, 0.28)
    thing = [inset(wall, frame, paint_door, next(place.keys)),
             inset(wall, sign, paint_sign, next(place.keys))]
    if width > 1.5:
        rest = (x + 1.05, 0.5, width - 1.05, min(1.6 * (width - 1.05), wall.size[1] - 1))
        thing.append(inset(wall, rest, paint_poster, next(place.keys)))
    place.things.append(thing)


def _posters(place: Place, wall: Panel, span, rng) -> None:
    """A wide and a narrow column of posters."""
    thing, x, low = [], span[0], wall.size[1] - 0.6
    for share in (0.6, 0.36):
        width, y = share * span[1], 0.25
        while y + 0.4 < low:
            height = min(width * rng.uniform(0.8, 1.5), low - y)
            thing.append(inset(wall, (x, y, width, height), paint_poster, next(place.keys)))
            y += height + 0.08
        x += width + 0.04 * span[1]
    place.things.append(thing)


def _hang_lamps(place: Place, shell: Box, rng) -> None:
    """Rows of lamps below the ceiling, all alike."""
    rows, columns = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    colour = np.array((1.0, rng.uniform(0.82, 0.97), rng.uniform(0.62, 0.95)))
    size, drop = (rng.uniform(0.2, 1.2), 0.06, rng.uniform(0.2, 0.4)), rng.uniform(0.06, 0.5)
    bright, glow = painted(tuple(255 * colour ** (1 / 2.2)), 0), rng.uniform(15, 60)
    for row, column in np.ndindex(rows, columns):
        at = shell.at((2 * column + 1) / columns - 1, -1, (2 * row + 1) / rows - 1)
        box = Box((at[0], at[2]), at[1] + drop, size, shell.turn)
        *sides, base = faces(box, place.keys, painted((60, 60, 64)))
        shine = inset(base, (0, 0, *base.size), bright, next(place.keys), lift=0.0, glow=glow)
        place.things.append([*sides, shine])
        place.lamps.append(Lamp(at + (drop + 0.1) * DOWN, colour, DOWN))


def _stand_around(place: Place, shell: Box, rng) -> None:
    """Columns, tables and crates, none near the camera or into each other."""
    taken: list[np.ndarray] = []
    for _ in range(40):
        at = shell.at(*(rng.uniform(-1, 1, 3) * (1 - 2.4 / np.array(shell.size))))[[0, 2]]
        kind, turn, sizes = rng.integers(3), rng.uniform(0, np.pi), rng.uniform(0.4, 0.9, 3)
        paint = SIDES[rng.integers(len(SIDES))]
        if np.hypot(*at) < KEEP_CLEAR or any(np.hypot(*(at - other)) < 1.5 for other in taken):
            continue
        taken.append(at)
        if kind == 0 and len(taken) < 4:
            size = (0.7 * sizes[0], shell.size[1], 0.7 * sizes[0])
            place.stand(Box(tuple(at), shell.foot, size, turn), paint_column)
        elif kind == 1:
            _table(place, Box(tuple(at), shell.foot, (sizes[0] + 0.5, 0.75, 0.8), turn), rng)
        else:
            place.stand(Box(tuple(at), shell.foot, tuple(sizes), turn), paint)


def _table(place: Place, box: Box, rng) -> None:
    """A top on four legs, something on it."""
    dark, foot, thick = painted((70, 48, 34), 0.1), box.foot, 0.05
    for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        at = box.at(0.9 * x, 1, 0.85 * z)
        place.stand(Box((at[0], at[2]), foot, (0.06, box.size[1] - thick, 0.06), box.turn), dark)
    size = (box.size[0], thick, box.size[2])
    plate = Box(box.centre_xz, foot - box.size[1] + thick, size, box.turn)
    place.stand(plate, dark, top=(paint_plaid, paint_planks)[rng.integers(2)])
    parcel = tuple(rng.uniform(0.15, 0.4, 3))
    spot = plate.on_top(*rng.uniform(-0.5, 0.5, 2), parcel, rng.uniform(0, 3))
    place.stand(spot, SIDES[rng.integers(len(SIDES))])


def _even_out(place: Place, walls: Sequence[Panel]) -> None:
    """Scales the lamps so that the walls receive `WALL_IRRADIANCE` on average."""
    u, v = np.meshgrid(np.linspace(0.1, 0.9, 6), np.linspace(0.1, 0.9, 5))
    mean = np.mean([place.light(wall.points(u, v), wall.normal) for wall in walls])
    ambient = place.ambient.mean()
    gain = (WALL_IRRADIANCE - ambient) / (mean - ambient)
    place.lamps = [Lamp(lamp.position, lamp.power * gain, lamp.towards) for lamp in place.lamps]
