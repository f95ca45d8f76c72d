"""Flat pictures of materials and of things: walls, floors, shelves, posters, facades, roads.

Every `paint_...(canvas, rng)` covers its whole canvas, draws in metres, and asks `rng` for the same
numbers at any density.
"""

from __future__ import annotations

import cv2
import numpy as np

from .procedural_canvas import (
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

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)
WORDS = (
    "SHARP MOTION LIGHT CAMERA FRAME SHUTTER LENS FOCUS STREET MARKET COFFEE BAKERY BOOKS MUSIC "
    "RIVER STATION MUSEUM GARDEN ORBIT SIGNAL VECTOR PRISM COBALT AMBER ZEBRA QUARTZ NORTH EXIT "
    "OPEN HOTEL RADIO PHOTO CINEMA TUNNEL HARBOUR ATLAS 24H 1984 2021 No.7 A113 50% 3.14"
).split()


def phrase(rng: np.random.Generator, count: int) -> str:
    """`count` words with spaces between."""
    return " ".join(WORDS[index] for index in rng.integers(len(WORDS), size=count))


# --- walls and floors --------------------------------------------------------------------------


def masonry(canvas: Canvas, rng, unit: tuple[float, float], colour: Colour, **how) -> None:
    """Courses of `unit` (width, height) stones in a bed of mortar, each with a light upper and a
    dark lower edge. how: `shift` of every other course in units, `gap` in metres, `spread` of the
    stones' brightness, `mortar` colour."""
    gap, spread = how.get("gap", 0.012), how.get("spread", 0.15)
    canvas.fill(how.get("mortar", shaded(colour, 0.6)))
    rows, columns = np.mgrid[: np.ceil(canvas.height / unit[1]), : np.ceil(canvas.width / unit[0]) + 1]
    x = (columns - (rows % 2) * how.get("shift", 0.0)) * unit[0] + gap / 2
    y, size = rows * unit[1] + gap / 2, np.array(unit) - gap
    tint = 1 + spread * rng.standard_normal((x.size, 1)) + 0.03 * rng.standard_normal((x.size, 3))
    stones = np.stack([x, y, np.full_like(x, size[0]), np.full_like(x, size[1])], -1).reshape(-1, 4)
    colours = np.clip(tint * colour, 0, 255)
    bevel = min(0.012, 0.12 * unit[1])
    canvas.boxes(stones, colours)
    canvas.boxes(stones * (1, 1, 1, 0) + (0, 0, 0, bevel), np.clip(colours * 1.25, 0, 255))
    low = stones * (1, 1, 1, 0) + (0, size[1] - bevel, 0, bevel)
    canvas.boxes(low, colours * 0.7)


def paint_bricks(canvas: Canvas, rng) -> None:
    """Running bond of bricks in one of the usual colours."""
    colour = hsv(rng.uniform(0.0, 0.09), rng.uniform(0.25, 0.65), rng.uniform(0.45, 0.8))
    unit = rng.uniform(0.26, 0.42) * np.array((1, rng.uniform(0.3, 0.42)))
    mortar = hsv(0.1, 0.08, rng.uniform(0.5, 0.85))
    masonry(canvas, rng, unit, colour, shift=0.5, spread=0.14, mortar=mortar)
    canvas.weather(rng, (0.6, 0.6), 0.06)
    canvas.weather(rng, (0.03, 0.03), 0.06)


def paint_wall_tiles(canvas: Canvas, rng) -> None:
    """Glazed square tiles of two colours in a pattern, with a band."""
    size = rng.uniform(0.15, 0.3)
    masonry(canvas, rng, (size, size), shaded(muted(rng), 1.25), spread=0.05, mortar=WHITE)
    accent, stride = vivid(rng), int(rng.integers(2, 5))
    rows, columns = np.mgrid[: canvas.height / size, : canvas.width / size]
    chosen = ((rows + columns * int(rng.integers(1, 3))) % stride == 0).ravel()
    xy = np.stack([columns, rows], -1).reshape(-1, 2)[chosen] * size + 0.012
    canvas.boxes(np.hstack([xy, np.full_like(xy, size - 0.024)]), [accent])
    canvas.box(0, 4 * size + 0.01, canvas.width, size - 0.02, shaded(accent, 0.6))
    canvas.weather(rng, (0.8, 0.8), 0.04)


def paint_planks(canvas: Canvas, rng) -> None:
    """Long boards with grain along x."""
    colour = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.8))
    unit = (rng.uniform(1.2, 2.6), rng.uniform(0.1, 0.2))
    masonry(canvas, rng, unit, colour, shift=rng.uniform(0.3, 0.6), gap=0.008, spread=0.14)
    canvas.weather(rng, (0.5, 0.008), 0.07)
    canvas.weather(rng, (0.15, 0.03), 0.05)


def paint_upright_planks(canvas: Canvas, rng) -> None:
    """Boards side by side, grain along y."""
    colour = hsv(rng.uniform(0.03, 0.6), rng.uniform(0.15, 0.5), rng.uniform(0.4, 0.85))
    unit = (rng.uniform(0.1, 0.22), canvas.height)
    masonry(canvas, rng, unit, colour, gap=0.01, spread=0.1)
    canvas.weather(rng, (0.008, 0.5), 0.07)


def paint_wallpaper(canvas: Canvas, rng) -> None:
    """A repeating pattern: stripes, diamonds or rings, above a dado."""
    ground, ink, step = muted(rng), vivid(rng), rng.uniform(0.15, 0.35)
    canvas.fill(ground)
    columns, rows = int(canvas.width / step) + 2, int(canvas.height / step) + 2
    kind = rng.integers(3)
    if kind == 0:
        stripes = [(i * step, 0, step * (0.5 if i % 2 else 0.2), 9.0) for i in range(columns)]
        canvas.boxes(stripes, [ink])
    for row, column in np.ndindex(rows, columns) if kind else ():
        x, y = (column + 0.5 * (row % 2)) * step, row * step
        turns = np.arange(4 if kind == 1 else 10) * np.pi / (2 if kind == 1 else 5)
        shape = np.stack([np.cos(turns), np.sin(turns)], 1) * step
        canvas.polygon(shape * 0.42 + (x, y), ink)
        canvas.polygon(shape * 0.22 + (x, y), shaded(ground, 1.2))
    canvas.weather(rng, (0.7, 0.7), 0.04)


def paint_plaster(canvas: Canvas, rng) -> None:
    """Stained plaster with cracks, a painted lower half and a rail."""
    colour = shaded(muted(rng), 1.15)
    canvas.fill(colour)
    rail, below = canvas.height * rng.uniform(0.5, 0.7), shaded(vivid(rng), 0.75)
    canvas.box(0, rail, canvas.width, canvas.height, below)
    canvas.boxes([(0, rail - 0.05, canvas.width, 0.1), (0, rail + 0.02, canvas.width, 0.02)],
                 [shaded(colour, 1.2), shaded(below, 0.4)])
    for _ in range(int(canvas.width * 2)):
        start = rng.uniform((0, 0), (canvas.width, canvas.height))
        steps = rng.normal(rng.uniform(-0.04, 0.04, 2), 0.05, (12, 2))
        canvas.line(start + np.cumsum(steps, 0), 0.006, shaded(colour, 0.5))
    canvas.weather(rng, (0.5, 0.5), 0.06)
    canvas.weather(rng, (0.04, 0.04), 0.05)


WALLS: tuple[Paint, ...] = (
    paint_bricks,
    paint_wall_tiles,
    paint_upright_planks,
    paint_wallpaper,
    paint_plaster,
)


def paint_chequers(canvas: Canvas, rng) -> None:
    """Floor tiles of two colours."""
    size, dark = rng.uniform(0.3, 0.6), shaded(vivid(rng), rng.uniform(0.3, 0.7))
    masonry(canvas, rng, (size, size), shaded(muted(rng), 1.3), gap=0.01, spread=0.06)
    rows, columns = np.mgrid[: canvas.height / size, : canvas.width / size]
    chosen = ((rows + columns) % 2 == 0).ravel()
    xy = np.stack([columns, rows], -1).reshape(-1, 2)[chosen] * size + 0.006
    tint = 1 + 0.1 * rng.standard_normal((len(xy), 1))
    canvas.boxes(np.hstack([xy, np.full_like(xy, size - 0.012)]), np.clip(tint * dark, 0, 255))
    canvas.weather(rng, (0.12, 0.12), 0.05)
    canvas.weather(rng, (0.015, 0.015), 0.05)


def paint_flagstones(canvas: Canvas, rng) -> None:
    """Stone slabs in courses."""
    unit = rng.uniform(0.4, 0.8) * np.array((1, rng.uniform(0.5, 1)))
    masonry(canvas, rng, unit, muted(rng), shift=0.5, gap=0.02, spread=0.12)
    canvas.weather(rng, (0.15, 0.15), 0.07)
    canvas.weather(rng, (0.02, 0.02), 0.07)


FLOORS: tuple[Paint, ...] = (paint_planks, paint_chequers, paint_flagstones)


def paint_carpet(canvas: Canvas, rng) -> None:
    """Nested borders around rows of diamonds."""
    colours, inset = [vivid(rng) for _ in range(3)] + [WHITE], 0.0
    for width in rng.uniform(0.03, 0.12, 6):
        size = canvas.width - 2 * inset, canvas.height - 2 * inset
        canvas.box(inset, inset, *size, shaded(colours[rng.integers(4)], rng.uniform(0.5, 1)))
        inset += width
    inner, ink = canvas.part(inset, inset, *size), colours[0]
    step = rng.uniform(0.15, 0.3)
    for row, column in np.ndindex(int(size[1] / step) + 1, int(size[0] / step) + 1):
        diamond = np.array([(-1, 0), (0, -1), (1, 0), (0, 1)]) * step / 2
        centre = np.array((column + 0.5, row + 0.5)) * step
        inner.polygon(diamond * 0.9 + centre, ink if (row + column) % 2 else colours[1])
        inner.polygon(diamond * 0.45 + centre, WHITE if row % 2 else colours[2])
    canvas.weather(rng, (0.02, 0.02), 0.08)


def paint_ceiling(canvas: Canvas, rng) -> None:
    """Coffered panels, some of them grilles."""
    size, colour = rng.uniform(0.5, 0.9), hsv(rng.random(), 0.06, rng.uniform(0.8, 0.97))
    masonry(canvas, rng, (size, size), colour, gap=0.05, spread=0.03, mortar=shaded(colour, 0.5))
    for row, column in np.ndindex(int(canvas.height / size) + 1, int(canvas.width / size) + 1):
        x, y = column * size, row * size
        canvas.box(x + 0.1, y + 0.1, size - 0.2, size - 0.2, shaded(colour, 0.88))
        if rng.random() < 0.25:
            slits = [(x + 0.14, y + 0.14 + 0.05 * i, size - 0.28, 0.02)
                     for i in range(int((size - 0.28) / 0.05))]
            canvas.boxes(slits, [shaded(colour, 0.25)])
    canvas.weather(rng, (0.4, 0.4), 0.03)


# --- furniture ---------------------------------------------------------------------------------


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


# --- things to read ----------------------------------------------------------------------------


def paint_print(canvas: Canvas, rng) -> None:
    """A big title, a rule, a paragraph in small letters and a footer."""
    paper = vivid(rng) if rng.random() < 0.5 else WHITE
    ink, width, height = contrasting(paper), canvas.width, canvas.height
    canvas.fill(paper)
    for row in range(3):
        frame = (width * 0.07, height * (0.05 + 0.17 * row), width * 0.86, height * 0.14)
        canvas.words(phrase(rng, 1), frame, ink, FONTS[rng.integers(4)])
    canvas.box(width * 0.07, height * 0.57, width * 0.86, height * 0.015, vivid(rng))
    for row in range(8):
        frame = (width * 0.07, height * (0.6 + 0.037 * row), width * 0.86, height * 0.025)
        canvas.words(phrase(rng, 5), frame, ink, FONTS[0])
    canvas.box(0, height * 0.92, width, height * 0.08, shaded(vivid(rng), 0.8))


def paint_shapes(canvas: Canvas, rng) -> None:
    """Discs, triangles and diagonals of strong colours over each other, and one word."""
    width, height = canvas.width, canvas.height
    canvas.fill(vivid(rng) if rng.random() < 0.5 else WHITE)
    for index in range(14):
        centre, size = rng.uniform(0, (width, height)), rng.uniform(0.08, 0.3) * min(width, height)
        turns = rng.uniform(0, 6.3) + np.arange(3 + index % 3) * 2 * np.pi / (3 + index % 3)
        points = centre + size * np.stack([np.cos(turns), np.sin(turns)], 1)
        if index % 4 == 0:
            canvas.disc(*centre, size, vivid(rng))
            canvas.disc(*centre, 0.6 * size, WHITE)
            canvas.disc(*centre, 0.3 * size, BLACK)
        elif index % 4 == 1:
            canvas.line([points[0], 2 * points[1] - points[0]], 0.2 * size, vivid(rng))
        else:
            canvas.polygon(points, vivid(rng) if index % 3 else BLACK)
    canvas.box(0, height * 0.8, width, height * 0.16, BLACK)
    frame = (width * 0.08, height * 0.82, width * 0.84, height * 0.12)
    canvas.words(phrase(rng, 1), frame, WHITE, FONTS[1])


def paint_chart(canvas: Canvas, rng) -> None:
    """Axes, a grid, bars, a curve and labels."""
    width, height, ink = canvas.width, canvas.height, BLACK
    canvas.fill(WHITE)
    canvas.words(phrase(rng, 2), (0.1 * width, 0.03 * height, 0.8 * width, 0.1 * height), ink, FONTS[1])
    canvas.boxes([(0.1 * width, (0.2 + 0.1 * i) * height, 0.82 * width, 0.004 * height)
                  for i in range(8)], [(170, 170, 170)])
    tall, tops = rng.uniform(0.1, 0.6, 9), rng.uniform(0.2, 0.8, 10)
    bars = [((0.13 + 0.087 * i) * width, (0.85 - t) * height, 0.06 * width, t * height)
            for i, t in enumerate(tall)]
    canvas.boxes(bars, [vivid(rng) for _ in bars])
    curve = [((0.12 + 0.085 * i) * width, top * height) for i, top in enumerate(tops)]
    canvas.line(curve, 0.015 * width, vivid(rng))
    canvas.boxes([(0.1 * width, 0.15 * height, 0.01 * width, 0.7 * height),
                  (0.1 * width, 0.85 * height, 0.82 * width, 0.01 * height)], [ink])
    for i in range(9):
        frame = ((0.13 + 0.087 * i) * width, 0.88 * height, 0.06 * width, 0.05 * height)
        canvas.words(str(10 * i), frame, ink, FONTS[0])


def paint_target(canvas: Canvas, rng) -> None:
    """A test chart: a star of wedges, a chequerboard, ever finer lines, letters of falling size."""
    width, height, size = canvas.width, canvas.height, min(canvas.width, canvas.height)
    canvas.fill(WHITE)
    turns, centre = np.arange(49) * np.pi / 24, np.array((0.5 * width, 0.36 * height))
    rim = centre + 0.31 * size * np.stack([np.cos(turns), np.sin(turns)], 1)
    for index in range(0, 48, 2):
        canvas.polygon([centre, rim[index], rim[index + 1]], BLACK)
    rows, columns = np.mgrid[:6, :6]
    chosen = (rows + columns) % 2 == 0
    cells = 0.04 * size * np.stack([columns[chosen], rows[chosen]], 1) + 0.03 * size
    canvas.boxes(np.hstack([cells, np.full_like(cells, 0.04 * size)]), [vivid(rng)])
    steps = np.cumsum(0.05 * 0.93 ** np.arange(30)) * width
    widths = 0.025 * 0.93 ** np.arange(30) * width
    canvas.boxes([(x, 0.72 * height, w, 0.1 * height) for x, w in zip(steps, widths)], [BLACK])
    for row, tall in enumerate((0.07, 0.035, 0.02)):
        y = (0.84, 0.92, 0.965)[row] * height
        canvas.words(phrase(rng, 1 + row), (0.05 * width, y, width, tall * height), BLACK, FONTS[1])


def paint_newspaper(canvas: Canvas, rng) -> None:
    """A headline over columns of small lines and a picture."""
    width, height = canvas.width, canvas.height
    canvas.fill(hsv(0.12, 0.1, 0.92))
    canvas.words(phrase(rng, 2), (0.05 * width, 0.03 * height, 0.9 * width, 0.12 * height), BLACK, FONTS[3])
    canvas.box(0.05 * width, 0.17 * height, 0.9 * width, 0.008 * height, BLACK)
    paint_shapes(canvas.part(0.36 * width, 0.2 * height, 0.59 * width, 0.33 * height), rng)
    for column in range(3):
        for row in range(4 if column else 0, 26 if column == 0 else 18):
            y = (0.2 if column == 0 else 0.56 - 4 * 0.03) + 0.03 * row
            frame = ((0.05 + 0.31 * column) * width, y * height, 0.28 * width, 0.02 * height)
            canvas.words(phrase(rng, 3), frame, BLACK, FONTS[0])


PRINTS: tuple[Paint, ...] = (
    paint_print,
    paint_shapes,
    paint_chart,
    paint_target,
    paint_newspaper,
)


def paint_poster(canvas: Canvas, rng) -> None:
    """One of the prints, in a frame."""
    edge = 0.025
    canvas.fill(BLACK if rng.random() < 0.5 else hsv(0.1, 0.5, 0.6))
    size = canvas.width - 2 * edge, canvas.height - 2 * edge
    PRINTS[rng.integers(len(PRINTS))](canvas.part(edge, edge, *size), rng)


def paint_sign(canvas: Canvas, rng) -> None:
    """One or two words as large as the board."""
    colour = vivid(rng)
    ink, edge = contrasting(colour), 0.06 * canvas.height
    canvas.fill(ink)
    canvas.box(edge, edge, canvas.width - 2 * edge, canvas.height - 2 * edge, colour)
    count = 1 if canvas.width < 5 * canvas.height else 2
    frame = (2 * edge, 0.16 * canvas.height, canvas.width - 4 * edge, 0.68 * canvas.height)
    canvas.words(phrase(rng, count), frame, ink, FONTS[rng.integers(1, 4)])


def painted(colour: Colour, grain: float = 0.06) -> Paint:
    """A plain surface with a faint grain."""

    def paint_plain(canvas: Canvas, rng) -> None:
        canvas.fill(colour)
        canvas.weather(rng, (0.15, 0.03), grain)

    return paint_plain


# --- outdoors ----------------------------------------------------------------------------------


def paint_view(canvas: Canvas, rng) -> None:
    """What a window shows: sky, hills and roofs behind a cross of bars."""
    width, height = canvas.width, canvas.height
    canvas.fill(hsv(0.57, 0.25, 1.0))
    for level in range(10):
        canvas.box(0, 0.06 * level * height, width, height, hsv(0.57, 0.3 - 0.025 * level, 1.0))
    for index in range(12):
        x, tall = rng.uniform(-0.1, 0.9) * width, rng.uniform(0.15, 0.45) * height
        block = shaded(muted(rng), rng.uniform(0.5, 1))
        canvas.box(x, height - tall, 0.2 * width, tall, block)
        canvas.boxes([(x + 0.03 * width * i, height - tall + 0.04 * height * j, 0.015 * width,
                       0.02 * height) for i in range(1, 6) for j in range(1, 8)],
                     [shaded(block, 0.45)])
        canvas.polygon([(x, height - tall), (x + 0.1 * width, height - 1.25 * tall),
                        (x + 0.2 * width, height - tall)], shaded(block, 0.6))
    bars = [(i * width / 3 - 0.025, 0, 0.05, height) for i in range(4)]
    canvas.boxes([*bars, (0, height / 2 - 0.03, width, 0.05), (0, 0, width, 0.05),
                  (0, height - 0.05, width, 0.05)], [shaded(WHITE, 0.35)])


def paint_facade(canvas: Canvas, rng) -> None:
    """A house front: shops below, storeys of windows above, a cornice."""
    wall: Paint = (paint_bricks, paint_plaster_front, paint_stone_front)[rng.integers(3)]
    wall(canvas, rng)
    storey, shop = rng.uniform(2.8, 3.4), 3.6
    window = rng.uniform(0.9, 1.4), rng.uniform(1.4, 1.9)
    count = max(1, int(canvas.width / (window[0] * rng.uniform(1.5, 2.2))))
    step, trim = canvas.width / count, WHITE if rng.random() < 0.6 else shaded(vivid(rng), 0.6)
    y = canvas.height - shop - storey
    while y > 0.3:
        for column in range(count):
            x = (column + 0.5) * step - window[0] / 2
            _window(canvas.part(x - 0.15, y, window[0] + 0.3, window[1] + 0.3), rng, trim)
        canvas.boxes([(0, y + storey - 0.35, canvas.width, 0.12)], [shaded(trim, 0.8)])
        y -= storey
    canvas.boxes([(0, 0, canvas.width, 0.4), (0, 0.25, canvas.width, 0.08)],
                 [trim, shaded(trim, 0.5)])
    _shops(canvas.part(0, canvas.height - shop, canvas.width, shop), rng)
    canvas.weather(rng, (1.5, 1.5), 0.04)


def paint_plaster_front(canvas: Canvas, rng) -> None:
    """Painted plaster with stains."""
    canvas.fill(hsv(rng.random(), rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.95)))
    canvas.weather(rng, (0.5, 1.5), 0.06)
    canvas.weather(rng, (0.06, 0.06), 0.05)


def paint_stone_front(canvas: Canvas, rng) -> None:
    """Large blocks of stone."""
    masonry(canvas, rng, (0.9, 0.45), shaded(muted(rng), 1.15), shift=0.5, gap=0.03, spread=0.07)
    canvas.weather(rng, (0.1, 0.1), 0.06)


def _window(frame: Canvas, rng, trim: Colour) -> None:
    """Frame, sill, two panes with a reflection, perhaps a curtain or a blind."""
    glass, curtain = hsv(0.58, rng.uniform(0.2, 0.5), rng.uniform(0.15, 0.5)), muted(rng)
    kind, width, height = rng.random(), frame.width - 0.3, frame.height - 0.3
    frame.box(0.07, 0.07, width + 0.16, height + 0.1, trim)
    frame.box(0, height + 0.17, width + 0.3, 0.09, shaded(trim, 0.75))
    pane = frame.part(0.15, 0.13, width, height)
    pane.fill(glass)
    pane.polygon([(0, height), (0, 0.4 * height), (width, 0), (width, 0.3 * height)],
                 shaded(glass, 1.7))
    if kind < 0.35:
        pane.boxes([(0, 0, 0.25 * width, height), (0.75 * width, 0, 0.25 * width, height)], [curtain])
    elif kind < 0.55:
        pane.boxes([(0, 0.06 * i, width, 0.045) for i in range(int(8 * height))], [curtain])
    pane.boxes([(width / 2 - 0.03, 0, 0.06, height), (0, 0.35 * height, width, 0.05)], [trim])


def _shops(ground: Canvas, rng) -> None:
    x = 0.2
    while x < ground.width - 2.5:
        width = min(rng.uniform(3, 5.5), ground.width - x - 0.2)
        colour = shaded(vivid(rng), 0.7)
        front = ground.part(x, 0, width, ground.height)
        front.box(0, 0.2, width, ground.height, colour)
        paint_sign(front.part(0.15, 0.3, width - 0.3, 0.7), rng)
        _shop_window(front.part(0.2, 1.2, width - 1.6, 1.9), rng)
        paint_door(front.part(width - 1.25, 1.2, 1.05, 2.4), rng)
        x += width + 0.3


def _shop_window(glass: Canvas, rng) -> None:
    """Goods and small posters behind dark glass, and a striped awning's shadow."""
    glass.fill((38, 46, 52))
    for _ in range(int(glass.width * 7)):
        size = rng.uniform(0.1, 0.4, 2)
        x, y = rng.uniform((0, 0.7), (max(glass.width - size[0], 0.01), 1.6))
        glass.box(x, y, *size, vivid(rng))
    paint_print(glass.part(0.1, 0.1, 0.6, 0.85), rng)
    paint_shapes(glass.part(0.85, 0.1, 0.6, 0.7), rng)
    stripes = [(0.3 * i, 0, 0.15, 0.22) for i in range(int(glass.width / 0.3) + 1)]
    glass.box(0, 0, glass.width, 0.22, WHITE)
    glass.boxes(stripes, [vivid(rng)])


def paint_street(canvas: Canvas, rng, road_width: float = 7.0) -> None:
    """Seen from above, the road along y in the middle: asphalt with markings between pavements."""
    width, length = canvas.width, canvas.height
    slab, kerb = rng.uniform(0.4, 0.7), (width - road_width) / 2
    masonry(canvas, rng, (slab, slab), muted(rng), shift=0.5, gap=0.025, spread=0.1)
    canvas.box(kerb - 0.2, 0, road_width + 0.4, length, (165, 163, 158))
    road = canvas.part(kerb, 0, road_width, length)
    road.fill(hsv(0.6, 0.06, rng.uniform(0.28, 0.42)))
    road.weather(rng, (0.9, 2.5), 0.1)
    dashes = [(road_width / 2 - 0.08, y, 0.16, 2.2) for y in np.arange(0, length, 4.5)]
    road.boxes([*dashes, (0.25, 0, 0.12, length), (road_width - 0.37, 0, 0.12, length)], [WHITE])
    for start in (length / 2 + rng.uniform(2, 6), length / 2 - rng.uniform(8, 20)):
        road.boxes([(x, start, 0.5, 3.2) for x in np.arange(0.6, road_width - 0.6, 1.0)], [WHITE])
    for _ in range(int(length / 3)):
        x, y = rng.uniform((0.6, 0), (road_width - 0.6, length))
        road.disc(x, y, 0.38, (60, 58, 56))
        road.disc(x, y, 0.3, (95, 92, 88))
        road.boxes([(x - 0.2, y + 0.08 * i - 0.2, 0.4, 0.03) for i in range(6)], [(50, 48, 46)])
        crack = rng.uniform((0, 0), (road_width, length)) + np.cumsum(rng.normal(0, 0.2, (9, 2)), 0)
        road.line(crack, 0.02, (40, 40, 42))
    canvas.weather(rng, (0.2, 0.2), 0.05)
    canvas.weather(rng, (0.02, 0.02), 0.12)


def paint_leaves(canvas: Canvas, rng) -> None:
    """A see-through spray of leaves: alpha 0 between them."""
    hue = rng.uniform(0.2, 0.36)
    canvas.fill(hsv(hue, 0.7, 0.25), alpha=0)
    middle, reach = np.array((canvas.width, canvas.height)) / 2, min(canvas.width, canvas.height) / 2
    shape = np.array([(-1, 0), (-0.3, -0.45), (1, 0), (-0.3, 0.45)])
    for _ in range(150):
        turn, size = rng.uniform(0, 6.3), rng.uniform(0.05, 0.11)
        leaf = shape @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        way = rng.uniform(0, 6.3)
        radius = (reach - size) * np.sqrt(rng.random())
        place = middle + radius * np.array((np.cos(way), np.sin(way)))
        colour = hsv(hue + rng.normal(0, 0.025), rng.uniform(0.5, 0.85), rng.uniform(0.2, 0.75))
        canvas.polygon(place + size * leaf, colour)


def paint_car_side(canvas: Canvas, rng) -> None:
    """Doors, lamps, wheels and a sill."""
    width, height = canvas.width, canvas.height
    colour = vivid(rng)
    canvas.fill(colour)
    canvas.boxes([(0, 0.05, width, 0.03), (0, height - 0.2, width, 0.2)],
                 [shaded(colour, 1.3), (35, 35, 38)])
    canvas.boxes([(width * f, 0, 0.02, height) for f in (0.28, 0.5, 0.72)], [shaded(colour, 0.4)])
    canvas.boxes([(width * f, 0.16, 0.2, 0.04) for f in (0.34, 0.56)], [BLACK])
    canvas.boxes([(0.02, 0.12, 0.3, 0.15), (width - 0.32, 0.12, 0.3, 0.15)],
                 [hsv(0, 0.8, 0.8), hsv(0.15, 0.2, 1)])
    for x in (0.2 * width, 0.8 * width):
        for radius, tone in ((0.36, 25), (0.31, 45), (0.2, 190), (0.15, 120), (0.05, 220)):
            canvas.disc(x, height - 0.22, radius, (tone, tone, tone))
    canvas.weather(rng, (1.0, 0.1), 0.03)


def paint_car_glass(canvas: Canvas, rng) -> None:
    """Side windows in a see-through trapezium."""
    width, height = canvas.width, canvas.height
    body = np.array([(0.18 * width, 0), (0.85 * width, 0), (width, height), (0, height)])
    canvas.fill((40, 44, 50), alpha=0)
    canvas.polygon(body, (235, 235, 238))
    glass = (body - body.mean(0)) * (0.9, 0.8) + body.mean(0)
    canvas.polygon(glass, (50, 62, 74))
    canvas.polygon(glass[[0, 1, 3]], (92, 112, 128))
    canvas.box(0.5 * width, 0, 0.06, height, (30, 30, 32))


def paint_clouds(canvas: Canvas, rng) -> None:
    """White clouds with ragged edges, alpha 0 between them."""
    canvas.fill((250, 250, 252), alpha=0)
    span = np.array((canvas.width, canvas.height))
    for _ in range(70):
        centre, reach = rng.uniform(0, span), rng.uniform(0.01, 0.05) * span[0]
        for _ in range(14):
            puff = centre + rng.normal(0, reach, 2) * (1, 0.6)
            grey = rng.uniform(205, 255)
            canvas.disc(*puff, reach * rng.uniform(0.1, 0.6), (grey, grey, grey))


SIDES: tuple[Paint, ...] = (paint_crate, paint_cabinet, paint_plaid, paint_poster, paint_wall_tiles)
