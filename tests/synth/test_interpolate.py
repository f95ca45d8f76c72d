"""Laws of frames between frames: known motion, time, occlusion, borders, real clips."""

from typing import NamedTuple

import cv2
import numpy as np
import pytest

from blursynth import interpolate, plan, windows
from blursynth.interpolate import MARGIN, between, interleaved
from blursynth.light import mean_of_frames
from blursynth.sources import Digests, find_scenes
from blursynth.spec import BlurOptions, VideoOptions

from ..conftest import write_image


def texture(height, width, seed, low=0, high=255, channels=3):
    """Smooth random colours."""
    noise = np.random.default_rng(seed).random((height, width, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return low + (high - low) * (smooth - smooth.min()) / np.ptp(smooth)


def shifted(picture, xy, size_hw=(120, 170)):
    """A view of a float picture whose content has moved by (x, y) pixels, to a fraction of them."""
    move = np.array([[1, 0, xy[0] - 60], [0, 1, xy[1] - 60]], np.float32)
    seen = cv2.warpAffine(picture, move, size_hw[::-1], flags=cv2.INTER_CUBIC)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def psnr(one, other):
    mean_square = np.mean((one.astype(float) - other) ** 2)
    return float(10 * np.log10(255**2 / max(mean_square, 1e-9)))


@pytest.mark.parametrize("move_xy", [(5.4, 0), (0, -6.2), (4.5, 3.3), (-7.5, 2.25)])
@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_a_translation_is_recovered_to_a_fraction_of_a_pixel(move_xy, t):
    """A wrong sign, half a pixel, swapped axes or reversed time would be far away."""
    picture, move = texture(260, 300, 1), np.array(move_xy)
    first, truth, last = (shifted(picture, move * at) for at in (0, t, 1))
    (found,) = between(first, last, [t])
    assert found.shape == (120, 170, 3) and found.dtype == np.uint8
    inside = (slice(12, -12),) * 2
    near = psnr(found[inside], truth[inside])
    assert near > 38
    half_off = [move * t + [0.5, 0], move * t + [0, 0.5]]
    for wrong in (-move * t, move[::-1] * t, move * (0.9 - t), *half_off):
        assert near > psnr(found[inside], shifted(picture, wrong)[inside]) + 6


def test_no_other_shift_explains_an_interpolated_frame_better():
    """By brute force over shifts a tenth of a pixel apart."""
    picture, move = texture(260, 300, 2), np.array([6.0, -4.0])
    first, last = (shifted(picture, move * at) for at in (0, 1))
    steps = np.arange(-5, 6) / 10
    inside = (slice(16, -16),) * 2
    for t, found in zip((0.2, 0.5, 0.7), between(first, last, (0.2, 0.5, 0.7)), strict=True):
        errors = {
            (x, y): -psnr(found[inside], shifted(picture, move * t + [x, y])[inside])
            for x in steps
            for y in steps
        }
        assert np.abs(min(errors, key=errors.get)).max() <= 0.1


def test_reversed_time_gives_the_same_frames_reversed():
    picture = texture(260, 300, 3)
    first, last = shifted(picture, (0, 0)), shifted(picture, (5, 3))
    times = np.array([0.125, 0.25, 0.5, 0.75])
    forwards, backwards = between(first, last, times), between(last, first, 1 - times)
    assert np.array_equal(forwards, backwards)
    first, last = (occlusion_at(k, *OCCLUSIONS["several"]) for k in (0, 1))
    forwards, backwards = between(first, last, times), between(last, first, 1 - times)
    assert np.array_equal(forwards, backwards)
    window = [shifted(picture, (3 * k, k)) for k in range(3)]
    one, other = (list(interleaved(frames, 3)) for frames in (window, window[::-1]))
    assert np.array_equal(one, other[::-1])


@pytest.mark.parametrize("size_hw", [(48, 64), (17, 23), (1, 1), (3, 40)])
def test_what_stands_still_stays_exactly_itself(size_hw):
    frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    assert all(np.array_equal(found, frame) for found in between(frame, frame, [0.2, 0.5]))


@pytest.mark.parametrize("size_hw", [(48, 64), (17, 23), (1, 1), (3, 40)])
def test_pictures_without_anything_in_common_are_reversed_exactly_too(size_hw):
    random = np.random.default_rng(1)
    first, last = random.integers(0, 256, (2, *size_hw, 3), dtype=np.uint8)
    forwards, backwards = between(first, last, [0.25, 0.5]), between(last, first, [0.75, 0.5])
    assert forwards.shape == (2, *size_hw, 3) and np.array_equal(forwards, backwards)


def test_interleaved_frames_are_evenly_spaced_in_time_and_keep_the_real_ones():
    picture = texture(260, 300, 4)
    window = [shifted(picture, (4 * k, -2 * k)) for k in range(3)]
    every = list(interleaved(window, 3))
    assert len(every) == 9 and all(np.array_equal(every[4 * k], window[k]) for k in range(3))
    for k in (1, 2, 3, 5, 6, 7):
        truth = shifted(picture, (k, -k / 2))
        assert psnr(every[k][12:-12, 12:-12], truth[12:-12, 12:-12]) > 38


def scene_at(t, move_xy):
    """A bright square that moves over a dark background that stands."""
    picture = texture(160, 240, 5, 0, 170).astype(np.uint8)
    x, y = (int(60 + move_xy[0] * t), int(40 + move_xy[1] * t))
    picture[y : y + 70, x : x + 70] = texture(70, 70, 6, 90, 255)
    return picture


@pytest.mark.parametrize("move_xy", [(8, 0), (-12, 8), (16, 6)])
def test_an_occluder_is_better_moved_than_blended(move_xy):
    first, truth, last = (scene_at(t, move_xy) for t in (0, 0.5, 1))
    blended = (first.astype(float) + last) / 2
    (found,) = between(first, last, [0.5])
    assert psnr(found, truth) > psnr(blended, truth) + 6


class Square(NamedTuple):
    """At (x, y) in the first image, in pixels; it moves by move_xy until the last."""

    xywh: tuple[int, int, int, int]
    move_xy: tuple[int, int]


WHERE = (90, 60, 70, 70)
OCCLUSIONS = {  # how far the background moves, and what moves over it, nearest last
    "slow": ((0, 0), [Square(WHERE, (8, 0))]),
    "diagonal": ((0, 0), [Square(WHERE, (-12, 8))]),
    "fast": ((0, 0), [Square(WHERE, (24, 0))]),
    "over what moves too": ((-8, 4), [Square(WHERE, (8, 0))]),
    "standing over what passes behind": ((12, -4), [Square(WHERE, (0, 0))]),
    "thin": ((0, 0), [Square((100, 30, 8, 130), (8, 0))]),
    "a post before a panning camera": ((12, 0), [Square((100, 30, 16, 130), (0, 0))]),
    "several": (
        (4, -4),
        [
            Square((40, 36, 50, 40), (12, 4)),
            Square((150, 40, 60, 50), (-8, 4)),
            Square((90, 110, 60, 50), (4, -12)),
        ],
    ),
}


def squares_at(t, squares, shift_xy=(0, 0)):
    """Where squares are at a time, (200, 260) bool; all shifted by whole pixels."""
    there = np.zeros((200, 260), bool)
    for (x, y, w, h), (right, down) in squares:
        left, top = x + round(right * t) + shift_xy[0], y + round(down * t) + shift_xy[1]
        there[top : top + h, left : left + w] = True
    return there


def occlusion_at(t, move_xy, squares):
    """Squares, bright, over a dark background; all textured. At t, moves must be whole pixels."""
    x, y = (40 - round(move * t) for move in move_xy)
    picture = texture(280, 340, 5, 0, 170)[y : y + 200, x : x + 260].astype(np.uint8)
    for seed, square in enumerate(squares, 6):
        skin = texture(*square.xywh[:1:-1], seed, 90, 255)
        picture[squares_at(t, [square])] = skin.reshape(-1, 3)
    return picture


def in_one_image(t, move_xy, squares):
    """Background that is seen at t but of both images only in the first, or only in the last: two
    (200, 260) bool."""
    to_first, to_last = ([round(move * by) for move in move_xy] for by in (t, t - 1))
    here = squares_at(t, squares)
    at_first, at_last = squares_at(0, squares, to_first), squares_at(1, squares, to_last)
    return ~here & at_last & ~at_first, ~here & at_first & ~at_last


def zones_psnr(scene):
    """Of what is about to be covered, and of what was just uncovered, at three times together."""
    times = (0.25, 0.5, 0.75)
    found = between(occlusion_at(0, *scene), occlusion_at(1, *scene), times)
    truths = [occlusion_at(t, *scene) for t in times]
    zones = np.array([in_one_image(t, *scene) for t in times])
    return [psnr(found[zones[:, k]], np.array(truths)[zones[:, k]]) for k in (0, 1)]


@pytest.mark.parametrize("scene", OCCLUSIONS.values(), ids=OCCLUSIONS)
def test_what_is_covered_or_uncovered_looks_as_behind_what_moves(scene, monkeypatch):
    """And clearly less so if nothing is held to be hidden, and all weights are those of time."""
    aware = zones_psnr(scene)
    monkeypatch.setattr(interpolate, "_hidden", lambda flow, _: np.zeros(flow.shape, bool))
    for aware_db, blind_db in zip(aware, zones_psnr(scene), strict=True):
        assert aware_db > 27 and aware_db > blind_db + 2


def dyed(picture, reds):
    """Grey but for the reds, (H, W): red stands 60 levels above blue where they are 1."""
    grey = np.clip(picture.mean(axis=2, keepdims=True), 30, 225)
    return np.rint(grey + reds[..., None] * [30, 0, -30]).astype(np.uint8)


def reds_of(picture):
    return (picture[..., 0].astype(float) - picture[..., 2]) / 60


@pytest.mark.parametrize("scene", OCCLUSIONS.values(), ids=OCCLUSIONS)
@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_what_only_one_image_shows_is_taken_from_it_alone(scene, t):
    """The other has red squares there, which by weights of time would shine through."""
    first, last = (dyed(occlusion_at(k, *scene), squares_at(k, scene[1])) for k in (0, 1))
    (found,) = between(first, last, [t])
    for zone in in_one_image(t, *scene):
        assert abs(reds_of(found[zone]).mean()) < 0.02


@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_where_nothing_is_found_again_both_images_count(t):
    """One picture is red, another one, in which nothing of it is left, is not."""
    pictures = [texture(120, 170, seed) for seed in (9, 10)]
    red, grey = (dyed(p, np.full((120, 170), k)) for p, k in zip(pictures, (1, 0), strict=True))
    reds = reds_of(between(red, grey, [t])[0])
    assert (np.abs(reds - (1 - t)) < 0.1).mean() > 0.85


def test_what_has_left_the_picture_is_taken_from_the_other_image():
    """Near the border into which it moves only one image holds it."""
    picture = texture(260, 300, 7)
    first, truth, last = (shifted(picture, (12 * t, 0)) for t in (0, 0.5, 1))
    (found,) = between(first, last, [0.5])
    for columns in (slice(0, 6), slice(-6, None)):
        assert psnr(found[:, columns], truth[:, columns]) > 36


# --- windows -----------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path):
    """Nine frames of 120 x 170 that move by (6, -3) pixels each."""
    picture = texture(260, 300, 8)
    for k in range(9):
        frame = shifted(picture, (6 * k - 24, 12 - 3 * k))
        write_image(tmp_path / "src" / "GOPR0001_11_00" / f"{k + 1:06d}.png", frame)
    (found,), _ = find_scenes(tmp_path / "src", Digests(tmp_path / "digests.json"))
    return found


def samples_of(scene, options):
    starts = plan.window_starts(scene.numbers, options)
    specs = [plan.window_spec("d", scene, k, starts, options) for k in range(len(starts))]
    return list(windows.window_samples(scene, specs, options))


def test_only_the_blur_and_what_is_said_of_it_change(scene):
    plain = VideoOptions(n=5, crop=64, frames="3", response="gamma2.2")
    more = VideoOptions(n=5, crop=64, frames="3", response="gamma2.2", blur=BlurOptions(2))
    for one, other in zip(samples_of(scene, plain), samples_of(scene, more), strict=True):
        assert np.array_equal(one.frames, other.frames) and one.key == other.key
        changed = {"n": 13, "exact_mean": False, "interpolated": 2}
        assert other.meta == {**one.meta, **changed}
        assert not np.array_equal(one.blur, other.blur)


@pytest.mark.parametrize("side", [40, 120])
def test_the_blur_nears_that_of_a_faster_camera_also_at_the_border(scene, side):
    """Against the mean of 25 true positions; a crop as high as the picture has no margin."""
    picture = texture(260, 300, 8)
    options = [VideoOptions(n=5, crop=side, blur=BlurOptions(k)) for k in (0, 5)]
    for one, other in zip(*(samples_of(scene, o) for o in options), strict=True):
        start = int(one.meta["first_frame"][:6]) - 1
        x, y, w, h = one.meta["crop_xywh"]
        moves = [start + k / 6 for k in range(25)]
        views = [shifted(picture, (6 * k - 24, 12 - 3 * k))[y : y + h, x : x + w] for k in moves]
        truth = mean_of_frames(views, "identity")
        assert psnr(other.blur, truth) > psnr(one.blur, truth) + 6


def test_a_crop_is_interpolated_with_32_pixels_around_it_where_there_are_so_many(scene):
    """As if a crop so large were cut down afterwards; and nearly as the whole picture has it."""
    frames = [cv2.cvtColor(cv2.imread(str(f)), cv2.COLOR_BGR2RGB) for f in scene.files]
    options = VideoOptions(n=3, crop=30, blur=BlurOptions(1))
    for start, sample in enumerate(samples_of(scene, options)):
        x, y, w, h = sample.meta["crop_xywh"]
        rows = [r for r in range(120) if y - MARGIN <= r < y + h + MARGIN]
        columns = [c for c in range(170) if x - MARGIN <= c < x + w + MARGIN]
        window = frames[start : start + 3]
        wide = [np.ascontiguousarray(frame[np.ix_(rows, columns)]) for frame in window]
        blur = mean_of_frames(interleaved(wide, 1), "identity")
        top, left = rows.index(y), columns.index(x)
        assert np.array_equal(sample.blur, blur[top : top + h, left : left + w])
        whole = mean_of_frames(interleaved(window, 1), "identity")
        assert psnr(sample.blur, whole[y : y + h, x : x + w]) > 50
    assert MARGIN == 32


def test_every_second_real_frame_interpolated_is_nearer_to_the_blur_of_all(real_data):
    """Frames 1, 3, 5, 7 of the 240-fps clips: by 4 dB on average over what averaging them gives."""
    gains = []
    for clip in sorted((real_data / "video/gopro240").glob("*/*")):
        read = (cv2.imread(str(path)) for path in sorted(clip.glob("*.png")))
        frames = [cv2.cvtColor(bgr[50:306, 200:456], cv2.COLOR_BGR2RGB) for bgr in read]
        truth = mean_of_frames(frames, "identity")
        plain, interpolated = (
            psnr(mean_of_frames(interleaved(frames[::2], k), "identity"), truth) for k in (0, 1)
        )
        gains.append(interpolated - plain)
    assert len(gains) == 6 and min(gains) > 1 and np.mean(gains) > 4
