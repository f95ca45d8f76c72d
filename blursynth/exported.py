"""An HDF5 file that `export.py` wrote -> its data sets, byte by byte as they were.

Nothing in the file is trusted: what is not as it was written is refused, and a tar stands there
only if its bytes are those that the index has the digest of.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from .card import CARD_NAMES
from .files import held, remove_temporaries, write_whole
from .hdf5 import file_in, group_in, names_in, opened, sample_in
from .manifest import MANIFEST_NAME, PLAN_NAME, refuse_foreign
from .packing import SPLITS
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
from .verify import SHAPING, manifest_reasons, plan_reasons, refuse_inside


@dataclass(frozen=True)
class _Exported:
    """A split in the file, its folder below `out`, and the places of its shards there."""

    group: h5py.Group
    folder: Path
    shards: tuple[ShardName, ...]
    fingerprint: str


def count_samples(path: Path) -> tuple[int, int]:
    """How many samples, and how many data sets, the file says to hold."""
    with opened(path) as file:
        data_sets = [group_in(file, name) for name in _listed(file, "data_sets")]
        splits = [group_in(group, split) for group in data_sets for split in _split_names(group)]
        return sum("." not in name for split in splits for name in split), len(data_sets)


def import_data_sets(
    path: Path, out: Path, *, on_progress: Callable[[int], None] = lambda done: None
) -> int:
    """Writes the data sets of an exported file below `out`, byte by byte as they were; the number
    of samples. Finished shards are not made again. ValueError where the file is not as it was
    written, or a folder holds something else; no shard is left that is not whole."""
    done = 0
    with opened(path) as file:
        for name in _listed(file, "data_sets"):
            DataSetOptions(name)  # says so where it can be none for a folder
            refuse_inside(out / name, "the shards")
            for count in _imported(group_in(file, name), out / name):
                done += count
                on_progress(done)
    return done


def _imported(group: h5py.Group, folder: Path) -> Iterator[int]:
    """Writes a data set; the numbers of samples of its shards, as they are done."""
    plan = file_in(group, PLAN_NAME)
    told = _checked(plan, f"{group.name}/{PLAN_NAME}", plan_reasons)
    splits = [_open_split(group_in(group, name), folder, told) for name in _split_names(group)]
    with held(folder):
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
    return [split for split in SPLITS if split in _listed(data_set, "splits")]


def _listed(group: h5py.Group, what: str) -> list[str]:
    """Names of the data sets of the file, or of the splits of one: all that it lists are there."""
    names, there = names_in(group, what), sorted(set(group) - {PLAN_NAME})
    if sorted(names) != there:
        raise ValueError(
            f"expected the {what.replace('_', ' ')} {', '.join(sorted(names))} in {group.name}, "
            f"found {', '.join(there) or 'none'}"
        )
    return sorted(names)


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
    listed = {Path(str(s["tar"])).stem + ".json": s["index_sha256"] for s in manifest["shards"]}
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
            raise ValueError(
                f"expected an empty folder {folder}, found shards without a "
                f"{PLAN_NAME}; choose another folder"
            )
        write_whole(path, plan)
    elif path.read_bytes() != plan:
        raise ValueError(
            f"expected to go on with this data set in {folder}, found another one; "
            "choose another folder, or remove it"
        )
    remove_temporaries(folder)


def _imported_split(split: _Exported) -> Iterator[int]:
    """The shards, the card, and last the manifest."""
    for name in split.shards:
        index, data = _index(split, name)
        if finished_index(name, split.fingerprint) is None:
            _import_shard(split.group, name, index, data)
        elif name.index.read_bytes() != data:
            raise ValueError(
                f"expected {name.tar} to be the shard that is imported, found another "
                "one; remove it with its index, and the same command makes it anew"
            )
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
        raise ValueError(
            f"{name.tar.name} would not be the tar that was exported: the file is "
            "damaged, or OpenCV here writes other bytes than where it was exported"
        )
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
