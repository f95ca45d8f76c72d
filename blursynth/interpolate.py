"""Frames between two neighbours of a video, by dense optical flow in both directions.

A flow is (H, W, 2) float32, (x, y) in pixels: what is at p in one image is at p + flow(p) in the
other. Differences only: no pixel's centre enters, and `cv2.remap` takes indices, centres less 0.5.
Nothing is random: the same two images give the same frames, with OpenCV on one thread, as in a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np

MARGIN = 32  # pixels around a crop that its flow should see: what moves in comes from there
LEAST_SIDE = 32  # pixels: OpenCV's search must not be given less


def interleaved(frames: Sequence[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The (H, W, 3) uint8 frames in their order, and `count` interpolated ones, evenly in time,
    between each two neighbours."""
    times = np.arange(1, count + 1) / (count + 1)
    for first, last in pairwise(frames):
        yield first
        yield from between(first, last, times) if count else ()
    yield frames[-1]


def between(first: np.ndarray, last: np.ndarray, times: Sequence[float]) -> np.ndarray:
    """(k, H, W, 3) uint8 RGB frames at k >= 1 times in (0, 1), from two (H, W, 3) uint8 RGB.

    A frame is the mean of both images, each sampled where its pixels were or will be, weighted by
    nearness in time; what lies outside of one image is taken from the other. Exchanging the images
    and turning the times to 1 - t gives the same frames, but for rounding. The flow at a time is
    the combination of both flows that Jiang et al. 2018 take. Weights by forward-backward
    consistency, and plain blending where it fails, gained nothing on the clips of
    `benchmarks/interpolation.py`: the second lost 0.3 dB.
    """
    forth, back = _flow(first, last), _flow(last, first)
    frames = []
    for t in np.asarray(times, np.float32):
        near_first, near_last = 1 - t, t
        seen_first, in_first = _moved(first, near_last**2 * back - near_first * near_last * forth)
        seen_last, in_last = _moved(last, near_first**2 * forth - near_first * near_last * back)
        frames.append(_blend(seen_first, near_first * in_first, seen_last, near_last * in_last))
    return np.stack(frames)


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """From one RGB image to the other (dense inverse search, Kroeger et al. 2016)."""
    height, width = one.shape[:2]
    return _search().calc(_grey(one), _grey(other), None)[:height, :width]


def _search() -> cv2.DISOpticalFlow:
    """The preset, made 2.5 times as fast: on real clips as near to the truth, within 0.02 dB."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setPatchStride(4)
    search.setGradientDescentIterations(16)
    search.setVariationalRefinementIterations(2)
    return search


def _grey(image: np.ndarray) -> np.ndarray:
    """With the last column and row repeated to at least LEAST_SIDE."""
    height, width = image.shape[:2]
    below, right = max(LEAST_SIDE - height, 0), max(LEAST_SIDE - width, 0)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)


def _moved(image: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image sampled at p + flow(p), (H, W, 3) float32, and where that lies inside of it: nearly
    1, and nearly 0 elsewhere, (H, W, 1) float32."""
    height, width = image.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    seen = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return seen.astype(np.float32), (inside[..., None] + 1e-6).astype(np.float32)


def _blend(
    one: np.ndarray, weight_one: np.ndarray, other: np.ndarray, weight_other: np.ndarray
) -> np.ndarray:
    """The weighted mean, rounded to uint8."""
    mean = (weight_one * one + weight_other * other) / (weight_one + weight_other)
    return np.rint(mean).astype(np.uint8)
