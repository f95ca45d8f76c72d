"""What stands in a room: shelves of books, cabinets, doors, crates, columns."""

from __future__ import annotations

import numpy as np

from .canvas import (
    BLACK,
    WHITE,
    Canvas,
    Colour,
    Paint,
    contrasting,
    hsv,
    muted,
    shaded,
    vivid,
)
from .prints import FONTS, paint_poster, phrase
from .walls import paint_planks, paint_wall_tiles


def paint_shelves(canvas: Canvas, rng) -> None:
    """A bookcase: shelves of books of every colour, some leaning, with bands and titles."""
    wood = hsv(0.08, rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.75))
    canvas.fill(shaded(wood, 0.25))
    count = max(1, round(canvas.height / 0.36))
    step = canvas.height / count
    for shelf in range(count):
        _row_of_books(canvas.part(0.04, shelf * step, canvas.width - 0.08, step - 0.03), rng)
        canvas.box(0, (shelf + 1) * step - 0.035, canvas.width, 0.035, wood)
    sides = [(0, 0, 0.04, canvas.height), (canvas.width - 0.04, 0, 0.04, canvas.height)]
    canvas.boxes([*sides, (0, 0, canvas.width, 0.03)], [shaded(wood, 1.15)])
    canvas.weather(rng, (0.01, 0.1), 0.05)


def _row_of_books(shelf: Canvas, rng) -> None:
    x, lean, floor = 0.005, 0.0, shelf.height
    while x < shelf.width - 0.03:
        thick, tall = rng.uniform(0.02, 0.075), floor * rng.uniform(0.6, 0.92)
        if rng.random() < 0.06:
            lean = rng.uniform(0.04, 0.14)
            x += lean + rng.uniform(0, 0.1)
        colour = vivid(rng) if rng.random() < 0.6 else muted(rng)
        slant = np.array([(x - lean, floor - tall), (x - lean + thick, floor - tall),
                          (x + thick, floor), (x, floor)])
        shelf.polygon(slant, shaded(colour, 0.55))
        shelf.polygon(slant + [(0.003, 0), (-0.006, 0), (-0.006, 0), (0.003, 0)], colour)
        _spine(shelf.part(x, floor - tall, thick, tall), rng, colour if lean == 0 else None)
        x, lean = x + thick, 0.0


def _spine(spine: Canvas, rng, colour: Colour | None) -> None:
    """Two bands and a title running down, in strokes or letters; nothing on a leaning book."""
    text, bands = phrase(rng, 1), rng.uniform(0.08, 0.92, 2) * spine.height
    marks = rng.uniform(0.4, 1.0, 14)
    if colour is None:
        return
    ink, width = contrasting(colour), spine.width
    spine.boxes([(0.004, y, width - 0.01, 0.012) for y in bands], [shaded(ink, 0.8)])
    if width < 0.045:
        rows = spine.height * (0.2 + 0.6 * np.arange(14) / 14)
        strokes = [(width * 0.5 - width * 0.25 * m, y, width * 0.5 * m, spine.height * 0.022)
                   for y, m in zip(rows, marks)]
        spine.boxes(strokes, [ink])
        return
    step = min(0.6 * spine.height / len(text), width)
    for index, letter in enumerate(text):
        frame = (width * 0.25, 0.2 * spine.height + index * step, width * 0.6, step * 0.8)
        spine.words(letter, frame, ink, FONTS[1])


def paint_cabinet(canvas: Canvas, rng) -> None:
    """Drawers and doors with bevels and handles."""
    colour = vivid(rng) if rng.random() < 0.4 else hsv(0.08, rng.uniform(0.1, 0.6), 0.6)
    canvas.fill(shaded(colour, 0.7))
    columns, rows = max(1, round(canvas.width / 0.5)), max(1, round(canvas.height / 0.35))
    width, height = canvas.width / columns, canvas.height / rows
    for row, column in np.ndindex(rows, columns):
        door = canvas.part(column * width + 0.01, row * height + 0.01, width - 0.02, height - 0.02)
        door.fill(shaded(colour, rng.uniform(0.9, 1.1)))
        inner = (0.03, 0.03, door.width - 0.06, door.height - 0.06)
        door.boxes([inner, np.add(inner, (0.008, 0.008, 0, 0))],
                   [shaded(colour, 1.35), shaded(colour, 0.92)])
        door.box(door.width / 2 - 0.06, door.height / 2 - 0.012, 0.12, 0.024, WHITE)
        door.box(door.width / 2 - 0.06, door.height / 2 + 0.012, 0.12, 0.01, BLACK)
    canvas.weather(rng, (0.3, 0.01), 0.04)


def paint_door(canvas: Canvas, rng) -> None:
    """A panelled door with a frame, a handle and a number."""
    colour = shaded(vivid(rng), rng.uniform(0.5, 1))
    canvas.fill(WHITE)
    leaf = canvas.part(0.08, 0.08, canvas.width - 0.16, canvas.height - 0.08)
    leaf.fill(colour)
    for row in range(3):
        x, y = 0.1, 0.12 + row * (leaf.height - 0.1) / 3
        size = leaf.width - 0.2, (leaf.height - 0.1) / 3 - 0.12
        leaf.box(x, y, *size, shaded(colour, 0.6))
        leaf.box(x + 0.015, y + 0.015, size[0] - 0.03, size[1] - 0.03, shaded(colour, 1.15))
    leaf.disc(leaf.width - 0.06, leaf.height * 0.55, 0.035, hsv(0.13, 0.6, 0.9))
    number = (leaf.width * 0.3, 0.2, leaf.width * 0.4, 0.25)
    leaf.words(str(rng.integers(100, 999)), number, WHITE, FONTS[1])
    canvas.weather(rng, (0.01, 0.3), 0.03)


def paint_crate(canvas: Canvas, rng) -> None:
    """Boards in a frame with a diagonal, and a stencilled word."""
    paint_planks(canvas, rng)
    wood, edge = hsv(0.09, 0.5, 0.75), 0.09 * min(canvas.width, canvas.height) + 0.02
    width, height = canvas.width, canvas.height
    canvas.line([(0, 0), (width, height)], edge, shaded(wood, 0.7))
    canvas.boxes([(0, 0, width, edge), (0, height - edge, width, edge), (0, 0, edge, height),
                  (width - edge, 0, edge, height)], [wood, shaded(wood, 0.9), wood, wood])
    canvas.words(phrase(rng, 1), (width * 0.2, height * 0.3, width * 0.6, height * 0.4),
                 BLACK if rng.random() < 0.5 else hsv(0, 0.8, 0.6), FONTS[3])
    canvas.weather(rng, (0.05, 0.05), 0.08)


def paint_plaid(canvas: Canvas, rng) -> None:
    """Woven stripes both ways."""
    canvas.fill(vivid(rng))
    for _ in range(6):
        colour, step, width = vivid(rng), rng.uniform(0.12, 0.3), rng.uniform(0.01, 0.05)
        upright = np.arange(rng.uniform(0, step), canvas.width, step)
        level = np.arange(rng.uniform(0, step), canvas.height, step)
        canvas.boxes([(x, 0, width, canvas.height) for x in upright], [colour])
        canvas.boxes([(0, y, canvas.width, width / 2) for y in level], [colour])
    canvas.weather(rng, (0.01, 0.01), 0.1)


def paint_column(canvas: Canvas, rng) -> None:
    """A fluted shaft between base and capital."""
    colour = shaded(muted(rng), 1.3)
    canvas.fill(colour)
    flutes = max(1, round(canvas.width / 0.1))
    step = canvas.width / flutes
    canvas.boxes([(i * step + 0.3 * step, 0, 0.5 * step, canvas.height) for i in range(flutes)],
                 [shaded(colour, 0.65)])
    for y, height in ((0, 0.25), (canvas.height - 0.3, 0.3)):
        canvas.box(0, y, canvas.width, height, shaded(colour, 0.9))
        canvas.box(0, y + 0.08, canvas.width, 0.03, shaded(colour, 0.4))
    canvas.weather(rng, (0.08, 0.3), 0.07)


SIDES: tuple[Paint, ...] = (paint_crate, paint_cabinet, paint_plaid, paint_poster, paint_wall_tiles)
