"""The group `blursynth`: make data."""

from __future__ import annotations

import click

from . import errors, params
from .synth_check import show_info, verify_shards
from .synth_export import export_shards, import_shards
from .synth_make import gopro, panorama
from .synth_sources import make_sources
from .synth_view import view_shards


@click.group(name="blursynth", cls=params.Typed, context_settings=params.HELP)
def blursynth() -> None:
    """Make motion-blur data sets from panoramas and high-speed video."""


COMMANDS = (
    *(panorama, gopro, make_sources),
    *(show_info, view_shards, verify_shards),
    *(export_shards, import_shards),
)
for command in COMMANDS:
    blursynth.add_command(command)


def main() -> None:
    """The console script `blursynth`."""
    errors.run(blursynth)
