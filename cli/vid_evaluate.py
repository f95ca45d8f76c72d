"""`blurvid evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import params
from . import vid_options as options
from .params import progress


@click.command(short_help="Measure a checkpoint on shards.")
@options.checkpoint
@params.shards
@params.cache_gb
@options.data
@options.split
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(["sequence", "forward"]),
    multiple=True,
    default=("sequence", "forward"),
    help="Direction of time: the better one of each sample, or as stored. [both]",
)
@options.limit
@click.option("--batch", type=options.COUNT, help="Samples at once. [as many as 512x512 pixels hold]")
@options.max_bad
@click.option("--out", type=options.FOLDER, help="Folder for table.txt, evaluation.json, samples-*.csv.")
@options.device_name
def evaluate(
    checkpoint: Path, shards: Any, protocols: tuple[str, ...], out: Path | None, **chosen: Any
) -> None:
    """Measure how well a checkpoint restores the frames of shards: PSNR and SSIM of each frame.

    Reads the checkpoint and the data sets under --shards that have enough frames; prints a table
    for each of them, beside rows that need no model: the blurry input, the predicted and the true
    middle frame repeated, and the true middle frame moved by the true motion. Writes nothing
    without --out.

    Example: blurvid evaluate --checkpoint runs/small --shards shards/ --out results/
    """
    from blurvid.checkpoint import load_model
    from blurvid.evaluate import evaluate_model, sample_count
    from blurvid.index import find_mixture
    from blurvid.stream import BadSamples
    from blurvid.tables import as_text, write_tables

    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"expected a folder for the tables at {out}, found a file; choose another")
    device = options.torch_device(chosen["device_name"])
    path = options.checkpoint_file(checkpoint)
    model = load_model(path, device)
    data = find_mixture(
        shards,
        split=chosen["split"],
        frames=model.spec.frames,
        name=chosen["data"],
        cache=params.shard_cache(shards, chosen["cache_gb"]),
    )
    for sentence in data.left_out:
        click.echo(f"left out: {sentence}", err=True)
    limit, bad = chosen["limit"], BadSamples(chosen["max_bad"])
    with progress(sample_count(data, limit), "samples") as on_progress:
        evaluations = evaluate_model(
            model,
            data,
            device=device,
            batch=chosen["batch"],
            limit=limit,
            bad=bad,
            on_progress=on_progress,
        )
    for sentence in bad.sentences:
        click.echo(f"left out: {sentence}", err=True)
    click.echo("\n".join(as_text(e, str(path), protocols) for e in evaluations), nl=False)
    if out is not None:
        write_tables(out, evaluations, str(path), protocols)
        click.echo(f"written to {out}")
