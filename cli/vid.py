"""The group `blurvid`: learn from shards, and restore."""

from __future__ import annotations

import click

from . import errors


@click.group(name="blurvid", context_settings={"help_option_names": ["-h", "--help"]})
def blurvid() -> None:
    """Restore a video from one blurred image, and learn how from shards."""


def main() -> None:
    """The console script `blurvid`."""
    errors.run(blurvid)
