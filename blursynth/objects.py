"""Places in an object store (`s3://`), used like the `pathlib.Path` of a local folder.

An object is put whole or not at all, and there are no folders to make: a "folder" is what the names
of objects begin with. Where the store is and with which keys, the standard environment says
(AWS_ENDPOINT_URL, AWS_PROFILE ...).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from .stopped import RunStopped

PROTOCOL = "s3://"
_NETWORK = ("aiohttp", "asyncio", "aiobotocore", "botocore", "fsspec")
_NO_KEYS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")
_MISTAKES = ("ParamValidationError", "InvalidRegionError")


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or what the names of several begin with.

    url: `s3://bucket/name`, without a slash at its end. Methods raise what those of `Path` would:
    FileNotFoundError, PermissionError; and RunStopped where the store cannot be reached.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self.url}/{name}")

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.url.removeprefix(PROTOCOL))

    @property
    def name(self) -> str:
        return self._pure.name

    @property
    def stem(self) -> str:
        return self._pure.stem

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(PROTOCOL + str(self._pure.parent))

    def with_suffix(self, suffix: str) -> ObjectPath:
        return ObjectPath(PROTOCOL + str(self._pure.with_suffix(suffix)))

    # --- what is there ---

    def exists(self) -> bool:
        with _asking(self.url) as store:
            return store.exists(self.url)

    def size_bytes(self) -> int | None:
        """None where there is no such object."""
        with _asking(self.url) as store:
            try:
                return int(store.info(self.url)["size"])
            except FileNotFoundError:
                return None

    def iterdir(self) -> Iterator[ObjectPath]:
        """What is in it; not the object with a slash at its end that consoles make of a folder."""
        with _asking(self.url) as store:
            places = store.ls(self.url, detail=False)
        return (ObjectPath(PROTOCOL + place) for place in places if not place.endswith("/"))

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        with _asking(self.url) as store:
            return (ObjectPath(PROTOCOL + p) for p in store.glob(f"{self.url}/{pattern}"))

    def read_bytes(self) -> bytes:
        with _asking(self.url) as store:
            return store.cat_file(self.url)

    def open(self, mode: str = "rb") -> BinaryIO:
        with _asking(self.url) as store:
            return store.open(self.url, mode)

    # --- what changes it ---

    def put(self, data: bytes | Path) -> None:
        """One whole object of these bytes, or of a local file's."""
        with _asking(self.url) as store:
            if isinstance(data, Path):
                store.put_file(str(data), self.url)
            else:
                store.pipe_file(self.url, data)

    def unlink(self, missing_ok: bool = False) -> None:
        with _asking(self.url) as store:
            try:
                store.rm_file(self.url)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def remove_all(self) -> None:
        """Every object whose name begins with this and a slash."""
        with _asking(self.url) as store:
            if store.exists(self.url):
                store.rm(self.url, recursive=True)


def any_path(place: str | Path) -> Path | ObjectPath:
    """A local path, or that of an object by its URL; ValueError for other URLs."""
    text = str(place)
    if "://" not in text:
        return Path(place)
    bucket = text.removeprefix(PROTOCOL).partition("/")[0]
    if not text.startswith(PROTOCOL) or not bucket:
        raise ValueError(f"expected a folder or {PROTOCOL}bucket/name, found {text}")
    if set(text) & set("?#@*["):
        raise ValueError(f"expected {PROTOCOL}bucket/name without ?, #, @, * and [, found {text}")
    if {"", ".", ".."} & set(text.removeprefix(PROTOCOL).rstrip("/").split("/")):
        raise ValueError(
            f"expected {PROTOCOL}bucket/name with names between slashes, no `.` or `..`, "
            f"found {text}"
        )
    if find_spec("s3fs") is None:
        raise ValueError(
            f"{text} needs the package s3fs, which is not installed: "
            'pip install "blursynth-blurvid[s3]"'
        )
    return ObjectPath(text.rstrip("/"))


# --- asking the store --------------------------------------------------------------------------


@cache
def _store(process: int) -> Any:
    """One for each process: connections are not to be shared with those that it started."""
    from fsspec import filesystem

    return filesystem("s3", use_listings_cache=False, skip_instance_cache=True)


@contextmanager
def _asking(url: str) -> Iterator[Any]:
    """The store; its errors become those that a local folder would give, or RunStopped."""
    try:
        yield _store(os.getpid())
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such object or bucket", url) from error
    except Exception as error:
        reason, kind = " ".join(str(error).split()) or type(error).__name__, type(error).__name__
        if isinstance(error, PermissionError) or kind in _NO_KEYS:
            raise PermissionError(errno.EACCES, f"the store refuses ({reason})", url) from error
        if isinstance(error, ValueError) or kind in _MISTAKES:
            raise ValueError(f"{url}: {reason}") from error
        known = isinstance(error, (OSError, EOFError))
        if not known and type(error).__module__.partition(".")[0] not in _NETWORK:
            raise
        raise RunStopped(
            f"{url} could not be reached ({reason}); what is finished is kept, and the same "
            "command goes on"
        ) from error
