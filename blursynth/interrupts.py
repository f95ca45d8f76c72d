"""Ctrl-C answered at a moment that suits, not inside a library that would not survive it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def postponed() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits until what this gives is called, or for the end of the block; then it is
    answered as ever: KeyboardInterrupt. In a thread that Ctrl-C never reaches nothing changes."""
    former = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(former):
        yield lambda: None
        return
    waiting = []

    def answer() -> None:
        if waiting:
            former(*waiting.pop())

    signal.signal(signal.SIGINT, lambda *received: waiting.append(received))
    try:
        yield answer
    finally:
        signal.signal(signal.SIGINT, former)
        answer()
