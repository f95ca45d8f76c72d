"""The contact sheet of a split: blur, first, middle and last frame of samples spread over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .files import AnyPath
from .motion import blur_length_px
from .schema import IndexedSample, Sample, ShardIndex, decode_frames, decode_meta

CELL, GAP, WHITE = 192, 4, 255


@dataclass(frozen=True)
class Row:
    """A sample of the contact sheet. pictures: blur, first, middle and last frame, (H, W, 3)."""

    key: str
    source: str
    n: int
    blur_px: float
    pictures: tuple[np.ndarray, ...]


def spread(indexes: Sequence[ShardIndex], count: int) -> Iterator[tuple[ShardIndex, IndexedSample]]:
    """At most `count` samples, evenly over all of them."""
    total = sum(len(index.samples) for index in indexes)
    count, before = min(count, total), 0
    wanted = [(2 * k + 1) * total // (2 * count) for k in range(count)]
    for index in indexes:
        after = before + len(index.samples)
        yield from ((index, index.samples[k - before]) for k in wanted if before <= k < after)
        before = after


def read_row(folder: AnyPath, index: ShardIndex, entry: IndexedSample) -> Row:
    """The row of a sample of a finished shard in that folder."""
    try:
        sample = _ends_and_middle(folder / index.tar, entry)
    except ValueError as error:
        raise ValueError(
            f"{folder / index.tar} is damaged: {error}; remove it, and the same command makes it "
            "anew"
        ) from error
    meta = sample.meta
    pictures = (sample.blur, *sample.frames)
    return Row(sample.key, meta["source"], meta["n"], blur_length_px(meta), pictures)


def _ends_and_middle(tar: AnyPath, entry: IndexedSample) -> Sample:
    """The sample with its first, middle and last stored frame, and no other member read."""
    numbers = (0, entry.frame_count // 2, entry.frame_count - 1)
    stems = {"meta", "blur", *(f"frame.{number:03d}" for number in numbers)}
    members = {}
    with tar.open("rb") as file:
        for name, (offset, size) in entry.members.items():
            if name.rpartition(".")[0] in stems:
                file.seek(offset)
                members[name] = file.read(size)
    return decode_frames(entry.key, members, decode_meta(entry.key, members), numbers)


def contact_sheet(rows: Sequence[Row]) -> np.ndarray:
    """(H, W, 3) uint8: blur | first | middle | last, a row for each; large ones made smaller."""
    lines = [np.hstack([_framed(picture) for picture in row.pictures]) for row in rows]
    width = max(line.shape[1] for line in lines)
    gaps = [((0, 0), (0, width - line.shape[1]), (0, 0)) for line in lines]
    padded = zip(lines, gaps, strict=True)
    return np.vstack([np.pad(line, gap, constant_values=WHITE) for line, gap in padded])


def _framed(picture: np.ndarray) -> np.ndarray:
    """At most CELL pixels a side, with a white margin."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.pad(picture, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=WHITE)
