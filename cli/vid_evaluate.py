"""`blurvid evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from . import params
from . import vid_options as options
from .params import progress

HDF5 = (".h5", ".hdf5")
PROTOCOLS = ("sequence", "forward", "per-metric", "per-pair", "per-frame")


@click.command(short_help="Measure a checkpoint on shards.")
@options.checkpoint
@params.shards
@params.cache_gb
@options.data
@options.split
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(PROTOCOLS),
    multiple=True,
    default=PROTOCOLS[:2],
    help="Whose direction of time counts, several times for several: the better one of each sample "
    "(sequence), as stored (forward), the better one of each metric, pair of frames or frame. "
    "[sequence, forward]",
)
@options.limit
@click.option(
    "--batch", type=options.COUNT, help="Samples at once. [as many as 512x512 pixels hold]"
)
@click.option(
    "--ssim3d", is_flag=True, help="Beside SSIM that of MATLAB's ssim on an RGB array: far higher."
)
@options.max_bad
@click.option(
    "--out",
    type=options.FOLDER,
    help="Folder for table.txt, evaluation.json, samples-*.csv, figures-*.csv.",
)
@click.option("--save", type=options.FOLDER, help="HDF5 file for the blurs and predicted frames.")
@options.device_name
def evaluate(
    checkpoint: Path,
    shards: Any,
    protocols: tuple[str, ...],
    out: Path | None,
    save: Path | None,
    **chosen: Any,
) -> None:
    """Measure how well a checkpoint restores the frames of shards: PSNR and SSIM of each frame.

    Reads the checkpoint and the data sets under --shards that have enough frames, whatever it was
    trained on; prints a table for each of them, beside rows that need no model: the blurry input,
    the predicted and the true middle frame repeated, and the true middle frame moved by the true
    motion; how well the frames blur again to the input; and all of it by blur length. Writes
    nothing without --out or --save.

    Example: blurvid evaluate --checkpoint runs/small --shards shards/ --out results/
    """
    from blurvid.checkpoint import load_model
    from blurvid.stream import BadSamples
    from blurvid.summary import checkpoint_facts, summary
    from blurvid.tables import as_text, write_tables

    device = options.torch_device(chosen["device_name"])
    path = options.checkpoint_file(checkpoint)
    _refuse_wrong_places(out, save, path)
    model, facts = load_model(path, device), checkpoint_facts(path)
    data = options.tested_data(shards, model.spec.frames, chosen)
    bad = BadSamples(chosen["max_bad"])
    with _kept(save, asdict(facts)) as keep:
        evaluations = _evaluated(model, data, device=device, bad=bad, keep=keep, chosen=chosen)
    for sentence in bad.sentences:
        click.echo(f"left out: {sentence}", err=True)
    summaries = [summary(e, facts, tuple(dict.fromkeys(protocols))) for e in evaluations]
    click.echo("\n".join(map(as_text, summaries)), nl=False)
    if out is not None:
        write_tables(out, evaluations, summaries)
    for place in filter(None, (out, save)):
        click.echo(f"written to {place}")


def _refuse_wrong_places(out: Path | None, save: Path | None, checkpoint: Path) -> None:
    """Before anything is computed; the frames replace neither the checkpoint nor a table."""
    options.refuse_file(out, "the tables")
    if save is None:
        return
    options.refuse_file(save.parent, "the frames")
    if save.exists() and not save.is_file():
        raise ValueError(f"expected a file for the frames at {save}, found none; name a file")
    whole = save.resolve()
    tables = out.resolve() if out is not None else None
    if whole == checkpoint.resolve() or whole == tables or (
        whole.parent == tables and whole.suffix not in HDF5
    ):
        raise ValueError(
            f"expected a place of its own for the frames, found {save}, which is the checkpoint's "
            "or the tables'; name another file, such as frames.h5"
        )


@contextmanager
def _kept(save: Path | None, made_by: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """What keeps a batch in the file of --save; does nothing without it."""
    if save is None:
        yield lambda data_set, batch: None
    else:
        from blurvid.prediction_file import prediction_file

        with prediction_file(save, made_by) as file:
            yield file.add


def _evaluated(
    model: Any, data: Any, *, device: Any, bad: Any, keep: Callable[..., None], chosen: dict
) -> list:
    """Every data set's evaluation, with a progress bar."""
    from blurvid.evaluate import EvaluationSpec, evaluate_model, sample_count
    from blurvid.metrics import METRICS, METRICS_AND_SSIM3D

    measures = METRICS_AND_SSIM3D if chosen["ssim3d"] else METRICS
    spec = EvaluationSpec(chosen["batch"], chosen["limit"], measures)
    done = 0
    with progress(sample_count(data, spec.limit), "samples") as on_progress:

        def on_batch(data_set: Any, batch: Any) -> None:
            nonlocal done
            keep(data_set, batch)
            done += len(batch.samples)
            on_progress(done)

        return evaluate_model(model, data, device=device, spec=spec, bad=bad, on_batch=on_batch)
