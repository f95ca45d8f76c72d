"""Laws of the pinhole and the unified sphere."""

import json
from pathlib import Path

import numpy as np
import pytest

from blursynth import rotation
from blursynth.camera import (
    Camera,
    centred_camera,
    hfov_deg_of,
    max_hfov_deg,
    pixel_centres,
    project,
    rays,
)
from blursynth.panorama import panorama_xy

CASES = json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES["rays"], ids=lambda c: f"xi={c['xi']} {c['pixel_xy']}")
def test_rays_and_panorama_positions_are_those_of_the_reference(case):
    camera = centred_camera(tuple(case["size_hw"]), case["hfov_deg"], case["xi"])
    ray = rays(np.array(case["pixel_xy"]), camera)
    np.testing.assert_allclose(ray, case["ray_camera"], atol=1e-12)
    world = rotation.matrices(np.array(case["quat_wxyz"])) @ ray
    xy = panorama_xy(world, tuple(case["panorama_size_hw"]))
    np.testing.assert_allclose(xy, case["panorama_xy"], atol=1e-6)


@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0, 1.7])
def test_projection_inverts_rays_for_every_pixel(xi):
    camera = Camera((48, 80), 40.0, xi, (37.0, 20.5))
    centres = pixel_centres(camera.size_hw)
    directions = rays(centres, camera)
    seen = np.isfinite(directions).all(-1)
    assert seen.mean() > 0.5
    np.testing.assert_allclose(np.linalg.norm(directions[seen], axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(project(directions, camera)[seen], centres[seen], atol=1e-8)


def test_pixel_centres_are_x_before_y_and_half_a_pixel_in():
    centres = pixel_centres((2, 3))
    assert centres.shape == (2, 3, 2)
    assert centres[1, 2].tolist() == [2.5, 1.5]


@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("hfov_deg", [20.0, 60.0, 120.0])
def test_the_field_of_view_reaches_from_edge_to_edge(xi, hfov_deg):
    camera = centred_camera((60, 90), hfov_deg, xi)
    left, right = rays(np.array([[0.0, 30.0], [90.0, 30.0]]), camera)
    assert np.degrees(np.arccos(left @ right)) == pytest.approx(hfov_deg)
    assert hfov_deg_of(camera) == pytest.approx(hfov_deg)


def test_a_pinhole_sees_nothing_behind_it():
    camera = centred_camera((10, 10), 60.0)
    assert np.isnan(project(np.array([0.0, 0.0, -1.0]), camera)).all()
    assert np.isfinite(project(np.array([0.9, 0.0, -0.1]), centred_camera((9, 9), 60.0, 0.9))).all()


def test_a_field_of_view_beyond_the_projection_is_refused():
    assert max_hfov_deg(0.0) == pytest.approx(180)
    assert max_hfov_deg(1.0) == pytest.approx(360)
    for hfov_deg in (0.0, -5.0, 180.0, float("nan")):
        with pytest.raises(ValueError, match="field of view"):
            centred_camera((8, 8), hfov_deg)
