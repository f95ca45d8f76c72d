"""The group `blurvid`: learn from shards, and restore."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from blursynth.generate import RunStopped

from . import errors, params
from .params import progress

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FOLDER = click.Path(path_type=Path)
IMAGE = click.Path(path_type=Path, exists=True, dir_okay=False)
COUNT = click.IntRange(min=1)

device_option = click.option(
    "--device",
    "device_name",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where it computes; auto: a GPU if there is one.",
)


checkpoint_option = click.option(
    "--checkpoint", type=FOLDER, required=True, help="Run folder (its best), or a checkpoint file."
)


@click.group(name="blurvid", context_settings=HELP)
def blurvid() -> None:
    """Restore a video from one blurred image, and learn how from shards."""


@blurvid.command(short_help="Learn to restore from shards.")
@params.shards
@params.cache_gb
@click.option("--data", help="Name of the data set to take. [all with enough frames]")
@click.option("--out", type=FOLDER, help="Run folder. [runs/full-<frames>f-w<width>-<order>]")
@click.option("--resume", is_flag=True, help="Go on with the run in the run folder.")
@click.option(
    "--frames",
    type=click.Choice(["3", "7"]),
    default="3",
    show_default=True,
    help="Frames that the model restores.",
)
@click.option("--width", default=32, show_default=True, help="Of the network; the paper's is 32.")
@click.option(
    "--residual/--no-residual",
    default=True,
    show_default=True,
    help="Add the blurred image to each predicted one.",
)
@click.option("--epochs", default=80, show_default=True, help="Length of the training.")
@click.option("--steps", type=int, help="Length of the training in batches, instead of --epochs.")
@click.option("--batch", type=int, help="Samples in a batch. [8 up to 128 px, else 4]")
@click.option(
    "--last-batch",
    type=click.Choice(["drop", "keep"]),
    default="drop",
    show_default=True,
    help="What becomes of an epoch's last samples where the batch does not divide them.",
)
@click.option("--crop", type=int, help="Side of the random crops. [the smallest size in the data]")
@click.option("--lr", default=1e-4, show_default=True, help="Learning rate at the beginning.")
@click.option(
    "--schedule",
    type=click.Choice(["paper", "cosine"]),
    default="paper",
    show_default=True,
    help="Of the learning rate: halved at 1/2 and 3/4 of the run, or half a cosine down to 0.",
)
@click.option("--clip-norm", type=float, help="Scale larger gradients down to it. [never]")
@click.option(
    "--ema",
    default=0.0,
    show_default=True,
    help="Decay of a moving average of the weights, which is then validated and kept as best.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="Of the convolutions; auto: bf16 where the processor or GPU computes in it.",
)
@click.option("--compile/--no-compile", default=None, help="With torch.compile. [on a GPU]")
@click.option(
    "--order",
    type=click.Choice(["given", "canonical", "invariant"]),
    default="given",
    show_default=True,
    help="Direction of time: as stored, turned to one side, or the better one.",
)
@click.option(
    "--photometric",
    type=click.Choice(["sum", "mean"]),
    default="sum",
    show_default=True,
    help="The loss over pixels; mean divides all of it by their number.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Of weights, order and crops.",
)
@click.option("--block", type=COUNT, help="Shards shuffled together. [all; 4 of remote ones]")
@click.option(
    "--max-bad",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Leave out so many samples that cannot be read; more stop the training.",
)
@click.option("--workers", type=int, help="Processes that decode. [2, or 1 on a single core]")
@click.option("--validate-every", type=int, help="Steps between validations. [an epoch]")
@click.option("--validate-samples", type=int, help="Test samples in each validation. [all]")
@click.option("--log-every", default=50, show_default=True, help="Steps between two log lines.")
@click.option("--keep", type=COUNT, default=2, show_default=True, help="Saved states to keep.")
@click.option("--profile", is_flag=True, help="Write trace.json of a few steps.")
@device_option
def train(
    shards: Any, out: Path | None, resume: bool, device_name: str, **chosen: Any
) -> None:
    """Train the paper's model on shards that blursynth made.

    Reads the data sets under --shards that have enough frames, mixed; validates on their test
    split. Writes a run folder: options, metrics (CSV and TensorBoard), sample strips, and the
    checkpoints `best` and `last`. Ctrl-C saves; the same command with --resume goes on. Several GPUs:
    torchrun --nproc-per-node N --no-python blurvid train ...; --batch is that of all together.

    Example: blurvid train --shards shards/ --width 8 --steps 500 --out runs/small
    """
    from blurvid.plan import run_name
    from blurvid.ranks import device_of_rank, joined_ranks
    from blurvid.run_folder import RunFolder
    from blurvid.train import train as run_training

    spec = _run_spec(shards, chosen)
    folder = RunFolder(out or Path("runs", run_name(spec)))
    device = device_of_rank(torch_device(device_name))
    with joined_ranks(device) as ranks, errors.said_by(ranks.first):
        run_training(
            spec, folder, device=device, resume=resume, ranks=ranks, say=click.echo
        )


def _run_spec(shards: Any, chosen: dict[str, Any]) -> Any:
    """The options of `train` as the library takes them."""
    from blurvid.compute import ComputeSpec
    from blurvid.model import ModelSpec
    from blurvid.optimizer import OptimizerSpec
    from blurvid.plan import DataSpec, ReportSpec, RunSpec, TrainSpec

    def of(*names: str) -> list[Any]:
        return [chosen[name] for name in names]

    cache = params.shard_cache(shards, chosen["cache_gb"])
    workers = chosen["workers"]
    if workers is None:
        workers = min(2, os.cpu_count() or 1)
    return RunSpec(
        ModelSpec(int(chosen["frames"]), *of("width", "residual")),
        DataSpec(shards, *of("data", "crop", "batch"), workers, *of("block", "max_bad"), cache),
        TrainSpec(*of("epochs", "steps", "last_batch", "order", "photometric", "seed")),
        OptimizerSpec(*of("lr", "schedule", "clip_norm", "ema")),
        ComputeSpec(*of("precision", "compile")),
        ReportSpec(*of("log_every", "validate_every", "validate_samples", "keep", "profile")),
    )


@blurvid.command(short_help="Measure a checkpoint on shards.")
@checkpoint_option
@params.shards
@params.cache_gb
@click.option("--data", help="Name of the data set to take. [all with enough frames]")
@click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    default="test",
    show_default=True,
    help="Part of the data.",
)
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(["sequence", "forward"]),
    multiple=True,
    default=("sequence", "forward"),
    help="Direction of time: the better one of each sample, or as stored. [both]",
)
@click.option("--limit", type=COUNT, help="At most so many samples of each data set. [all]")
@click.option("--batch", type=COUNT, help="Samples at once. [as many as 512x512 pixels hold]")
@click.option(
    "--max-bad",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Leave out so many samples that cannot be read.",
)
@click.option("--out", type=FOLDER, help="Folder for table.txt, evaluation.json, samples-*.csv.")
@device_option
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
    device = torch_device(chosen["device_name"])
    path = checkpoint_file(checkpoint)
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


@blurvid.command(short_help="Restore the frames of blurred images.")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=IMAGE)
@checkpoint_option
@click.option("--out", type=FOLDER, required=True, help="Gets a folder for each image.")
@click.option("--fps", default=8.0, show_default=True, help="Speed of the animation.")
@click.option("--gif", is_flag=True, help="Write the animation as a GIF as well.")
@click.option("--boomerang", is_flag=True, help="Play the animation forth and back.")
@device_option
def restore(
    images: tuple[Path, ...], checkpoint: Path, out: Path, device_name: str, **playback: Any
) -> None:
    """Restore the sharp frames that one blurred image hides; any image, any size.

    Reads each IMAGE and writes <out>/<its name>/: frame_000.png, frame_001.png ... in the order of
    time, strip.png (the blurred image and the frames side by side) and video.webp (animated). An
    image above 1.5 megapixels is restored in overlapping tiles. A blur looks the same in both
    directions of time: the frames may run backwards.

    Example: blurvid restore photo.jpg --checkpoint runs/small --out restored/
    """
    from blurvid.checkpoint import load_model
    from blurvid.restore import Playback, Restored, restore_files

    device = torch_device(device_name)
    model = load_model(checkpoint_file(checkpoint), device)
    results = []
    for result in restore_files(model, images, out, device=device, playback=Playback(**playback)):
        results.append(isinstance(result, Restored))
        if results[-1]:
            click.echo(f"{result.image} -> {result.folder}")
        else:
            click.echo(result.reason, err=True)
    unread = results.count(False)
    if unread == len(results):
        raise ValueError("expected a picture, found none that can be read; nothing is restored")
    if unread:
        raise RunStopped(
            f"{unread} of {len(results)} images could not be read; the others are restored"
        )


def checkpoint_file(path: Path) -> Path:
    """The file itself; of a run folder its `best`, or its `last` where it validated nothing."""
    from blurvid.run_folder import RunFolder

    folder = RunFolder(path)
    if not path.is_dir():
        return path
    return folder.best if folder.best.exists() else folder.last


def torch_device(name: str) -> Any:
    """The torch.device of --device; ValueError where it is not there."""
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("expected a GPU for --device cuda, found none that torch can use")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def main() -> None:
    """The console script `blurvid`."""
    errors.run(blurvid)
