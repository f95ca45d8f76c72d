"""Laws of what the transformer networks say of the motion: spec 4."""

import numpy as np
import pytest
import torch

from blursynth import motion as true_motion
from blursynth import render, rotation
from blursynth.camera import centred_camera, pixel_centres
from blursynth.panorama import level_of
from blursynth.rotation import quat_from_euler
from blursynth.spec import CameraOptions, PanoramaOptions, PanoramaSpec
from blurvid import motion
from blurvid.motion import FTN, IDENTITY, ITN, EndPointErrors
from blurvid.motion_study import moved_by
from blurvid.restoration import Restoration
from blurvid.warp import flow_warp

from ..conftest import make_picture
from .turning import ROLL, SIZE_HW, STILL, db, panorama_sample, still, thetas_of

# --- geometry -------------------------------------------------------------------------------


def test_theta_to_pixels_and_back_is_the_same_theta_on_a_non_square_image():
    thetas = STILL + 0.2 * np.random.default_rng(0).normal(size=(4, 2, 2, 3))
    transforms = motion.pixel_transforms(thetas, (64, 96))
    assert transforms.shape == (4, 2, 3, 3)
    np.testing.assert_allclose(motion.normalised_thetas(transforms, (64, 96)), thetas, atol=1e-12)


def test_a_pixel_goes_where_a_slow_reading_of_theta_sends_it():
    theta = np.array([[0.8, -0.3, 0.25], [0.2, 1.1, -0.15]])
    points = np.array([[0.0, 0.0], [96, 0], [10.5, 60.5]])
    found = motion.transformed(motion.pixel_transforms(theta, (64, 96)), points)
    for (x, y), place in zip(points, found, strict=True):
        u, v = theta @ [2 * x / 96 - 1, 2 * y / 64 - 1, 1]
        np.testing.assert_allclose(place, [(u + 1) / 2 * 96, (v + 1) / 2 * 64], atol=1e-12)


def test_what_is_no_affine_motion_has_no_theta():
    transforms = motion.true_transforms(panorama_sample().meta)
    with pytest.raises(ValueError, match="expected affine"):
        motion.normalised_thetas(transforms, (64, 96))


def test_a_way_back_undoes_the_way_there_and_a_collapse_has_none():
    thetas = np.stack([STILL + 0.1, np.zeros((2, 3))])
    transforms = motion.pixel_transforms(thetas, (64, 96))
    back = motion.inverses(transforms)
    np.testing.assert_allclose(back[0] @ transforms[0], np.eye(3), atol=1e-12)
    assert np.isnan(back[1]).all()
    paths = motion.predicted_paths(transforms, np.array([[3.0, 4.0]]))
    assert np.isfinite(paths[:2]).all() and np.isnan(paths[2]).all()


# --- end-point errors -----------------------------------------------------------------------


def test_identity_thetas_have_no_error_against_a_still_camera():
    meta = panorama_sample(beta_deg=(0, 0, 0)).meta
    errors = motion.sample_errors({ITN: still(), FTN: still()}, meta)
    assert list(errors) == [ITN, FTN, IDENTITY]
    for row in errors.values():
        for direction in row:
            np.testing.assert_allclose(direction, [[0, np.nan, 0]], atol=1e-9)


@pytest.mark.parametrize("frames", [3, 7])
def test_the_identitys_error_is_how_far_corners_and_centre_move(frames):
    meta = panorama_sample(frames=frames, shift_xy=(4, -3)).meta
    found = motion.sample_errors({}, meta)[IDENTITY]
    for k in range(frames):
        h = true_motion.homography(meta, k, frames // 2)
        moved = []
        for x, y in [(0, 0), (70, 0), (0, 45), (70, 45), (35, 22.5)]:
            u, v, w = h @ [x, y, 1]
            moved.append(np.hypot(u / w - x, v / w - y))
        expected = np.nan if k == frames // 2 else np.mean(moved)
        np.testing.assert_allclose(found.forward[0, k], expected, atol=1e-9)
    assert np.array_equal(found.forward, found.backward, equal_nan=True)


@pytest.mark.parametrize("frames", [3, 7])
def test_the_theta_of_a_pure_roll_reproduces_the_neighbours_and_the_wrong_way_does_not(frames):
    """A roll about the optical axis is affine: a theta says it exactly, on padded 45 x 70."""
    sample = panorama_sample(beta_deg=ROLL, frames=frames)
    meta, middle = sample.meta, frames // 2
    thetas = thetas_of(meta)
    moved, wrong = (moved_by(t, sample.frames[middle]) for t in (thetas, thetas[::-1]))
    for number, k in enumerate(motion.others(frames)):
        seen = true_motion.visible(meta, middle, k)
        assert seen.mean() > 0.7
        unmoved = db(sample.frames[middle], sample.frames[k], seen)
        assert db(moved[number], sample.frames[k], seen) > max(45, unmoved + 15)
        assert db(wrong[number], sample.frames[k], seen) < unmoved
    errors = motion.sample_errors({FTN: thetas}, meta)[FTN]
    assert np.nanmax(errors.forward) < 1e-6 and np.nanmin(errors.backward) > 1


def test_a_motion_is_measured_alike_whatever_the_padding():
    """The same roll on 64 x 96, which needs no padding, and on 63 x 95."""
    for size_hw in ((64, 96), (63, 95)):
        meta = panorama_sample(beta_deg=ROLL, size_hw=size_hw).meta
        errors = motion.sample_errors({ITN: thetas_of(meta)}, meta)[ITN]
        assert np.nanmax(errors.forward) < 1e-6


def test_reversed_thetas_are_as_good_and_are_reversed():
    meta = panorama_sample(beta_deg=ROLL, frames=7).meta
    rng = np.random.default_rng(1)
    thetas = {ITN: thetas_of(meta) + 0.01 * rng.normal(size=(6, 2, 3)), FTN: thetas_of(meta)}
    ahead = motion.sample_errors(thetas, meta)
    back = motion.sample_errors({name: t[::-1] for name, t in thetas.items()}, meta)
    assert not motion.runs_backward(ahead)[0] and motion.runs_backward(back)[0]
    best, best_of_reversed = map(motion.in_better_direction, (ahead, back))
    for row in (ITN, FTN, IDENTITY):
        np.testing.assert_array_equal(best[row], best_of_reversed[row])
    assert np.nanmax(best[FTN]) < 1e-6


def test_one_direction_counts_for_all_frames_and_networks_of_a_sample():
    one, two, middle = 1.0, 2.0, np.nan
    errors = {
        ITN: EndPointErrors(np.array([[one, middle, 5]]), np.array([[two, middle, two]])),
        FTN: EndPointErrors(np.array([[one, middle, one]]), np.array([[two, middle, two]])),
    }
    assert not motion.runs_backward({FTN: errors[FTN]})[0]
    assert not motion.runs_backward(errors)[0]
    errors[ITN].forward[0, 2] = 5.5
    assert motion.runs_backward(errors)[0]
    np.testing.assert_array_equal(motion.in_better_direction(errors)[FTN], [[2, np.nan, 2]])


def test_points_behind_the_camera_are_left_out():
    meta = panorama_sample(beta_deg=(0, 130, 0)).meta
    h = true_motion.homography(meta, 0, 1)
    points = motion.end_points(SIZE_HW)
    depth = np.concatenate([points, np.ones((5, 1))], 1) @ h[2]
    in_front = depth > 0
    assert 0 < in_front.sum() < 5
    moved = np.linalg.norm(motion.transformed(h, points)[in_front] - points[in_front], axis=1)
    errors = motion.sample_errors({}, meta)[IDENTITY]
    np.testing.assert_allclose(errors.forward[0, 0], moved.mean())


def test_where_every_point_is_behind_the_camera_there_is_no_error():
    meta = panorama_sample(beta_deg=(0, 300, 0)).meta
    assert np.isnan(motion.sample_errors({}, meta)[IDENTITY].forward).all()


def test_the_predicted_path_of_the_truth_is_the_true_path():
    meta = panorama_sample(beta_deg=ROLL, frames=7).meta
    points = np.array([[3.5, 4.5], [60.0, 20.0]])
    true = motion.true_paths(meta, points)
    transforms = motion.pixel_transforms(thetas_of(meta), (64, 96))
    np.testing.assert_allclose(motion.predicted_paths(transforms, points), true, atol=1e-9)
    np.testing.assert_allclose(true[3], points, atol=1e-9)
    assert np.linalg.norm(true[0] - true[6], axis=1).min() > 2


# --- a really rendered panorama -------------------------------------------------------------


def rendered_sample():
    """A 96-px view of a picture with edges and text, turned by up to 10 degrees a half."""
    picture = make_picture(512, 1024, 3).astype(np.float32) / 255
    quats = [rotation.quat_looking_at(20, 10)]
    quats.append(rotation.multiply(quats[0], quat_from_euler(np.array([8.0, -9.0, 10.0]))))
    ends = tuple(tuple(q.tolist()) for q in quats)
    camera = centred_camera((96, 96), 60.0)
    spec = PanoramaSpec("k", "a.png", camera, (8.0, -9.0, 10.0), ends, 17, (0.0, 0.5, 1.0))
    options = PanoramaOptions(camera=CameraOptions(size=96))
    return render.render_sample(spec, level_of(picture), options)


@pytest.mark.parametrize("i, j", [(1, 2), (1, 0), (0, 1), (2, 1)])
def test_a_warp_by_the_true_homography_reproduces_the_neighbouring_frame(i, j):
    """Frame i into frame j, forward and backward in time, in double precision."""
    sample = rendered_sample()
    centres = pixel_centres((96, 96))
    h = true_motion.homography(sample.meta, j, i)
    flow = motion.transformed(h, centres.reshape(-1, 2)).reshape(96, 96, 2) - centres
    source = torch.from_numpy(sample.frames[i]).permute(2, 0, 1)[None].double()
    there = torch.from_numpy(flow).permute(2, 0, 1)[None]
    moved, wrong = (flow_warp(source, f)[0].permute(1, 2, 0).numpy() for f in (there, -there))
    seen = true_motion.visible(sample.meta, i, j)
    assert seen.mean() > 0.6
    unmoved = db(sample.frames[i], sample.frames[j], seen)
    assert db(moved, sample.frames[j], seen) > max(38, unmoved + 20)
    assert db(wrong, sample.frames[j], seen) < unmoved + 1


# --- a model's answer -----------------------------------------------------------------------


def restoration(feature_scales, image_scales, value=1.0):
    chains = (torch.full((2, 2, scales, 2, 3), value) for scales in (feature_scales, image_scales))
    return Restoration((), *chains)


def test_of_each_network_that_is_there_the_finest_scale_counts():
    both = restoration(5, 5)
    both.feature_thetas[:, :, -1], both.image_thetas[:, :, -1] = 2, 3
    found = motion.finest_thetas(both)
    assert {name: t.shape for name, t in found.items()} == {ITN: (2, 2, 2, 3), FTN: (2, 2, 2, 3)}
    assert (found[FTN] == 2).all() and (found[ITN] == 3).all()
    assert list(motion.finest_thetas(restoration(5, 0))) == [FTN]
    assert list(motion.finest_thetas(restoration(0, 5))) == [ITN]
    assert motion.finest_thetas(restoration(0, 0)) == {}


@pytest.mark.parametrize(
    "answer, said",
    [
        (restoration(5, 5, float("nan")), "expected finite transformations"),
        (restoration(5, 0, float("inf")), "expected finite transformations"),
    ],
)
def test_a_diverged_transformation_gets_a_sentence(answer, said):
    with pytest.raises(ValueError, match=said):
        motion.finest_thetas(answer)
