"""`blursynth sources`: something to make data of."""

from __future__ import annotations

from pathlib import Path

import click

from blursynth import procedural, verify

from . import params


@click.command("sources", short_help="Procedural panoramas and 240-fps scenes.")
@click.option("--out", type=params.FOLDER, required=True, help="The folder to write.")
@click.option("--panoramas", default=8, show_default=True, help="How many panoramas.")
@click.option("--hdr", default=1, show_default=True, help="How many of them as Radiance .hdr.")
@click.option("--width", default=2048, show_default=True, help="Of the panoramas, in pixels.")
@click.option("--scenes", default=4, show_default=True, help="How many 240-fps scenes.")
@click.option("--length", default=48, show_default=True, help="Frames of each scene.")
@params.seed
def make_sources(out: Path, length: int, **shape) -> None:
    """Procedural panoramas (<out>/sun360) and a procedural 240-fps video (<out>/gopro, in the
    layout of GOPRO_Large_all), so that everything can be tried without a download.

    Example:  blursynth sources --out demo/sources
    """
    wanted = procedural.SourcesSpec(frames=length, **shape)
    verify.refuse_inside(out / "sun360")
    with params.progress(wanted.n_files, "files") as on_progress:
        written = procedural.write_sources(out, wanted, on_progress=on_progress)
    click.echo(f"{len(written)} files in {out}: --src {out}/sun360 and --src {out}/gopro")
