"""Samples -> one tar that repeats to the byte, and its index: whole or not at all (spec 2.3, 2.4)."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .files import AnyPath, Digested, write_whole, written_whole
from .objects import ObjectPath, any_path
from .schema import (
    LOSSY_FORMATS,
    IndexedSample,
    Sample,
    ShardIndex,
    decode_index,
    decode_sample,
    encode_index,
    encode_sample,
)

STATISTICS = ("n", "max_step_px", "clipped")
OWNER, MODE = "blursynth", 0o444


@dataclass(frozen=True)
class ShardName:
    """The place of a shard: `<folder>/<data_set>/<split>/<data_set>-<split>-<number>.tar`.

    folder: local, or a URL.
    """

    folder: str
    data_set: str
    split: str
    number: int

    @property
    def tar(self) -> AnyPath:
        stem = f"{self.data_set}-{self.split}-{self.number:06d}"
        return any_path(self.folder) / self.data_set / self.split / f"{stem}.tar"

    @property
    def index(self) -> AnyPath:
        return self.tar.with_suffix(".json")


@dataclass(frozen=True)
class Failure:
    """A source, or a part of one, that gave no sample; it is listed, and the run goes on."""

    source: str
    reason: str


@dataclass
class Contents:
    """What is learnt about a shard while its samples pass by."""

    keys: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    statistics: dict[str, dict[str, float]] = field(default_factory=dict)
    size_hw: tuple[int, int] = (0, 0)
    pixels: Any = field(default_factory=hashlib.sha256)
    tar_sha256: str = ""

    def add(self, sample: Sample) -> None:
        self.keys.append(sample.key)
        if sample.meta["source"] not in self.sources:
            self.sources.append(sample.meta["source"])
        self.size_hw = sample.blur.shape[:2]
        for images in (sample.blur, sample.frames):
            self.pixels.update(np.ascontiguousarray(images))
        for name in STATISTICS:
            if name in sample.meta:
                merge_statistic(self.statistics, name, statistic_of(sample.meta[name]))


def write_shard(
    name: ShardName, results: Iterable[Sample | Failure], *, fingerprint: str, image_format: str
) -> ShardIndex:
    """Writes the tar, then its index, each under its final name only when whole."""
    index = write_tar(name, results, fingerprint=fingerprint, image_format=image_format)
    write_whole(name.index, encode_index(index))
    return index


def as_stored(sample: Sample, image_format: str) -> tuple[dict[str, bytes], Sample]:
    """The members of a sample, and what is read back from them: the same, unless with losses."""
    if image_format not in LOSSY_FORMATS:
        return encode_sample(sample, image_format), sample
    inexact = replace(sample, meta={**sample.meta, "exact_mean": False})
    members = encode_sample(inexact, image_format)
    return members, decode_sample(sample.key, members)


def write_tar(
    name: ShardName,
    results: Iterable[Sample | Failure],
    *,
    fingerprint: str,
    image_format: str,
    encode: Callable[[Sample, str], tuple[dict[str, bytes], Sample]] = as_stored,
) -> ShardIndex:
    """Writes the tar, which does not exist for any reader until its index is beside it."""
    from webdataset import TarWriter  # imports torch, which `import blursynth` must not

    contents = Contents()
    with written_whole(name.tar) as temporary:
        with (
            Digested(temporary) as file,
            TarWriter(file, user=OWNER, group=OWNER, mode=MODE, mtime=0, encoder=False) as writer,
        ):
            for sample in _kept(results, contents):
                members, stored = encode(sample, image_format)
                writer.write({"__key__": sample.key, **members})
                contents.add(stored)
        contents.tar_sha256 = file.digest.hexdigest()
        return _index_of(temporary, name, contents, fingerprint, image_format)


def _kept(results: Iterable[Sample | Failure], contents: Contents) -> Iterator[Sample]:
    for result in results:
        if isinstance(result, Failure):
            contents.failures.append(result)
        else:
            yield result


def _index_of(
    tar: Path, name: ShardName, contents: Contents, fingerprint: str, image_format: str
) -> ShardIndex:
    samples = index_tar(tar)
    if [s.key for s in samples] != contents.keys:
        raise RuntimeError(f"{tar} does not hold the samples that were written to it")
    return ShardIndex(
        data_set=name.data_set,
        split=name.split,
        tar=name.tar.name,
        tar_bytes=tar.stat().st_size,
        tar_sha256=contents.tar_sha256,
        pixels_sha256=contents.pixels.hexdigest(),
        fingerprint=fingerprint,
        image_format=image_format,
        size_hw=contents.size_hw,
        samples=samples,
        sources=tuple(contents.sources),
        failures=tuple((f.source, f.reason) for f in contents.failures),
        statistics=contents.statistics,
    )


def index_tar(path: Path) -> tuple[IndexedSample, ...]:
    """The samples of a tar with the place of each member, in the order of the tar."""
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            samples.setdefault(key, {})[suffix] = (member.offset_data, member.size)
    return tuple(IndexedSample(key, members) for key, members in samples.items())


def member_header(name: str, size: int) -> bytes:
    """The bytes before a member's data, as every shard has them."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.uname, member.gname = size, MODE, OWNER, OWNER
    return member.tobuf()


def finished_index(name: ShardName, fingerprint: str) -> ShardIndex | None:
    """The index of a shard that is done, None where it is not: the one place that decides it."""
    try:
        data = name.index.read_bytes()
    except FileNotFoundError:
        return None
    try:
        index = decode_index(data, str(name.index))
    except ValueError as error:
        raise ValueError(f"{error}; remove it, and its shard is made anew") from error
    whole = _size_of(name.tar) == index.tar_bytes
    return index if whole and index.fingerprint == fingerprint else None


def _size_of(path: AnyPath) -> int | None:
    """In bytes; None where there is no such file."""
    if isinstance(path, ObjectPath):
        return path.size_bytes()
    return path.stat().st_size if path.exists() else None


# --- statistics: small sums that merge ------------------------------------------------------


def statistic_of(value: float) -> dict[str, float]:
    """A single value as a statistic."""
    return {"count": 1, "sum": value, "min": value, "max": value}


def merge_statistic(into: dict[str, dict[str, float]], name: str, one: dict[str, float]) -> None:
    """Adds the statistic `one` to that of the same name."""
    if name not in into:
        into[name] = dict(one)
        return
    total = into[name]
    total["count"] += one["count"]
    total["sum"] += one["sum"]
    total["min"] = min(total["min"], one["min"])
    total["max"] = max(total["max"], one["max"])
