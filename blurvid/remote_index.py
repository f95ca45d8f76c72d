"""The indexes of the shards at a URL: which data sets lie there, before any tar is fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from blursynth.schema import ShardIndex, check_index, decode_index
from blurvid.remote import RemoteFolder

MANIFEST_NAME = "manifest.json"
MAX_INDEX_BYTES = 1 << 28
READERS = 8


@dataclass(frozen=True)
class RemoteIndexes:
    """What one split folder holds. indexes: the URL of each and what it says, by name. unread:
    names of tars that have no index."""

    folder: RemoteFolder
    indexes: Sequence[tuple[str, ShardIndex]]
    unread: tuple[str, ...]


def read_split_folders(place: RemoteFolder, split: str) -> Iterator[RemoteIndexes]:
    """Of every `<split>/` and `*/<split>/` below the place that holds an index.

    Where a server lists no folder, the place is that of one data set, whose manifests list all.
    """
    for folder in _split_folders(place, split):
        names = _names_in(folder)
        indexes = _index_names(names, split)
        if indexes:
            with ThreadPoolExecutor(READERS) as pool:
                read = list(pool.map(lambda name: _read_index(folder, name), indexes))
            tars = {name for name in names if name.endswith(".tar") and name[0] != "."}
            yield RemoteIndexes(folder, read, tuple(tars - {index.tar for _, index in read}))


def checked_index(data: bytes, place: str, stem: str) -> ShardIndex:
    """An index by the contract, of the tar that has its name; ValueError that names its place."""
    index = decode_index(data, place)
    try:
        check_index(index)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    if index.tar != f"{stem}.tar":
        raise ValueError(f"{place}: expected the index of {stem}.tar, found that of {index.tar!r}")
    return index


def _split_folders(place: RemoteFolder, split: str) -> list[RemoteFolder]:
    try:
        names = place.names()
    except ValueError:  # the server shows no list
        return [place.join(split)]
    if split in names:
        return [place.join(split)]
    folders = [place.join(name) for name in names if "." not in name]
    return [folder.join(split) for folder in folders if split in _names_or_none(folder)]


def _names_or_none(folder: RemoteFolder) -> list[str]:
    try:
        return folder.names()
    except (ValueError, FileNotFoundError):
        return []


def _names_in(folder: RemoteFolder) -> list[str]:
    """The names of the files in a split folder, listed by the server or by its manifest."""
    names = _names_or_none(folder)
    if names:
        return names
    try:
        manifest = json.loads(folder.read(MANIFEST_NAME, MAX_INDEX_BYTES))
        tars = [str(shard["tar"]) for shard in manifest["shards"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        place = folder.address(MANIFEST_NAME)
        raise ValueError(f"{place}: expected a manifest of blursynth, found {error!r}") from error
    return [*tars, *(f"{tar.removesuffix('.tar')}.json" for tar in tars)]


def _index_names(names: Sequence[str], split: str) -> list[str]:
    """`<data set>-<split>-<number>.json`; a manifest is no index."""
    return sorted(n for n in names if n.endswith(".json") and f"-{split}-" in n and n[0] != ".")


def _read_index(folder: RemoteFolder, name: str) -> tuple[str, ShardIndex]:
    address = folder.address(name)
    data = folder.read(name, MAX_INDEX_BYTES)
    return address, checked_index(data, address, name.removesuffix(".json"))
