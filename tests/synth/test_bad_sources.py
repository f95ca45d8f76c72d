"""Spec 5.5: sources as people really have them. Each bad one gets its sentence, and takes nothing
with it; what only looks odd is read."""

import io
import os
import shutil
import struct
import unicodedata

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from blursynth import generate, making, plan, sources, spec
from blursynth.light import WHITE_STEPS, linear_to_srgb, srgb_to_linear
from blursynth.panorama import load_level
from blursynth.schema import decode_index, decode_sample

from ..conftest import make_picture, write_image, write_scene

OPTIONS = spec.PanoramaOptions(camera=spec.CameraOptions(size=16))
HEIGHT, WIDTH = 64, 128


def picture(seed=5):
    """Smooth, so that losses are small, with colours that tell when channels are swapped."""
    return cv2.GaussianBlur(make_picture(HEIGHT, WIDTH, seed), (0, 0), 2)


def encoded(suffix, rgb=None, *parameters):
    rgb = picture() if rgb is None else rgb
    return cv2.imencode(suffix, rgb[..., ::-1], parameters)[1].tobytes()


def saved(rgb, kind, **how):
    """As Pillow writes it."""
    buffer = io.BytesIO()
    image = rgb if isinstance(rgb, Image.Image) else Image.fromarray(rgb)
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def tiff(array):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="rgb")
    return buffer.getvalue()


def hdr(light):
    return encoded(".hdr", np.asarray(light, np.float32))


def oriented(rgb, orientation):
    """A JPEG whose EXIF says how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(rgb, "JPEG", quality=98, subsampling=0, exif=exif)


def with_thumbnail(jpeg):
    """A small JPEG, with an end of its own, in a segment before the image."""
    thumbnail = encoded(".jpg", picture()[:16, :32])
    segment = b"Exif\0\0" + thumbnail
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def cut(data, share=0.6):
    return data[: int(len(data) * share)]


# --- panoramas that cannot be used -------------------------------------------------------------

JPG = encoded(".jpg")
PROGRESSIVE = encoded(".jpg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
SPECKLED = np.where(np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3) == 99, np.nan, 0.5)

BAD = {
    "cut.jpg": (cut(JPG), "it is cut short: a JPEG without its end"),
    "cut by one byte.jpg": (JPG[:-1], "it is cut short"),
    "cut progressive.jpg": (cut(PROGRESSIVE), "it is cut short"),
    "cut in its head.jpg": (JPG[:30], "jpg header is damaged"),
    "cut, then zeros.jpg": (cut(JPG) + bytes(len(JPG)), "it is cut short"),
    "cut behind its thumbnail.jpg": (cut(with_thumbnail(JPG)), "it is cut short"),
    "cut.png": (cut(encoded(".png")), "cannot be read as an image, or is cut short"),
    "cut.tiff": (cut(encoded(".tiff")), "or is cut short"),
    "cut.webp": (cut(encoded(".webp")), "or is cut short"),
    "cut lossless.webp": (cut(encoded(".webp", None, cv2.IMWRITE_WEBP_QUALITY, 101)), "cut short"),
    "cut.hdr": (cut(hdr(picture() / 255)), "or is cut short"),
    "empty.png": (b"", "the file is empty"),
    "words.jpg": (b"Sorry, this panorama was withdrawn.", "cannot be read as an image"),
    "square.png": (
        encoded(".png", picture()[:, :64]),
        "expected a panorama twice as wide as high, found 64x64",
    ),
    "turned.jpg": (oriented(picture(), 6), "twice as wide as high, found 64x128"),
    "nan.tif": (tiff(SPECKLED.astype(np.float32)), "it holds values that are not finite"),
    "inf.tif": (tiff((1 / SPECKLED.clip(0)).astype(np.float32) * np.inf), "not finite"),
    "doubles.tif": (tiff(picture() / 255), "8 or 16 bits per channel or Radiance .hdr, found"),
    "night.hdr": (hdr(np.zeros((HEIGHT, WIDTH, 3))), "median luminance is zero; set --exposure"),
    "light.exr": (b"\x76\x2f\x31\x01", "OpenEXR is not read; convert it to Radiance .hdr"),
}
LINKS = {
    "dangling.jpg": ("nowhere.jpg", "No such file or directory"),
    "loop.png": ("loop.png", "Too many levels of symbolic links"),
}


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory):
    """What a run says that has every bad panorama among three good ones; and one without them."""
    folder = tmp_path_factory.mktemp("bad")
    for side in ("mixed", "good"):
        for number in range(3):
            write_image(folder / side / f"place {number}.png", picture(number))
    for name, (data, _) in BAD.items():
        (folder / "mixed" / name).write_bytes(data)
    for name, (target, _) in LINKS.items():
        os.symlink(folder / "mixed" / target, folder / "mixed" / name)
    mixed = make(folder / "mixed", folder / "out mixed", max_failures=100)
    return mixed, samples_in(folder / "out mixed"), samples_of_good(folder)


def samples_of_good(folder):
    make(folder / "good", folder / "out good")
    return samples_in(folder / "out good")


def make(src, out, **run):
    found, failures = sources.find_panoramas(src, sources.Digests(out / "digests.json"))
    data_set = spec.DataSetOptions("panorama", samples_per_shard=6)
    planned = plan.plan_panoramas(
        out, found, options=OPTIONS, data_set=data_set, per_panorama=3
    )
    options = generate.RunOptions(**{"jobs": 1, **run})
    maker = making.PanoramaMaker("panorama", OPTIONS)
    return generate.generate(planned, maker, run=options, failures=failures)


def samples_in(out):
    found = {}
    for path in out.rglob("*-??????.json"):
        index, data = decode_index(path.read_bytes(), "x"), path.with_suffix(".tar").read_bytes()
        for one in index.samples:
            members = {name: data[at : at + size] for name, (at, size) in one.members.items()}
            found[one.key] = decode_sample(one.key, members)
    return found


@pytest.mark.parametrize("name", [*BAD, *LINKS])
def test_a_bad_panorama_is_left_out_with_its_reason(bad_run, name):
    reasons = {failure.source: failure.reason for failure in bad_run[0].failures}
    words = {**BAD, **LINKS}[name][1]
    assert words in reasons[name] and "\n" not in reasons[name]


def test_bad_panoramas_take_nothing_with_them(bad_run):
    result, mixed, good = bad_run
    assert len(result.failures) == len(BAD) + len(LINKS)
    assert mixed.keys() == good.keys() and len(good) == 9
    for key, sample in good.items():
        assert np.array_equal(sample.frames, mixed[key].frames) and sample.meta == mixed[key].meta


NOT_UTF_8 = os.fsdecode(b"caf\xe9")  # as Latin-1 has it


def test_a_panorama_whose_name_is_not_utf_8_is_left_out_by_name(tmp_path):
    for place in ("a.png", f"{NOT_UTF_8}.png", f"{NOT_UTF_8}/b.png", f"{NOT_UTF_8}.exr"):
        (tmp_path / "src" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / place).write_bytes(encoded(".png"))
    result = make(tmp_path / "src", tmp_path / "out")
    assert len(samples_in(tmp_path / "out")) == 3
    reasons = {failure.source: failure.reason for failure in result.failures}
    assert reasons.pop(r"caf\xe9.exr").startswith("OpenEXR is not read")
    assert reasons == dict.fromkeys(
        [r"caf\xe9.png", r"caf\xe9/b.png"], "its name is not UTF-8; rename it"
    )


def test_folders_above_the_sources_may_have_any_name(tmp_path):
    src = tmp_path / NOT_UTF_8 / "src"
    src.mkdir(parents=True)
    (src / "a.png").write_bytes(encoded(".png"))
    digests = sources.Digests(tmp_path / "d.json")
    found, failures = sources.find_panoramas(src, digests)
    digests.save()
    assert [p.name for p in found] == ["a.png"] and failures == []


def test_scenes_whose_names_are_not_utf_8_are_left_out_by_name(tmp_path):
    write_scene(tmp_path / "src/one", seed=1, frames=5, first=0)
    for place in ("bad", "frame", "film"):
        write_scene(tmp_path / "src" / place, seed=2, frames=5, first=0)
    (tmp_path / "src/bad").rename(tmp_path / "src" / NOT_UTF_8)
    (tmp_path / "src/frame/000002.png").rename(tmp_path / f"src/frame/{NOT_UTF_8}2.png")
    video(tmp_path / "film.avi")
    shutil.copy(tmp_path / "film.avi", tmp_path / "src/film/walk.avi")
    (tmp_path / "film.avi").rename(tmp_path / f"src/film/{NOT_UTF_8}.avi")
    samples, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    assert {s.meta["source"] for s in samples.values()} == {"one", "film", "film/walk.avi"}
    assert dict(failures) == {
        r"caf\xe9": "its name is not UTF-8; rename it",
        r"film/caf\xe9.avi": "its name is not UTF-8; rename it",
        "frame": r"the name of its frame caf\xe92.png is not UTF-8; rename it",
    }
    write_scene(tmp_path / "src/film/two", seed=1, frames=5, first=0)
    (tmp_path / "src").rename(tmp_path / NOT_UTF_8)
    _, failures, _ = windows_of(tmp_path / NOT_UTF_8 / "film", tmp_path / "above")
    assert ("walk.avi", "the path to this video is not UTF-8; rename the folders above it") in failures
    with pytest.raises(ValueError, match=r"the first: caf\\xe9.avi: its name is not UTF-8"):
        windows_of(tmp_path / NOT_UTF_8 / f"film/{NOT_UTF_8}.avi", tmp_path / "film")


def test_a_folder_that_cannot_be_opened_is_a_failure(tmp_path, monkeypatch):
    write_image(tmp_path / "src/open/a.png", picture())
    write_image(tmp_path / "src/shut/b.png", picture())
    scandir = os.scandir

    def refusing(path):  # root, as whom tests may run, can open everything
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found, failures = sources.find_panoramas(tmp_path / "src", sources.Digests(tmp_path / "d"))
    assert [p.name for p in found] == ["open/a.png"]
    assert [(f.source, f.reason) for f in failures] == [("shut", "Permission denied")]


def test_a_file_that_vanishes_is_a_failure(tmp_path):
    for number in range(2):
        write_image(tmp_path / f"src/{number}.png", picture())
    found, _ = sources.find_panoramas(tmp_path / "src", sources.Digests(tmp_path / "d.json"))
    (tmp_path / "src/0.png").unlink()
    planned = plan.plan_panoramas(
        tmp_path / "out",
        found,
        options=OPTIONS,
        data_set=spec.DataSetOptions("panorama"),
        per_panorama=1,
    )
    result = generate.generate(
        planned,
        making.PanoramaMaker("panorama", OPTIONS),
        run=generate.RunOptions(jobs=1),
        failures=[],
    )
    assert [f.reason for f in result.failures] == ["No such file or directory"]


@pytest.mark.parametrize("exposure", ["100", "auto"])
def test_light_that_numbers_cannot_hold_is_a_failure(tmp_path, exposure):
    light = np.full((HEIGHT, WIDTH, 3), 1e10)
    light[:, : WIDTH * 2 // 3] = 1e-30
    (tmp_path / "sun.hdr").write_bytes(hdr(light))
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16), exposure=exposure)
    with pytest.raises(ValueError, match=f"too great for --exposure {exposure}"):
        load_level(tmp_path / "sun.hdr", options)


# --- panoramas that only look odd --------------------------------------------------------------

RGBA = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
HOLED = np.dstack([picture(), make_picture(HEIGHT, WIDTH, 8)[..., 0]])
GREY = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)
GREY_RGB = np.dstack([GREY] * 3)
DEEP = picture().astype(np.uint16) * 257
CMYK = Image.fromarray(picture()).convert("CMYK")
ON_ITS_SIDE = np.rot90(picture(), -1)

ODD = {  # bytes, the picture that it shows, how far codes may differ on average
    "trailing bytes.jpg": (JPG + b"a camera's maker wrote this" * 99, None, 2),
    "a second image behind.jpg": (JPG + encoded(".jpg", picture(6)), None, 2),
    "a thumbnail before.jpg": (with_thumbnail(JPG), None, 2),
    "fill bytes before a marker.jpg": (JPG[:2] + b"\xff\xff" + JPG[2:], None, 2),
    "progressive.jpg": (PROGRESSIVE, None, 2),
    "cmyk.jpg": (saved(CMYK, "JPEG", quality=98), None, 2),
    "cmyk.tif": (saved(CMYK, "TIFF"), None, 1),
    "16 bit.png": (encoded(".png", DEEP), None, 0),
    "16 bit.tiff": (encoded(".tiff", DEEP), None, 0),
    "16 bit grey.png": (saved(GREY.astype(np.uint16) * 257, "PNG"), GREY_RGB, 0),
    "float.tiff": (tiff(srgb_to_linear(picture() / 255).astype(np.float32)), None, 0),
    "grey.png": (saved(GREY, "PNG"), GREY_RGB, 0),
    "grey.jpg": (saved(GREY, "JPEG", quality=98), GREY_RGB, 2),
    "palette.png": (
        saved(Image.fromarray(picture()).quantize(200), "PNG"),
        np.array(Image.fromarray(picture()).quantize(200).convert("RGB")),
        0,
    ),
    "opaque.png": (saved(RGBA, "PNG"), None, 0),
    "opaque.tiff": (saved(RGBA, "TIFF"), None, 0),
    "opaque.webp": (saved(RGBA, "WEBP", lossless=True), None, 0),
    "holed.png": (saved(HOLED, "PNG"), None, 0),
    "upside down.jpg": (oriented(picture()[::-1, ::-1], 3), None, 2),
    "mirrored.jpg": (oriented(picture()[:, ::-1], 2), None, 2),
    "on its side.jpg": (oriented(ON_ITS_SIDE, 8), None, 2),
    "suffix in capitals.PNG": (encoded(".png"), None, 0),
    "a jpg in truth.png": (saved(picture(), "JPEG", quality=98, subsampling=0), None, 2),
}


def codes_of(level):
    """The light of a level as 8-bit codes would show it."""
    white = 1 if level.padded.dtype == np.float32 else WHITE_STEPS
    return 255 * linear_to_srgb(level.padded[..., :3] / white)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_panorama_shows_what_it_shows_elsewhere(tmp_path, name):
    data, shows, tolerance = ODD[name]
    (tmp_path / name).write_bytes(data)
    write_image(tmp_path / "plain.png", picture() if shows is None else shows)
    level, plain = (load_level(tmp_path / file, OPTIONS) for file in (name, "plain.png"))
    assert level.size_hw == plain.size_hw
    assert np.abs(codes_of(level) - codes_of(plain)).mean() <= tolerance + 0.01


def test_the_test_knows_how_exif_turns():
    for name in ("upside down.jpg", "mirrored.jpg", "on its side.jpg"):
        turned = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(ODD[name][0]))), int)
        assert np.abs(turned - picture()).mean() < 2


def test_a_black_panorama_can_be_exposed_by_hand(tmp_path):
    (tmp_path / "night.hdr").write_bytes(BAD["night.hdr"][0])
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16), exposure="0")
    assert not load_level(tmp_path / "night.hdr", options).padded[..., :3].any()


def test_odd_names_give_keys_and_members_that_are_plain(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Kölner Dom.png")
    names = ["a b.png", "käse ☀/π.png", decomposed, "x.y.z.png"]
    for number, name in enumerate(names):
        write_image(tmp_path / "src" / name, picture(number))
    (tmp_path / "src" / "folder.jpg").mkdir()
    write_image(tmp_path / "src" / "folder.jpg" / "inside.png", picture(9))
    os.symlink(tmp_path / "src", tmp_path / "src" / "loop")
    result = make(tmp_path / "src", tmp_path / "out")
    found = samples_in(tmp_path / "out")
    wanted = {unicodedata.normalize("NFC", name) for name in (*names, "folder.jpg/inside.png")}
    assert result.failures == () and {s.meta["source"] for s in found.values()} == wanted
    assert len(found) == 15 and all(key.isascii() and "." not in key for key in found)


# --- video -------------------------------------------------------------------------------------


def windows_of(src, out, n=3):
    """The samples of every scene below `src`, by key, and source -> reasons."""
    options = spec.VideoOptions(n=n, crop=48)
    found, failures = sources.find_scenes(src, sources.Digests(out / "digests.json"))
    fitting, refused = plan.fitting_scenes(found, options)
    data_set = spec.DataSetOptions("gopro", samples_per_shard=4, test_fraction=0)
    planned = plan.plan_windows(out, fitting, options=options, data_set=data_set)
    result = generate.generate(
        planned,
        making.WindowMaker("gopro", options),
        run=generate.RunOptions(jobs=1, max_failures=9),
        failures=failures + refused,
    )
    reasons = [(failure.source, failure.reason) for failure in result.failures]
    return samples_in(out), reasons, planned.notes


def first_frames(samples):
    return sorted(int(s.meta["first_frame"].partition(".")[0]) for s in samples.values())


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda path: path.write_bytes(cut(path.read_bytes())), "cannot be read as an image, or"),
        (lambda path: path.write_bytes(b""), "cannot be read as an image, or is cut short"),
        (lambda path: write_image(path, picture()), "first frame, 96x72, found 128x64"),
    ],
)
def test_a_damaged_frame_takes_only_its_own_windows_whatever_the_shards_are(
    tmp_path, damage, words
):
    """Neither the rest of the scene nor of the shard: where shards end changes no sample."""
    write_scene(tmp_path / "src/one", seed=1, frames=14, first=0)
    whole, _, _ = windows_of(tmp_path / "src", tmp_path / "whole")
    damage(tmp_path / "src/one/000006.png")
    samples, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    assert first_frames(samples) == [0, 1, 2, 3, 7, 8, 9, 10, 11]
    assert all(np.array_equal(s.frames, whole[key].frames) for key, s in samples.items())
    ((source, reason),) = failures
    assert source == "one" and reason.startswith("its frame 000006.png cannot be used: ")
    assert words in reason and reason.endswith("; the windows that hold it are left out")


def test_a_truncated_jpeg_frame_is_not_read_as_grey(tmp_path):
    for number in range(8):
        data = encoded(".jpg", picture(number))
        path = tmp_path / "src/one" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cut(data) if number == 4 else data)
    samples, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    assert first_frames(samples) == [0, 1, 5] and "its frame 4.jpg" in failures[0][1]
    (tmp_path / "src/one/0.jpg").write_bytes(cut(encoded(".jpg")))
    write_scene(tmp_path / "src/two", seed=1, frames=3)
    _, failures, _ = windows_of(tmp_path / "src", tmp_path / "again")
    assert failures == [
        ("one", "its first frame 0.jpg cannot be used: it is cut short: a JPEG without its end")
    ]


def test_no_window_crosses_a_missing_frame(tmp_path):
    write_scene(tmp_path / "src/one", seed=1, frames=14, first=0)
    (tmp_path / "src/one/000006.png").unlink()
    (tmp_path / "src/one/000008.png").unlink()
    samples, failures, notes = windows_of(tmp_path / "src", tmp_path / "out")
    assert first_frames(samples) == [0, 1, 2, 3, 9, 10, 11] and failures == []
    assert notes == (
        "frames are missing in the numbering of one; no window crosses them",
    )


def test_a_scene_of_gaps_alone_is_left_out(tmp_path):
    write_scene(tmp_path / "src/one", seed=1, frames=5)
    for number in range(0, 20, 2):
        write_image(tmp_path / "src/even" / f"{number}.png", picture(number))
    _, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    assert failures == [("even", "expected 3 consecutive frames, found 1; choose a smaller --n")]


def video(path, frames=24):
    """A film in an AVI file, whose header says how many frames it has; what comes out of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 240, (96, 72))
    big = make_picture(160, 200, 1)
    for k in range(frames):
        writer.write(np.ascontiguousarray(big[40 : 40 + 72, 60 - 2 * k : 156 - 2 * k]))
    writer.release()


def test_a_video_that_is_cut_short_gives_what_is_whole_and_says_what_is_not(tmp_path):
    """The last frame that still comes out may be half a picture: it is not used."""
    video(tmp_path / "src/walk.avi")
    whole, failures, _ = windows_of(tmp_path / "src", tmp_path / "whole")
    assert len(whole) == 22 and failures == []
    path = tmp_path / "src/walk.avi"
    path.write_bytes(cut(path.read_bytes()))
    samples, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    used = len(samples) + 2
    said = f"expected 24 frames as its header says, found {used + 1}; used are {used}"
    assert failures == [("walk.avi", said)] and 8 < used < 20
    assert all(np.array_equal(s.frames, whole[key].frames) for key, s in samples.items())


@pytest.mark.parametrize("says, used", [(60, 23), (5, 24)])
def test_a_header_that_lies_about_the_frames_is_not_believed(tmp_path, says, used):
    video(tmp_path / "src/walk.avi")
    path = tmp_path / "src/walk.avi"
    data = path.read_bytes()
    stream = data.index(b"strh") + 8
    lying = bytearray(data)
    for place in (data.index(b"avih") + 8 + 16, stream + 32):
        assert struct.unpack_from("<I", data, place) == (24,)
        struct.pack_into("<I", lying, place, says)
    path.write_bytes(lying)
    samples, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    assert len(samples) == used - 2
    said = f"expected {says} frames as its header says, found 24; used are 23"
    assert failures == ([("walk.avi", said)] if says > 24 else [])


def test_a_truncated_mp4_is_left_out(tmp_path):
    """Its table of contents stands at the end."""
    write_scene(tmp_path / "src/one", seed=1, frames=5)
    path = tmp_path / "src/walk.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 240, (96, 72))
    for k in range(12):
        writer.write(make_picture(72, 96, k))
    writer.release()
    assert windows_of(tmp_path / "src", tmp_path / "whole")[1] == []
    path.write_bytes(cut(path.read_bytes(), 0.9))
    samples, failures, _ = windows_of(tmp_path / "src", tmp_path / "out")
    assert failures == [("walk.mp4", "it cannot be read as a video")] and len(samples) == 3
