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
    parent, above = multiprocessing.parent_process(), os.getppid()
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == above and _is_running(parent.pid):
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _is_running(pid: int) -> bool:
    """Also the parent may be gone before the first task: then what stands above is another one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, as somebody else
        pass
    return True
