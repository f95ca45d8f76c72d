"""`blursynth info`, `blursynth verify`: what data sets hold, and whether they are intact."""

from __future__ import annotations

from pathlib import Path

import click

from blursynth import info, rerender, verify

from . import params


@click.command("info", short_help="What a data set holds.")
@click.argument("shards", type=params.FOLDER)
def show_info(shards: Path) -> None:
    """What the data sets below SHARDS hold: samples, sizes, splits, motion, failures.

    Example:  blursynth info shards/
    """
    click.echo(info.describe(shards))


@click.command("verify", short_help="Whether data sets are intact.")
@click.argument("shards", type=params.FOLDER)
@click.option("--rerender", "samples", type=click.IntRange(min=1), help="Samples drawn anew.")
@click.option("--src", type=params.FOLDER, help="Where their sources are.")
@params.jobs
def verify_shards(shards: Path, samples: int | None, src: Path | None, jobs: int) -> None:
    """Reads everything below SHARDS again: digests, counts, keys, images, the exact means and the
    splits. Each fault is a line that names shard and key; the last line sums up. Exit code 1 where
    there is a fault. With --rerender N, N samples are drawn anew from the sources below --src, with
    the options of the data set, and must have the same pixels (within 1 where the processor type or
    a package differs).

    Example:  blursynth verify shards/ --rerender 20 --src sun360/
    """
    if (samples is None) != (src is None):
        raise click.UsageError("--rerender and --src go together")
    data_sets = verify.find_data_sets(shards)
    with params.progress(verify.count_shards(data_sets), "shards") as on_progress:
        found = verify.verify(data_sets, shards, jobs=jobs, on_progress=on_progress)
    redrawn, faults = None, found.faults
    if samples and not faults:
        with params.progress(samples, "samples") as on_progress:
            redrawn = rerender.rerender(
                data_sets, shards, src, count=samples, jobs=jobs, on_progress=on_progress
            )
        faults = redrawn.faults
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for fault in faults:
        click.echo(str(fault))
    click.echo(f"{shards}: {verify.summary(found, redrawn)}")
    if faults:
        click.get_current_context().exit(1)
