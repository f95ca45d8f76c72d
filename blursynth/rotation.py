"""Unit quaternions: Euler angles -> rotation, and the paths between two orientations.

Quaternions are (w, x, y, z) float64; a rotation of an orientation is world_from_camera, so that
x_world = R x_camera (spec 1.1). The algebra is numpy-quaternion's.
"""

from __future__ import annotations

import numpy as np
import quaternion


def quat_from_euler(beta_deg: np.ndarray) -> np.ndarray:
    """(3,) degrees (bx, by, bz) -> (4,) wxyz of Rx(bx) Ry(by) Rz(bz)."""
    half = np.radians(np.asarray(beta_deg, float)) / 2
    x, y, z = (quaternion.quaternion(np.cos(h), *(np.sin(h) * axis)) for h, axis in _axes(half))
    return quaternion.as_float_array(x * y * z)


def _axes(half: np.ndarray) -> zip:
    return zip(half, np.eye(3), strict=True)


def quat_looking_at(yaw_deg: float, pitch_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    """(4,) wxyz of a camera turned right by yaw, then up by pitch, then clockwise by roll.

    Ry(yaw) Rx(pitch) Rz(roll) in axes x right, y down, z forward: a positive rotation about x
    lifts z towards -y, which is up.
    """
    yaw = quat_from_euler(np.array([0.0, yaw_deg, 0.0]))
    return multiply(
        multiply(yaw, quat_from_euler(np.array([pitch_deg, 0.0, 0.0]))),
        quat_from_euler(np.array([0.0, 0.0, roll_deg])),
    )


def multiply(a_wxyz: np.ndarray, b_wxyz: np.ndarray) -> np.ndarray:
    """The quaternion of R_a R_b, (4,)."""
    a, b = quaternion.from_float_array(a_wxyz), quaternion.from_float_array(b_wxyz)
    return quaternion.as_float_array(a * b)


def slerp(start_wxyz: np.ndarray, end_wxyz: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(m, 4) wxyz at the times in [0, 1] along the short arc: constant angular speed.

    Dam et al. 1998. The ends are those given (the last may change sign: the same rotation), and a
    path between equal ends stays there to the last bit.
    """
    times = np.asarray(times, float)
    if np.array_equal(start_wxyz, end_wxyz):
        return np.tile(np.asarray(start_wxyz, float), (len(times), 1))
    start = quaternion.from_float_array(start_wxyz)
    end = quaternion.from_float_array(end_wxyz)
    if np.dot(start_wxyz, end_wxyz) < 0:
        end = -end
    path = quaternion.as_float_array(np.slerp_vectorized(start, end, times))
    return path / np.linalg.norm(path, axis=1, keepdims=True)


def shaken_path(
    start_wxyz: np.ndarray, end_wxyz: np.ndarray, shake_deg: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """(m, 4) wxyz of slerp(t) exp(w(t)), w(t) = sum over k of shake_deg[k - 1] sin(k pi t), at the
    times in [0, 1].

    shake_deg: (K, 3) degrees, rotation vectors in the axes of the camera on its Slerp path; w is 0
    at both ends. With K = 0 or zeros it is `slerp` to the last bit.
    """
    path = slerp(start_wxyz, end_wxyz, times)
    shake = np.radians(np.reshape(shake_deg, (-1, 3)))
    if not shake.any():
        return path
    turns = quaternion.from_rotation_vector(_waves(np.asarray(times, float), len(shake)) @ shake)
    shaken = quaternion.as_float_array(quaternion.from_float_array(path) * turns)
    return shaken / np.linalg.norm(shaken, axis=1, keepdims=True)


def _waves(times: np.ndarray, count: int) -> np.ndarray:
    """(m, count) sin(k pi t), k from 1: exactly 0 at both ends, mirrored exactly about 1/2."""
    k = np.arange(1, count + 1)
    mirrored = np.where((times[:, None] > 0.5) & (k % 2 == 0), -1, 1)
    return mirrored * np.sin(np.pi * np.minimum(times, 1 - times)[:, None] * k)


def matrices(quats_wxyz: np.ndarray) -> np.ndarray:
    """(..., 4) wxyz -> (..., 3, 3) rotation matrices."""
    return quaternion.as_rotation_matrix(quaternion.from_float_array(np.asarray(quats_wxyz)))


def rotation_vector_deg(first_wxyz: np.ndarray, last_wxyz: np.ndarray) -> np.ndarray:
    """(3,) log(R_first^T R_last) in degrees, short way, in the axes of the first camera.

    The vector is the rotation's axis, which both cameras see alike. Exactly negated when the two
    are exchanged: one order of them is computed, the other is its negative.
    """
    if tuple(last_wxyz) < tuple(first_wxyz):
        return -rotation_vector_deg(last_wxyz, first_wxyz)
    first, last = (quaternion.from_float_array(q) for q in (first_wxyz, last_wxyz))
    w, *vector = quaternion.as_float_array(first.conjugate() * last)
    vector = np.array(vector) * np.copysign(1.0, w)
    length = np.linalg.norm(vector)
    angle = 2 * np.arctan2(length, abs(w))
    return np.degrees(angle) * vector / length if length > 0 else np.zeros(3)
