"""The console scripts. Nothing else is imported before Ctrl-C is answered as anywhere else."""

from __future__ import annotations

import sys
from importlib import import_module

INTERRUPTED = 130


def blursynth() -> None:
    """The program of that name."""
    _run("synth")


def blurvid() -> None:
    """The program of that name."""
    _run("vid")


def _run(group: str) -> None:
    try:
        main = import_module(f".{group}", __package__).main
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    main()
