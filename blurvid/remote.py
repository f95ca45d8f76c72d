"""Places that are URLs: the names in a folder of `s3://`, `https://` or `http://`, and its files.

What fails for a reason that may pass is asked for again, each time after a longer pause; an answer
that does not come is reported, then given up. Where S3 is, and with which keys, the standard
environment says (AWS_ENDPOINT_URL, AWS_PROFILE ...); proxies and passwords of HTTP likewise
(HTTPS_PROXY, ~/.netrc).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, unquote

from fsspec import filesystem
from fsspec.asyn import AsyncFileSystem

from blurvid.stopped import Unreachable

T = TypeVar("T")
PROTOCOLS = ("s3", "https", "http")
BACKENDS = {"s3": ("s3fs", "s3"), "https": ("aiohttp", "http"), "http": ("aiohttp", "http")}
LEAST_CHUNK, MOST_CHUNK = 1 << 16, 1 << 24
FIRST_CHUNK = 1 << 18
MOST_ANSWER = 1 << 29  # a whole tar of a server that knows no ranges, with room to spare
CHUNK_S = 2.0  # how long the answer to one request should take
MEGABYTE = 1e6
_NETWORK = ("aiohttp", "asyncio", "aiobotocore", "botocore", "fsspec")
_MAY_PASS = (408, 425, 429)  # among the HTTP statuses that say the fault is ours
_NO_KEYS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")
_NO_BUCKET = "ParamValidationError"


class _Ended(Exception):
    """The file ends before the bytes that were asked for."""


@dataclass(frozen=True)
class Patience:
    """How long a place is waited for.

    retries: how often a request is repeated; first_delay_s: the pause before the first of them,
    each further one is twice as long; stall_s: after how many seconds without an answer to say
    so; stalls: after how many of these to take the connection for dropped.
    """

    retries: int = 5
    first_delay_s: float = 1.0
    stall_s: float = 30.0
    stalls: int = 3


@dataclass(frozen=True)
class RemoteFolder:
    """A folder at a URL; ValueError for any URL but those of `PROTOCOLS`."""

    url: str
    patience: Patience = Patience()

    def __post_init__(self) -> None:
        protocol, _, rest = self.url.partition("://")
        if protocol not in PROTOCOLS or not rest.strip("/"):
            known = ", ".join(f"{p}://" for p in PROTOCOLS)
            raise ValueError(f"expected a local folder or a URL of {known}, found {self.url!r}")
        if set(rest) & set("?#") or "@" in rest.partition("/")[0]:
            raise ValueError(
                "expected the URL of a folder without ?, # and passwords (these belong into "
                f"~/.netrc), found another at {protocol}://{rest.rpartition('@')[2]}"
            )
        backend, extra = BACKENDS[protocol]
        if find_spec(backend) is None:
            raise ValueError(
                f"{self.url} needs the package {backend}, which is not installed: "
                f'pip install "blursynth-blurvid[{extra}]"'
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    @property
    def protocol(self) -> str:
        return self.url.partition("://")[0]

    @property
    def name(self) -> str:
        return unquote(self.url.rpartition("/")[2])

    def join(self, name: str) -> RemoteFolder:
        """The folder `name` in this one."""
        return RemoteFolder(self.address(name), self.patience)

    def address(self, name: str) -> str:
        """The URL of what has this name here; ValueError where the name would lead elsewhere."""
        if name in ("", ".", "..") or set(name) & set("/\\"):
            raise ValueError(f"{self.url}: expected the name of a file in it, found {name!r}")
        return f"{self.url}/{name if self.protocol == 's3' else quote(name)}"

    def names(self, say: Callable[[str], None] = print) -> list[str]:
        """Of the files and folders directly in this one, sorted.

        Over HTTP they are the links of the page that the server shows for the folder; ValueError
        where it shows none.
        """
        place = self.url if self.protocol == "s3" else f"{self.url}/"
        try:
            found = self._ask(
                self.url, lambda fs, _: fs._ls(place, detail=False, refresh=True), say=say
            )
            names = children(self.url, found)
        except (FileNotFoundError, PermissionError):
            if self.protocol == "s3":
                raise
            names = []
        if not names and self.protocol != "s3":
            raise ValueError(
                f"{self.url}: expected a page that lists what is in this folder, found none; "
                "check the URL, or give the folder of one data set, which has "
                "<split>/manifest.json"
            )
        return names

    def read(self, name: str, limit_bytes: int, say: Callable[[str], None] = print) -> bytes:
        """A small file; ValueError where it has more than `limit_bytes`."""
        address = self.address(name)
        try:
            data = self._ask(
                address, lambda fs, _: fs._cat_file(address, start=0, end=limit_bytes + 1), say=say
            )
        except _Ended:
            return b""
        if len(data) > limit_bytes:
            raise ValueError(f"{address}: expected at most {limit_bytes:,} bytes, found more")
        return data

    def _ask(
        self,
        address: str,
        request: Callable[[AsyncFileSystem, int], Coroutine[Any, Any, T]],
        *,
        say: Callable[[str], None],
        so_far: str = "no answer",
    ) -> T:
        """What `request(file system, number of failures before)` answers.

        FileNotFoundError, PermissionError and other refusals at once; Unreachable at last.
        """
        fs = _file_system(self.protocol, os.getpid())
        for failures in range(self.patience.retries + 1):
            try:
                future = asyncio.run_coroutine_threadsafe(request(fs, failures), fs.loop)
                return self._answer(future, f"waiting for {address}: {so_far}", say)
            except Exception as error:
                _refuse_what_stays(address, error)
                last, reason = error, _reason(error)
            if failures < self.patience.retries:
                pause_s = self.patience.first_delay_s * 2**failures
                say(f"{address}: {reason}; trying again after {pause_s:g} s")
                time.sleep(pause_s)
        raise Unreachable(f"{address}: tried {failures + 1} times, at last: {reason}") from last

    def _answer(self, future: Future[T], waiting: str, say: Callable[[str], None]) -> T:
        """What the future brings; TimeoutError after too many stalls."""
        stall_s = self.patience.stall_s
        try:
            for stall in range(1, self.patience.stalls + 1):
                if wait([future], stall_s).done:
                    return future.result()
                say(f"{waiting} after {stall * stall_s:g} s")
            raise TimeoutError(f"nothing came for {stall * stall_s:g} s")
        finally:
            future.cancel()


@dataclass(frozen=True)
class RemoteShard:
    """A tar in a remote folder, as its index describes it. sha256: 64 hex digits."""

    folder: RemoteFolder
    tar: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.sha256) or self.size_bytes < 1:
            raise ValueError(
                f"{self.address}: expected a size and a sha256 in its index, found "
                f"{self.size_bytes!r} and {self.sha256!r}; make the data set anew"
            )

    def __str__(self) -> str:
        return self.address

    @property
    def address(self) -> str:
        return self.folder.address(self.tar)

    def fetch(self, file: BinaryIO, say: Callable[[str], None] = print) -> None:
        """Writes the tar to `file` from its start on; ValueError if it is not what the index says.

        A tar that differs is fetched once more, as it may have been replaced meanwhile.
        """
        if self._copied(file, say):
            return
        say(f"{self.address}: not the bytes that its index describes; fetching it once more")
        if not self._copied(file, say):
            raise ValueError(
                f"{self.address}: expected the digest that its index states, found another: the "
                "shard was changed or damaged; make or copy the data set anew, then start again"
            )

    def _copied(self, file: BinaryIO, say: Callable[[str], None]) -> bool:
        """Whether the bytes that came are those that the index describes."""
        file.seek(0)
        digest, done, chunk = hashlib.sha256(), 0, FIRST_CHUNK
        while done < self.size_bytes:
            began = time.monotonic()
            data = self._piece(done, chunk, say)
            if not data:
                return False
            file.write(data)
            file.flush()  # else a process forked now would write what is left, too
            digest.update(data)
            done += len(data)
            chunk = next_chunk(len(data), time.monotonic() - began)
        return digest.hexdigest() == self.sha256

    def _piece(self, start: int, chunk: int, say: Callable[[str], None]) -> bytes:
        """About `chunk` bytes from `start`, fewer after failures; all that are left from servers
        that know no ranges; none where the file has not the size that its index states."""
        size, address = self.size_bytes, self.address

        async def request(fs: AsyncFileSystem, failures: int) -> bytes:
            length = min(size - start, max(chunk >> failures, LEAST_CHUNK))
            data = await fs._cat_file(address, start=start, end=start + length)
            if len(data) == length:
                return data
            return data[start:] if len(data) == size else b""

        so_far = f"{start / MEGABYTE:.1f} of {size / MEGABYTE:.1f} MB"
        try:
            return self.folder._ask(address, request, say=say, so_far=so_far)
        except _Ended:
            return b""


def is_remote(place: str) -> bool:
    """Whether it is written as a URL, be it one that can be read or not."""
    return "://" in place


def next_chunk(came: int, seconds: float) -> int:
    """How many bytes to ask for next, where `came` bytes took so long."""
    wanted = int(came * CHUNK_S / max(seconds, 1e-3))
    return min(max(wanted, LEAST_CHUNK), 4 * max(came, LEAST_CHUNK), MOST_CHUNK)


def children(url: str, places: Iterable[str]) -> list[str]:
    """The names directly below `url` among places (URLs, or S3 keys after their bucket)."""
    read = str if url.startswith("s3://") else unquote
    base = read(url.partition("://")[2]).rstrip("/") + "/"
    below = (read(place.rpartition("://")[2].partition("?")[0]) for place in places)
    names = {place[len(base) :].rstrip("/") for place in below if place.startswith(base)}
    return sorted(name for name in names if name not in ("", ".", "..") and "/" not in name)


@cache
def _file_system(protocol: str, process: int) -> AsyncFileSystem:
    """One for each process. The parent's is kept in forked ones: when it is dropped, it takes
    the parent's connections out of the queue of events that both share."""
    return _OPENERS[protocol]()


def _open_s3() -> AsyncFileSystem:
    """Without the repetitions and time limits of its own, which would hide behind ours."""
    limits = {"retries": {"total_max_attempts": 1}, "read_timeout": 3600}
    fs = filesystem("s3", skip_instance_cache=True, config_kwargs=limits)
    fs.retries = 1
    return fs


def _open_http(protocol: str) -> AsyncFileSystem:
    """Compressed answers would know no ranges."""
    from aiohttp import ClientResponse

    class Bounded(ClientResponse):
        async def read(self) -> bytes:
            """The body; ValueError where it does not end within `MOST_ANSWER` bytes."""
            if self._body is None:
                body = bytearray()
                async for part in self.content.iter_any():
                    body += part
                    if len(body) > MOST_ANSWER:
                        self.close()
                        raise ValueError(f"the answer is longer than {MOST_ANSWER:,} bytes")
                self._body = bytes(body)
            return self._body

    client = {
        "trust_env": True,
        "headers": {"Accept-Encoding": "identity"},
        "response_class": Bounded,
    }
    return filesystem(protocol, skip_instance_cache=True, client_kwargs=client)


_OPENERS = {"s3": _open_s3, **{p: partial(_open_http, p) for p in ("https", "http")}}


def _refuse_what_stays(address: str, error: Exception) -> None:
    """Raises where the same request would fail again."""
    status, kind = _status(error), type(error).__name__
    if status == 416:
        raise _Ended from error
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        raise FileNotFoundError(f"{address}: expected a file, found nothing there") from error
    if isinstance(error, PermissionError) or status in (401, 403) or kind in _NO_KEYS:
        raise PermissionError(f"{address}: reading it is not allowed ({_reason(error)})") from error
    ours = status is not None and 400 <= status < 500 and status not in _MAY_PASS
    ours = ours or isinstance(error, ValueError) or kind == _NO_BUCKET
    if ours or "CERTIFICATE_VERIFY_FAILED" in str(error):
        raise OSError(f"{address}: {_reason(error)}") from error
    known = isinstance(error, (OSError, EOFError, TimeoutError))
    if not known and type(error).__module__.partition(".")[0] not in _NETWORK:
        raise error


def _status(error: Exception) -> int | None:
    """The HTTP status behind an error of either backend."""
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return getattr(error, "status", None)


def _reason(error: Exception) -> str:
    """One line."""
    status, message = getattr(error, "status", None), getattr(error, "message", None)
    if status:
        return f"HTTP status {status} {message or ''}".rstrip()
    return " ".join(str(error).split()) or type(error).__name__
