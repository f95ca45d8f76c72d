"""Things to read: posters, charts, test targets, newspapers, signs."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import BLACK, WHITE, Canvas, Paint, contrasting, hsv, shaded, vivid

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
    title = (0.1 * width, 0.03 * height, 0.8 * width, 0.1 * height)
    canvas.words(phrase(rng, 2), title, ink, FONTS[1])
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
    turns, centre = np.arange(33) * np.pi / 16, np.array((0.5 * width, 0.36 * height))
    rim = centre + 0.31 * size * np.stack([np.cos(turns), np.sin(turns)], 1)
    for index in range(0, 32, 2):
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
    title = (0.05 * width, 0.03 * height, 0.9 * width, 0.12 * height)
    canvas.words(phrase(rng, 2), title, BLACK, FONTS[3])
    canvas.box(0.05 * width, 0.17 * height, 0.9 * width, 0.008 * height, BLACK)
    paint_shapes(canvas.part(0.36 * width, 0.2 * height, 0.59 * width, 0.33 * height), rng)
    for column in range(3):
        for row in range(4 if column else 0, 26 if column == 0 else 18):
            y = (0.2 if column == 0 else 0.56 - 4 * 0.03) + 0.03 * row
            frame = ((0.05 + 0.31 * column) * width, y * height, 0.28 * width, 0.024 * height)
            canvas.words(phrase(rng, 3), frame, BLACK, FONTS[1])


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
