"""Why a run ends early, where that is no mistake of the user's."""

from __future__ import annotations


class RunStopped(Exception):
    """For a reason in the data or the machines; what is finished is kept (exit code 1)."""
