"""Ctrl-C during a training: never in the middle of a step, and with several ranks agreed upon."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """Whether Ctrl-C was pressed (`asked`), where it does not interrupt at once."""

    def __init__(self, *, deferred: bool) -> None:
        self.asked = False
        self._deferred = deferred

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Ctrl-C waits until the block is done: a step is taken whole or not at all."""
        if self._deferred or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self.asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: object) -> None:
        self.asked = True


@contextmanager
def interruptions(*, deferred: bool) -> Iterator[Interrupts]:
    """deferred: Ctrl-C is only noted, for all ranks to stop after the same step."""
    interrupts = Interrupts(deferred=deferred)
    if not deferred or threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts._note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
