"""Shards and their samples, checked: what lies under `--shards DIR`, and which of it is read.

A tar of blursynth counts only with its index beside it (spec 2.1); a plain tar, in a folder without
any trace of blursynth, is indexed on first use. What lies at a URL is `remote_index`'s to find.
Raises ValueError that names the file.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from blursynth.schema import IndexedSample, ShardIndex
from blurvid.cache import ShardCache
from blurvid.plain import plain_index
from blurvid.remote import RemoteFolder, RemoteShard
from blurvid.remote_index import (
    MANIFEST_NAME,
    RemoteIndexes,
    checked_index,
    read_split_folders,
)

SPLITS = ("train", "test")
PLAN_NAME = "plan.json"


@dataclass(frozen=True)
class Shard:
    """A complete tar and where its samples lie in it."""

    tar: Path | RemoteShard
    samples: tuple[IndexedSample, ...]


@dataclass(frozen=True)
class DataSet:
    """One split of a data set. size_hw: the smallest height and width of its samples;
    fewest_frames: the number of frames that every sample has at least; shards_sha256: over the
    digests of the tars; unread: the names of tars
    that have no index, though the data set is one of blursynth."""

    name: str
    split: str
    folder: Path | RemoteFolder
    fingerprint: str
    size_hw: tuple[int, int]
    fewest_frames: int
    shards: tuple[Shard, ...]
    shards_sha256: str
    unread: tuple[str, ...] = ()

    @property
    def sample_count(self) -> int:
        return sum(len(shard.samples) for shard in self.shards)


@dataclass(frozen=True)
class Mixture:
    """Data sets that are read as one, `frames` frames of each sample.

    Samples are numbered 0, 1, ... through the data sets by name, their shards and each tar.
    left_out: a sentence for each data set that has too few frames, or tars that are not read.
    cache: where remote shards are fetched to, None for local ones.
    """

    data_sets: tuple[DataSet, ...]
    frames: int
    left_out: tuple[str, ...] = ()
    cache: ShardCache | None = None

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        return tuple(shard for data_set in self.data_sets for shard in data_set.shards)

    @cached_property
    def shard_sizes(self) -> tuple[int, ...]:
        """Number of samples in each shard: all that the order of samples is made from."""
        return tuple(len(shard.samples) for shard in self.shards)

    @property
    def sample_count(self) -> int:
        return sum(self.shard_sizes)

    @property
    def size_hw(self) -> tuple[int, int]:
        """The smallest height and the smallest width among the data sets."""
        heights, widths = zip(*(data_set.size_hw for data_set in self.data_sets), strict=True)
        return min(heights), min(widths)

    def locate(self, number: int) -> tuple[Shard, IndexedSample]:
        """The shard and the index entry of sample `number`."""
        shard = int(np.searchsorted(self._ends, number, side="right"))
        first = int(self._ends[shard]) - self.shard_sizes[shard]
        return self.shards[shard], self.shards[shard].samples[number - first]

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.shard_sizes)


def find_mixture(
    folder: Path | RemoteFolder,
    *,
    split: str,
    frames: int,
    name: str | None = None,
    cache: ShardCache | None = None,
) -> Mixture:
    """The data sets under `folder` with at least `frames` frames; at least one, or ValueError.

    cache: for remote shards; ValueError where there are some and no cache.
    """
    found = data_sets_under(folder, split=split)
    if not found:
        raise ValueError(_nothing_found(folder, split))
    if name is not None and name not in (data_set.name for data_set in found):
        names = ", ".join(data_set.name for data_set in found)
        raise ValueError(f"{folder} holds no data set {name!r} with a {split} split, but: {names}")
    mixture = mix((d for d in found if name in (None, d.name)), frames=frames, cache=cache)
    if not mixture.data_sets:
        reasons = "; ".join(mixture.left_out)
        raise ValueError(
            f"{folder}: expected samples with at least {frames} frames, found {reasons}"
        )
    if isinstance(folder, RemoteFolder) and cache is None:
        raise ValueError(f"{folder}: expected a cache for the shards that are fetched from there")
    return mixture


def mix(
    data_sets: Iterable[DataSet], *, frames: int, cache: ShardCache | None = None
) -> Mixture:
    """Those with at least `frames` frames in every sample; the others are named as left out."""
    data_sets = tuple(data_sets)
    kept = tuple(d for d in data_sets if d.fewest_frames >= frames)
    left_out = tuple(
        f"{d.name}: {d.fewest_frames} frames a sample, {frames} wanted"
        for d in data_sets
        if d.fewest_frames < frames
    )
    unfinished = tuple(_unfinished(d) for d in kept if d.unread)
    return Mixture(kept, frames, left_out + unfinished, cache)


def _unfinished(data_set: DataSet) -> str:
    count, first = len(data_set.unread), data_set.unread[0]
    tars = f"tar {first} has" if count == 1 else f"{count} tars ({first}, ...) have"
    return (
        f"{data_set.name}: {tars} no index and {'is' if count == 1 else 'are'} not read; the data "
        "set is unfinished: run the blursynth command that makes it again"
    )


def data_sets_under(folder: Path | RemoteFolder, *, split: str) -> tuple[DataSet, ...]:
    """The data sets by name; `folder` holds several of them or is the folder of one."""
    if isinstance(folder, RemoteFolder):
        found = (_remote_data_set(f) for f in read_split_folders(folder, split))
    elif folder.is_dir():
        found = map(_read_folder, _split_folders(folder, split))
    else:
        raise ValueError(f"{folder}: expected a folder of shards, found no such folder")
    data_sets = sorted(filter(None, found), key=lambda d: d.name)
    names = Counter(data_set.name for data_set in data_sets)
    for data_set in data_sets:
        if names[data_set.name] > 1:
            raise ValueError(f"{folder}: more than one folder holds a data set {data_set.name!r}")
    return tuple(data_sets)


def _remote_data_set(read: RemoteIndexes) -> DataSet | None:
    _refuse_other_data(read.indexes)
    shards = [
        (index, RemoteShard(read.folder, index.tar, index.tar_bytes, index.tar_sha256))
        for _, index in read.indexes
    ]
    first = read.indexes[0][1]
    return _data_set(read.folder, shards, first.data_set, first.fingerprint, read.unread)


def _split_folders(folder: Path, split: str) -> list[Path]:
    return [p for p in (folder / split, *sorted(folder.glob(f"*/{split}"))) if p.is_dir()]


def _index_files(folder: Path) -> list[Path]:
    """`<data set>-<split>-<number>.json`; what else lies there (a manifest) is no index."""
    return sorted(p for p in folder.glob(f"*-{folder.name}-*.json") if p.name[0] != ".")


def _tars(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.tar"))


def _read_folder(folder: Path) -> DataSet | None:
    """The data set of one split folder, None where there is no sample."""
    if _index_files(folder):
        return _read_data_set(folder)
    traces = (folder / MANIFEST_NAME, folder.parent / PLAN_NAME)
    return None if any(path.exists() for path in traces) else _read_plain(folder)


def _read_data_set(folder: Path) -> DataSet | None:
    """Of the shards that blursynth finished."""
    indices = [(path, _read_index(path)) for path in _index_files(folder)]
    _refuse_other_data(indices)
    listed = [(index, folder / index.tar) for _, index in indices]
    unread = {tar.name for tar in _tars(folder)} - {index.tar for index, _ in listed}
    first = listed[0][0]
    return _data_set(folder, listed, first.data_set, first.fingerprint, unread)


def _read_plain(folder: Path) -> DataSet | None:
    """Of tars that blursynth did not make; the name is that of the folder above the split."""
    listed = [(plain_index(tar), tar) for tar in _tars(folder)]
    fingerprint = _digest_of(index for index, _ in listed)
    return _data_set(folder, listed, _name_above(folder), fingerprint)


def _digest_of(indexes: Iterable[ShardIndex]) -> str:
    """sha256 over the digests of their tars."""
    return hashlib.sha256("".join(i.tar_sha256 for i in indexes).encode()).hexdigest()


def _name_above(folder: Path) -> str:
    return Path(os.path.abspath(folder)).parent.name


def _data_set(
    folder: Path | RemoteFolder,
    listed: Sequence[tuple[ShardIndex, Path | RemoteShard]],
    name: str,
    fingerprint: str,
    unread: Iterable[str] = (),
) -> DataSet | None:
    filled = [(index, tar) for index, tar in listed if index.samples]
    if not filled:
        return None
    shards = tuple(Shard(tar, index.samples) for index, tar in filled)
    _refuse_repeated_keys(shards)
    heights, widths = zip(*(index.size_hw for index, _ in filled), strict=True)
    return DataSet(
        name=name,
        split=folder.name,
        folder=folder,
        fingerprint=fingerprint,
        size_hw=(min(heights), min(widths)),
        fewest_frames=min(s.frame_count for shard in shards for s in shard.samples),
        shards=shards,
        shards_sha256=_digest_of(index for index, _ in filled),
        unread=tuple(sorted(unread)),
    )


def _refuse_repeated_keys(shards: Iterable[Shard]) -> None:
    first: dict[str, Path | RemoteShard] = {}
    for shard in shards:
        for sample in shard.samples:
            if sample.key in first:
                raise ValueError(
                    f"{shard.tar}: sample {sample.key} is there again, after {first[sample.key]}; "
                    "a key stands for one sample of the data set"
                )
            first[sample.key] = shard.tar


def _read_index(path: Path) -> ShardIndex:
    """An index by the contract, whose tar has the size that it says."""
    index = checked_index(path.read_bytes(), str(path), path.stem)
    tar = path.with_suffix(".tar")
    if not tar.is_file():
        raise ValueError(f"{tar} is missing beside its index; make or copy the shard anew")
    size = tar.stat().st_size
    if size != index.tar_bytes:
        raise ValueError(
            f"{tar}: expected {index.tar_bytes} bytes as its index says, found {size}; "
            "make or copy the shard anew"
        )
    return index


def _refuse_other_data(indices: Sequence[tuple[object, ShardIndex]]) -> None:
    """indices: where each stands, and what it says."""
    for path, index in indices:
        first = indices[0][1]
        if (index.data_set, index.fingerprint) != (first.data_set, first.fingerprint):
            raise ValueError(
                f"{path} belongs to other data than the index of {first.tar} beside it "
                f"({index.data_set}, fingerprint {index.fingerprint[:12]}, against "
                f"{first.data_set}, {first.fingerprint[:12]}); make the data set anew"
            )


def _nothing_found(folder: Path | RemoteFolder, split: str) -> str:
    """What was looked for, and what is there instead."""
    looked = (
        f"no shards of split {split!r} under {folder}: looked for {split}/*.tar and "
        f"*/{split}/*.tar, those of blursynth each with its index (.json) beside it"
    )
    if isinstance(folder, RemoteFolder):
        return looked
    tars = sum(len(_tars(place)) for place in _split_folders(folder, split))
    if tars:
        return f"{looked}; found {tars} tars without an index or without samples"
    others = [s for s in SPLITS if s != split and _split_folders(folder, s)]
    return f"{looked}; found split {', '.join(others)}" if others else looked
