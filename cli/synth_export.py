"""`blursynth export`, `blursynth import`: data sets to one HDF5 file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from blursynth import export, exported, verify

from . import params


@click.command("export", short_help="Data sets to one HDF5 file.")
@click.argument("shards", type=params.FOLDER)
@click.argument("file", type=params.Local(path_type=Path, dir_okay=False))
def export_shards(shards: Path, file: Path) -> None:
    """Reads the data sets below SHARDS, verifies each shard, and writes them to the new HDF5 file
    FILE: /<data set>/<split>/<key>/ with blur (H, W, 3) and frames (m, H, W, 3), uint8 RGB, an
    image a chunk, gzip; the metadata are attributes of their names. `blursynth import` gives the
    same shards back, byte by byte. In Python, and in MATLAB (which turns the axes around):

    \b
    sample = h5py.File("set.h5")["panorama/train/KEY"]
    blur, frames, meta = sample["blur"][:], sample["frames"][:], dict(sample.attrs)
    blur = permute(h5read("set.h5", "/panorama/train/KEY/blur"), [3 2 1]);
    n = h5readatt("set.h5", "/panorama/train/KEY", "n");

    Example:  blursynth export shards/ set.h5
    """
    data_sets = verify.find_data_sets(shards)
    with params.progress(export.count_samples(data_sets), "samples") as on_progress:
        written = export.export_data_sets(data_sets, file, on_progress=on_progress)
    size = file.stat().st_size / 1e6
    click.echo(f"{file}: {_count(written, len(data_sets))}, {size:.1f} MB")


@click.command("import", short_help="The shards of such a file again.")
@click.argument("file", type=params.Local(path_type=Path, dir_okay=False))
@click.argument("shards", type=params.FOLDER)
def import_shards(file: Path, shards: Path) -> None:
    """Writes the data sets of FILE, which `blursynth export` wrote, below SHARDS: tars, indexes,
    plans, manifests and cards have the bytes that they had. The same command finishes what was
    interrupted.

    Example:  blursynth import set.h5 shards/
    """
    total, data_sets = exported.count_samples(file)
    with params.progress(total, "samples") as on_progress:
        written = exported.import_data_sets(file, shards, on_progress=on_progress)
    click.echo(f"{shards}: {_count(written, data_sets)}")


def _count(samples: int, data_sets: int) -> str:
    return f"{samples} samples of {data_sets} data set{'' if data_sets == 1 else 's'}"
