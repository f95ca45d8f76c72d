"""The one place where an error becomes a sentence on stderr and an exit code.

2: the user's mistake (ValueError, OSError, click's own). 1: the run stopped for a reason in the
data or the machine (`RunStopped`, `TrainingStopped`, `Unreachable`, a full disk). 130: Ctrl-C.
BLUR_TRACEBACK=1 shows the traceback as well.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from blursynth.files import DISK_FULL
from blursynth.stopped import RunStopped
from blurvid.stopped import TrainingStopped, Unreachable

from .programs import INTERRUPTED

STOPPED, MISTAKE = 1, 2
RANK, SPEAKING_SECONDS = "RANK", 2  # as torchrun tells each process its own


def run(group: click.Group) -> None:
    """Runs a command group as the program of that name and exits.

    One of several processes that torchrun started ends at once: in the interpreter's own way out
    a thread of gloo that is left may abort it (torch 2.13), and torchrun then ends the others, too,
    before they have saved. Those that fail leave the first the time to say why.
    """
    try:
        _run(group)
    except SystemExit as leaving:
        if RANK not in os.environ:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        if leaving.code and os.environ[RANK] != "0":
            time.sleep(SPEAKING_SECONDS)
        os._exit(leaving.code or 0)


def _run(group: click.Group) -> None:
    try:
        sys.exit(group.main(prog_name=group.name, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _say(group, "interrupted; what is finished is kept")
        sys.exit(INTERRUPTED)
    except (RunStopped, TrainingStopped, Unreachable) as error:
        _say(group, str(error))
        sys.exit(STOPPED)
    except (ValueError, OSError) as error:
        _say(group, _sentence(error))
        sys.exit(STOPPED if _is_full(error) else MISTAKE)


@contextmanager
def said_by(speaks: bool) -> Iterator[None]:
    """Of processes that fail together one says why; the others end with the same exit code."""
    try:
        yield
    except KeyboardInterrupt:
        if speaks:
            raise
        sys.exit(INTERRUPTED)
    except (ValueError, TrainingStopped, Unreachable) as error:
        if speaks:
            raise
        sys.exit(MISTAKE if isinstance(error, ValueError) else STOPPED)


def _say(group: click.Group, sentence: str) -> None:
    if os.environ.get("BLUR_TRACEBACK"):
        traceback.print_exc()
    click.echo(f"{group.name}: {sentence}", err=True)


def _is_full(error: ValueError | OSError) -> bool:
    return isinstance(error, OSError) and error.errno in DISK_FULL


def _sentence(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        sentence = f"{error.filename}: {error.strerror}"
        kept = "; what is finished is kept: make room, and the same command goes on"
        return sentence + kept if _is_full(error) else sentence
    return " ".join(str(error).split()) or type(error).__name__
