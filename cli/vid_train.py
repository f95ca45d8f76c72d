"""`blurvid train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from . import errors, params
from . import vid_options as options


MODELS = ("full", "light", "jin2018", "recurrent")
COMPONENTS, LOSS_TERMS = ("ftn", "lw", "itn"), ("pml", "tcl", "pt")


@click.command(short_help="Learn to restore from shards.")
@params.shards
@params.cache_gb
@options.data
@click.option("--out", type=options.FOLDER, help="Run folder. [runs/<model>-<frames>f-w<width>-<order>]")
@click.option("--resume", is_flag=True, help="Go on with the run in the run folder.")
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="full",
    show_default=True,
    help="The paper's two, or one of those it is compared with.",
)
@click.option(
    "--without",
    type=click.Choice([*COMPONENTS, *LOSS_TERMS]),
    multiple=True,
    help="Leave a part of the paper's models or of its loss out (Table 3); may be repeated.",
)
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
@click.option("--flip", is_flag=True, help="Mirror samples at random, across and upside down.")
@click.option("--lr", default=1e-4, show_default=True, help="Learning rate at the beginning.")
@click.option(
    "--schedule",
    type=click.Choice(["paper", "cosine"]),
    default="paper",
    show_default=True,
    help="Of the learning rate: halved at 1/2 and 3/4 of the run, or half a cosine down to 0; "
    "anew in each stage of jin2018.",
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
@click.option("--block", type=options.COUNT, help="Shards shuffled together. [all; 4 of remote ones]")
@options.max_bad
@click.option("--workers", type=int, help="Processes that decode. [2, or 1 on a single core]")
@click.option("--validate-every", type=int, help="Steps between validations. [an epoch]")
@click.option("--validate-samples", type=int, help="Test samples in each validation. [all]")
@click.option("--log-every", default=50, show_default=True, help="Steps between two log lines.")
@click.option("--keep", type=options.COUNT, default=2, show_default=True, help="Saved states to keep.")
@click.option("--profile", is_flag=True, help="Write trace.json of a few steps.")
@options.device_name
def train(
    shards: Any, out: Path | None, resume: bool, device_name: str, **chosen: Any
) -> None:
    """Train the paper's model, or another, on shards that blursynth made.

    Reads the data sets under --shards that have enough frames, mixed; validates on their test
    split. Writes a run folder: options, metrics (CSV and TensorBoard), sample strips, and the
    checkpoints `best` and `last`. Ctrl-C saves; the same command with --resume goes on. Several GPUs:
    torchrun --nproc-per-node N --no-python blurvid train ...; --batch is that of all together.

    --model: full; light, whose other frames share a decoder; jin2018 (Jin et al. 2018), which learns
    from the middle frame outwards, the steps shared among its stages; recurrent (of the kind of
    Purohit et al. 2019). --without ftn, lw, itn: feature STNs, local warping, image STNs; pml, tcl,
    pt: all scales but the full one, transformation consistency, penalty.

    Example: blurvid train --shards shards/ --width 8 --steps 500 --out runs/small
    """
    from blurvid.plan import run_name
    from blurvid.ranks import device_of_rank, joined_ranks
    from blurvid.run_folder import RunFolder
    from blurvid.train import train as run_training

    spec = _run_spec(shards, chosen)
    folder = RunFolder(out or Path("runs", run_name(spec)))
    device = device_of_rank(options.torch_device(device_name))
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

    def left_out(parts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(part for part in chosen["without"] if part in parts)

    cache = params.shard_cache(shards, chosen["cache_gb"])
    workers = chosen["workers"]
    if workers is None:
        workers = min(2, os.cpu_count() or 1)
    return RunSpec(
        ModelSpec(*of("model"), int(chosen["frames"]), *of("width", "residual"), left_out(COMPONENTS)),
        DataSpec(shards, *of("data", "crop", "batch"), workers, *of("block", "max_bad"), cache),
        TrainSpec(
            *of("epochs", "steps", "last_batch", "order", "photometric", "seed"),
            left_out(LOSS_TERMS),
            *of("flip"),
        ),
        OptimizerSpec(*of("lr", "schedule", "clip_norm", "ema")),
        ComputeSpec(*of("precision", "compile")),
        ReportSpec(*of("log_every", "validate_every", "validate_samples", "keep", "profile")),
    )
