"""Frames between two neighbours of a video, by dense optical flow in both directions.

A flow is (H, W) complex64, x + iy in pixels: what is at p in one image is at p + flow(p) in the
other. Differences only: no pixel's centre enters, and `cv2.remap` takes indices, centres less 0.5.
A pixel of one image is hidden where the other does not show what it shows.
Nothing is random: the same two images give the same frames, with OpenCV on one thread, as in a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

MARGIN = 32  # pixels around a crop that its flow should see: what moves in comes from there
LEAST_SIDE = 32  # pixels: OpenCV's search must not be given less
BESIDE = 12  # pixels: more than a searched flow errs by at the edge of what moves
WAYS = (-32, -16, -8, 8, 16, 32)  # pixels along a row or column, to where a hidden one may belong
NOWHERE = 1e9  # grey levels: no way is as long


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
    nearness in time. What only one image shows is taken from it alone: what is about to be covered
    from the first, what was just uncovered from the last, what lies outside of one from the other.
    Exchanging the images and turning the times to 1 - t gives the same frames, but for rounding.

    Both flows are sharpened at the edges of what moves. A pixel is hidden where they then do not
    lead back to it, with a tolerance that grows with them (after Sundaram et al. 2010); it moves
    like that side of it which no edge divides from it. A motion holds at a time if what starts with
    it gets there; motions of what both images show come first. Where none holds, both images count,
    by the combination of both searched flows that Jiang et al. 2018 take.
    """
    one, other = _views(first, last)
    return np.stack([_frame(one, other, t) for t in np.asarray(times, np.float32)])


class _View(NamedTuple):
    """One of two images, (H, W, 3) uint8, and what leads from it to the other, all (H, W).

    searched, flow: as found, and mended. hidden: 1 or 0, uint8. crowd: the share of hidden pixels
    of 21 x 21 around each, float32: large where nothing is covered, but no flow was found.
    """

    image: np.ndarray
    searched: np.ndarray
    flow: np.ndarray
    hidden: np.ndarray
    crowd: np.ndarray


def _views(first: np.ndarray, last: np.ndarray) -> tuple[_View, _View]:
    greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, last)]
    forth, back = _searched(*greys), _searched(*greys[::-1])
    sharp = [_sharpened(forth, *greys), _sharpened(back, *greys[::-1])]
    one = _view(first, greys[0], forth, *sharp)
    return one, _view(last, greys[1], back, *sharp[::-1])


def _searched(grey: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The flow from one grey image to the other (dense inverse search, Kroeger et al. 2016)."""
    height, width = grey.shape
    found = _search().calc(_large(grey), _large(other), None)[:height, :width]
    return _complex(np.ascontiguousarray(found))


def _search() -> cv2.DISOpticalFlow:
    """The preset, made 1.5 times as fast: on real clips as near to the truth, within 0.02 dB."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setPatchStride(4)
    search.setGradientDescentIterations(12)
    search.setVariationalRefinementIterations(1)
    return search


def _large(grey: np.ndarray) -> np.ndarray:
    """With the last column and row repeated to at least LEAST_SIDE."""
    height, width = grey.shape
    below, right = max(LEAST_SIDE - height, 0), max(LEAST_SIDE - width, 0)
    return cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)


def _sharpened(flow: np.ndarray, grey: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Each pixel takes, of its own flow and the four BESIDE it, the one that matches best: searched
    flows reach over the edges of what moves."""
    height, width = flow.shape
    sharp, least = flow.copy(), _mismatch(flow, grey, other)
    wide = _complex(cv2.copyMakeBorder(_real(flow), *(BESIDE,) * 4, cv2.BORDER_REPLICATE))
    for top, left in ((0, BESIDE), (BESIDE, 0), (BESIDE, 2 * BESIDE), (2 * BESIDE, BESIDE)):
        beside = wide[top : top + height, left : left + width]
        mismatch = _mismatch(beside, grey, other)
        better = mismatch < least
        np.copyto(sharp, beside, where=better)
        np.copyto(least, mismatch, where=better)
    return sharp


def _mismatch(flow: np.ndarray, grey: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Grey levels between p and p + flow(p), the mean of 3 x 3 pixels, uint8."""
    return cv2.blur(cv2.absdiff(grey, _at(other, flow, cv2.INTER_LINEAR)), (3, 3))


def _view(
    image: np.ndarray, grey: np.ndarray, searched: np.ndarray, sharp: np.ndarray, back: np.ndarray
) -> _View:
    """back: the sharp flow of the other image."""
    hidden = _hidden(sharp, back)
    x, y = cv2.split(_real(_filled(sharp, hidden, grey)))
    flow = _complex(cv2.merge((cv2.medianBlur(x, 3), cv2.medianBlur(y, 3))))
    crowd = cv2.blur(hidden.astype(np.float32), (21, 21))
    return _View(image, searched, flow, hidden.astype(np.uint8), crowd)


def _hidden(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where the flow back, from where the flow leads, does not return: (H, W) bool."""
    returned = _flow_at(back, flow)
    return _square(flow + returned) > 2 + 0.01 * (_square(flow) + _square(returned))


def _filled(flow: np.ndarray, hidden: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Each hidden pixel takes the flow of a seen one: of those at WAYS from it that to which grey
    changes least on the way. So it is the background's, not that of what covers it."""
    y, x = np.nonzero(hidden)
    far = WAYS[-1]
    row = flow.shape[1] + 2 * far
    here = (y + far) * row + x + far
    source, least = here.copy(), np.full(len(here), NOWHERE / 2, np.float32)
    for axis, stride in enumerate((row, 1)):
        change = _change(grey, axis)
        own = change[hidden]
        change[hidden] = NOWHERE
        wide = cv2.copyMakeBorder(change, *(far,) * 4, cv2.BORDER_CONSTANT, value=NOWHERE).ravel()
        for way in WAYS:
            there = here + way * stride
            leads = np.abs(wide[there] - own)
            better = leads < least
            np.copyto(source, there, where=better)
            np.copyto(least, leads, where=better)
    filled = flow.copy()
    filled[y, x] = flow[source // row - far, source % row - far]
    return filled


def _change(grey: np.ndarray, axis: int) -> np.ndarray:
    """The sum of the steps of grey from the border to each pixel along an axis, float32."""
    levels = grey.astype(np.float32)
    steps = np.abs(np.diff(levels, axis=axis, prepend=levels.take([0], axis)))
    return np.cumsum(steps, axis=axis)


def _frame(one: _View, other: _View, t: np.float32) -> np.ndarray:
    """(H, W, 3) uint8 at the time t."""
    to_one, to_other, only_one, only_other = _motion(one, other, t)
    seen_one, weight_one = _moved(one.image, to_one, only_other)
    seen_other, weight_other = _moved(other.image, to_other, only_one)
    return _blend(seen_one, (1 - t) * weight_one, seen_other, t * weight_other)


def _motion(one: _View, other: _View, t: np.float32) -> tuple[np.ndarray, ...]:
    """From the pixels of a frame at the time t to each image; which only one image shows."""
    near_one, near_other = 1 - t, t
    from_one, shown_one, hidden_one = _passing(one, near_other)
    from_other, shown_other, hidden_other = _passing(other, near_one)
    neither = ~(shown_one | shown_other)
    only_one = neither & hidden_one & ~hidden_other & (other.crowd < 0.2)
    only_other = neither & hidden_other & ~hidden_one & (one.crowd < 0.2)
    trust_one = near_one * (shown_one | only_one)
    trust_other = near_other * (shown_other | only_other)
    trust = trust_one + trust_other
    none = trust == 0
    trust[none] = 1
    motion = (trust_one / trust) * from_one - (trust_other / trust) * from_other
    to_one, to_other = -near_other * motion, near_one * motion
    forth, back, slow = one.searched[none], other.searched[none], near_one * near_other
    to_one[none] = near_other**2 * back - slow * forth
    to_other[none] = near_one**2 * forth - slow * back
    return to_one, to_other, only_one, only_other


def _passing(view: _View, away: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The flow of what passes each pixel at a time `away` from the image; where it holds, of pixels
    that the other image shows, and of hidden ones."""
    flow = _flow_at(view.flow, -away * view.flow)
    start = -away * flow
    holds = _square(_flow_at(view.flow, start) - flow) < 1
    hidden = _at(view.hidden, start, cv2.INTER_NEAREST) > 0
    return flow, holds & ~hidden, holds & hidden


def _moved(
    image: np.ndarray, flow: np.ndarray, unseen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The image sampled at p + flow(p), (H, W, 3) uint8, and its weight: 1, and nearly 0 where that
    lies outside of it or it does not show what is there, (H, W) float32."""
    height, width = image.shape[:2]
    x, y = _places(flow)
    seen = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return seen, (inside & ~unseen) + np.float32(1e-6)


def _blend(
    one: np.ndarray, weight_one: np.ndarray, other: np.ndarray, weight_other: np.ndarray
) -> np.ndarray:
    """The weighted mean, rounded to uint8."""
    both = weight_one + weight_other
    mean = cv2.merge((weight_one / both,) * 3) * one
    mean += cv2.merge((weight_other / both,) * 3) * other
    return np.rint(mean, out=mean).astype(np.uint8)


def _at(image: np.ndarray, flow: np.ndarray, how: int) -> np.ndarray:
    """The image at p + flow(p), its border repeated."""
    return cv2.remap(image, *_places(flow), how, borderMode=cv2.BORDER_REPLICATE)


def _flow_at(flow: np.ndarray, way: np.ndarray) -> np.ndarray:
    """The flow of the pixel nearest to p + way(p): two motions are never mixed."""
    return _complex(_at(_real(flow), way, cv2.INTER_NEAREST))


def _places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of p + flow(p), indices."""
    height, width = flow.shape
    x = flow.real + np.arange(width, dtype=np.float32)
    return x, flow.imag + np.arange(height, dtype=np.float32)[:, None]


def _square(flow: np.ndarray) -> np.ndarray:
    return flow.real**2 + flow.imag**2


def _real(flow: np.ndarray) -> np.ndarray:
    """(H, W, 2) float32, as OpenCV has it."""
    return flow.view(np.float32).reshape(*flow.shape, 2)


def _complex(flow: np.ndarray) -> np.ndarray:
    return flow.view(np.complex64)[..., 0]
