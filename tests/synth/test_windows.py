"""Laws of averaging windows of video."""

import cv2
import numpy as np
import pytest

from blursynth import plan, windows
from blursynth.light import mean_of_frames
from blursynth.shards import Failure
from blursynth.sources import Digests, find_scenes
from blursynth.spec import VideoOptions

from ..conftest import make_picture, write_image, write_scene


@pytest.fixture
def scene(tmp_path):
    write_scene(tmp_path / "src" / "GOPR0001_11_00", seed=3, frames=12)
    (found,), _ = find_scenes(tmp_path / "src", Digests(tmp_path / "digests.json"))
    return found


def samples_of(scene, options, numbers=None):
    starts = plan.window_starts(scene.numbers, options)
    specs = [
        plan.window_spec("d", scene, k, starts, options)
        for k in (range(len(starts)) if numbers is None else numbers)
    ]
    return list(windows.window_samples(scene, specs, options))


def frame(scene, position):
    return cv2.cvtColor(cv2.imread(str(scene.files[position])), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("response", ["identity", "gamma2.2", "srgb"])
def test_the_blur_is_exactly_the_mean_of_the_stored_frames(scene, response):
    for sample in samples_of(scene, VideoOptions(n=7, crop=48, response=response)):
        assert len(sample.frames) == sample.meta["n"] == 7 and sample.meta["exact_mean"]
        assert np.array_equal(mean_of_frames(sample.frames, response), sample.blur)


def test_frames_are_crops_of_the_files_that_the_metadata_name(scene):
    for sample in samples_of(scene, VideoOptions(n=5, crop=40)):
        first = [f.name for f in scene.files].index(sample.meta["first_frame"])
        x, y, width, height = sample.meta["crop_xywh"]
        for k in range(5):
            cut = frame(scene, first + k)[y : y + height, x : x + width]
            assert np.array_equal(sample.frames[k], cut)


def test_three_and_seven_of_the_averaged_frames_may_be_stored(scene):
    every = samples_of(scene, VideoOptions(n=9, crop=40))[0]
    for frames, at in (("3", [0, 4, 8]), ("7", [0, 1, 3, 4, 5, 7, 8])):
        some = samples_of(scene, VideoOptions(n=9, crop=40, frames=frames))[0]
        assert np.array_equal(some.frames, every.frames[at])
        assert np.array_equal(some.blur, every.blur)
        assert some.meta["times"] == [k / 8 for k in at]


def test_each_source_frame_is_decoded_once_however_windows_overlap(scene, monkeypatch):
    read = []
    decode = windows.decode_file
    monkeypatch.setattr(windows, "decode_file", lambda *a: read.append(a[0]) or decode(*a))
    options = VideoOptions(n=7, crop=40, crops_per_window=3)
    count = len(plan.window_starts(scene.numbers, options))
    samples = samples_of(scene, options, sorted(range(3 * count), key=lambda k: (k % count, k)))
    assert len(samples) == 18 and len(read) == 12 == len(set(read))


def test_direction_is_the_motion_of_the_picture_in_pixels(scene):
    """The picture moves 2 px right and 1 px down from frame to frame: 6 frames, 12 and 6 px."""
    sample = samples_of(scene, VideoOptions(n=7, crop=72))[0]
    np.testing.assert_allclose(sample.meta["direction"], [12, 6, 0], atol=1.5)


def test_direction_is_exactly_negated_by_reversal(scene):
    for sample in samples_of(scene, VideoOptions(n=7, crop=64)):
        reverse = windows.direction_of(sample.frames[::-1])
        assert reverse == [-x for x in sample.meta["direction"]]


def test_a_large_frame_moves_by_as_many_pixels_as_it_shows():
    big = cv2.GaussianBlur(make_picture(600, 700, 1), (0, 0), 3)
    frames = np.stack([big[20 : 20 + 512, 8 * k : 8 * k + 640] for k in range(7)])
    np.testing.assert_allclose(windows.direction_of(frames), [-48, 0, 0], atol=6)


def test_a_video_file_gives_the_frames_that_it_holds(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for k in range(12):
        writer.write(make_picture(48, 64, k))
    writer.release()
    video = cv2.VideoCapture(str(path))
    held = [cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB) for _ in range(12)]
    (scene,), _ = find_scenes(path, Digests(tmp_path / "digests.json"))
    for first in (0, 4):  # from the start, and from the middle as the second shard does
        for sample in samples_of(scene, VideoOptions(n=3, crop=48), range(first, 10)):
            start = int(sample.meta["first_frame"])
            x = sample.meta["crop_xywh"][0]
            cut = np.stack(held[start : start + 3])[:, :48, x : x + 48]
            assert np.array_equal(sample.frames, cut)


def test_a_frame_that_cannot_be_used_takes_its_windows_with_it_and_no_others(scene):
    options = VideoOptions(n=3, crop=40)
    whole = {s.key: s for s in samples_of(scene, options)}
    write_image(scene.files[5], make_picture(72, 90))
    scene.files[6].write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    scene.files[11].unlink()
    results = samples_of(scene, options)
    reasons = [r.reason for r in results if isinstance(r, Failure)]
    assert ["000046.png" in reasons[0], "000047.png" in reasons[1]] == [True, True]
    assert "expected the size of the scene's first frame, 96x72, found 90x72" in reasons[0]
    assert "cannot be read as an image" in reasons[1] and "No such file" in reasons[2]
    kept = [r for r in results if not isinstance(r, Failure)]
    assert [int(s.meta["first_frame"][:6]) - 41 for s in kept] == [0, 1, 2, 7, 8]
    assert all(np.array_equal(s.frames, whole[s.key].frames) for s in kept)
