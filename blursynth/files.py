"""Files written whole or not at all: a temporary name, fsync, rename."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".partial"


def temporary_name(path: Path) -> Path:
    """The name under which `path` is written until it is whole; the same at each try."""
    return path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")


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
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """`data` under the name `path`, or nothing at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


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
