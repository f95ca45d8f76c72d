"""A plain WebDataset tar, made by any program -> what an index holds; nothing in it is trusted.

`tarfile` parses the headers. What it passes over in silence is an error here: links, folders in
names, a bad header in mid-archive, a missing end. An index that was made is kept in the user's
cache. Raises ValueError that names the tar, and the key or the byte.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from blursynth.schema import (
    MAX_MEMBER_BYTES,
    TAR_BLOCK,
    IndexedSample,
    ShardIndex,
    check_index,
    check_key,
    check_members,
    checked_size,
    decode_index,
    encode_index,
    image_format_of,
)
from blurvid.checkpoint import written_whole

END = bytes(2 * TAR_BLOCK)
MAX_HEADER_BYTES = 1 << 16
CHUNK = 1 << 20
HEADS = (1 << 12, CHUNK)  # of a JPEG, the size may stand behind a thumbnail
FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE)
TYPE_NAMES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}
_BAD_HEADER = (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError)

Place = tuple[int, int]  # offset of the data, size


def plain_index(tar: Path) -> ShardIndex:
    """The index of a tar that has none beside it: from the cache, or made and kept there."""
    kept = _kept_index_path(tar)
    with suppress(OSError, ValueError):
        return _kept_index(kept, tar)
    index = index_plain_tar(tar)
    with suppress(OSError), written_whole(kept) as temporary:
        temporary.write_bytes(encode_index(index))
    return index


def index_plain_tar(tar: Path) -> ShardIndex:
    """Every member's place, after a look at each header, each blur's size and the tar's end."""
    if not tar.is_file():
        raise ValueError(f"{tar}: expected a tar, found something that is no file")
    if not tar.stat().st_size:
        raise ValueError(f"{tar}: expected a tar, found an empty file")
    try:
        with _Headers(tar) as file:
            samples = _samples(file)
            sizes = [_blur_size(file, sample) for sample in samples]
            digest, size_bytes = _sha256(file)
    except ValueError as error:
        raise ValueError(f"{tar}: {error}") from error
    heights, widths = zip(*sizes, strict=True) if sizes else ((0,), (0,))
    return ShardIndex(
        data_set="",
        split="",
        tar=tar.name,
        tar_bytes=size_bytes,
        tar_sha256=digest,
        pixels_sha256="",
        fingerprint=digest,
        image_format=image_format_of(samples[0].key, samples[0].members) if samples else "",
        size_hw=(min(heights), min(widths)),
        samples=samples,
        sources=(),
        failures=(),
        statistics={},
    )


def check_header(header: bytes, key: str, member: str, size: int) -> None:
    """That the block before a member's data says that a file of this name and size follows.

    Of a name only the first 100 bytes stand there, and what is not ASCII perhaps as `?`.
    """
    name = f"{key}.{member}"
    if _is_usual_header(header, name, size):
        return
    names = (name.encode(errors="replace")[:100], name.encode("ascii", "replace")[:100])
    try:
        found = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.TarError:
        found = tarfile.TarInfo()
    said = found.name.encode(errors="surrogateescape")
    if said not in names or found.size != size or found.type not in FILE_TYPES:
        raise ValueError(
            f"sample {key}, member {member}: its tar header does not say a file of that name and "
            f"{size} bytes: the shard is damaged or its index is of another tar"
        )


def _is_usual_header(header: bytes, name: str, size: int) -> bool:
    """Whether it is spelt as nearly every writer does, without a prefix: four times as quick to
    see as by parsing it."""
    stated = header[:100].rstrip(b"\0"), header[124:136].rstrip(b"\0 "), header[156:157]
    if stated != (name.encode(errors="replace"), b"%011o" % size, tarfile.REGTYPE):
        return False
    total = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
    return header[148:156].rstrip(b"\0 ") == b"%06o" % total and not any(header[345:500])


# --- members -------------------------------------------------------------------------------


class _Headers(FileIO):
    """A tar of which `tarfile` reads headers; one that says to be large is not read into memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise ValueError(f"a header of {size} bytes")
        return super().read(size)

    def part(self, offset: int, size: int) -> bytes:
        """The bytes there, fewer at the end of the file."""
        return os.pread(self.fileno(), size, offset)

    @property
    def size_bytes(self) -> int:
        return os.fstat(self.fileno()).st_size


def _samples(file: _Headers) -> tuple[IndexedSample, ...]:
    samples: dict[str, dict[str, Place]] = {}
    last = None
    for key, name, place in _members(file):
        if key != last and key in samples:
            raise ValueError(f"sample {key}: its members do not stand together (interleaved)")
        last, members = key, samples.setdefault(key, {})
        if name in members:
            raise ValueError(f"sample {key}: its member {name} is there twice")
        members[name] = place
    for key, members in samples.items():
        check_members(key, members)
    return tuple(IndexedSample(key, members) for key, members in samples.items())


def _members(file: _Headers) -> Iterator[tuple[str, str, Place]]:
    """Key, name and place of each, in the order of the tar."""
    for header in _headers(file):
        if header.type not in FILE_TYPES or header.issparse():
            kind = TYPE_NAMES.get(header.type, "something else")
            raise ValueError(f"member {header.name!r}: expected a plain file, found {kind}")
        if set(header.name) & set("/\\") or ".." in header.name:
            raise ValueError(f"member {header.name!r}: expected a name without folders and `..`")
        key, _, name = header.name.partition(".")
        try:
            check_key(key)
        except ValueError as error:
            raise ValueError(f"member {header.name!r}: {error}") from error
        _refuse_other_size(file, key, name, header)
        check_header(file.part(header.offset_data - TAR_BLOCK, TAR_BLOCK), key, name, header.size)
        yield key, name, (header.offset_data, header.size)


def _refuse_other_size(file: _Headers, key: str, name: str, header: tarfile.TarInfo) -> None:
    if not 0 <= header.size <= MAX_MEMBER_BYTES:
        raise ValueError(
            f"sample {key}, member {name}: expected at most {MAX_MEMBER_BYTES} bytes, "
            f"found {header.size}"
        )
    if header.offset_data + header.size > file.size_bytes:
        raise ValueError(
            f"sample {key}, member {name}: the tar is cut short at byte {file.size_bytes}"
        )


def _headers(file: _Headers) -> Iterator[tarfile.TarInfo]:
    """As long as `tarfile` sees one; then the tar must end, and as a tar ends."""
    tar, at, after = None, 0, "at its beginning"
    while True:
        try:
            tar = tar or tarfile.open(fileobj=file, mode="r:", encoding="utf-8")
            header = tar.next()
        except _BAD_HEADER as error:
            raise ValueError(f"bad header at byte {at} ({error}), {after}") from error
        at = tar.offset
        if header is None:
            return _refuse_other_end(file, at, after)
        tar.members.clear()  # else each header would stay in memory
        after = f"after member {header.name!r}"
        yield header


def _refuse_other_end(file: _Headers, at: int, after: str) -> None:
    """That two blocks of zeros come, and nothing but zeros after them."""
    end = file.part(at, len(END))
    if len(end) < TAR_BLOCK or (len(end) < len(END) and not any(end)):
        raise ValueError(f"the tar is cut short at byte {at + len(end)}, {after}: it has no end")
    while end:
        if any(end):
            raise ValueError(f"bad header at byte {at}, {after}: neither a member nor the end")
        at += len(end)
        end = file.part(at, CHUNK)


# --- what else an index holds ----------------------------------------------------------------


def _blur_size(file: _Headers, sample: IndexedSample) -> tuple[int, int]:
    """Height and width as the blur's header states them."""
    image_format = image_format_of(sample.key, sample.members)
    offset, size = sample.members[f"blur.{image_format}"]
    for head in HEADS:
        try:
            return checked_size(file.part(offset, min(size, head)), image_format)
        except ValueError as error:
            reason = error
    raise ValueError(f"sample {sample.key}, member blur.{image_format}: {reason}")


def _sha256(file: _Headers) -> tuple[str, int]:
    digest, at = hashlib.sha256(), 0
    while chunk := file.part(at, CHUNK):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest(), at


# --- the cache -----------------------------------------------------------------------------


def _kept_index_path(tar: Path) -> Path:
    """One for each path, size and time of change."""
    state = tar.stat()
    identity = f"{tar.resolve()}\n{state.st_size}\n{state.st_mtime_ns}"
    name = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(caches, "blurvid", "indices", f"{name}.json")


def _kept_index(path: Path, tar: Path) -> ShardIndex:
    """ValueError where it is damaged or of another tar."""
    index = decode_index(path.read_bytes(), str(path))
    check_index(index)
    if (index.tar, index.tar_bytes) != (tar.name, tar.stat().st_size):
        raise ValueError(f"{path} is the index of another tar")
    return index
