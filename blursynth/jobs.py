"""What a process does first that makes shards, or reads them, for another one."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from functools import lru_cache

import cv2

WATCH_SECONDS = 0.2


def begin_job() -> None:
    """What comes first in each joblib task: one thread, no word of OpenCV's, no life of its own."""
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    _leave_with_parent(os.getpid())


@lru_cache
def _leave_with_parent(pid: int) -> None:
    """Once in each process: it will end soon after the one that started it, which may be killed.

    Else it would work on, and wait for more, beside the run that goes on. pid: of this process.
    """
    if multiprocessing.parent_process() is None:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
