"""How samples stand in an HDF5 file: pixels as data sets, metadata as attributes, files as bytes.

Writing and reading stand side by side. A name with a dot is that of a file, kept byte by byte; a
key holds none, so the two never meet. What is read is not trusted: links are not followed, filters
other than gzip not called, and shape, type and chunks are those expected before anything is read.
Raises ValueError that names the sample's key, or the file.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5g, h5p, h5t, h5z

from .files import TEMPORARY_SUFFIX, written_whole
from .interrupts import postponed
from .schema import MAX_MEMBER_BYTES, MAX_META_BYTES, IndexedSample, Sample

FORMAT, VERSION = "blursynth export", 2
LIBRARY = ("v108", "v108")  # what every HDF5 library of 1.8 and later reads, so any MATLAB
GZIP = {"compression": "gzip", "compression_opts": 1}  # 4: 1 % smaller; shuffle: for wider numbers
FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE}
COMPACT_ATTRIBUTES = 64
MARK = "json:"
NUMBERS = {bool: np.dtype(bool), int: np.dtype("<i8"), float: np.dtype("<f8")}
MOST_DIMENSIONS = 32


# --- the file ----------------------------------------------------------------------------------


@contextmanager
def new_file(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """A new HDF5 file, at `path` when the block ends without an error, or not at all; and what to
    call now and then: it raises what a write has failed of, and KeyboardInterrupt. What a killed
    writer of the same file left is removed; ValueError where a living one is at work on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path)
    with ExitStack() as until_renamed, written_whole(path) as temporary:
        temporary.touch()
        until_renamed.enter_context(_held(temporary, path))
        with postponed() as answer_interrupts, _Disk(temporary, "w+") as disk:

            def check() -> None:
                answer_interrupts()
                disk.check()

            try:
                with h5py.File(disk, "w", libver=LIBRARY) as file:
                    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
                    yield file, check
            finally:
                disk.check()


def _remove_left(path: Path) -> None:
    """Removes what killed writers of this file left, where locks tell that they live no more."""
    name = rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}"
    for left in path.parent.iterdir():
        if re.fullmatch(name, left.name):
            with suppress(OSError), _held(left, path) as is_held:  # gone by now, or another user's
                if is_held:
                    left.unlink()


@contextmanager
def _held(temporary: Path, path: Path) -> Iterator[bool]:
    """No other writer of `path` takes its temporary file meanwhile; ValueError where one has it.
    Gives False where the file system knows no locks. The hold ends with the process."""
    handle = os.open(temporary, os.O_RDWR)
    try:
        yield _is_locked(handle, path)
    finally:
        os.close(handle)


def _is_locked(handle: int, path: Path) -> bool:
    """Locks the open temporary file of `path`; the rest as `_held` has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_taken = os.fstat(handle).st_nlink == 0  # removed by another before it was locked
    except BlockingIOError:
        is_taken = True
    except OSError:
        return False
    if is_taken:
        raise ValueError(
            f"expected to write {path} alone, found another export at work on it; wait until it "
            "ends, or name another file"
        )
    return True


class _Disk(io.FileIO):
    """A file whose writes never fail, but are remembered to have failed.

    HDF5 kills the process when it cannot write what it holds at its close, as on a full disk.
    """

    _failure: BaseException | None = None

    def write(self, data) -> int:
        """All of the data; nothing more once a write has failed."""
        try:
            left = memoryview(data).cast("B")
            while len(left) and not self._failure:
                left = left[super().write(left) :]
        except BaseException as error:
            self._failure = error
        return memoryview(data).nbytes

    def check(self) -> None:
        """Raises what a write has failed of."""
        if self._failure:
            raise self._failure


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file that `new_file` wrote; ValueError where it is none, or turns out to be damaged."""
    with open(path, "rb"):  # says what is wrong where it cannot be read
        pass
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path}: expected an HDF5 file that `blursynth export` wrote, found none")
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} is damaged: {error}") from error


def _check_format(file: h5py.File, path: Path) -> None:
    names = [name for name in ("format", "version") if name in file.attrs]
    found = tuple(_attribute(file, name)[0] for name in names)
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{path}: expected a file that this version of `blursynth export` wrote "
            f"({FORMAT!r}, {VERSION}), found {found or 'another HDF5 file'}"
        )


# --- groups ------------------------------------------------------------------------------------


def new_group(parent: h5py.Group, name: str) -> h5py.Group:
    """A group without a time, whose attributes stand beside one another unless one is large."""
    how, link = h5p.create(h5p.GROUP_CREATE), h5p.create(h5p.LINK_CREATE)
    how.set_obj_track_times(False)
    how.set_attr_phase_change(COMPACT_ATTRIBUTES, COMPACT_ATTRIBUTES)
    link.set_char_encoding(h5t.CSET_UTF8)
    return h5py.Group(h5g.create(parent.id, name.encode(), lcpl=link, gcpl=how))


def group_in(parent: h5py.Group, name: str) -> h5py.Group:
    """The group of that name, in this file."""
    return _member(parent, name, h5py.Group)


def put_names(group: h5py.Group, what: str, names: Sequence[str]) -> None:
    """The names of the groups that stand in it, sorted, in the attribute `what`."""
    put_meta(group, {what: sorted(names)})


def names_in(group: h5py.Group, what: str) -> list[str]:
    """The inverse of `put_names`."""
    names = _unpacked(str(_attribute(group, what)[0])) if what in group.attrs else None
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"expected the attribute `{what}` of {group.name} to list names")
    return names


def _member(parent: h5py.Group, name: str, kind: type) -> Any:
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{parent.name}/{name} is missing, or a link to elsewhere")
    found = parent[name]
    if not isinstance(found, kind):
        raise ValueError(f"expected {parent.name}/{name} to be a {kind.__name__.lower()}")
    return found


# --- bytes -------------------------------------------------------------------------------------


def put_file(group: h5py.Group, name: str, data: bytes) -> None:
    """The bytes of a file, under its name."""
    how = {"chunks": (len(data),), **GZIP} if data else {}
    group.create_dataset(name, data=np.frombuffer(data, np.uint8), track_times=False, **how)


def file_in(group: h5py.Group, name: str) -> bytes:
    """The inverse of `put_file`; at most 256 MiB."""
    found = _member(group, name, h5py.Dataset)
    if len(found.shape or ()) != 1 or found.shape[0] > MAX_MEMBER_BYTES:
        raise ValueError(
            f"expected {found.name} to be at most {MAX_MEMBER_BYTES} bytes in a row, "
            f"found the shape {found.shape}"
        )
    return _read(found, found.shape, found.shape).tobytes() if found.size else b""


def put_images(group: h5py.Group, name: str, images: np.ndarray) -> None:
    """(..., H, W, 3) uint8 RGB, one image a chunk."""
    chunks = (*(1 for _ in images.shape[:-3]), *images.shape[-3:])
    group.create_dataset(name, data=images, chunks=chunks, track_times=False, **GZIP)


def images_in(group: h5py.Group, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `put_images`, where the shape is this one."""
    chunks = (*(1 for _ in shape[:-3]), *shape[-3:])
    return _read(_member(group, name, h5py.Dataset), shape, chunks)


def _read(found: h5py.Dataset, shape: tuple[int, ...], chunks: tuple[int, ...]) -> np.ndarray:
    """What a data set holds that is stored here as it should be, all chunks of it."""
    if (found.shape, found.dtype, found.chunks) != (shape, np.uint8, chunks):
        raise ValueError(
            f"expected {found.name} to be uint8 of shape {shape} in chunks of {chunks}, "
            f"found {found.dtype}, {found.shape}, {found.chunks}"
        )
    how = found.id.get_create_plist()
    if not {how.get_filter(i)[0] for i in range(how.get_nfilters())} <= FILTERS:
        raise ValueError(f"expected {found.name} to be compressed by gzip, found another filter")
    if found.id.get_num_chunks() != prod(shape) // prod(chunks):
        raise ValueError(f"a part of {found.name} is missing")
    return found[()]


# --- metadata ----------------------------------------------------------------------------------


def put_meta(group: h5py.Group, meta: Mapping[str, Any]) -> None:
    """Each value an attribute of its name: numbers, and lists of numbers of one type, as such (8
    byte integers, doubles, booleans), texts as texts; all else as JSON text after `json:`."""
    for name, value in meta.items():
        numbers = _numbers(value)
        spelt = name if name and _is_plain(name) else MARK + json.dumps(name)
        if numbers is not None:
            group.attrs.create(spelt, numbers)
        else:
            group.attrs.create(spelt, value if _is_plain(value) else MARK + json.dumps(value))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and not value.startswith(MARK)


def _numbers(value: Any) -> np.ndarray | None:
    """None where the value is no rectangular nest of numbers of one type."""
    kinds = {type(leaf) for leaf in _leaves(value)}
    dtype = NUMBERS.get(kinds.pop()) if len(kinds) == 1 else None
    try:
        array = None if dtype is None else np.array(value, dtype)
    except (ValueError, OverflowError):  # ragged, or beyond 64 bits
        return None
    return array if array is not None and array.ndim <= MOST_DIMENSIONS else None


def _leaves(value: Any) -> Iterator[Any]:
    nested = [value]
    while nested:
        if isinstance(one := nested.pop(), list):
            nested += one
        else:
            yield one


def meta_in(group: h5py.Group) -> dict[str, Any]:
    """The inverse of `put_meta`."""
    meta, total = {}, 0
    for name in group.attrs:
        value, size = _attribute(group, name)
        total += size
        if total > MAX_META_BYTES:
            raise ValueError(f"expected at most {MAX_META_BYTES} bytes of metadata, found more")
        meta[_unpacked(name)] = _unpacked(value) if isinstance(value, str) else value
    return meta


def _attribute(group: h5py.Group, name: str) -> tuple[Any, int]:
    """Its value, and how many bytes or numbers it is."""
    stored = group.attrs.get_id(name)
    text = h5py.check_string_dtype(stored.dtype)
    is_text = text is not None and text.length is None and stored.shape == ()
    count = prod(stored.shape or ())
    if not is_text and (stored.dtype not in NUMBERS.values() or count > MAX_META_BYTES):
        raise ValueError(
            f"expected `{name}` to be a text or numbers, found {stored.dtype}, {stored.shape}"
        )
    value = group.attrs[name]
    if isinstance(value, str):
        return value, len(value)
    if not isinstance(value, (np.generic, np.ndarray)):
        raise ValueError(f"expected `{name}` to hold something, found nothing")
    return value.tolist(), count


def _unpacked(text: str) -> Any:
    try:
        return json.loads(text.removeprefix(MARK)) if text.startswith(MARK) else text
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON after {MARK!r}, found {text[:80]!r}") from error


# --- samples -----------------------------------------------------------------------------------


def put_sample(split: h5py.Group, sample: Sample, kept: Mapping[str, bytes]) -> None:
    """A group of the sample's key. kept: members whose bytes do not follow from the pixels."""
    group = new_group(split, sample.key)
    put_meta(group, sample.meta)
    put_images(group, "blur", sample.blur)
    put_images(group, "frames", sample.frames)
    for name, data in kept.items():
        put_file(group, name, data)


def sample_in(
    split: h5py.Group, entry: IndexedSample, size_hw: tuple[int, int]
) -> tuple[Sample, dict[str, bytes]]:
    """The inverse of `put_sample`, of a sample with as many frames as the entry says."""
    group = group_in(split, entry.key)
    other = sorted(set(group) - {"blur", "frames"} - entry.members.keys())
    if other:
        raise ValueError(f"expected blur and frames in {group.name}, found besides: {other[:3]}")
    kept = {name: file_in(group, name) for name in group if name in entry.members}
    blur = images_in(group, "blur", (*size_hw, 3))
    frames = images_in(group, "frames", (entry.frame_count, *size_hw, 3))
    return Sample(entry.key, blur, frames, meta_in(group)), kept
