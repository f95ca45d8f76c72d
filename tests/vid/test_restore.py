"""Restoring images of any size, and what is written of it."""

import cv2
import numpy as np
import pytest
import torch

from blurvid import restore
from blurvid.restore import Playback, Restored, Unreadable

from .answers import frames_alone

CPU = torch.device("cpu")


class Pixelwise:
    """A model that looks at no neighbour: frame k is the blur shifted by k * 10 codes in red."""

    def __init__(self, frames=3):
        self.offsets = torch.zeros(frames, 3, 1, 1)
        self.offsets[:, 0, 0, 0] = torch.arange(frames) * 10 / 255
        self.sizes = []

    def restoration(self, blur):
        self.sizes.append(tuple(blur.shape[-2:]))
        return frames_alone(blur[:, None] * 0.5 + self.offsets)


class TurningWithBrightness(Pixelwise):
    """Takes the other direction of time where the picture is bright."""

    def restoration(self, blur):
        frames = super().restoration(blur).images[-1]
        return frames_alone(frames.flip(1) if blur.mean() > 0.5 else frames)


def picture(height, width, seed=0):
    """Soft and smooth, (H, W, 3) uint8; the red channel alone grows from left to right."""
    y, x = np.meshgrid(np.linspace(0, 5, height), np.linspace(0, 1, width), indexing="ij")
    channels = [x * 200, 100 + 90 * np.sin(y + 7 * x), 60 + 50 * np.cos(3 * y + seed)]
    return np.stack(channels, -1).round().astype(np.uint8)


def save(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def load(path):
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def restore_all(images, out, *, model=None, playback=None):
    model, playback = model or Pixelwise(), playback or Playback()
    return list(restore.restore_files(model, images, out, device=CPU, playback=playback))


# --- tiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 31, 128, 1024, 1025, 1920, 1921, 4000, 30001])
def test_windows_cover_a_side_begin_on_the_grid_and_overlap(length):
    windows = restore.axis_windows(length)
    assert windows[0].start == 0 and windows[-1].stop == length
    assert all(w.start % 32 == 0 and 0 < w.stop - w.start <= restore.TILE for w in windows)
    for one, following in zip(windows, windows[1:]):
        assert one.stop - following.start == restore.OVERLAP


@pytest.mark.parametrize("size_hw", [(5, 9), (1100, 1400), (40, 40_000)])
def test_the_weights_of_tiles_sum_to_one_at_each_pixel(size_hw):
    total = torch.zeros(size_hw)
    for rows, columns, weight in restore.tiles(size_hw):
        total[rows, columns] += weight
        assert weight.min() > 0
    torch.testing.assert_close(total, torch.ones(size_hw))


def test_a_large_image_is_the_same_in_tiles_and_whole(monkeypatch):
    blur = picture(1130, 1400)
    model = Pixelwise()
    tiled = restore.restore_image(model, blur, device=CPU)
    assert len(model.sizes) == 4 and max(h * w for h, w in model.sizes) <= restore.TILE**2
    monkeypatch.setattr(restore, "MAX_WHOLE_PIXELS", 10**9)
    whole = restore.restore_image(model, blur, device=CPU)
    assert model.sizes[-1] == blur.shape[:2]
    assert np.abs(tiled.astype(int) - whole).max() <= 1  # a rounding of the blend at most


def test_tiles_that_took_the_other_direction_of_time_are_turned_to_their_neighbours():
    """Left tiles of this picture are dark, right ones bright in the channel that does not move."""
    blur = picture(1130, 1400)
    blur[:, 700:] = 255 - blur[:, 700:] // 4
    blur[:, :700] = blur[:, :700] // 4
    one_way = restore.restore_image(Pixelwise(), blur, device=CPU)
    turned = restore.restore_image(TurningWithBrightness(), blur, device=CPU)
    either = [np.abs(turned.astype(int) - way).max() for way in (one_way, one_way[::-1])]
    assert min(either) <= 1


def test_an_image_of_one_and_a_half_megapixels_stays_whole():
    model = Pixelwise()
    restore.restore_image(model, picture(1000, 1500), device=CPU)
    assert model.sizes == [(1000, 1500)]


# --- pixels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size_hw", [(75, 133), (1, 1), (33, 64)])
def test_the_frames_have_the_size_of_the_image(size_hw):
    frames = restore.restore_image(Pixelwise(7), picture(*size_hw), device=CPU)
    assert frames.shape == (7, *size_hw, 3) and frames.dtype == np.uint8


def test_predictions_are_clamped_and_rounded_when_saved():
    class Wild:
        def restoration(self, blur):
            return frames_alone(torch.stack((blur * 0 - 3, blur + 0.4 / 255, blur + 9), 1))

    blur = picture(20, 30)
    dark, same, bright = restore.restore_image(Wild(), blur, device=CPU)
    assert not dark.any() and np.array_equal(same, blur) and (bright == 255).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_ends_in_a_sentence(bad, tmp_path):
    class Diverged(Pixelwise):
        def restoration(self, blur):
            restoration = super().restoration(blur)
            restoration.images[-1][0, 1, 0, 3, 4] = bad
            return restoration

    image = save(tmp_path / "a.png", picture(20, 30))
    with pytest.raises(ValueError, match="diverged"):
        restore_all([image], tmp_path / "out", model=Diverged())
    assert not list(tmp_path.glob("out/*"))


# --- reading --------------------------------------------------------------------------------


def test_16_bit_grey_and_alpha_are_read_as_8_bit_rgb(tmp_path):
    rgb = picture(20, 30)
    deep = save(tmp_path / "deep.png", rgb.astype(np.uint16) * 257)
    np.testing.assert_array_equal(restore.read_image(deep), rgb)
    cv2.imwrite(str(tmp_path / "grey.png"), rgb[..., 0])
    np.testing.assert_array_equal(restore.read_image(tmp_path / "grey.png"), rgb[..., [0, 0, 0]])
    with_alpha = np.dstack([rgb[..., ::-1], np.full((20, 30), 128, np.uint8)])
    cv2.imwrite(str(tmp_path / "alpha.png"), with_alpha)
    np.testing.assert_array_equal(restore.read_image(tmp_path / "alpha.png"), rgb)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_refused_by_name(content, tmp_path):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match="bad.png"):
        restore.read_image(tmp_path / "bad.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_a_picture_cut_short_is_refused(suffix, tmp_path):
    path = save(tmp_path / f"cut{suffix}", picture(200, 300))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="cut"):
        restore.read_image(path)


# --- files ----------------------------------------------------------------------------------


def test_frames_strip_and_animation_hold_the_restored_colours_in_order(tmp_path):
    blur = picture(40, 60)
    image = save(tmp_path / "photo one.png", blur)
    out = tmp_path / "out"
    assert restore_all([image], out) == [Restored(image, out / "photo one")]
    expected = restore.restore_image(Pixelwise(), blur, device=CPU)
    folder = out / "photo one"
    names = ["frame_000.png", "frame_001.png", "frame_002.png", "strip.png", "video.webp"]
    assert sorted(p.name for p in folder.iterdir()) == names
    for name, frame in zip(names, expected):
        np.testing.assert_array_equal(load(folder / name), frame)
    strip = load(folder / "strip.png")
    assert strip.shape == (40, 4 * 60 + 3 * restore.STRIP_GAP, 3)
    for k, panel in enumerate((blur, *expected)):
        left = k * (60 + restore.STRIP_GAP)
        np.testing.assert_array_equal(strip[:, left : left + 60], panel)


def decoded_animation(path):
    done, animation = cv2.imreadanimation(str(path))
    assert done
    return [f[..., 2::-1] for f in animation.frames], animation.durations, animation.loop_count


def test_the_animation_plays_the_frames_in_order_for_ever(tmp_path):
    image = save(tmp_path / "x.png", picture(64, 96))
    restore_all([image], tmp_path / "out", playback=Playback(fps=20, gif=True))
    expected = [load(tmp_path / f"out/x/frame_{k:03d}.png") for k in range(3)]
    for name, least_db in (("video.webp", 34), ("video.gif", 26)):
        frames, durations, loops = decoded_animation(tmp_path / "out/x" / name)
        assert len(frames) == 3 and set(durations) == {50} and loops == 0
        for k, frame in enumerate(frames):
            quality = [cv2.PSNR(np.ascontiguousarray(frame), np.array(e)) for e in expected]
            assert np.argmax(quality) == k and quality[k] > least_db, (name, quality)


def test_a_boomerang_plays_forth_and_back(tmp_path):
    image = save(tmp_path / "x.png", picture(64, 96))
    restore_all([image], tmp_path / "out", playback=Playback(boomerang=True))
    frames, _, _ = decoded_animation(tmp_path / "out/x/video.webp")
    red = [f[..., 0].mean() for f in frames]
    assert len(frames) == 4 and red[0] < red[1] < red[2] > red[3]
    assert red[3] == pytest.approx(red[1], abs=1)


def test_a_large_image_keeps_its_size_in_the_frames_and_is_reduced_in_strip_and_animation(
    tmp_path,
):
    image = save(tmp_path / "wide.png", picture(20, 2000))
    restore_all([image], tmp_path / "out")
    assert load(tmp_path / "out/wide/frame_000.png").shape == (20, 2000, 3)
    assert load(tmp_path / "out/wide/strip.png").shape[1] == 4 * 1280 + 12
    assert decoded_animation(tmp_path / "out/wide/video.webp")[0][0].shape == (13, 1280, 3)


def test_images_of_one_name_go_to_folders_of_their_own(tmp_path):
    images = [save(tmp_path / d / "x.png", picture(16, 16, k)) for k, d in enumerate("ab")]
    results = restore_all([*images, images[0]], tmp_path / "out")
    assert [r.folder.name for r in results] == ["x", "x-2"]
    expected = restore.restore_image(Pixelwise(), load(images[1]), device=CPU)[0]
    np.testing.assert_array_equal(load(tmp_path / "out/x-2/frame_000.png"), expected)


def test_a_number_behind_a_name_never_takes_the_name_of_another_image():
    names = restore.folder_names([restore.Path(p) for p in ("x-2.png", "a/x.png", "b/x.jpg")])
    assert names == ["x-2", "x", "x-3"]


def test_an_unreadable_image_among_good_ones_is_named_and_the_others_go_on(tmp_path):
    good = [save(tmp_path / f"{n}.png", picture(16, 16)) for n in "ac"]
    (tmp_path / "b.png").write_bytes(b"no picture")
    results = restore_all([good[0], tmp_path / "b.png", good[1]], tmp_path / "out")
    assert [type(r) for r in results] == [Restored, Unreadable, Restored]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "c"]


def test_a_second_restoration_replaces_the_first_wholly(tmp_path):
    image = save(tmp_path / "x.png", picture(16, 16))
    restore_all([image], tmp_path / "out", model=Pixelwise(7), playback=Playback(gif=True))
    restore_all([image], tmp_path / "out", model=Pixelwise(3))
    names = sorted(p.name for p in (tmp_path / "out/x").iterdir())
    assert names == ["frame_000.png", "frame_001.png", "frame_002.png", "strip.png", "video.webp"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["x"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    image = save(tmp_path / "x.png", picture(16, 16))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="thesis.tex"):
        restore_all([image], tmp_path)
    assert (tmp_path / "x" / "thesis.tex").read_text() == "years of work"


def test_an_interrupted_writing_leaves_the_earlier_restoration_and_nothing_else(
    tmp_path, monkeypatch
):
    image = save(tmp_path / "x.png", picture(16, 16))
    restore_all([image], tmp_path / "out")
    before = (tmp_path / "out/x/frame_002.png").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(restore, "_animated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore_all([image], tmp_path / "out", model=Pixelwise(7))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["x"]
    assert (tmp_path / "out/x/frame_002.png").read_bytes() == before


def test_an_impossible_speed_is_refused():
    with pytest.raises(ValueError, match="frames per second"):
        Playback(fps=0)
