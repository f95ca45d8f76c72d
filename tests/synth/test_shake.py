"""Laws of shaken paths: their ends, their distribution, their frames and what is said of them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from blursynth import motion, plan, render, rotation
from blursynth.camera import pixel_centres, rays
from blursynth.light import mean_of_frames
from blursynth.panorama import level_of
from blursynth.spec import CameraOptions, PanoramaOptions, RotationOptions

from ..conftest import make_picture
from .test_render import analytic, analytic_level

ENDS = rotation.quat_looking_at(170, 40), rotation.quat_looking_at(185, 33, 6)
SHAKE = np.array([[3.0, -2.0, 1.0], [0.5, 1.0, -1.0], [0.0, 0.4, 0.3]])
TIMES = np.linspace(0, 1, 13)


def shaken(max_angle_deg=10.0, frames="3", camera=None, **rotation_options):
    return PanoramaOptions(
        camera=camera or CameraOptions(size=32),
        rotation=RotationOptions(max_angle_deg, path="shake", **rotation_options),
        frames=frames,
    )


def specs_of(options, count, source="a.png"):
    return [plan.panorama_spec("d", source, k, options) for k in range(count)]


# --- the path ----------------------------------------------------------------------------------


def test_a_shaken_path_has_the_ends_that_it_is_given():
    path = rotation.shaken_path(*ENDS, SHAKE, np.array([0.0, 1.0]))
    np.testing.assert_allclose(path, rotation.slerp(*ENDS, np.array([0.0, 1.0])), atol=1e-15)


@pytest.mark.parametrize("nothing", [(), np.zeros((0, 3)), np.zeros((4, 3))])
def test_without_shake_it_is_slerp_to_the_last_bit(nothing):
    path = rotation.shaken_path(*ENDS, nothing, TIMES)
    assert np.array_equal(path, rotation.slerp(*ENDS, TIMES))


def test_a_shaken_path_is_slerp_turned_by_the_sum_of_waves_in_camera_axes():
    """By brute force: Rodrigues' formula on every time."""
    path = rotation.matrices(rotation.shaken_path(*ENDS, SHAKE, TIMES))
    for t, found in zip(TIMES, path, strict=True):
        x, y, z = np.radians(sum(a * np.sin(k * np.pi * t) for k, a in enumerate(SHAKE, 1)))
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = np.sqrt(x * x + y * y + z * z)
        turn = np.eye(3) + np.sinc(angle / np.pi) * cross
        turn += (1 - np.cos(angle)) / max(angle, 1e-9) ** 2 * cross @ cross
        base = rotation.matrices(rotation.slerp(*ENDS, np.array([t])))[0]
        np.testing.assert_allclose(found, base @ turn, atol=1e-12)


def test_a_path_backwards_is_a_path_with_every_second_sign_turned():
    backwards = SHAKE * np.array([1, -1, 1])[:, None]
    there = rotation.shaken_path(*ENDS, SHAKE, TIMES)
    back = rotation.shaken_path(*ENDS[::-1], backwards, 1 - TIMES)
    np.testing.assert_allclose(rotation.matrices(there), rotation.matrices(back), atol=1e-12)


# --- what is drawn -------------------------------------------------------------------------------


def test_all_else_of_a_shaken_sample_is_as_it_was():
    for k in range(20):
        options = shaken()
        plain = replace(options, rotation=RotationOptions())
        one, other = (plan.panorama_spec("d", "a.png", k, o) for o in (plain, options))
        assert one.shake_deg == () and len(other.shake_deg) == plan.SHAKE_TERMS
        assert replace(other, shake_deg=()) == one


def test_shake_is_proportional_to_the_angle_falls_with_its_frequency_and_is_bounded():
    specs = specs_of(shaken(), 4000)
    angle = [np.linalg.norm(rotation.rotation_vector_deg(*map(np.array, s.quat_first_last)))
             for s in specs]  # fmt: skip
    share = np.array([s.shake_deg for s in specs]) / np.array(angle)[:, None, None]
    for k in range(plan.SHAKE_TERMS):
        expected = plan.SHAKE_SHARE / (k + 1) ** 2
        assert share[:, k].std() == pytest.approx(expected, rel=0.03)
        assert np.abs(share[:, k]).max() <= plan.SHAKE_BOUND * expected * (1 + 1e-9)
        assert np.abs(share[:, k].mean(0)).max() < 4 * expected / np.sqrt(4000)


def test_both_directions_of_time_are_equally_likely():
    """Mirrored in time a path has its even terms negated; against the direction, which is negated
    too, no product of them has a mean."""
    specs = specs_of(shaken(), 4000)
    shake = np.array([s.shake_deg for s in specs])
    vector = np.array([rotation.rotation_vector_deg(*map(np.array, s.quat_first_last))
                       for s in specs])  # fmt: skip
    for k in range(plan.SHAKE_TERMS):
        product = shake[:, k] * vector
        assert np.all(np.abs(product.mean(0)) < 4 * product.std(0) / np.sqrt(len(specs)))


def test_no_rotation_has_no_shake_and_blurs_nothing():
    options = shaken(0.0)
    (spec,) = specs_of(options, 1)
    light = (make_picture(256, 512) / 255).astype(np.float32)
    sample = render.render_sample(spec, level_of(light), options)
    assert np.abs(spec.shake_deg).max() < 1e-12 and sample.meta["max_step_px"] < 1e-6
    assert all(np.array_equal(frame, sample.blur) for frame in sample.frames)


def test_other_seeds_sources_and_numbers_shake_otherwise():
    base = plan.panorama_spec("d", "a.png", 0, shaken())
    others = [
        plan.panorama_spec("d", "b.png", 0, shaken()),
        plan.panorama_spec("d", "a.png", 1, shaken()),
        plan.panorama_spec("d", "a.png", 0, replace(shaken(), seed=1)),
    ]
    assert len({spec.shake_deg for spec in (base, *others)}) == 4
    assert base == plan.panorama_spec("d", "a.png", 0, shaken())


# --- what is rendered ----------------------------------------------------------------------------


@pytest.mark.parametrize("xi", [0.0, 0.6])
@pytest.mark.parametrize("max_angle_deg, atol", [(10.0, 5e-3), (45.0, 3e-2), (90.0, 3e-2)])
def test_shaken_frames_are_as_exact_as_others(xi, max_angle_deg, atol):
    """Against the function that the panorama shows, and against frames rendered alone."""
    level = analytic_level()
    options = shaken(max_angle_deg, frames="all", camera=CameraOptions(size=40, xi=xi))
    for spec in specs_of(options, 4):
        times = np.arange(spec.n) / (spec.n - 1)
        path = render._orientations(spec, times)
        views = render.render_views(level, spec.camera, path, render.as_light)
        frames = render.render_frames(level, spec, times)
        turns = rotation.matrices(path)
        for light, frame, turn, t in zip(views, frames, turns, times, strict=True):
            world = rays(pixel_centres(spec.camera.size_hw), spec.camera) @ turn.T
            np.testing.assert_allclose(light, analytic(world), atol=atol)
            (alone,) = render.render_frames(level, spec, np.array([t]))
            assert np.abs(frame.astype(int) - alone).max() <= 2 + 100 * (max_angle_deg > 10) * atol


@pytest.mark.parametrize("xi", [0.0, 0.6])
def test_the_motion_in_the_metadata_maps_shaken_frames_onto_each_other(xi):
    options = shaken(frames="7", camera=CameraOptions(size=64, xi=xi))
    for spec in specs_of(options, 3):
        meta = render.render_sample(spec, analytic_level(), options).meta
        frames = render.render_frames(analytic_level(), spec, np.array(spec.times))
        for i, j in ((3, 1), (3, 5), (1, 4)):
            xy = motion.positions(meta, j, i).astype(np.float32) - np.float32(0.5)
            warped = cv2.remap(frames[i], xy[..., 0], xy[..., 1], cv2.INTER_LINEAR)
            both = motion.visible(meta, i, j)
            difference = np.abs(warped[both].astype(int) - frames[j][both])
            still = np.abs(frames[i][both].astype(int) - frames[j][both])
            assert difference.max() <= 3 < still.max()


def test_homographies_between_shaken_pinhole_frames_are_those_of_the_path():
    options = shaken(frames="7")
    (spec,) = specs_of(options, 1)
    meta = render.render_sample(spec, analytic_level(), options).meta
    camera, turns = spec.camera, rotation.matrices(motion.orientations(meta, meta["times"]))
    k = np.array([[camera.focal_px, 0, camera.principal_xy[0]],
                  [0, camera.focal_px, camera.principal_xy[1]], [0, 0, 1]])  # fmt: skip
    expected = k @ turns[5].T @ turns[2] @ np.linalg.inv(k)
    np.testing.assert_allclose(motion.homography(meta, 2, 5), expected, atol=1e-9)
    straight = rotation.slerp(*np.array(meta["quat_first_last"]), np.array(meta["times"]))
    assert np.abs(straight - meta["quat_wxyz"]).max() > 1e-3


def test_the_metadata_give_the_path_at_any_time_and_the_blur_is_the_mean_along_it():
    options = shaken(frames="all")
    level = analytic_level()
    for spec in specs_of(options, 3):
        sample = render.render_sample(spec, level, options)
        meta = sample.meta
        assert meta["shake_deg"] == [list(row) for row in spec.shake_deg] and meta["exact_mean"]
        told = motion.orientations(meta, meta["times"])
        np.testing.assert_allclose(told, meta["quat_wxyz"], atol=1e-12)
        finer = np.linspace(0, 1, 7)
        expected = render._orientations(spec, finer)
        np.testing.assert_allclose(motion.orientations(meta, finer), expected, atol=1e-12)
        assert np.array_equal(mean_of_frames(sample.frames, "identity"), sample.blur)
        vector = rotation.rotation_vector_deg(*np.array(meta["quat_first_last"]))
        np.testing.assert_allclose(meta["direction"], vector[[1, 0, 2]])


@pytest.mark.parametrize("max_step", [None, 0.5])
def test_the_largest_step_is_that_of_the_fastest_pair_of_neighbours(max_step):
    options = shaken(frames="all", max_step_px=max_step)
    for spec in specs_of(options, 5):
        meta = render._metadata(spec, options, 0.0)
        steps = [
            np.linalg.norm(motion.flow(meta, i, i + 1), axis=-1).max() for i in range(spec.n - 1)
        ]
        assert meta["max_step_px"] == pytest.approx(max(steps), abs=1e-6)
        assert max(steps) > 1.1 * np.mean(steps)
        if max_step:
            assert max(steps) <= max_step + 1e-9 and spec.n % 2 == 1
            path = spec.quat_first_last, spec.shake_deg
            assert motion.max_step_px(spec.camera, *path[0], spec.n - 2, path[1]) > max_step
