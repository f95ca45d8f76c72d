"""Laws of rendering: analytic panoramas, seam and poles, the mean, the motion in the metadata."""

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location

import cv2
import numpy as np
import pytest

from blursynth import motion, render, rotation
from blursynth.camera import Camera, centred_camera, pixel_centres, rays
from blursynth.light import linear_to_srgb, mean_of_frames
from blursynth.panorama import (
    edge_scale,
    exposure_gain,
    level_of,
    load_level,
    panorama_xy,
    quality_for,
)
from blursynth.plan import frame_times, panorama_spec
from blursynth.spec import (
    QUALITIES,
    CameraOptions,
    PanoramaOptions,
    PanoramaSpec,
    RotationOptions,
)

from ..conftest import make_picture, write_image

AHEAD = np.array([[1.0, 0.0, 0.0, 0.0]])
SEAM = rotation.quat_looking_at(180, 0)
POLES = rotation.quat_looking_at(20, 90), rotation.quat_looking_at(-50, -90)


def analytic(directions):
    """A smooth function of direction, another one for each channel; (..., 3) -> (..., 3)."""
    x, y, z = np.moveaxis(directions, -1, 0)
    waves = [2 * x + np.sin(2 * y), 3 * y - z, 2 * z + x * y]
    return 0.5 + 0.4 * np.stack([np.sin(2 * wave) for wave in waves], -1)


def analytic_level(height=512):
    grid = pixel_centres((height, 2 * height))
    longitude = (grid[..., 0] / (2 * height) - 0.5) * 2 * np.pi
    latitude = (grid[..., 1] / height - 0.5) * np.pi
    directions = np.stack(
        [np.cos(latitude) * np.sin(longitude), np.sin(latitude),
         np.cos(latitude) * np.cos(longitude)], -1)  # fmt: skip
    return level_of(analytic(directions).astype(np.float32))


def seen_by(size, hfov_deg=60.0, **named):
    """Options of a square camera."""
    return PanoramaOptions(camera=CameraOptions(size=size, hfov_deg=hfov_deg), **named)


def inside(level):
    """(H, W, 3) light of a level without its borders."""
    return np.ascontiguousarray(level.padded[1:-1, 1:-1, :3])


def module_from(path):
    """What a Python file defines."""
    found = spec_from_file_location(path.stem, path)
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


def spec_between(first, last, *, n=9, camera=None, times=None):
    camera = camera or centred_camera((32, 32), 60.0)
    ends = (tuple(first), tuple(last))
    return PanoramaSpec("k", "a.png", camera, (0.0, 0.0, 0.0), ends, n, times or (0.0, 0.5, 1.0))


def turned(quat, *beta_deg):
    return rotation.multiply(quat, rotation.quat_from_euler(np.array(beta_deg, float)))


@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    "quat", [rotation.quat_looking_at(31, 12), SEAM, *POLES], ids=["inside", "seam", "up", "down"]
)
def test_an_analytic_panorama_looks_as_its_function_says(quat, xi):
    camera = replace(centred_camera((40, 56), 60.0, xi), principal_xy=(25.0, 22.5))
    path = rotation.slerp(quat, turned(quat, 6, -7, 8), np.linspace(0, 1, 5))
    level = analytic_level()
    views = render.render_views(level, camera, path, render.as_light)
    for light, orientation in zip(views, path, strict=True):
        world = rays(pixel_centres(camera.size_hw), camera) @ rotation.matrices(orientation).T
        assert light.shape == (40, 56, 3)
        np.testing.assert_allclose(light, analytic(world), atol=4e-3)
    codes = np.stack(list(render.render_views(level, camera, path, render.encode_frame)))
    expected = [rays(pixel_centres(camera.size_hw), camera) @ m.T for m in rotation.matrices(path)]
    exact = np.rint(255 * linear_to_srgb(analytic(np.stack(expected))))
    assert codes.dtype == np.uint8 and np.abs(codes - exact).max() <= 2


def test_positions_are_exact_to_a_fraction_of_a_pixel():
    """A ramp in longitude, read at known rays, tells the position: within 1/32 of a pixel."""
    height, width = 256, 512
    ramp = np.broadcast_to(np.arange(width, dtype=np.float32)[:, None] + 0.5, (height, width, 3))
    camera = centred_camera((33, 33), 40.0)
    quat = rotation.quat_looking_at(10, 5)
    (light,) = render.render_views(level_of(ramp), camera, quat[None], render.as_light)
    world = rays(pixel_centres(camera.size_hw), camera) @ rotation.matrices(quat).T
    expected = panorama_xy(world, (height, width))[..., 0]
    assert np.abs(light[..., 0] - expected).max() < 1 / 32


@pytest.mark.parametrize("quat", [SEAM, *POLES], ids=["seam", "up", "down"])
def test_a_white_panorama_stays_white_across_seam_and_poles(quat):
    level = level_of(np.ones((64, 128, 3), np.float32))
    frames = render.render_frames(level, spec_between(quat, turned(quat, 9, 9, 9)), np.array([0, 1]))
    assert frames.min() == 255


def test_a_red_wall_to_the_right_is_on_the_right_and_red(tmp_path):
    image = np.zeros((128, 256, 3), np.uint8)
    image[:, 128 + 10 : 128 + 100] = (255, 0, 0)
    image[:40] = (0, 255, 0)
    write_image(tmp_path / "wall.png", image)
    camera = centred_camera((64, 96), 90.0)
    level = load_level(tmp_path / "wall.png", seen_by(64, 90.0))
    frame = next(render.render_views(level, camera, AHEAD, render.encode_frame))
    assert frame[32, 90].tolist() == [255, 0, 0]
    assert frame[32, 5].tolist() == [0, 0, 0]
    quat = rotation.quat_looking_at(0, 60)
    up = next(render.render_views(level, camera, quat[None], render.encode_frame))
    assert up[20, 48].tolist() == [0, 255, 0]


def test_zero_rotation_blurs_nothing():
    options = PanoramaOptions(rotation=RotationOptions(max_angle_deg=0.0))
    spec = panorama_spec("d", "a.png", 3, options)
    sample = render.render_sample(spec, level_of(_real_light()), options)
    assert all(np.array_equal(frame, sample.blur) for frame in sample.frames)
    assert np.abs(sample.meta["direction"]).max() < 1e-9 and sample.meta["max_step_px"] < 1e-6


def _real_light():
    return (make_picture(256, 512) / 255).astype(np.float32)


@pytest.mark.parametrize("response", ["identity", "gamma2.2", "srgb"])
def test_the_blur_is_exactly_the_mean_of_all_frames(response):
    options = PanoramaOptions(frames="all", response=response)
    spec = panorama_spec("d", "a.png", 0, options)
    sample = render.render_sample(spec, level_of(_real_light()), options)
    assert len(sample.frames) == spec.n == sample.meta["n"] and sample.meta["exact_mean"]
    assert np.array_equal(mean_of_frames(sample.frames, response), sample.blur)


def test_three_and_seven_frames_are_those_of_the_same_exposure():
    level = level_of(_real_light())
    samples = {}
    for frames in ("3", "7", "all"):
        options = PanoramaOptions(frames=frames)
        spec = panorama_spec("d", "a.png", 1, options)
        samples[frames] = render.render_sample(spec, level, options)
    three, seven, everything = samples["3"], samples["7"], samples["all"]
    n = three.meta["n"]
    assert np.array_equal(three.frames, everything.frames[[0, n // 2, n - 1]])
    assert np.array_equal(seven.frames[[0, 3, 6]], three.frames)
    assert seven.meta["times"] == [k / 6 for k in range(7)]
    assert np.array_equal(seven.blur, three.blur)


def test_reversal_keeps_the_blur_and_negates_the_direction():
    level, options = level_of(_real_light()), PanoramaOptions()
    spec = panorama_spec("d", "a.png", 2, options)
    reverse = replace(spec, quat_first_last=spec.quat_first_last[::-1])
    one, other = (render.render_sample(s, level, options) for s in (spec, reverse))
    assert np.abs(one.blur.astype(int) - other.blur).max() <= 1
    assert np.abs(one.frames[::-1].astype(int) - other.frames).max() <= 1
    assert one.meta["direction"] == [-x for x in other.meta["direction"]]


def test_a_turn_to_the_right_has_a_positive_first_direction():
    quat = rotation.quat_looking_at(0, 0)
    spec = spec_between(quat, turned(quat, 0, 5, 0))
    sample = render.render_sample(spec, level_of(_real_light()), PanoramaOptions())
    np.testing.assert_allclose(sample.meta["direction"], [5, 0, 0], atol=1e-9)


@pytest.mark.parametrize("xi", [0.0, 0.7])
def test_the_motion_in_the_metadata_maps_one_frame_onto_the_other(xi):
    options = PanoramaOptions(frames="7", camera=CameraOptions(xi=xi))
    spec = panorama_spec("d", "a.png", 5, options)
    sample = render.render_sample(spec, analytic_level(), options)
    for i, j in ((3, 0), (3, 6), (0, 6)):
        xy = motion.positions(sample.meta, j, i).astype(np.float32) - np.float32(0.5)
        warped = cv2.remap(sample.frames[i], xy[..., 0], xy[..., 1], cv2.INTER_LINEAR)
        both = motion.visible(sample.meta, i, j)
        difference = np.abs(warped[both].astype(int) - sample.frames[j][both])
        still = np.abs(sample.frames[i][both].astype(int) - sample.frames[j][both])
        assert both.mean() > 0.5 and difference.max() <= 3 < still.max()


@pytest.mark.parametrize("hfov_deg, max_angle_deg", [(60.0, 90.0), (150.0, 10.0)])
def test_wide_views_and_large_turns_are_as_exact_as_others(hfov_deg, max_angle_deg):
    """Frames that do not fit one canvas get several."""
    camera = centred_camera((48, 48), hfov_deg)
    quat = rotation.quat_looking_at(0, 0)
    last = turned(quat, *[max_angle_deg] * 3)
    path = rotation.slerp(quat, last, np.linspace(0, 1, 9))
    for light, orientation in zip(
        render.render_views(analytic_level(), camera, path, render.as_light), path, strict=True
    ):
        world = rays(pixel_centres(camera.size_hw), camera) @ rotation.matrices(orientation).T
        np.testing.assert_allclose(light, analytic(world), atol=3e-2)


def test_a_pixel_is_the_mean_over_its_area_not_a_point(tmp_path):
    """Stripes finer than a pixel become grey, in linear light."""
    stripes = np.zeros((512, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    write_image(tmp_path / "stripes.png", stripes)
    camera = centred_camera((16, 16), 60.0)
    level = load_level(tmp_path / "stripes.png", seen_by(16))
    for light in render.render_views(
        level, camera, np.array([AHEAD[0], SEAM]), render.as_light
    ):
        assert np.abs(light - 0.5).max() < 0.1
        assert render.encode_frame(light).mean() == pytest.approx(188, abs=3)


def test_the_largest_step_is_that_of_the_flow_between_neighbours():
    options = PanoramaOptions(frames="all")
    spec = panorama_spec("d", "a.png", 7, options)
    sample = render.render_sample(spec, level_of(_real_light()), options)
    steps = [
        np.linalg.norm(motion.flow(sample.meta, k, k + 1), axis=-1).max() for k in range(spec.n - 1)
    ]
    np.testing.assert_allclose(steps, sample.meta["max_step_px"], atol=1e-6)


def test_the_metadata_of_a_crop_describe_the_crop():
    """The same rays whether one takes focal length and principal point, or the field of view."""
    options = PanoramaOptions(camera=CameraOptions(size=24, render_size=64, xi=0.4))
    sample = render.render_sample(
        panorama_spec("d", "a.png", 0, options), analytic_level(), options
    )
    meta = sample.meta
    camera = centred_camera(tuple(meta["size_hw"]), meta["hfov_deg"], meta["xi"])
    assert camera.focal_px == pytest.approx(meta["focal_px"])
    told = Camera((24, 24), camera.focal_px, 0.4, tuple(meta["principal_xy"]))
    world = rays(pixel_centres((24, 24)), told) @ rotation.matrices(meta["quat_wxyz"][1]).T
    expected = render.encode_frame(analytic(world).astype(np.float32))
    assert np.abs(sample.frames[1].astype(int) - expected).max() <= 2


def test_more_frames_are_averaged_until_no_pixel_moves_farther_than_asked():
    few, many = (
        PanoramaOptions(frames="all", rotation=RotationOptions(max_step_px=step))
        for step in (None, 0.5)
    )
    for k in range(5):
        before, after = (panorama_spec("d", "a.png", k, options) for options in (few, many))
        assert replace(after, n=before.n, times=before.times) == before
        sample = render.render_sample(after, level_of(_real_light()), many)
        steps = [
            np.linalg.norm(motion.flow(sample.meta, i, i + 1), axis=-1).max()
            for i in range(after.n - 1)
        ]
        assert max(steps) <= 0.5 + 1e-9 and after.n % 2 == 1
        assert sample.meta["max_step_px"] == pytest.approx(max(steps), abs=1e-6)
        assert motion.max_step_px(after.camera, *after.quat_first_last, after.n - 2) > 0.5


def test_a_light_beyond_white_leaves_a_bright_trail_on_the_sensor_only():
    light = np.full((256, 512, 3), 0.1, np.float32)
    light[118:138, 246:266] = 50
    quat = rotation.quat_looking_at(0, 0)
    spec = spec_between(quat, turned(quat, 0, 20, 0), n=21)
    blurs = {}
    for clip in ("frame", "sensor"):
        options = PanoramaOptions(clip=clip, response="srgb")
        sample = render.render_sample(spec, level_of(light), options)
        blurs[clip] = sample.blur
        assert sample.meta["exact_mean"] == (clip == "frame")
        assert sample.frames[1].max() == 255 and sample.frames[1].min() == 89
    assert (blurs["sensor"] == 255).mean() > 0.05 > (blurs["frame"] == 255).mean()
    with pytest.raises(ValueError, match="--response srgb with --clip sensor"):
        PanoramaOptions(clip="sensor")


def test_without_light_beyond_white_it_does_not_matter_where_it_is_clipped():
    level, spec = level_of(_real_light() * 0.9), panorama_spec("d", "a.png", 0, PanoramaOptions())
    one, other = (
        render.render_sample(spec, level, PanoramaOptions(clip=clip, response="srgb")).blur
        for clip in ("frame", "sensor")
    )
    assert np.abs(one.astype(int) - other).max() <= 2


@pytest.mark.parametrize("hfov_deg, least_db", [(60.0, 33), (120.0, 33), (150.0, 33)])
def test_a_real_panorama_comes_out_as_the_slow_reference_says(real_data, hfov_deg, least_db):
    """Against the independent renderer; the promise is 33 dB at 60 degrees."""
    reference = module_from(real_data.parent / "reference" / "render.py")
    path = real_data / "panoramas/ldr/pannellum_6th-floor_9104x4552.jpg"
    options = seen_by(48, hfov_deg)
    level, linear = load_level(path, options), reference.TO_LINEAR[cv2.imread(str(path))]
    scores = []
    for k in range(2):
        spec = panorama_spec("d", path.name, k, options)
        frame = render.render_frames(level, spec, np.array([0.0, 1.0]))[0]
        turn = reference.rotation(spec.quat_first_last[0])
        view = reference.reference_view(linear, turn, (48, 48), hfov_deg, supersample=24)
        scores.append(reference.psnr(frame[..., ::-1], reference.encode(view)))
    assert np.mean(scores) >= least_db


def test_wide_views_take_a_denser_level_and_finer_canvases():
    qualities = [
        quality_for(centred_camera((64, 64), hfov), QUALITIES["default"]) for hfov in (60, 90, 120)
    ]
    assert qualities[0] == qualities[1] == QUALITIES["default"]
    assert qualities[2].fineness == 4 and qualities[2].least_density == pytest.approx(6, rel=1e-3)
    assert edge_scale(centred_camera((64, 64), 90.0)) == pytest.approx(0.5, abs=1e-3)


def test_high_quality_is_nearer_to_the_area_of_each_pixel():
    rng = np.random.default_rng(0)
    light = rng.random((1024, 2048, 3)).astype(np.float32)
    camera, quat = centred_camera((24, 24), 60.0), rotation.quat_looking_at(30, 10)
    path = rotation.slerp(quat, turned(quat, 5, 5, 5), np.linspace(0, 1, 3))
    (exact,) = render.render_views(level_of(light, 41), camera, path[:1], render.as_light)
    views = [
        next(render.render_views(level_of(light, fineness), camera, path, render.as_light))
        for fineness in (2, 3, 5)
    ]
    errors = [np.abs(view - exact).mean() for view in views]
    assert errors[2] < 0.7 * errors[1] < 0.7 * errors[0]


# --- sources of every kind -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_every_kind_of_source_shows_the_same_picture(tmp_path, suffix):
    smooth = cv2.GaussianBlur(make_picture(128, 256), (0, 0), 2)
    write_image(tmp_path / f"a.{suffix}", smooth)
    level = load_level(tmp_path / f"a.{suffix}", seen_by(32))
    codes = render.encode_frame(inside(level))
    assert np.abs(codes.astype(int) - smooth).mean() < (5 if suffix in ("jpg", "webp") else 0.01)


def test_sixteen_bits_grey_and_alpha_are_read(tmp_path):
    grey = make_picture(128, 256)[..., 0]
    deep = (grey.astype(np.uint16) * 257)[..., None].repeat(3, -1)
    alpha = np.dstack([make_picture(128, 256)[..., ::-1], np.full((128, 256), 7, np.uint8)])
    for name, image in (("grey", grey), ("deep", deep), ("alpha", alpha)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    levels = {
        name: render.encode_frame(inside(load_level(tmp_path / f"{name}.png", seen_by(32))))
        for name in ("grey", "deep", "alpha")
    }
    assert np.array_equal(levels["grey"], np.repeat(grey[..., None], 3, -1))
    assert np.array_equal(levels["deep"], levels["grey"])
    assert np.array_equal(levels["alpha"], make_picture(128, 256))


def test_hdr_light_is_exposed_by_its_median_or_by_stops(tmp_path):
    light = np.random.default_rng(0).lognormal(2, 1, (64, 128, 3)).astype(np.float32)
    cv2.imwrite(str(tmp_path / "a.hdr"), light[..., ::-1])
    auto = inside(load_level(tmp_path / "a.hdr", seen_by(32)))
    luminance = auto @ np.array([0.2126, 0.7152, 0.0722])
    assert np.median(luminance) == pytest.approx(0.18, rel=1e-3)
    stops = inside(load_level(tmp_path / "a.hdr", seen_by(32, exposure="-3")))
    steps = light.max(-1, keepdims=True) / 8 / 128  # RGBE: eight bits beside the largest channel
    assert np.all(np.abs(stops - light / 8) <= steps)
    assert exposure_gain(light, "2") == 4


@pytest.mark.parametrize(
    "shape, words", [((100, 240), "twice as wide as high, found 240x100"), ((9, 9), "found 9x9")]
)
def test_a_picture_of_another_shape_is_refused(tmp_path, shape, words):
    write_image(tmp_path / "a.png", make_picture(*shape))
    with pytest.raises(ValueError, match=words):
        load_level(tmp_path / "a.png", seen_by(32))


def test_a_picture_within_one_percent_of_two_to_one_is_taken(tmp_path):
    write_image(tmp_path / "a.png", make_picture(100, 202))
    assert load_level(tmp_path / "a.png", seen_by(32)).size_hw == (100, 202)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (tmp_path / "b.png").write_bytes(b"")
    for name in ("a.jpg", "b.png"):
        with pytest.raises(ValueError):
            load_level(tmp_path / name, seen_by(32))


@pytest.mark.parametrize("width, height", [(2000, 1000), (2001, 1001), (2007, 1003)])
def test_sides_that_no_scale_divides_move_nothing(tmp_path, width, height):
    """JPEG's reduced decoding rounds sides up; positions must not follow."""
    smooth = cv2.GaussianBlur(make_picture(1000, 2000), (0, 0), 6)
    write_image(tmp_path / "a.jpg", cv2.resize(smooth, (width, height)))
    write_image(tmp_path / "a.png", cv2.resize(smooth, (width, height)))
    views = []
    for name in ("a.jpg", "a.png"):
        level = load_level(tmp_path / name, seen_by(32, quality="high"))
        quat = rotation.quat_looking_at(170, 0)[None]
        views.append(next(render.render_views(level, centred_camera((32, 32), 60.0), quat,
                                              render.encode_frame)))  # fmt: skip
    assert np.abs(views[0].astype(int) - views[1]).mean() < 1.0


def test_an_aspect_is_that_of_the_whole_picture(tmp_path):
    write_image(tmp_path / "a.jpg", make_picture(1040, 2097))
    assert load_level(tmp_path / "a.jpg", seen_by(16)).size_hw[1] < 2097


def test_a_large_picture_is_shrunk_in_linear_light(tmp_path):
    stripes = np.zeros((1024, 2048, 3), np.uint8)
    stripes[:, ::2] = 255
    write_image(tmp_path / "a.png", stripes)
    level = load_level(tmp_path / "a.png", seen_by(8))
    assert level.size_hw[1] < 600
    assert render.as_light(inside(level)[1:-1, 1:-1]).mean() == pytest.approx(0.5, abs=0.01)


def test_frame_times_of_all_frames_are_the_averaged_ones():
    np.testing.assert_allclose(frame_times("all", 9), np.arange(9) / 8)
