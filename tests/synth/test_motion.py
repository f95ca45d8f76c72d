"""What the metadata say of a sample's motion: spec 2.4, law 8."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from blursynth import motion, plan, spec
from blursynth.camera import centred_camera, pixel_centres, rays
from blursynth.render import _metadata
from blursynth.rotation import matrices, multiply, quat_from_euler, quat_looking_at

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "render.py"
XIS = [0.0, 0.6, 1.0, 1.4]


def panorama_meta(
    beta_deg=(6.0, -8.0, 9.0), *, frames=3, size_hw=(36, 52), hfov_deg=60.0, xi=0.0, shift_xy=(0, 0)
):
    """Metadata of a rotation by beta from a tilted start; a crop moves the principal point."""
    camera = centred_camera(size_hw, hfov_deg, xi)
    first = quat_looking_at(130.0, 25.0)
    turns = [quat_from_euler(np.array(beta_deg) * t) for t in np.linspace(0, 1, frames)]
    principal = [float(c + s) for c, s in zip(camera.principal_xy, shift_xy, strict=True)]
    return {
        "kind": "panorama",
        "size_hw": list(size_hw),
        "xi": xi,
        "focal_px": camera.focal_px,
        "principal_xy": principal,
        "quat_wxyz": [multiply(first, turn).tolist() for turn in turns],
    }


def apply(homography, points_xy):
    moved = np.concatenate([points_xy, np.ones_like(points_xy[..., :1])], -1) @ homography.T
    return moved[..., :2] / moved[..., 2:]


def view(meta, k, panorama):
    """Frame k of a scene whose colour is a function of the world's direction: no panorama file."""
    camera = motion.camera_of(meta)
    world = rays(pixel_centres(camera.size_hw), camera) @ matrices(np.array(meta["quat_wxyz"][k])).T
    return panorama(world)


def smooth_scene(world):
    """Colours of directions that bilinear sampling at these sizes meets within half a code."""
    x, y, z = np.moveaxis(world, -1, 0)
    channels = [np.sin(3 * x + y), np.cos(4 * y - z), np.sin(3 * z + 2 * y + 1)]
    return (np.stack(channels, -1) * 100 + 128).astype(np.float32)


@pytest.mark.parametrize("xi", XIS)
def test_a_frame_does_not_move_against_itself(xi):
    meta = panorama_meta(xi=xi)
    assert np.abs(motion.flow(meta, 1, 1)).max() < 1e-9
    assert motion.visible(meta, 1, 1).all()


def test_the_homography_of_a_frame_to_itself_is_the_identity():
    np.testing.assert_allclose(motion.homography(panorama_meta(), 2, 2), np.eye(3), atol=1e-12)


def test_homographies_compose_and_invert():
    meta = panorama_meta(shift_xy=(11, -7))
    there, on = motion.homography(meta, 0, 1), motion.homography(meta, 1, 2)
    np.testing.assert_allclose(on @ there, motion.homography(meta, 0, 2), rtol=1e-9)
    back = motion.homography(meta, 1, 0)
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("shift_xy", [(0, 0), (11, -7)])
def test_the_flow_of_a_pinhole_is_its_homography(shift_xy):
    meta = panorama_meta(shift_xy=shift_xy)
    centres = pixel_centres((36, 52))
    expected = apply(motion.homography(meta, 0, 2), centres) - centres
    np.testing.assert_allclose(motion.flow(meta, 0, 2), expected, atol=1e-9)


@pytest.mark.parametrize("xi", XIS)
def test_the_world_direction_is_the_same_in_both_frames(xi):
    """Brute force: the reference renderer's rays at the two positions, each in its own axes."""
    reference = load_reference()
    meta = panorama_meta(xi=xi, shift_xy=(3.5, -2.0))
    moved = pixel_centres((36, 52)) + motion.flow(meta, 0, 2)
    camera = ((36, 52), 60.0, xi, meta["principal_xy"])
    first, last = (reference.rotation(meta["quat_wxyz"][k]) for k in (0, 2))
    seen_first = reference.rays(pixel_centres((36, 52)), *camera) @ first.T
    seen_last = reference.rays(moved, *camera) @ last.T
    np.testing.assert_allclose(seen_last, seen_first, atol=1e-9)


def load_reference():
    if not REFERENCE.exists():
        pytest.skip("the independent renderer is not here")
    spec = importlib.util.spec_from_file_location("reference_render", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("beta_deg, axis, sign", [((0, 5, 0), 0, -1), ((5, 0, 0), 1, 1)])
def test_a_camera_that_turns_moves_the_picture_the_other_way(beta_deg, axis, sign):
    """A turn to the right moves the picture left; a turn upwards moves it down."""
    moved = motion.flow(panorama_meta(beta_deg), 0, 2)
    centre = moved[18, 26]
    assert centre[axis] * sign > 3
    assert abs(centre[1 - axis]) < 0.1


def test_a_camera_that_rolls_clockwise_turns_the_picture_counterclockwise():
    moved = motion.flow(panorama_meta((0, 0, 5)), 0, 2)
    right_edge, top_edge = moved[18, -1], moved[0, 26]
    assert right_edge[1] < -1 and top_edge[0] < -1


@pytest.mark.parametrize("xi", XIS)
@pytest.mark.parametrize("i, j", [(1, 0), (1, 2), (2, 0)])
def test_warping_one_frame_by_it_gives_the_other_where_both_see_the_scene(xi, i, j):
    meta = panorama_meta(xi=xi, size_hw=(96, 120))
    source, target = (view(meta, k, smooth_scene) for k in (i, j))
    xy = motion.positions(meta, j, i).astype(np.float32) - 0.5
    warped = cv2.remap(source, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR)
    seen = motion.visible(meta, i, j)
    assert 0.4 < seen.mean() < 1
    assert np.abs(warped - target)[seen].max() < 0.5
    wrong_way = motion.positions(meta, i, j).astype(np.float32) - 0.5
    wrong = cv2.remap(source, wrong_way[..., 0], wrong_way[..., 1], cv2.INTER_LINEAR)
    assert np.abs(wrong - target)[seen].mean() > 5


def test_both_see_as_many_pixels_as_a_shift_leaves():
    """A turn of exactly five pixels at the centre of a long lens is a shift of the picture."""
    focal = centred_camera((20, 200), 1.0).focal_px
    turn_deg = np.degrees(np.arctan(5 / focal))
    meta = panorama_meta((0, turn_deg, 0), size_hw=(20, 200), hfov_deg=1.0)
    seen = motion.visible(meta, 0, 2)
    assert seen[10].sum() in (194, 195)
    assert seen[10, :194].all() and not seen[10, 196:].any()


def test_what_the_other_camera_cannot_see_is_nan_and_not_visible():
    meta = panorama_meta((0, 100, 0))
    assert np.isnan(motion.flow(meta, 0, 2)).any()
    assert not motion.visible(meta, 0, 2).any()


def test_a_homography_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match="xi = 0.6"):
        motion.homography(panorama_meta(xi=0.6), 0, 2)


def test_the_motion_of_a_video_sample_is_refused():
    with pytest.raises(ValueError, match="video"):
        motion.flow({"kind": "video"}, 0, 2)


# --- blur length ------------------------------------------------------------------------------


def slow_blur_length(meta):
    """Pixel by pixel: the ray of the first camera, seen by the last one's homography or sphere."""
    height, width = meta["size_hw"]
    xi, focal = meta["xi"], meta["focal_px"]
    principal = np.array(meta["principal_xy"])
    first, last = matrices(np.array([meta["quat_wxyz"][k] for k in (0, -1)]))
    lengths = []
    for i, j in np.ndindex(height, width):
        place = np.array([j + 0.5, i + 0.5])
        seen = last.T @ first @ slow_ray((place - principal) / focal, xi)
        if seen[2] + xi > 1e-12:
            moved = focal * seen[:2] / (seen[2] + xi) + principal
            lengths.append(np.hypot(*(moved - place)))
    return np.mean(lengths)


def slow_ray(plane, xi):
    """The unit vector that Mei & Rives' model projects to (x, y), by bisection on its angle."""
    radius, low, high = np.hypot(*plane), 0.0, np.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        if np.sin(middle) / (xi + np.cos(middle)) < radius:
            low = middle
        else:
            high = middle
    direction = plane / radius if radius else plane
    return np.array([*(np.sin(low) * direction), np.cos(low)])


@pytest.mark.parametrize("xi", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("beta_deg", [(0, 7, 0), (0, 0, 9), (6, -8, 9)])
def test_the_blur_length_is_the_mean_over_pixels_of_a_slow_computation(beta_deg, xi):
    meta = panorama_meta(beta_deg, size_hw=(16, 22), xi=xi, shift_xy=(3, -2))
    assert motion.blur_length_px(meta) == pytest.approx(slow_blur_length(meta), rel=1e-6)


def test_a_roll_blurs_by_its_chord_times_the_mean_distance_from_the_centre():
    """Each pixel moves on a circle: 2 r sin(angle / 2)."""
    meta = panorama_meta((0, 0, 8), size_hw=(40, 60))
    distance = np.linalg.norm(pixel_centres((40, 60)) - [30, 20], axis=-1)
    expected = 2 * np.sin(np.radians(4)) * distance.mean()
    assert motion.blur_length_px(meta) == pytest.approx(expected, rel=1e-9)


def test_a_small_yaw_of_a_long_lens_blurs_by_focal_length_times_angle():
    meta = panorama_meta((0, 0.1, 0), size_hw=(20, 20), hfov_deg=1.0)
    expected = meta["focal_px"] * np.radians(0.1)
    assert motion.blur_length_px(meta) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("xi", XIS)
def test_no_rotation_has_no_blur_length(xi):
    assert motion.blur_length_px(panorama_meta((0, 0, 0), xi=xi)) == pytest.approx(0, abs=1e-9)


def test_frames_in_between_do_not_change_the_blur_length():
    few, many = (panorama_meta((0, 9, 0), frames=n) for n in (3, 7))
    assert motion.blur_length_px(few) == pytest.approx(motion.blur_length_px(many), rel=1e-9)


def test_pixels_that_the_last_camera_cannot_see_are_left_out_of_the_blur_length():
    partly, not_at_all = panorama_meta((0, 100, 0)), panorama_meta((0, 170, 0))
    assert np.isnan(motion.flow(partly, 0, 2)).any()
    assert motion.blur_length_px(partly) > 0 and np.isnan(motion.blur_length_px(not_at_all))


def test_the_blur_length_of_a_video_is_that_of_its_direction():
    assert motion.blur_length_px({"kind": "video", "direction": [-6.0, 8.0, 0.0]}) == 10.0


def test_orientations_at_the_stored_times_are_those_of_the_stored_frames():
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16), frames="7")
    planned = plan.panorama_spec("panorama", "a.png", 3, options)
    meta = _metadata(planned, options, 0.0)
    assert np.allclose(motion.orientations(meta, meta["times"]), meta["quat_wxyz"], atol=0, rtol=1e-15)
