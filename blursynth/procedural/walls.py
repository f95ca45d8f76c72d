"""What walls, floors and ceilings are made of.

Every `paint_...(canvas, rng)` here and in its sister files covers its whole canvas, draws in
metres, and asks `rng` for the same numbers at any density.
"""

from __future__ import annotations

import numpy as np

from .canvas import WHITE, Canvas, Colour, Paint, hsv, muted, shaded, vivid


def painted(colour: Colour, grain: float = 0.06) -> Paint:
    """A plain surface with a faint grain."""

    def paint_plain(canvas: Canvas, rng) -> None:
        canvas.fill(colour)
        canvas.weather(rng, (0.15, 0.03), grain)

    return paint_plain


def masonry(canvas: Canvas, rng, unit: tuple[float, float], colour: Colour, **how) -> None:
    """Courses of `unit` (width, height) stones in a bed of mortar, each with a light upper and a
    dark lower edge. how: `shift` of every other course in units, `gap` in metres, `spread` of the
    stones' brightness, `mortar` colour."""
    gap, spread = how.get("gap", 0.012), how.get("spread", 0.15)
    canvas.fill(how.get("mortar", shaded(colour, 0.6)))
    count = np.ceil((canvas.height / unit[1], canvas.width / unit[0] + 1))
    rows, columns = np.mgrid[: count[0], : count[1]]
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
