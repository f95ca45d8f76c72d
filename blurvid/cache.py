"""Remote shards in a local folder of bounded size, each whole and checked, under its digest.

`<sha256>.tar` is a whole shard, `.<sha256>.tar.partial` one that is being fetched: as large from
the start as it will be, and locked (flock) by whoever fetches it, so that one without a lock is
what a killed process left. The lock of the folder itself is held only to look and to make room.
Any number of processes and threads may share a folder.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from blurvid.remote import MEGABYTE, RemoteShard

WHOLE = "[0-9a-f]" * 64 + ".tar"
PARTIAL = f".{WHOLE}.partial"
PAUSE_S = 0.05


@dataclass(frozen=True)
class ShardCache:
    """At most `limit_bytes` of shards in `folder`, partial ones included; the shards whose use
    lies longest back make room. say: is told of what is waited for."""

    folder: Path
    limit_bytes: int
    say: Callable[[str], None] = print

    def path_of(self, shard: RemoteShard) -> Path:
        """The local file of the shard, whole, fetched if need be; it counts as used now.

        It may have to make room for others before it is opened: see `open`. Raises what
        `RemoteShard.fetch` raises, and ValueError where the shard is larger than the cache.
        """
        self._refuse_too_large(shard)
        path = self.folder / f"{shard.sha256}.tar"
        while not _used(path, shard.size_bytes):
            partial = self._claim(path, shard.size_bytes)
            if partial is None:
                time.sleep(PAUSE_S)
            else:
                self._fetch(shard, partial, path)
        return path

    def open(self, shard: RemoteShard) -> int:
        """A file descriptor to read the whole shard from, good whatever makes room meanwhile."""
        while True:
            path = self.path_of(shard)
            try:
                return os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue

    def _refuse_too_large(self, shard: RemoteShard) -> None:
        if shard.size_bytes > self.limit_bytes:
            raise ValueError(
                f"{shard.address}: expected a shard of at most the "
                f"{self.limit_bytes / MEGABYTE:.1f} MB that the cache may hold, found "
                f"{shard.size_bytes / MEGABYTE:.1f} MB; allow a larger cache"
            )

    def _claim(self, path: Path, size: int) -> BinaryIO | None:
        """A locked file to fetch into, which nobody else has; None where there is to wait."""
        partial = path.with_name(f".{path.name}.partial")
        with self._alone():
            _remove_leftovers(self.folder)
            if _used(path, size) or partial.exists():
                return None
            path.unlink(missing_ok=True)
            if not self._made_room(size):
                return None
            return _reserved(partial, size)

    def _made_room(self, size: int) -> bool:
        """Whether `size` more bytes fit, now that old shards are gone; not while too much else
        is being fetched."""
        coming = sum(path.stat().st_size for path in self.folder.glob(PARTIAL))
        room = self.limit_bytes - size - coming
        if room < 0:
            return False
        stats = {path: path.stat() for path in self.folder.glob(WHOLE)}
        held = sum(stat.st_size for stat in stats.values())
        for path in sorted(stats, key=lambda p: stats[p].st_mtime_ns):
            if held <= room:
                break
            path.unlink()
            held -= stats[path].st_size
        return True

    def _fetch(self, shard: RemoteShard, partial: BinaryIO, path: Path) -> None:
        """Unlocks before it closes, as a process forked meanwhile holds the file open, too."""
        try:
            shard.fetch(partial, say=self.say)
            os.fsync(partial.fileno())
            with self._alone():
                os.replace(partial.name, path)
        except BaseException as error:
            with self._alone():
                Path(partial.name).unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno and error.filename is None:
                error.filename = str(path)
            raise
        finally:
            fcntl.flock(partial, fcntl.LOCK_UN)
            partial.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process or thread looks for room in the folder meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            _lock(handle, self.folder)
            try:
                yield
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)


class Ahead:
    """Fetches shards into a cache, one after the other, while earlier ones are read.

    What fails is left to whoever reads that shard: he meets the same failure. The cache must have
    room for the shards being read and those wanted, else they push each other out.
    """

    def __init__(self, cache: ShardCache) -> None:
        self._cache = replace(cache, say=self._tell)
        self._say = cache.say
        self._wanted: deque[RemoteShard] = deque()
        self._changed = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def want(self, shards: Iterable[RemoteShard]) -> None:
        """These next, in their order, in place of what was wanted; one under way is finished."""
        self._wanted = deque(shards)
        self._changed.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="Ahead", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Nothing more is begun or told; what is under way is not waited for."""
        self._closed = True
        self._wanted = deque()
        self._changed.set()

    def _work(self) -> None:
        while not self._closed:
            self._changed.wait()
            self._changed.clear()
            while self._wanted:
                self._fetch_quietly(self._next())

    def _next(self) -> RemoteShard | None:
        try:
            return self._wanted.popleft()
        except IndexError:  # replaced meanwhile
            return None

    def _fetch_quietly(self, shard: RemoteShard | None) -> None:
        try:
            if shard is not None:
                self._cache.path_of(shard)
        except Exception:  # also what comes of a program that ends meanwhile
            return

    def _tell(self, line: str) -> None:
        if not self._closed:
            self._say(line)


def _used(path: Path, size: int) -> bool:
    """Whether it is there with this size; if so, it counts as used now."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _reserved(partial: Path, size: int) -> BinaryIO:
    """A new file of this size, locked."""
    file = open(partial, "w+b")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.truncate(size)
    return file


def _remove_leftovers(folder: Path) -> None:
    """Partial shards that nobody fetches any more; the folder's lock is held."""
    for path in list(folder.glob(PARTIAL)):
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.unlink()


def _lock(handle: int, folder: Path) -> None:
    """Waits for it; ValueError where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        raise ValueError(
            f"{folder}: expected a folder on a file system with locks (flock), found none; "
            "choose a folder on a local disk for the cache"
        ) from error
