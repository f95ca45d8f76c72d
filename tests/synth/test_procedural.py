"""Laws of the procedural sources: geometry against an independent ray cast, motion, files."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from blursynth.light import srgb_to_linear
from blursynth.procedural import (
    PANORAMA,
    PLACES,
    SCENE,
    SourcesSpec,
    encode_panorama,
    moving_scene,
    panorama,
    write_panorama,
    write_sources,
)
from blursynth.procedural_canvas import blank_canvas, codes_of
from blursynth.procedural_fronts import paint_facade
from blursynth.procedural_places import Place, look_around
from blursynth.procedural_scenes import frame_of, layers_of
from blursynth.procedural_surfaces import Panel

SIZE_HW = (128, 256)
FRAME_HW = (96, 160)
TINY = SourcesSpec(panoramas=3, width=64, hdr=1, scenes=2, frames=2, frame_hw=(32, 48), seed=5)


@pytest.fixture(scope="module")
def panoramas() -> list[np.ndarray]:
    """One of each kind of place."""
    return [panorama(0, index, size_hw=SIZE_HW) for index in range(len(PLACES))]


# --- panoramas: identity and light -------------------------------------------------------------


def test_a_panorama_is_linear_float32_of_the_size_asked_for(panoramas):
    for picture in panoramas:
        assert picture.shape == (*SIZE_HW, 3) and picture.dtype == np.float32
        assert np.all(np.isfinite(picture)) and picture.min() >= 0


def test_the_same_arguments_give_the_same_pixels(panoramas):
    assert np.array_equal(panorama(0, 1, size_hw=SIZE_HW), panoramas[1])


def test_another_index_or_seed_gives_another_picture(panoramas):
    others = [*panoramas, panorama(1, 0, size_hw=SIZE_HW), panorama(0, 4, size_hw=SIZE_HW)]
    codes = [codes_of(picture).astype(float) for picture in others]
    for first in range(len(codes)):
        for second in range(first):
            assert np.abs(codes[first] - codes[second]).mean() > 20


def test_lights_are_far_above_white_and_the_rest_is_well_exposed(panoramas):
    for index, picture in enumerate(panoramas):
        assert 10 < picture.max() <= 100, index
        assert 0.02 < np.median(picture) < 0.6, index
        assert np.mean(picture > 1) < 0.2, index


# --- panoramas: geometry -----------------------------------------------------------------------


def test_columns_beside_the_seam_differ_no_more_than_others(panoramas):
    for picture in panoramas:
        codes = codes_of(picture).astype(float)
        steps = np.abs(codes - np.roll(codes, 1, axis=1)).mean((0, 2))
        assert steps[0] < np.percentile(steps[1:], 99)


def test_rows_at_the_poles_hold_one_place(panoramas):
    for picture in panoramas:
        for row in (codes_of(picture[0]), codes_of(picture[-1])):
            steps = np.abs(np.diff(row.astype(float), axis=0)).mean()
            assert steps < 4, "half a pixel around a pole a picture is nearly constant"


@pytest.mark.parametrize("index", range(3))
def test_every_direction_shows_what_an_independent_ray_cast_hits_first(index):
    """All panels of a real place get flat colours, one in each quarter: the order of hiding, left
    and right, up and down, the seam and the poles are all seen."""
    place = PLACES[index]((3, PANORAMA, index))
    panels = [*place.backdrop, *(panel for thing in place.things for panel in thing)]
    colours = np.random.default_rng(9).integers(0, 256, (len(panels), 4, 3))
    shining = [replace(p, paint=_quarters(c), glow=1.0) for p, c in zip(panels, colours)]
    flat = Place(place.key, np.zeros(3), backdrop=shining[: len(place.backdrop)])
    rest = iter(shining[len(place.backdrop) :])
    flat.things = [[next(rest) for _ in thing] for thing in place.things]
    seen = look_around(flat, SIZE_HW)
    which = _first_hit(panels, SIZE_HW)
    inner = _same_around(which) & (which >= 0)
    truth = srgb_to_linear(colours.reshape(-1, 3) / 255)[which]
    right = np.all(np.abs(seen - truth) < 0.02, axis=-1)
    assert inner.mean() > 0.25
    assert right[inner].mean() > 0.995


def _quarters(colours: np.ndarray):
    def paint(canvas, rng) -> None:
        for quarter, colour in enumerate(colours):
            x, y = (quarter % 2) * canvas.width / 2, (quarter // 2) * canvas.height / 2
            canvas.box(x - 1, y - 1, canvas.width + 1, canvas.height + 1, tuple(map(float, colour)))
            if quarter % 2:
                canvas.box(x, y, canvas.width, canvas.height, tuple(map(float, colour)))

    return paint


def _first_hit(panels: list[Panel], size_hw) -> np.ndarray:
    """(H, W) 4 x the panel + the quarter that each ray meets first, -1 where it meets none: one
    3 x 3 system solved for every ray and panel."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    latitude, longitude = (rows / size_hw[0] - 0.5) * np.pi, (columns / size_hw[1] - 0.5) * 2 * np.pi
    rays = np.stack([np.cos(latitude) * np.sin(longitude), np.sin(latitude),
                     np.cos(latitude) * np.cos(longitude)])
    nearest, which = np.full(size_hw, np.inf), np.full(size_hw, -1)
    for number, panel in enumerate(panels):
        if np.dot(np.cross(panel.right, panel.down), panel.corner) < 1e-6:
            continue
        for row in range(size_hw[0]):
            system = np.stack([np.broadcast_to(edge[:, None], (3, size_hw[1])) for edge in
                               (-panel.right, -panel.down)] + [rays[:, row]], axis=-1)
            del system
        distance = (np.cross(panel.right, panel.down) @ panel.corner) / np.einsum(
            "i,ihw->hw", np.cross(panel.right, panel.down), rays
        )
        at = distance * rays - panel.corner[:, None, None]
        u = np.einsum("i,ihw->hw", panel.right, at) / (panel.right @ panel.right)
        v = np.einsum("i,ihw->hw", panel.down, at) / (panel.down @ panel.down)
        inside = (u > 0) & (u < 1) & (v > 0) & (v < 1) & (distance > 0) & (distance < nearest)
        nearest[inside] = distance[inside]
        which[inside] = (4 * number + (u > 0.5) + 2 * (v > 0.5))[inside]
    return which
