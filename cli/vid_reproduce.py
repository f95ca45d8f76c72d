"""`blurvid reproduce`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from . import params
from . import vid_options as options


@click.command(short_help="Train and evaluate the rows of a table of the paper.")
@click.argument("table", type=click.Choice(["table1", "table2", "table3", "table4"]))
@params.shards
@params.cache_gb
@click.option(
    "--data",
    "names",
    multiple=True,
    help="Name of a data set to take, where several are of one kind; may be given twice.",
)
@click.option("--out", type=options.FOLDER, required=True, help="Gets a run folder a training.")
@click.option(
    "--scale",
    type=click.Choice(["paper", "small"]),
    default="paper",
    show_default=True,
    help="The paper's settings, or minutes on two cores: no results, the way there.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that decode. [2, or 1 on a single core]",
)
@options.device_name
def reproduce(
    table: str, shards: Any, names: tuple[str, ...], out: Path, scale: str, **chosen: Any
) -> None:
    """Train and evaluate every row of a table of the paper; print it beside the paper's figures.

    Reads the data sets under --shards; which of them are panoramas and which video is said by
    their samples. Writes a run folder for each training, its evaluation in it, and the table as
    <out>/<table>.txt, .csv and .json, anew after each row. What is finished is not done again:
    after Ctrl-C or a kill the same command goes on. Trainings that tables share are made once
    below one --out.

    Example: blurvid reproduce table1 --shards shards/ --out reproduced/
    """
    from blurvid.recipes import SCALES, Supply
    from blurvid.reproduce import SHOWN, Job, data_sets_for
    from blurvid.reproduce import reproduce as reproduced
    from blurvid.reproduction import as_text

    options.refuse_file(out, "the runs")
    device = options.torch_device(chosen["device_name"])
    cache = params.shard_cache(shards, chosen["cache_gb"])
    workers = chosen["workers"]
    if workers is None:
        workers = min(2, os.cpu_count() or 1)
    supply = Supply(shards, data_sets_for(table, shards, names=names, cache=cache), cache, workers)
    made = reproduced(table, Job(supply, out, SCALES[scale], device, say=click.echo))
    click.echo(f"\n{as_text(made, SHOWN)}written to {out / table}.txt, .csv and .json")
