"""Outdoors: house fronts, the street from above, cars, leaves, and what a window shows."""

from __future__ import annotations

import numpy as np

from .canvas import BLACK, WHITE, Canvas, Colour, Paint, hsv, muted, shaded, vivid
from .furniture import paint_door
from .prints import paint_print, paint_shapes, paint_sign
from .walls import masonry, paint_bricks


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
        halves = [(x * width, 0, 0.25 * width, height) for x in (0, 0.75)]
        pane.boxes(halves, [curtain])
    elif kind < 0.55:
        pane.boxes([(0, 0.06 * i, width, 0.045) for i in range(int(8 * height))], [curtain])
    pane.boxes([(width / 2 - 0.03, 0, 0.06, height), (0, 0.35 * height, width, 0.05)], [trim])


def _shops(ground: Canvas, rng) -> None:
    x = 0.2
    while x < ground.width - 2.5:
        width = min(rng.uniform(3, 5.5), ground.width - x - 0.2)
        own = np.random.default_rng(rng.integers(1 << 32))
        front = ground.part(x, 0, width, ground.height)
        if front.pixels.size:  # most pieces of a front show none of its shops
            _shop(front, own)
        x += width + 0.3


def _shop(front: Canvas, rng) -> None:
    """A sign above a window and a door."""
    front.box(0, 0.2, front.width, front.height, shaded(vivid(rng), 0.7))
    paint_sign(front.part(0.15, 0.3, front.width - 0.3, 0.7), rng)
    _shop_window(front.part(0.2, 1.2, front.width - 1.6, 1.9), rng)
    paint_door(front.part(front.width - 1.25, 1.2, 1.05, 2.4), rng)


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
    tone = hsv(0.6, 0.06, rng.uniform(0.28, 0.42))
    road.fill(tone)
    road.weather(rng, (0.9, 2.5), 0.1)
    road.weather(rng, (0.035, 0.035), 0.13)
    for _ in range(int(length)):
        patch = rng.uniform((0, 0, 0.3, 0.3), (road_width, length, 1.6, 2.5))
        road.box(*patch, shaded(tone, rng.uniform(0.8, 1.3)))
    dashes = [(road_width / 2 - 0.08, y, 0.16, 2.2) for y in np.arange(0, length, 4.5)]
    road.boxes([*dashes, (0.25, 0, 0.12, length), (road_width - 0.37, 0, 0.12, length)], [WHITE])
    for start in (length / 2 + rng.uniform(2, 6), length / 2 - rng.uniform(8, 20)):
        road.boxes([(x, start, 0.5, 3.2) for x in np.arange(0.6, road_width - 0.6, 1.0)], [WHITE])
    for _ in range(int(length / 3)):
        x, y = rng.uniform((0.6, 0), (road_width - 0.6, length))
        road.disc(x, y, 0.38, (60, 58, 56))
        road.disc(x, y, 0.3, (95, 92, 88))
        road.boxes([(x - 0.2, y + 0.08 * i - 0.2, 0.4, 0.03) for i in range(6)], [(50, 48, 46)])
        steps = rng.normal(rng.uniform(-0.05, 0.05, 2), 0.06, (30, 2))
        crack = rng.uniform((0, 0), (road_width, length)) + np.cumsum(steps, 0)
        road.line(crack, 0.01, (48, 48, 50))
    canvas.weather(rng, (0.2, 0.2), 0.05)
    canvas.weather(rng, (0.015, 0.015), 0.07)


def paint_leaves(canvas: Canvas, rng) -> None:
    """A see-through spray of leaves: alpha 0 between them."""
    hue = rng.uniform(0.2, 0.36)
    canvas.fill(hsv(hue, 0.7, 0.25), alpha=0)
    middle = np.array((canvas.width, canvas.height)) / 2
    shape = np.array([(-1, 0), (-0.3, -0.45), (1, 0), (-0.3, 0.45)])
    way, size, turn = rng.uniform((0, 0.05, 0), (6.3, 0.12, 6.3), (160, 3)).T
    radius = (middle.min() - size) * np.sqrt(rng.random(160))
    centre = middle + radius[:, None] * np.stack([np.cos(way), np.sin(way)], 1)
    c, s = np.cos(turn), np.sin(turn)
    leaves = centre[:, None] + np.einsum("n,kj,jin->nki", size, shape, np.array([(c, s), (-s, c)]))
    tints = [hsv(hue + rng.normal(0, 0.025), *rng.uniform((0.5, 0.2), (0.85, 0.75)))
             for _ in range(12)]
    canvas.convex(leaves, np.resize(tints, (160, 3)))


def paint_car_side(canvas: Canvas, rng, colour: Colour = WHITE) -> None:
    """Doors, lamps, wheels and a sill."""
    width, height = canvas.width, canvas.height
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


def paint_car_glass(canvas: Canvas, rng, colour: Colour = WHITE) -> None:
    """Side windows in a see-through trapezium."""
    width, height = canvas.width, canvas.height
    body = np.array([(0.18 * width, 0), (0.85 * width, 0), (width, height), (0, height)])
    canvas.fill((40, 44, 50), alpha=0)
    canvas.polygon(body, colour)
    glass = (body - body.mean(0)) * (0.9, 0.8) + body.mean(0)
    canvas.polygon(glass, (50, 62, 74))
    canvas.polygon(glass[[0, 1, 3]], (92, 112, 128))
    canvas.box(0.5 * width, 0, 0.06, height, (30, 30, 32))
