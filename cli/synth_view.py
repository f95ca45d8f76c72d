"""`blursynth view`: data sets as a page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from blursynth import verify, view

from . import params


@click.command("view", short_help="Data sets as a page to look at.")
@click.argument("shards", type=params.FOLDER)
@click.option(
    "--out",
    type=params.Local(dir_okay=False, path_type=Path),
    default="view.html",
    show_default=True,
    help="The page; one that is there is replaced.",
)
@click.option(
    "--samples",
    type=click.IntRange(0, view.MOST_SAMPLES),
    default=24,
    show_default=True,
    help="How many samples play on it.",
)
@params.seed
def view_shards(shards: Path, out: Path, samples: int, seed: int) -> None:
    """Writes one HTML page about every data set below SHARDS, by default view.html in the current
    folder. It needs no network and no other file.

    --samples of them, drawn evenly from data sets and splits, play: the blur beside the frames, the
    camera's path over both. Histograms of |beta|, n, blur length and clipped share are over at most
    2,000 samples of each data set; then come sources, failures and options. What cannot be read is
    stated on the page. The same shards and seed give the same page.

    Example:  blursynth view shards/ --out shards.html
    """
    data_sets = verify.find_data_sets(shards)
    with params.progress(verify.count_shards(data_sets), "shards") as on_progress:
        written = view.write_page(
            data_sets, shards, out, samples=samples, seed=seed, on_progress=on_progress
        )
    size = f"{written.page_bytes / 1e6:.1f} MB"
    gaps = f"; named on it: {written.gaps} that cannot be shown" if written.gaps else ""
    click.echo(f"{out}: {written.drawn}, {size}{gaps}")
