"""One sample for the page: its pictures as data URIs, and its path in closed form.

Nothing in a shard is trusted: members are read and decoded by the contract (`schema.py`) first.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import cv2
import numpy as np

from . import motion
from .rotation import matrices
from .schema import (
    MAX_META_BYTES,
    META_NAME,
    IndexedSample,
    Sample,
    decode_frames,
    decode_meta,
    encode_image,
    image_format_of,
)
from .view_histograms import measure

MOST_FRAMES = 9
PATH_TIMES = 65  # odd, so that the middle of the exposure is among them
POINTS = ((0.5, 0.5), (0.125, 0.125), (0.875, 0.125), (0.125, 0.875), (0.875, 0.875))
# What is tried where the pictures as stored are too many bytes: (frames, longest side).
SMALLER = ((9, 512), (9, 256), (5, 256), (3, 128))
MIME = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}


def read_meta(tar: BinaryIO, one: IndexedSample) -> dict[str, Any]:
    """The metadata of a sample, without any of its pictures."""
    offset, size = one.members[META_NAME]
    tar.seek(offset)
    return decode_meta(one.key, {META_NAME: tar.read(min(size, MAX_META_BYTES + 1))})


def card(tar: BinaryIO, one: IndexedSample, *, budget: int) -> dict[str, Any]:
    """What the page shows of a sample. budget: bytes of its pictures, about.

    Raises ValueError where it is not what the contract says.
    """
    meta = read_meta(tar, one)
    numbers = evenly(len(meta["times"]), MOST_FRAMES)
    members = _read_pictures(tar, one, numbers)
    sample = decode_frames(one.key, members, meta, numbers)
    kept, pictures, how = _pictures(sample, list(members.values()), members, budget)
    times = [sample.meta["times"][k] for k in kept]
    return {
        "key": one.key,
        "source": meta["source"],
        "kind": meta["kind"],
        "size_hw": list(sample.blur.shape[:2]),
        "stored": len(meta["times"]),
        "numbers": [numbers[k] for k in kept],
        "times": times,
        "blur": pictures[0],
        "frames": pictures[1:],
        "how": how,
        "facts": _facts(meta),
        **_motion(meta, sample.blur.shape[:2], times),
    }


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spaced from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def _facts(meta: Mapping[str, Any]) -> str:
    values = measure(meta)
    parts = [f"n = {meta['n']}"]
    if "beta" in values:
        parts.append(f"|β| = {values['beta']:.1f}°")
    if np.isfinite(values["blur"]):
        parts.append(f"blur {values['blur']:.1f} px")
    return ", ".join([*parts, f"clipped {values['clipped']:.2g} %"])


# --- pictures ----------------------------------------------------------------------------------


def _read_pictures(tar: BinaryIO, one: IndexedSample, numbers: Sequence[int]) -> dict[str, bytes]:
    """The blur and the frames of these numbers, in that order."""
    image_format = image_format_of(one.key, one.members)
    members = {}
    for name in ["blur", *(f"frame.{k:03d}" for k in numbers)]:
        offset, size = one.members.get(f"{name}.{image_format}", (0, 0))
        tar.seek(offset)
        members[f"{name}.{image_format}"] = tar.read(size)
    return members


def _pictures(
    sample: Sample, stored: list[bytes], names: Mapping[str, bytes], budget: int
) -> tuple[list[int], list[str], str]:
    """Which of the sample's frames are shown, the URIs of its blur and of these, and how they
    differ from what is stored, in words."""
    image_format, images = image_format_of(sample.key, names), [sample.blur, *sample.frames]
    if image_format == "npy":
        image_format, stored = "png", [encode_image(image, "png") for image in images]
    everything = list(range(len(sample.frames)))
    if sum(map(len, stored)) <= budget:
        return everything, [data_uri(data, image_format) for data in stored], ""
    for most, side in SMALLER:
        kept = evenly(len(sample.frames), most)
        chosen = [images[0], *(images[1 + k] for k in kept)]
        smaller = [encode_image(shrunk(image, side), "jpg") for image in chosen]
        if sum(map(len, smaller)) <= budget:
            break
    return kept, [data_uri(data, "jpg") for data in smaller], _said_of_size(sample, side)


def _said_of_size(sample: Sample, side: int) -> str:
    by = _shrink_factor(sample.blur, side)
    return "shown as JPEG" + (f", {by} times smaller" if by > 1 else "")


def _shrink_factor(image: np.ndarray, side: int) -> int:
    return -(-max(image.shape[:2]) // side)


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8, by the least whole number that brings the longest side to `side` pixels."""
    by = _shrink_factor(image, side)
    size = (max(image.shape[1] // by, 1), max(image.shape[0] // by, 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if by > 1 else image


def data_uri(data: bytes, image_format: str) -> str:
    """A picture as the address of itself."""
    return f"data:{MIME[image_format]};base64,{base64.b64encode(data).decode()}"


# --- motion ------------------------------------------------------------------------------------


def path(meta: Mapping[str, Any], points_xy: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(m, N, 2) pixels: where the points that the middle of the exposure shows at `points_xy`
    (N, 2) lie at the times; NaN where the camera cannot see them."""
    camera = motion.camera_of(meta)
    (middle,) = matrices(motion.orientations(meta, np.array([0.5])))
    turns = matrices(motion.orientations(meta, np.asarray(times))).swapaxes(-1, -2) @ middle
    return motion.turned_positions(points_xy, camera, turns)


def _motion(
    meta: Mapping[str, Any], size_hw: tuple[int, int], times: Sequence[float]
) -> dict[str, Any]:
    """Panoramas: paths, and the dots on them at the times of the frames. Videos: an arrow."""
    if meta["kind"] == "video":
        return {"arrow": [round(v, 2) for v in meta["direction"][:2]]}
    if tuple(meta["size_hw"]) != size_hw:
        raise ValueError(f"its metadata tell of {meta['size_hw']} pixels, its blur has {size_hw}")
    height, width = size_hw
    points = np.array(POINTS) * [width, height]
    try:
        with np.errstate(all="ignore"):
            lines = path(meta, points, np.linspace(0, 1, PATH_TIMES))
            dots = path(meta, points, np.array(times))
    except (ArithmeticError, TypeError, IndexError) as error:
        raise ValueError(f"its metadata tell no path ({error})") from error
    far = 20 * max(size_hw)
    return {
        "paths": [_drawable(lines[:, k], far) for k in range(len(points))],
        "dots": [_drawable(dots[:, k], far) for k in range(len(points))],
    }


def _drawable(points_xy: np.ndarray, far: float) -> list[list[float] | None]:
    """Rounded for the page; None for what is not seen, or is far outside of the picture."""
    with np.errstate(invalid="ignore"):
        near = np.all(np.abs(points_xy) < far, axis=-1)
    return [
        [round(x, 2), round(y, 2)] if ok else None
        for ok, (x, y) in zip(near.tolist(), points_xy.tolist(), strict=True)
    ]
