"""The group `blurvid`: learn from shards, and restore."""

from __future__ import annotations

import click

from . import errors
from .vid_compare import compare
from .vid_evaluate import evaluate
from .vid_motion import motion
from .vid_reproduce import reproduce
from .vid_restore import restore
from .vid_train import train

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(name="blurvid", context_settings=HELP)
def blurvid() -> None:
    """Restore a video from one blurred image, and learn how from shards."""


for command in (train, evaluate, restore, motion, compare, reproduce):
    blurvid.add_command(command)


def main() -> None:
    """The console script `blurvid`."""
    errors.run(blurvid)
