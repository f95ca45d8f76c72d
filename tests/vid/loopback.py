"""A small HTTP server on loopback that can misbehave as servers do."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote


@dataclass
class Loopback:
    """A folder that is served, and how.

    drops: so many next answers end after `drop_after` bytes; stalls: so many next answers wait
    `stall_s`, before their first byte; refusals: so many next answers have this `status`.
    before: called with the number of each request, from 1 on. requests: (path, range) of each.
    """

    folder: Path
    url: str = ""
    ranges: bool = True
    listing: bool = True
    drops: int = 0
    drop_after: int = 0
    stalls: int = 0
    stall_s: float = 0.0
    refusals: int = 0
    status: int = 503
    before: Callable[[int], None] = lambda number: None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, name: str) -> int:
        """How many requests for the start of a file of this name came."""
        starts = [r for path, r in self.requests if path.endswith(name) and "=0-" in (r or "=0-")]
        return len(starts)

    def takes(self, counter: str) -> bool:
        """Whether a misbehaviour is still due; it is counted down."""
        with self.lock:
            due = getattr(self, counter) > 0
            setattr(self, counter, getattr(self, counter) - due)
        return due


@contextmanager
def serving(folder: Path, certificate: Path | None = None) -> Iterator[Loopback]:
    """Serves the folder until the block ends; over TLS with a certificate (and its key)."""
    state = Loopback(folder)
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_port}"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Loopback
    timeout = 10

    def do_GET(self) -> None:
        state = self.state
        with state.lock:
            state.requests.append((self.path, self.headers.get("Range")))
            number = len(state.requests)
        state.before(number)
        if state.takes("stalls"):
            time.sleep(state.stall_s)
        if state.takes("refusals"):
            self._answer(state.status, b"")
            return
        path = state.folder / unquote(self.path).strip("/")
        if path.is_dir() and state.listing:
            self._answer(200, _page(path), kind="text/html")
        elif path.is_file():
            self._answer_file(path.read_bytes())
        else:
            self._answer(404, b"")

    def _answer_file(self, data: bytes) -> None:
        span = self.headers.get("Range")
        if not span or not self.state.ranges:
            self._answer(200, data)
            return
        first, last = span.removeprefix("bytes=").split("-")
        if int(first) >= len(data):
            self._answer(416, b"")
        else:
            self._answer(206, data[int(first) : int(last) + 1])

    def _answer(self, status: int, data: bytes, kind: str = "application/x-tar") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.state.takes("drops"):
            data = data[: self.state.drop_after]
        try:
            self.wfile.write(data)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


def _page(folder: Path) -> bytes:
    """As the servers write it: links to sort by, to the parent, and relative ones."""
    names = [p.name + "/" * p.is_dir() for p in sorted(folder.iterdir())]
    links = "".join(f'<li><a href="{quote(name)}">{name}</a>' for name in names)
    return f'<a href="?C=N;O=D">by name</a> <a href="../">up</a> <ul>{links}</ul>'.encode()
