"""Laws of rotations: Euler angles, Slerp, the rotation vector."""

import json
from pathlib import Path

import numpy as np
import pytest

from blursynth import rotation

CASES = json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text())


def random_quat(rng):
    quat = rng.normal(size=4)
    return quat / np.linalg.norm(quat)


def angle_between(a, b):
    return 2 * np.arccos(np.clip(abs(np.dot(a, b)), 0, 1))


@pytest.mark.parametrize("case", CASES["slerp"], ids=lambda c: f"t={c['t']}")
def test_slerp_gives_the_reference_cases(case):
    path = rotation.slerp(np.array(case["from"]), np.array(case["to"]), np.array([case["t"]]))
    np.testing.assert_allclose(path[0], case["quat_wxyz"], atol=1e-12)


def test_slerp_begins_and_ends_at_the_given_orientations():
    rng = np.random.default_rng(1)
    for _ in range(50):
        a, b = random_quat(rng), random_quat(rng)
        path = rotation.slerp(a, b, np.array([0.0, 1.0]))
        np.testing.assert_allclose(path[0], a, atol=1e-12)
        np.testing.assert_allclose(rotation.matrices(path[1]), rotation.matrices(b), atol=1e-12)


def test_slerp_turns_at_constant_speed_along_the_short_arc():
    rng = np.random.default_rng(2)
    for _ in range(50):
        a, b = random_quat(rng), random_quat(rng)
        path = rotation.slerp(a, b, np.linspace(0, 1, 9))
        steps = [angle_between(p, q) for p, q in zip(path, path[1:], strict=False)]
        np.testing.assert_allclose(steps, angle_between(a, b) / 8, atol=1e-7)


def test_the_middle_of_slerp_is_equally_far_from_both_ends():
    a = rotation.quat_looking_at(170, 40)
    b = rotation.multiply(a, rotation.quat_from_euler(np.array([9.0, -8.0, 7.0])))
    middle = rotation.slerp(a, b, np.array([0.5]))[0]
    bisector = (a + b) / np.linalg.norm(a + b)
    np.testing.assert_allclose(middle, bisector, atol=1e-12)


def test_slerp_between_equal_orientations_stays_there():
    a = rotation.quat_looking_at(12, 34)
    np.testing.assert_allclose(rotation.slerp(a, a, np.linspace(0, 1, 5)), [a] * 5, atol=1e-12)


def test_reversing_the_ends_reverses_the_path():
    rng = np.random.default_rng(3)
    a, b = random_quat(rng), random_quat(rng)
    times = np.linspace(0, 1, 7)
    forwards = rotation.matrices(rotation.slerp(a, b, times))
    backwards = rotation.matrices(rotation.slerp(b, a, times))
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-12)


def test_euler_angles_compose_as_rx_ry_rz():
    x, y, z = np.radians([10.0, -20.0, 30.0])
    rx = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    ry = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    rz = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    quat = rotation.quat_from_euler(np.array([10.0, -20.0, 30.0]))
    expected = np.array(rx) @ ry @ rz
    np.testing.assert_allclose(rotation.matrices(quat), expected, atol=1e-12)


def test_yaw_turns_right_and_pitch_turns_up():
    forward = np.array([0.0, 0.0, 1.0])
    right = rotation.matrices(rotation.quat_looking_at(90, 0)) @ forward
    up = rotation.matrices(rotation.quat_looking_at(0, 90)) @ forward
    np.testing.assert_allclose(right, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(up, [0, -1, 0], atol=1e-12)


def test_the_rotation_vector_is_exactly_negated_by_reversal():
    rng = np.random.default_rng(4)
    for _ in range(200):
        a, b = random_quat(rng), random_quat(rng)
        forwards, backwards = (rotation.rotation_vector_deg(*p) for p in ((a, b), (b, a)))
        assert np.array_equal(forwards, -backwards)


def test_the_rotation_vector_is_axis_times_degrees():
    a = rotation.quat_looking_at(33, -21)
    b = rotation.multiply(a, rotation.quat_from_euler(np.array([0.0, 8.0, 0.0])))
    np.testing.assert_allclose(rotation.rotation_vector_deg(a, b), [0, 8, 0], atol=1e-10)
    np.testing.assert_allclose(rotation.rotation_vector_deg(a, -b), [0, 8, 0], atol=1e-10)
