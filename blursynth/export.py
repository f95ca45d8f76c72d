"""Data sets -> one HDF5 file, and back to the same bytes: tars, indexes, plans, manifests, cards.

/<data set>/plan.json, /<data set>/<split>/ with its manifest, card and the index of each shard as
bytes, and /<data set>/<split>/<key>/ with `blur`, `frames` and the metadata as attributes
(`hdf5.py`). A tar follows from its samples; of a member whose bytes do not follow from its pixels
(lossy formats, another build of OpenCV) the bytes stand beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from .card import CARD_NAMES
from .files import held_alone, remove_temporaries, write_whole
from .hdf5 import file_in, group_in, new_file, new_group, opened, put_file, put_sample, sample_in
from .manifest import MANIFEST_NAME, PLAN_NAME, refuse_foreign
from .plan import SPLITS
from .schema import (
    META_NAME,
    IndexedSample,
    Sample,
    ShardIndex,
    check_index,
    decode_image,
    decode_index,
    encode_index,
    encode_sample,
)
from .shards import Failure, ShardName, finished_index, write_tar
from .spec import DataSetOptions
from .verify import SHAPING, DataSet, Split, manifest_reasons, plan_reasons
from .verify_shard import read_sample, read_shard

Progress = Callable[[int], None]


# --- there -------------------------------------------------------------------------------------


def count_samples(data_sets: Sequence[DataSet]) -> int:
    """How many there are to write, as the manifests say."""
    splits = [split for data_set in data_sets for split in data_set.splits]
    return sum(split.manifest["totals"]["samples"] for split in splits if split.manifest)


def export_data_sets(
    data_sets: Sequence[DataSet], path: Path, *, on_progress: Progress = lambda done: None
) -> int:
    """Writes finished, intact data sets to a new file; the number of samples. Each shard is
    verified before it is read; ValueError where anything is wrong or the file is there already."""
    if path.exists():
        raise ValueError(
            f"expected a new file at {path}, found one there; remove it, or name another"
        )
    _refuse_unfit(data_sets)
    done = 0
    with new_file(path) as (file, check):
        for data_set in data_sets:
            group = new_group(file, data_set.folder.name)
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
            raise ValueError(f"expected a folder of data sets, found a split; name the one above, "
                             f"{data_set.folder}")
        unfinished = [s.folder for s in data_set.splits if not s.is_finished]
        if unfinished or not data_set.splits:
            raise ValueError(f"{(unfinished or [data_set.folder])[0]} is unfinished; the command "
                             "that makes it goes on, and then it can be exported")


def _exported(split: Split, group: h5py.Group) -> Iterator[str]:
    """Writes a split; the keys of its samples as they come."""
    for name in (MANIFEST_NAME, *CARD_NAMES):
        if (split.folder / name).exists():
            put_file(group, name, (split.folder / name).read_bytes())
    for tar in split.shards:
        report = read_shard(tar, split.listed.get(tar.name), split.manifest["fingerprint"])
        for key, reason in report.faults:
            raise ValueError(f"{tar}{', ' if key else ''}{key}: {reason}; `blursynth verify` "
                             "names all that is wrong")
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


# --- and back ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Exported:
    """A split in the file, its folder below `out`, and the places of its shards there."""

    group: h5py.Group
    folder: Path
    shards: tuple[ShardName, ...]
    fingerprint: str


def count_exported(path: Path) -> tuple[int, int]:
    """How many samples, and how many data sets, the file says to hold."""
    with opened(path) as file:
        data_sets = [group_in(file, name) for name in file]
        splits = [group_in(group, split) for group in data_sets for split in _split_names(group)]
        return sum("." not in name for split in splits for name in split), len(data_sets)


def import_data_sets(path: Path, out: Path, *, on_progress: Progress = lambda done: None) -> int:
    """Writes the data sets of an exported file below `out`, byte by byte as they were; the number
    of samples. Finished shards are not made again. ValueError where the file is not as it was
    written, or a folder holds something else; finished shards are kept, and nothing else is left."""
    done = 0
    with opened(path) as file:
        for name in file:
            DataSetOptions(name)  # says so where it can be none for a folder
            for count in _imported(group_in(file, name), out / name):
                done += count
                on_progress(done)
    return done


def _imported(group: h5py.Group, folder: Path) -> Iterator[int]:
    """Writes a data set; the numbers of samples of its shards, as they are done."""
    plan = file_in(group, PLAN_NAME)
    told = _checked(plan, f"{group.name}/{PLAN_NAME}", plan_reasons)
    splits = [_open_split(group_in(group, name), folder, told) for name in _split_names(group)]
    with held_alone(folder):
        _prepare(folder, plan)
        try:
            for split in splits:
                yield from _imported_split(split)
        finally:
            remove_temporaries(folder)


def _split_names(data_set: h5py.Group) -> list[str]:
    names = set(data_set) - {PLAN_NAME}
    if other := sorted(names - set(SPLITS)):
        raise ValueError(
            f"expected {PLAN_NAME}, train and test in {data_set.name}, found {other[0]!r}"
        )
    return [split for split in SPLITS if split in names]


def _checked(data: bytes, place: str, reasons_of: Callable) -> dict:
    """What a JSON file of a data set says; ValueError where it is not as it was written."""
    try:
        value = json.loads(data)
        reasons = list(reasons_of(value, data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        reasons = ["it is damaged"]
    if reasons:
        raise ValueError(f"{place}: {reasons[0]}")
    return value


def _open_split(group: h5py.Group, folder: Path, plan: dict) -> _Exported:
    """A split whose manifest is that of the plan and lists its indexes, which list its samples."""
    data = file_in(group, MANIFEST_NAME)
    manifest = _checked(data, f"{group.name}/{MANIFEST_NAME}", manifest_reasons)
    if any(manifest[name] != plan[name] for name in SHAPING):
        raise ValueError(f"{group.name}/{MANIFEST_NAME}: it tells other data than {PLAN_NAME}")
    files = sorted({n for n in group if "." in n} - {MANIFEST_NAME, *CARD_NAMES})
    digests = {n: hashlib.sha256(file_in(group, n)).hexdigest() for n in files}
    listed = {Path(s["tar"]).stem + ".json": s["index_sha256"] for s in manifest["shards"]}
    if digests != listed:
        raise ValueError(f"{group.name}: its indexes are not those that its manifest lists")
    shards = tuple(_place(name, group, folder) for name in files)
    split = _Exported(group, folder / group.name.rpartition("/")[2], shards, plan["fingerprint"])
    keys = [entry.key for name in split.shards for entry in _index(split, name)[0].samples]
    if sorted(keys) != sorted(n for n in group if "." not in n):
        raise ValueError(f"{group.name}: its samples are not those that its indexes list")
    return split


def _place(index: str, group: h5py.Group, folder: Path) -> ShardName:
    data_set, split = folder.name, group.name.rpartition("/")[2]
    match = re.fullmatch(rf"{re.escape(data_set)}-{split}-([0-9]{{6}})\.json", index)
    if not match:
        raise ValueError(f"expected indexes of shards in {group.name}, found {index!r}")
    return ShardName(str(folder.parent), data_set, split, int(match[1]))


def _index(split: _Exported, name: ShardName) -> tuple[ShardIndex, bytes]:
    """The index of this shard, by the contract, and its bytes."""
    data = file_in(split.group, name.index.name)
    index = decode_index(data, name.index.name)
    check_index(index)
    expected = (name.data_set, name.split, name.tar.name, split.fingerprint)
    if (index.data_set, index.split, index.tar, index.fingerprint) != expected:
        raise ValueError(f"{name.index.name}: it is the index of another shard")
    return index, data


def _prepare(folder: Path, plan: bytes) -> None:
    """That the folder is that of this data set, or empty."""
    path = folder / PLAN_NAME
    if not path.exists():
        refuse_foreign(folder, instead="folder")
        if any(folder.glob("*/*.tar")):
            raise ValueError(f"expected an empty folder {folder}, found shards without a "
                             f"{PLAN_NAME}; choose another folder")
        write_whole(path, plan)
    elif path.read_bytes() != plan:
        raise ValueError(f"expected to go on with this data set in {folder}, found another one; "
                         "choose another folder, or remove it")
    remove_temporaries(folder)


def _imported_split(split: _Exported) -> Iterator[int]:
    """The shards, the card, and last the manifest."""
    for name in split.shards:
        index, data = _index(split, name)
        if finished_index(name, split.fingerprint) is None:
            _import_shard(split.group, name, index, data)
        elif name.index.read_bytes() != data:
            raise ValueError(f"expected {name.tar} to be the shard that is imported, found another "
                             "one; remove it with its index, and the same command makes it anew")
        yield len(index.samples)
    for file_name in (*CARD_NAMES, MANIFEST_NAME):
        if file_name in split.group:
            write_whole(split.folder / file_name, file_in(split.group, file_name))


def _import_shard(group: h5py.Group, name: ShardName, index: ShardIndex, data: bytes) -> None:
    """Writes a tar and, if it is the one that was exported, its index; else neither."""
    kept: dict[str, bytes] = {}

    def encode(sample: Sample, image_format: str) -> tuple[dict[str, bytes], Sample]:
        return {**encode_sample(sample, image_format), **kept}, sample

    def results() -> Iterator[Sample | Failure]:
        yield from (Failure(*failure) for failure in index.failures)
        for entry in index.samples:
            sample, stored = _sample(group, entry, index)
            kept.clear()
            kept.update(stored)
            yield sample

    shaped = {"fingerprint": index.fingerprint, "image_format": index.image_format}
    made = write_tar(name, results(), **shaped, encode=encode)
    if encode_index(made) != data:
        name.tar.unlink()
        raise ValueError(f"{name.tar.name} would not be the tar that was exported: the file is "
                         "damaged, or OpenCV here writes other bytes than where it was exported")
    write_whole(name.index, data)


def _sample(
    group: h5py.Group, entry: IndexedSample, index: ShardIndex
) -> tuple[Sample, dict[str, bytes]]:
    """A sample, and the members that are kept as bytes, which hold its pixels."""
    sample, kept = sample_in(group, entry, index.size_hw)
    for name, data in kept.items():
        if name == META_NAME:
            raise ValueError(f"{entry.key}: expected the metadata as attributes alone")
        stem, _, image_format = name.rpartition(".")
        image = sample.blur if stem == "blur" else sample.frames[int(stem.rpartition(".")[2])]
        if not np.array_equal(decode_image(data, image_format), image):
            raise ValueError(f"{entry.key}, member {name}: its bytes are not those of its pixels")
    return sample, kept
