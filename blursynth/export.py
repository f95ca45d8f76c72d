"""Data sets -> one HDF5 file, from which `exported.py` makes the same bytes again.

/<data set>/plan.json, /<data set>/<split>/ with its manifest, card and the index of each shard as
bytes, and /<data set>/<split>/<key>/ with `blur`, `frames` and the metadata as attributes
(`hdf5.py`); the file lists its data sets, and each of them its splits. A tar follows from its
samples; of a member whose bytes do not follow from its pixels (lossy formats, another build of
OpenCV) the bytes stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py

from .card import CARD_NAMES
from .hdf5 import new_file, new_group, put_file, put_names, put_sample
from .manifest import MANIFEST_NAME, PLAN_NAME
from .schema import ShardIndex, decode_index, encode_sample
from .verify import DataSet, Split, refuse_inside
from .verify_shard import read_sample, read_shard


def count_samples(data_sets: Sequence[DataSet]) -> int:
    """How many there are to write, as the manifests say."""
    splits = [split for data_set in data_sets for split in data_set.splits]
    return sum(split.manifest["totals"]["samples"] for split in splits if split.manifest)


def export_data_sets(
    data_sets: Sequence[DataSet],
    path: Path,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Writes finished, intact data sets to a new file; the number of samples. Each shard is
    verified before it is read; ValueError where anything is wrong, the file is there already, or it
    would be in the folder of a data set."""
    if path.exists():
        raise ValueError(
            f"expected a new file at {path}, found one there; remove it, or name another"
        )
    refuse_inside(path, "the file")
    _refuse_unfit(data_sets)
    done = 0
    with new_file(path) as (file, check):
        put_names(file, "data_sets", [data_set.folder.name for data_set in data_sets])
        for data_set in data_sets:
            group = new_group(file, data_set.folder.name)
            put_names(group, "splits", [split.folder.name for split in data_set.splits])
            put_file(group, PLAN_NAME, (data_set.folder / PLAN_NAME).read_bytes())
            for split in data_set.splits:
                for _ in _exported(split, new_group(group, split.folder.name)):
                    check()
                    done += 1
                    on_progress(done)
    return done


def _refuse_unfit(data_sets: Sequence[DataSet]) -> None:
    names = [data_set.folder.name for data_set in data_sets]
    if double := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"expected data sets of different names, found two named {double[0]}")
    for data_set in data_sets:
        if data_set.faults:
            raise ValueError(f"{data_set.folder}: {data_set.faults[0]}")
        if not data_set.plan:
            raise ValueError(
                f"expected a folder of data sets, found a split; name the one above, "
                f"{data_set.folder}"
            )
        unfinished = [s.folder for s in data_set.splits if not s.is_finished]
        if unfinished or not data_set.splits:
            raise ValueError(
                f"{(unfinished or [data_set.folder])[0]} is unfinished; the command "
                "that makes it goes on, and then it can be exported"
            )


def _exported(split: Split, group: h5py.Group) -> Iterator[str]:
    """Writes a split; the keys of its samples as they come."""
    for name in (MANIFEST_NAME, *CARD_NAMES):
        if (split.folder / name).exists():
            put_file(group, name, (split.folder / name).read_bytes())
    for tar in split.shards:
        report = read_shard(tar, split.listed.get(tar.name), split.manifest["fingerprint"])
        for key, reason in report.faults:
            raise ValueError(
                f"{tar}{', ' if key else ''}{key}: {reason}; `blursynth verify` "
                "names all that is wrong"
            )
        data = tar.with_suffix(".json").read_bytes()
        put_file(group, tar.with_suffix(".json").name, data)
        yield from _exported_shard(tar, decode_index(data, str(tar)), group)


def _exported_shard(path: Path, index: ShardIndex, group: h5py.Group) -> Iterator[str]:
    with path.open("rb") as tar:
        for entry in index.samples:
            if entry.key in group:
                raise ValueError(f"{path}, {entry.key}: the same key is in another shard")
            sample, members = read_sample(tar, entry)
            again = encode_sample(sample, index.image_format)
            kept = {name: members[name] for name in again if members[name] != again[name]}
            put_sample(group, sample, kept)
            yield entry.key
