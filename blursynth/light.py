"""Response curves and averaging: 8-bit values <-> light (spec 1.1, 2.2).

A response says what the 8-bit values of frames mean when they are averaged to a blurred image:
`identity` averages the values themselves, `gamma2.2` and `srgb` average light.
Codes are uint8 0..255; light is 0..1, where 1 is white.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import cv2
import numpy as np

MOST_NOISY_LIGHT = 1e4  # beyond it all is white, whatever the noise
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def srgb_to_linear(value: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    value = np.asarray(value)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """Linear light -> sRGB in [0, 1], clipped at black and white: the inverse."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


WHITE_STEPS = 65535  # linear light in 16 bits: white; the darkest sRGB code is 20 steps wide


@lru_cache
def linear_steps(depth: type) -> np.ndarray:
    """(256 or 65536,) uint16: linear light in WHITE_STEPS of every sRGB code of that depth."""
    codes = np.arange(np.iinfo(depth).max + 1)
    table = np.rint(srgb_to_linear(codes / codes[-1]) * WHITE_STEPS).astype(np.uint16)
    table.setflags(write=False)
    return table


@lru_cache
def srgb_codes() -> np.ndarray:
    """(65536,) uint8: the sRGB code of every step of linear light."""
    table = np.rint(linear_to_srgb(np.arange(WHITE_STEPS + 1) / WHITE_STEPS) * 255).astype(np.uint8)
    table.setflags(write=False)
    return table


RESPONSES: dict[str, tuple[Callable, Callable]] = {
    "identity": (lambda value: value, lambda light: light),
    "gamma2.2": (lambda value: value**2.2, lambda light: light ** (1 / 2.2)),
    "srgb": (srgb_to_linear, linear_to_srgb),
}


def decode_codes(codes: np.ndarray, response: str) -> np.ndarray:
    """uint8 codes -> float64 light in [0, 1] under the response."""
    return cv2.LUT(codes, _table(response))


def encode_codes(light: np.ndarray, response: str) -> np.ndarray:
    """Light in [0, 1] -> uint8 codes, rounded: the inverse of `decode_codes`."""
    encode = RESPONSES[response][1]
    return np.rint(encode(np.clip(light, 0, 1)) * 255).astype(np.uint8)


@lru_cache
def _table(response: str) -> np.ndarray:
    if response not in RESPONSES:
        raise ValueError(
            f"expected a response among {', '.join(RESPONSES)}, found {response!r}"
        )
    table = RESPONSES[response][0](np.arange(256) / 255)
    table.setflags(write=False)
    return table


def mean_of_frames(
    frames: Iterable[np.ndarray],
    response: str,
    disturb: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """The blurred image: round(encode(mean(decode(frames)))), frames uint8 of one shape (spec 2.2).

    Exact: the identity sums integers, and a half is rounded to even, as `numpy.rint` does.
    disturb: done to the mean light before it is encoded; the identity's mean codes are taken for
    sRGB's, whose light it is done to.
    """
    total, count = None, 0
    for frame in frames:
        if total is None:
            total = np.zeros(frame.shape)
        light = frame if response == "identity" else decode_codes(frame, response)
        cv2.accumulate(light, total)
        count += 1
    if total is None:
        raise ValueError("expected at least one frame to average, found none")
    total /= count
    if disturb is not None and response == "identity":
        return encode_codes(disturb(srgb_to_linear(total / 255)), "srgb")
    if response == "identity":
        return np.rint(total).astype(np.uint8)
    return encode_codes(total if disturb is None else disturb(total), response)


def noisy(
    light: np.ndarray, *, rng: np.random.Generator, read: float, shot: float
) -> np.ndarray:
    """Linear light, 1 = white, as a sensor reads it: float64, unclipped, each value on its own.

    shot: standard deviation at white of Poisson's law, with 1 / shot^2 electrons at white (none
    where 0). read: standard deviation of the Gaussian that comes on top.
    """
    light = np.clip(np.asarray(light, float), 0, MOST_NOISY_LIGHT)
    if shot:
        light = rng.poisson(light / shot**2) * shot**2
    return light + read * rng.standard_normal(light.shape) if read else light


def clipped_share(frame: np.ndarray) -> float:
    """Share of the pixels of (H, W, 3) uint8 that have a channel at 255."""
    below = cv2.countNonZero(cv2.inRange(frame, (0, 0, 0), (254, 254, 254)))
    return 1 - below / (frame.shape[0] * frame.shape[1])
