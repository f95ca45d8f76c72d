"""What a training will do: the user's options, and the plan that they and the shards make."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from blurvid.batch import FRAME_ORDERS
from blurvid.cache import ShardCache
from blurvid.compute import Compute, ComputeSpec
from blurvid.index import Mixture, data_sets_under, find_mixture, mix
from blurvid.losses import BLIND, PAPER_TERMS, PIXEL_COUNTS
from blurvid.model import ModelSpec, distinct
from blurvid.optimizer import OptimizerSpec
from blurvid.order import LAST_BATCH, Order
from blurvid.remote import RemoteFolder

SMALL_SIDE, SMALL_BATCH, LARGE_BATCH = 128, 8, 4
REMOTE_BLOCK = 4
GIGABYTE = 1e9


@dataclass(frozen=True)
class DataSpec:
    """Which samples are read, and how. name: of one data set (None: all with enough frames).
    crop: side of the squares cut out (None: the smallest size among the data). batch: samples in
    a global batch (None: 8 up to 128 px, else 4). block: shards shuffled together (None: all, or 4
    of remote ones). max_bad: so many samples that cannot be read are left out. cache: where remote
    shards are fetched to."""

    shards: Path | RemoteFolder
    name: str | None = None
    crop: int | None = None
    batch: int | None = None
    workers: int = 0
    block: int | None = None
    max_bad: int = 0
    cache: ShardCache | None = None

    def __post_init__(self) -> None:
        _refuse_below(self, crop=1, batch=1, workers=0, block=1, max_bad=0)


@dataclass(frozen=True)
class TrainSpec:
    """What is learnt, and for how long: `steps`, or else `epochs`. last_batch: what becomes of an
    epoch's last samples where the batch does not divide them. without: terms that are left out of
    the paper's loss (Table 3): `pml` (all scales but the full one), `tcl`, `pt`. flip: samples
    are mirrored at random, left to right and upside down."""

    epochs: int = 80
    steps: int | None = None
    last_batch: str = "drop"
    order: str = "given"
    photometric: str = "sum"
    seed: int = 0
    without: tuple[str, ...] = ()
    flip: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "without", distinct(self.without, PAPER_TERMS, "loss terms"))
        _refuse_below(self, epochs=1, steps=1, seed=0)
        _refuse_other(
            self, last_batch=LAST_BATCH, order=FRAME_ORDERS, photometric=PIXEL_COUNTS
        )


@dataclass(frozen=True)
class ReportSpec:
    """How often it is said and checked how the training goes, in steps. validate_every: None:
    after each epoch. validate_samples: None: all of the test split, else so many, evenly spread.
    keep: the number of saved states that are kept. profile: write a trace of a few steps."""

    log_every: int = 50
    validate_every: int | None = None
    validate_samples: int | None = None
    keep: int = 2
    profile: bool = False

    def __post_init__(self) -> None:
        _refuse_below(self, log_every=1, validate_every=1, validate_samples=1, keep=1)


@dataclass(frozen=True)
class RunSpec:
    """All that a user chooses about a training."""

    model: ModelSpec
    data: DataSpec
    training: TrainSpec
    optimizer: OptimizerSpec = OptimizerSpec()
    compute: ComputeSpec = ComputeSpec()
    report: ReportSpec = field(default_factory=ReportSpec)

    def __post_init__(self) -> None:
        name, training = self.model.name, self.training
        if name in BLIND and (training.order != "given" or training.without):
            raise ValueError(
                f"expected order given and no loss terms left out for {name}, whose own loss is "
                f"blind to the order of time, found order {training.order}, without "
                f"{', '.join(training.without) or 'none'}"
            )


@dataclass(frozen=True)
class Plan:
    """The data, and every default filled in. test: None where no data set has a test split."""

    train: Mixture
    test: Mixture | None
    crop_hw: tuple[int, int]
    order: Order
    steps: int
    validate_every: int

    def epoch_of(self, step: int) -> int:
        """The epoch, counted from 1, to which the step-th step belongs."""
        return (max(step, 1) - 1) // self.order.steps_per_epoch + 1


def plan_run(spec: RunSpec) -> Plan:
    """Finds the data and settles what the options left open."""
    data, frames = spec.data, spec.model.frames
    train = find_mixture(
        data.shards, split="train", frames=frames, name=data.name, cache=data.cache
    )
    crop_hw = _crop_hw(data, train)
    batch = data.batch or (SMALL_BATCH if max(crop_hw) <= SMALL_SIDE else LARGE_BATCH)
    batch = min(batch, train.sample_count) if data.batch is None else batch
    block = _block(data, train)
    training = spec.training
    order = Order(
        train.shard_sizes, batch, training.seed, block=block, last=training.last_batch
    )
    steps = training.steps or training.epochs * order.steps_per_epoch
    if steps < spec.model.stages:
        raise ValueError(
            f"expected at least one step for each of the {spec.model.stages} stages of "
            f"{spec.model.name}, found {steps}; choose more --steps"
        )
    return Plan(
        train=train,
        test=_test_mixture(data, train),
        crop_hw=crop_hw,
        order=order,
        steps=steps,
        validate_every=spec.report.validate_every or order.steps_per_epoch,
    )


def run_name(spec: RunSpec) -> str:
    """The name of a run folder that the user does not name: `full-3f-w32-given`,
    `light-no-itn-3f-w8-canonical`, `jin2018-7f-w32`."""
    model = spec.model
    without = "".join(f"-no-{part}" for part in (*model.without, *spec.training.without))
    order = "" if model.name in BLIND else f"-{spec.training.order}"
    return f"{model.name}{without}-{model.frames}f-w{model.width}{order}"


def shaping(spec: RunSpec, plan: Plan, compute: Compute) -> dict[str, Any]:
    """What decides the weights, as JSON values: a resume must find it unchanged. The numbers of
    workers and of ranks decide nothing."""
    optimizer = spec.optimizer
    return {
        "model": spec.model.to_dict(),
        "data": _identity(plan.train),
        "test data": _identity(plan.test),
        "crop": list(plan.crop_hw),
        "batch": plan.order.batch,
        "block": plan.order.block,
        "steps": plan.steps,
        "lr": optimizer.learning_rate,
        "schedule": optimizer.schedule,
        "clip": optimizer.clip_norm,
        "ema": optimizer.ema,
        "precision": compute.precision,
        "last batch": spec.training.last_batch,
        "order": spec.training.order,
        "photometric": spec.training.photometric,
        "loss without": list(spec.training.without),
        "flip": spec.training.flip,
        "seed": spec.training.seed,
    }


def describe(spec: RunSpec, plan: Plan, compute: Compute) -> dict[str, Any]:
    """Every option and what came of it, as JSON values, for `options.json`."""
    options = {
        "data": _described(spec.data),
        "training": asdict(spec.training),
        "optimizer": asdict(spec.optimizer),
        "compute": {"precision": compute.precision, "compile": compute.compile},
        "report": asdict(spec.report),
    }
    versions = {
        "blurvid": version("blursynth-blurvid"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    planned = {"plan": shaping(spec, plan, compute), "device": str(compute.device)}
    return {**options, **planned, "versions": versions}


def _identity(data: Mixture | None) -> dict[str, str]:
    """Which samples these are, in words, by data set."""
    return {
        d.name: f"{d.sample_count} samples, {d.fingerprint}, shards {d.shards_sha256[:16]}"
        for d in (data.data_sets if data else ())
    }


def _described(data: DataSpec) -> dict[str, Any]:
    """As JSON values."""
    if data.cache is None:
        return {**asdict(data), "shards": str(data.shards.absolute())}
    cache = {"folder": str(data.cache.folder), "limit_bytes": data.cache.limit_bytes}
    return {**asdict(replace(data, cache=None)), "shards": str(data.shards), "cache": cache}


def _block(data: DataSpec, train: Mixture) -> int | None:
    """Shards shuffled together; ValueError where the cache does not hold two blocks of them."""
    if not isinstance(data.shards, RemoteFolder):
        return data.block
    block = min(data.block or REMOTE_BLOCK, len(train.shards))
    needed = 2 * block * max(shard.tar.size_bytes for shard in train.shards)
    total = sum(shard.tar.size_bytes for shard in train.shards)
    if min(needed, total) > train.cache.limit_bytes:
        raise ValueError(
            f"expected a cache of at least {min(needed, total) / GIGABYTE:.3g} GB, as two blocks "
            f"of {block} shards need, found one of {train.cache.limit_bytes / GIGABYTE:.3g} GB; "
            "choose a larger --cache-gb or a smaller --block"
        )
    return block


def _test_mixture(data: DataSpec, train: Mixture) -> Mixture | None:
    """The test splits of the data sets that are trained on, as far as they have one."""
    names = [data_set.name for data_set in train.data_sets]
    found = [d for d in data_sets_under(data.shards, split="test") if d.name in names]
    mixture = mix(found, frames=train.frames, cache=data.cache)
    return mixture if mixture.data_sets else None


def _crop_hw(data: DataSpec, train: Mixture) -> tuple[int, int]:
    height, width = train.size_hw
    if data.crop is None:
        return height, width
    if data.crop > min(height, width):
        raise ValueError(
            f"expected a crop of at most {min(height, width)}, the smallest side among the data "
            f"({width}x{height}), found {data.crop}"
        )
    return data.crop, data.crop


def _refuse_below(spec: Any, **limits: int) -> None:
    for name, limit in limits.items():
        value = getattr(spec, name)
        if value is not None and value < limit:
            raise ValueError(f"expected {name} of at least {limit}, found {value}")


def _refuse_other(spec: Any, **choices: Any) -> None:
    for name, known in choices.items():
        if getattr(spec, name) not in known:
            raise ValueError(
                f"expected {name} to be {', '.join(known)}, found {getattr(spec, name)!r}"
            )
