"""Files written whole or not at all: a temporary name, fsync, rename. Objects: one whole put."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from .objects import ObjectPath

AnyPath = Path | ObjectPath
TEMPORARY_SUFFIX = ".partial"
SCRATCH = "blursynth-put-"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def temporary_name(path: Path) -> Path:
    """A new name beside `path` to write under until it is whole; no two writers share one."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def is_temporary(path: AnyPath) -> bool:
    """Whether this is the name of something that is, or was, being written."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)


def remove_temporaries(folder: AnyPath) -> None:
    """Removes what writers that are no more left in `folder` and in the folders in it."""
    if isinstance(folder, ObjectPath):
        return
    for path in [*folder.glob(".*"), *folder.glob("*/.*")]:
        if is_temporary(path):
            path.unlink(missing_ok=True)


@contextmanager
def written_whole(path: AnyPath) -> Iterator[Path]:
    """Gives a temporary name to write to; what is there gets the name `path` unless an error comes."""
    with _put_whole(path) if isinstance(path, ObjectPath) else _renamed_whole(path) as temporary:
        yield temporary


@contextmanager
def _put_whole(place: ObjectPath) -> Iterator[Path]:
    """By way of a folder for temporary files, as no store takes a part of an object."""
    _remove_left_behind()
    with TemporaryDirectory(prefix=SCRATCH) as folder, held(Path(folder)):
        yield Path(folder, place.name)
        place.put(Path(folder, place.name))


def _remove_left_behind() -> None:
    """Such folders with something in them which no process holds: theirs was killed."""
    for folder in Path(gettempdir()).glob(f"{SCRATCH}*"):
        with suppress(OSError, ValueError):
            if any(folder.iterdir()):
                with held(folder):
                    shutil.rmtree(folder)


@contextmanager
def _renamed_whole(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_whole(path: AnyPath, data: bytes) -> None:
    """`data` under the name `path`, or nothing at all."""
    if isinstance(path, ObjectPath):
        path.put(data)
        return
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def held(folder: AnyPath, *, alone: bool = True) -> Iterator[None]:
    """No other process holds `folder` alone meanwhile, nor at all if this one does so.

    The hold ends with the process, however it ends. Where the file system knows no locks, and in an
    object store, nothing is held.
    """
    if isinstance(folder, ObjectPath):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def one_after_the_other(path: AnyPath) -> Iterator[None]:
    """Waits until no other process is in such a block for the file `path`, which is there."""
    if isinstance(path, ObjectPath):
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # where the file system knows no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, kind: int) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        company = "alone" if kind == fcntl.LOCK_EX else "beside runs with --shards-of only"
        raise ValueError(
            f"expected to work {company} in {folder}, found another run at work there; "
            "wait until it ends, or stop it"
        ) from error
    except OSError:
        return


class Digested(FileIO):
    """A new file to write to; digest: sha256 of what was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), "w")
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """All of it, or OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[super().write(rest) :]
        self.digest.update(data)
        return len(data)


def sha256_of(path: Path) -> str:
    """Hex digits of the sha256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
