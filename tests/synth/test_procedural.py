"""Laws of the procedural sources: geometry against an independent ray cast, motion, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

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
from blursynth.procedural.canvas import blank_canvas, codes_of
from blursynth.procedural.fronts import paint_facade
from blursynth.procedural.places import Place, look_around
from blursynth.procedural.scenes import Layer, Path, frame_of, layers_of
from blursynth.procedural.surfaces import Panel

SIZE_HW = (128, 256)
FRAME_HW = (96, 160)
TINY = SourcesSpec(panoramas=2, width=64, hdr=1, scenes=2, frames=2, frame_hw=(32, 48), seed=5)


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
    assert np.array_equal(panorama(0, 2, size_hw=SIZE_HW), panoramas[2])


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
    codes = np.array([codes_of(picture) for picture in panoramas], float)
    steps = np.abs(codes - np.roll(codes, 1, axis=2)).mean((0, 1, 3))
    assert steps[0] < 1.5 * np.median(steps)


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
    right = np.all(np.abs(seen - truth) < 0.05, axis=-1)
    assert inner.mean() > 0.3
    assert right[inner].mean() > 0.998


def _quarters(colours: np.ndarray):
    def paint(canvas, rng) -> None:
        for quarter, colour in enumerate(colours):
            x, y = (quarter % 2) * canvas.width / 2, (quarter // 2) * canvas.height / 2
            canvas.box(x, y, canvas.width / 2, canvas.height / 2, tuple(map(float, colour)))

    return paint


def _first_hit(panels: list[Panel], size_hw) -> np.ndarray:
    """(H, W) 4 x the panel + the quarter that each ray meets first, -1 where it meets none."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    v, u = (rows / size_hw[0] - 0.5) * np.pi, (columns / size_hw[1] - 0.5) * 2 * np.pi
    rays = np.stack([np.cos(v) * np.sin(u), np.sin(v), np.cos(v) * np.cos(u)], axis=-1)
    nearest, which = np.full(size_hw, np.inf), np.full(size_hw, -1)
    for number, panel in enumerate(panels):
        away = np.cross(panel.right, panel.down)
        if away @ panel.corner <= 0:
            continue
        distance = (away @ panel.corner) / (rays @ away)
        at = distance[..., None] * rays - panel.corner
        u, v = (at @ edge / (edge @ edge) for edge in (panel.right, panel.down))
        inside = (u > 0) & (u < 1) & (v > 0) & (v < 1) & (distance > 0) & (distance < nearest)
        nearest[inside] = distance[inside]
        which[inside] = (4 * number + (u > 0.5) + 2 * (v > 0.5))[inside]
    return which


def _same_around(labels: np.ndarray, reach: int = 3) -> np.ndarray:
    """(H, W) whether all pixels within `reach` rows, or as far along a row, have the same label;
    beyond the seam and the poles, too."""
    height, width = labels.shape
    caps = [np.roll(cap[::-1], width // 2, axis=1) for cap in (labels[:reach], labels[-reach:])]
    padded, same = np.vstack([caps[0], labels, caps[1]]), np.ones(labels.shape, bool)
    for row in range(height):
        cosine = np.cos(((row + 0.5) / height - 0.5) * np.pi)
        most = min(int(np.ceil(reach / cosine)), width // 2)
        around = padded[row : row + 2 * reach + 1]
        for shift in range(-most, most + 1):
            same[row] &= np.all(np.roll(around, shift, axis=1) == labels[row], axis=0)
    return same


def test_a_square_straight_ahead_is_in_the_middle_and_of_its_solid_angle():
    def paint(canvas, rng) -> None:
        canvas.fill((255.0, 255.0, 255.0))

    corner, right, down = np.array([(-0.5, -0.5, 1.0), (1.0, 0, 0), (0, 1.0, 0)])
    place = Place((0,), np.ones(3), backdrop=[Panel(corner, right, down, paint)])
    seen = look_around(place, SIZE_HW)[..., 0]
    assert np.abs(seen - seen[:, ::-1]).max() < 1e-3, "off to a side"
    assert np.abs(seen - seen[::-1]).max() < 1e-3, "off up or down"
    latitude = ((np.arange(SIZE_HW[0]) + 0.5) / SIZE_HW[0] - 0.5) * np.pi
    solid_angle = np.sum(seen.sum(1) * np.cos(latitude)) * (np.pi / SIZE_HW[0]) ** 2
    truth = 4 * np.arctan(0.25 / np.sqrt(1.5))
    assert truth < solid_angle < 1.07 * truth, "edges reach half a pixel outward"


# --- panoramas: detail -------------------------------------------------------------------------


def test_there_is_detail_at_every_scale(panoramas):
    for picture in panoramas:
        grey = cv2.cvtColor(codes_of(picture[32:96]), cv2.COLOR_RGB2GRAY)
        energy = _octaves(grey.astype(np.float32))
        assert np.all(energy > 6**2), np.sqrt(energy)
        assert np.all(energy / energy.sum() > 0.04), energy


def _octaves(grey: np.ndarray) -> np.ndarray:
    """Mean square of each of five levels of the Laplacian pyramid, finest first."""
    energy = []
    for _ in range(5):
        coarse = cv2.pyrDown(grey)
        energy.append(np.mean((grey - cv2.pyrUp(coarse, dstsize=grey.shape[::-1])) ** 2))
        grey = coarse
    return np.array(energy)


def test_a_picture_drawn_in_pieces_is_the_picture_drawn_whole():
    size_m, density = (12.0, 9.0), 40.0
    whole = blank_canvas(size_m, density)
    piece = blank_canvas(size_m, density, (0.5, 0.5, 0.5, 0.5))
    for canvas in (whole, piece):
        paint_facade(canvas, np.random.default_rng(4))
    cut = whole.pixels[-piece.pixels.shape[0] :, -piece.pixels.shape[1] :].astype(float)
    assert np.mean(np.abs(cut - piece.pixels) > 12) < 0.01


# --- scenes ------------------------------------------------------------------------------------


def test_a_scene_yields_as_many_uint8_frames_as_asked_for():
    frames = list(moving_scene(0, 0, size_hw=FRAME_HW, frames=3))
    assert len(frames) == 3
    assert all(frame.shape == (*FRAME_HW, 3) and frame.dtype == np.uint8 for frame in frames)


def test_a_frame_depends_on_its_time_alone():
    short = list(moving_scene(2, 1, size_hw=FRAME_HW, frames=3))
    long = list(moving_scene(2, 1, size_hw=FRAME_HW, frames=5))
    assert all(np.array_equal(a, b) for a, b in zip(short, long))
    layers = layers_of((2, SCENE, 1), FRAME_HW)
    assert np.array_equal(frame_of(layers, 4, FRAME_HW), long[4])


def test_other_scenes_look_otherwise_and_neighbouring_frames_alike():
    first, second = moving_scene(0, 0, size_hw=FRAME_HW, frames=2)
    other = next(moving_scene(0, 1, size_hw=FRAME_HW, frames=1))
    near, far = (np.abs(first.astype(float) - frame).mean() for frame in (second, other))
    assert 0.5 < near < far / 2


def test_the_background_moves_at_one_to_three_pixels_and_things_up_to_six_every_way():
    ways = []
    for index in range(6):
        layers = layers_of((0, SCENE, index), (180, 320))
        places = np.array([[layer.path.position_xy(t) for t in range(25)] for layer in layers])
        speeds = np.linalg.norm(np.diff(places, axis=1), axis=2)
        assert 0.8 < speeds[0].mean() < 3.1 and speeds.max() < 6
        ways += [np.sign(places[k, 1] - places[k, 0]) for k in range(len(layers))]
    assert len({tuple(way) for way in ways}) == 4


@pytest.mark.parametrize("index", range(4))
def test_the_background_moves_by_the_stated_fraction_of_a_pixel(index):
    size_hw = (180, 240)
    layer = layers_of((1, SCENE, index), size_hw)[0]
    layer = replace(layer, path=replace(layer.path, spin=0.0))
    frames = [cv2.cvtColor(frame_of([layer], t, size_hw), cv2.COLOR_RGB2GRAY) for t in (10, 11)]
    start = np.eye(2, 3, dtype=np.float32)
    found = cv2.findTransformECC(frames[0], frames[1], start, cv2.MOTION_TRANSLATION)[1][:, 2]
    stated = layer.path.position_xy(11) - layer.path.position_xy(10)
    assert np.abs(found - stated).max() < 0.1


def test_whole_pixels_of_motion_move_the_frame_by_whole_pixels():
    layer = layers_of((1, SCENE, 0), FRAME_HW)[0]
    moved = replace(layer, path=replace(layer.path, centre_xy=layer.path.centre_xy + (3, -2)))
    before, after = frame_of([layer], 0, FRAME_HW), frame_of([moved], 0, FRAME_HW)
    difference = before[2:, :-3].astype(int) - after[:-2, 3:]
    assert np.percentile(np.abs(difference), 99) <= 1


def test_a_layer_in_the_middle_of_its_path_is_in_the_middle_of_the_frame():
    picture = np.zeros((40, 60, 4), np.float32)
    picture[10:30, 10:50] = 1
    still, one = np.zeros(2), np.ones(2)
    path = Path(np.array(FRAME_HW[::-1]) / 2, still, one, still)
    frame = frame_of([Layer(picture, path)], 7, FRAME_HW).astype(int)
    assert np.abs(frame - frame[:, ::-1]).max() <= 1 and np.abs(frame - frame[::-1]).max() <= 1
    assert np.argwhere(frame[..., 0] > 127).min(0).tolist() == [48 - 5, 80 - 10]


def test_a_positive_spin_turns_the_frame_from_x_to_y():
    layer = layers_of((1, SCENE, 0), FRAME_HW)[1]
    path = replace(layer.path, sway_xy=np.zeros(2), angle=0.0, spin=0.3)
    affine = replace(layer, path=path).picture_from_frame(1.0)
    on_x_in_picture = np.array((np.cos(0.3), np.sin(0.3)))
    assert np.allclose(affine[:, :2] @ on_x_in_picture, (2, 0))


# --- files -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[FilePath, list[FilePath], list[int]]:
    """A folder of tiny sources, the paths that were returned and the progress that was told."""
    out, done = tmp_path_factory.mktemp("sources"), []
    return out, write_sources(out, TINY, on_progress=done.append), done


def test_sources_are_laid_out_as_sun360_and_gopro_are(written):
    out, paths, done = written
    assert [path.relative_to(out).as_posix() for path in paths] == [
        "sun360/procedural_000.jpg",
        "sun360/procedural_001.hdr",
        "gopro/train/GOPR9000_11_00/000001.png",
        "gopro/train/GOPR9000_11_00/000002.png",
        "gopro/test/GOPR9001_11_00/000001.png",
        "gopro/test/GOPR9001_11_00/000002.png",
    ]
    assert done == list(range(1, TINY.n_files + 1))
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(paths)


def test_what_is_written_reads_back(written):
    jpeg, hdr, *_, last = (cv2.imread(str(p), cv2.IMREAD_UNCHANGED)[..., ::-1] for p in written[1])
    frames = list(moving_scene(TINY.seed, 1, size_hw=TINY.frame_hw, frames=2))
    assert np.array_equal(last, frames[1])
    size_hw = (TINY.width // 2, TINY.width)
    truth = panorama(TINY.seed, 1, size_hw=size_hw)
    brightest = truth.max(axis=2, keepdims=True)
    assert np.all(np.abs(hdr - truth) <= 0.01 * brightest + 1e-6) and hdr.max() > 1
    codes = codes_of(panorama(TINY.seed, 0, size_hw=size_hw))
    assert np.abs(jpeg.astype(float) - codes).mean() < 12


def test_the_same_call_writes_the_same_bytes(written, tmp_path):
    again = write_sources(tmp_path, TINY)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written[1]]


def test_one_scene_in_four_is_for_testing_and_at_least_one_of_two():
    shares = [replace(TINY, scenes=scenes).test_scenes for scenes in (0, 1, 2, 4, 8)]
    assert shares == [0, 0, 1, 1, 2]


def test_a_png_panorama_holds_the_srgb_codes_exactly(tmp_path):
    light = np.random.default_rng(0).random((8, 16, 3), dtype=np.float32) * 1.2
    write_panorama(tmp_path / "a.png", light)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], codes_of(light))


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"width": 63}, "pixels each way"),
        ({"width": 129}, "even width"),
        ({"hdr": 3}, "at most as many .hdr files as panoramas"),
        ({"panoramas": -1, "hdr": 0}, "panoramas to be a whole number"),
        ({"panoramas": 0, "hdr": 0, "scenes": 0}, "something to make"),
        ({"frames": 0}, "something to make"),
        ({"frame_hw": (8, 640)}, "frame of at least"),
        ({"seed": -1}, "seed to be a whole number"),
    ],
)
def test_a_mistake_in_the_spec_is_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(TINY, **wrong)


def test_a_mistake_in_a_call_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="twice as wide as high, found 64x64"):
        panorama(0, 0, size_hw=(64, 64))
    with pytest.raises(ValueError, match="index to be a whole number from 0, found -1"):
        moving_scene(0, -1, size_hw=FRAME_HW, frames=1)
    with pytest.raises(ValueError, match="found '.gif'"):
        encode_panorama(np.zeros((4, 8, 3)), ".gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a folder to write sources to"):
        write_sources(tmp_path / "file", TINY)
