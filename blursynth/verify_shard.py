"""Whether one shard is what was written: its index, each byte of its tar, each of its samples.

Faults come as (key, reason); the key is empty where the shard as a whole is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tarfile import BLOCKSIZE, RECORDSIZE
from typing import BinaryIO

import numpy as np

from .files import sha256_of
from .jobs import begin_job
from .light import mean_of_frames
from .manifest import listed_shard
from .schema import (
    META_NAME,
    IndexedSample,
    Sample,
    ShardIndex,
    decode_index,
    decode_sample,
    encode_index,
    encode_json,
    image_format_of,
)
from .shards import Contents, member_header
from .sources import source_digest

Reasons = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class ShardReport:
    """What was found in a shard. sources: those of its samples."""

    path: Path
    split: str
    faults: tuple[tuple[str, str], ...]
    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def read_shard(path: Path, listed: dict | None, fingerprint: str | None) -> ShardReport:
    """path: of the tar. listed: its entry in the manifest; None, as the fingerprint: not known."""
    begin_job()
    split, index_path, contents = path.parent.name, path.with_suffix(".json"), Contents()
    try:
        data = index_path.read_bytes()
        index = decode_index(data, index_path.name)
    except (ValueError, OSError) as error:
        return ShardReport(path, split, (("", _said(error)),))
    try:
        faults = (
            *_index_faults(path, data, index),
            *_listing_faults(index, listed, fingerprint),
            *_tar_faults(path, index),
            *_sample_faults(path, index, contents),
            *_contents_faults(contents, index),
        )
    except OSError as error:
        faults = (("", _said(error)),)
    return ShardReport(path, split, faults, tuple(contents.keys), tuple(contents.sources))


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename).name}: {error.strerror}"
    return " ".join(str(error).split())


# --- the index ---------------------------------------------------------------------------------


def _index_faults(path: Path, data: bytes, index: ShardIndex) -> Reasons:
    try:
        as_written = encode_index(index) == data
    except ValueError:  # of numbers that are none
        as_written = False
    if not as_written:
        yield "", "its index is not as it was written"
    place = (index.data_set, index.split, index.tar)
    if place != (path.parent.parent.name, path.parent.name, path.name):
        yield "", f"expected the index of this shard, found that of {'/'.join(map(str, place))}"


def _listing_faults(index: ShardIndex, listed: dict | None, fingerprint: str | None) -> Reasons:
    if fingerprint not in (None, index.fingerprint):
        yield "", "it belongs to other data: its fingerprint is not that of the data set"
    if listed is None:
        return
    try:
        found = listed_shard(index)
    except ValueError:  # of numbers that are none: told as a fault of the index
        return
    differing = [name for name in found if found[name] != listed.get(name)]
    if differing:
        yield "", f"it is not the one that the manifest lists ({', '.join(differing)})"


# --- the bytes of the tar ----------------------------------------------------------------------


def _tar_faults(path: Path, index: ShardIndex) -> Reasons:
    size = path.stat().st_size
    if size != index.tar_bytes:
        yield "", f"expected {index.tar_bytes} bytes, found {size}"
    elif sha256_of(path) != index.tar_sha256:
        yield "", "its bytes are not those that were written (sha256)"
    with open(path, "rb") as tar:
        yield from _layout_faults(tar, index)


def _layout_faults(tar: BinaryIO, index: ShardIndex) -> Reasons:
    """That headers, members and zeros follow one another as the index has them, and nothing else:
    so nothing is missing, added, duplicate, interleaved or out of order."""
    at = 0
    for sample in index.samples:
        for name, (offset, size) in sample.members.items():
            header = member_header(f"{sample.key}.{name}", max(size, 0))
            if offset != at + len(header):
                yield sample.key, f"member {name} does not stand where the one before it ends"
                return
            if _bytes_at(tar, at, len(header)) != header:
                yield sample.key, f"the tar header of member {name} is damaged"
            at = offset + size + (-size) % BLOCKSIZE
            if any(_bytes_at(tar, offset + size, at - offset - size)):
                yield sample.key, f"the padding of member {name} is damaged"
    end = -(-(at + 2 * BLOCKSIZE) // RECORDSIZE) * RECORDSIZE
    if _bytes_at(tar, at, end - at + 1) != bytes(end - at):
        yield "", "the tar does not end as it should: its end blocks are damaged or not the last"


def _bytes_at(tar: BinaryIO, at: int, size: int) -> bytes:
    tar.seek(at)
    return tar.read(size)


# --- the samples -------------------------------------------------------------------------------


def _sample_faults(path: Path, index: ShardIndex, contents: Contents) -> Reasons:
    """Decodes every sample, and adds it to the contents."""
    with open(path, "rb") as tar:
        for one in index.samples:
            try:
                sample, members = read_sample(tar, one)
                contents.add(sample)
                yield from ((one.key, reason) for reason in _reasons(sample, members, index))
            except ValueError as error:
                yield one.key, _said(error).removeprefix(f"sample {one.key}").lstrip(":, ")


def read_sample(tar: BinaryIO, one: IndexedSample) -> tuple[Sample, dict[str, bytes]]:
    """A sample and its members' bytes; ValueError where they are not what the contract says."""
    members = {}
    for name, (offset, size) in one.members.items():
        if offset < 0 or size < 0:
            raise ValueError(f"expected a place in the tar for member {name}, found {offset, size}")
        members[name] = _bytes_at(tar, offset, size)
    return decode_sample(one.key, members), members


def _reasons(sample: Sample, members: dict[str, bytes], index: ShardIndex) -> Iterator[str]:
    if sample.blur.shape[:2] != index.size_hw:
        yield f"expected images of {index.size_hw} pixels, found {sample.blur.shape[:2]}"
    if (found := image_format_of(sample.key, members)) != index.image_format:
        yield f"expected {index.image_format} images, found {found}"
    if members[META_NAME] != encode_json(sample.meta):
        yield f"its {META_NAME} is not as it was written"
    identity = f"{index.data_set}-{source_digest(sample.meta['source'])}-"
    if sample.key[:-6] != identity or not sample.key[-6:].isdecimal():
        yield f"its key does not belong to its source {sample.meta['source']}"
    if not _is_mean(sample):
        yield "its blur is not the mean of its frames"


def _is_mean(sample: Sample) -> bool:
    """Law 7, where the sample promises it and can be held to it."""
    meta = sample.meta
    if meta["n"] != len(sample.frames) or not meta["exact_mean"]:
        return True
    return np.array_equal(mean_of_frames(sample.frames, meta["response"]), sample.blur)


def _contents_faults(contents: Contents, index: ShardIndex) -> Reasons:
    if len(contents.keys) != len(index.samples):
        return
    if contents.pixels.hexdigest() != index.pixels_sha256:
        yield "", "its pixels are not those that were written (pixels_sha256)"
    if tuple(contents.sources) != index.sources or contents.statistics != index.statistics:
        yield "", "its index does not say what its samples say (sources, statistics)"
