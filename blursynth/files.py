"""Files written whole or not at all: a temporary name, fsync, rename."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

TEMPORARY_SUFFIX = ".partial"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def temporary_name(path: Path) -> Path:
    """A new name beside `path` to write under until it is whole; no two writers share one."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def is_temporary(path: Path) -> bool:
    """Whether this is the name of something that is, or was, being written."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)


def remove_temporaries(folder: Path) -> None:
    """Removes what writers that are no more left in `folder` and in the folders in it."""
    for path in [*folder.glob(".*"), *folder.glob("*/.*")]:
        if is_temporary(path):
            path.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives the temporary name to write to; renames it to `path` unless an error comes."""
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


def write_whole(path: Path, data: bytes) -> None:
    """`data` under the name `path`, or nothing at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """No other process holds `folder` meanwhile; the hold ends with the process, however it ends.

    Where the file system knows no locks, nothing is held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"expected to work alone in {folder}, found another run at work there; "
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
