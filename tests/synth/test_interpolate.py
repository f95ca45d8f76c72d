"""Laws of frames between frames: known motion, time, occlusion, borders, real clips."""

import cv2
import numpy as np
import pytest

from blursynth import plan, windows
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
    window = [shifted(picture, (3 * k, k)) for k in range(3)]
    one, other = (list(interleaved(frames, 3)) for frames in (window, window[::-1]))
    assert np.array_equal(one, other[::-1])


@pytest.mark.parametrize("size_hw", [(48, 64), (17, 23), (1, 1), (3, 40)])
def test_what_stands_still_stays_exactly_itself(size_hw):
    frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    assert all(np.array_equal(found, frame) for found in between(frame, frame, [0.2, 0.5]))


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
