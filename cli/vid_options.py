"""Options that commands of `blurvid` share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import params

FOLDER = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)

device_name = click.option(
    "--device",
    "device_name",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where it computes; auto: a GPU if there is one.",
)
checkpoint = click.option(
    "--checkpoint", type=FOLDER, required=True, help="Run folder (its best), or a checkpoint file."
)
data = click.option("--data", help="Name of the data set to take. [all with enough frames]")
split = click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    default="test",
    show_default=True,
    help="Part of the data.",
)
limit = click.option(
    "--limit", type=COUNT, help="At most so many samples of each data set. [all]"
)
max_bad = click.option(
    "--max-bad",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Leave out so many samples that cannot be read; more stop the command.",
)


def checkpoint_file(path: Path) -> Path:
    """The file itself; of a run folder its `best`, or its `last` where it validated nothing."""
    from blurvid.run_folder import RunFolder

    folder = RunFolder(path)
    if not path.is_dir():
        return path
    return folder.best if folder.best.exists() else folder.last


def tested_data(shards: Any, frames: int, chosen: dict[str, Any]) -> Any:
    """The Mixture of --shards, --split, --data and --cache-gb with as many frames; what is left out
    is said on stderr."""
    from blurvid.index import find_mixture

    data = find_mixture(
        shards,
        split=chosen["split"],
        frames=frames,
        name=chosen["data"],
        cache=params.shard_cache(shards, chosen["cache_gb"]),
    )
    for sentence in data.left_out:
        click.echo(f"left out: {sentence}", err=True)
    return data


def refuse_file(out: Path | None, kind: str) -> None:
    """ValueError where a folder is to be, or above it, and a file is."""
    for place in () if out is None else (out, *out.parents):
        if place.exists():
            if not place.is_dir():
                raise ValueError(
                    f"expected a folder for {kind} at {out}, found a file at {place}; choose another"
                )
            return


def torch_device(name: str) -> Any:
    """The torch.device of --device; ValueError where it is not there."""
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("expected a GPU for --device cuda, found none that torch can use")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
