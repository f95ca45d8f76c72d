"""A training as its parts see it, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blurvid.compute import Compute
from blurvid.index import DataSet
from blurvid.losses import terms_of
from blurvid.model import count_parameters
from blurvid.optimizer import learning_rate, stage_at
from blurvid.pace import duration
from blurvid.plan import GIGABYTE, Plan, RunSpec, shaping
from blurvid.ranks import Ranks
from blurvid.run_folder import Record, RunFolder
from blurvid.state import TrainState

RATES = ("learning_rate", "images_per_s", "waiting")


@dataclass(frozen=True)
class Run:
    """What does not change while a training runs. say: prints a line."""

    spec: RunSpec
    plan: Plan
    folder: RunFolder
    compute: Compute
    ranks: Ranks
    say: Callable[[str], None]

    @property
    def shaping(self) -> dict[str, Any]:
        return shaping(self.spec, self.plan, self.compute)

    @property
    def loss_terms(self) -> tuple[str, ...]:
        """The names of the terms of the loss, the total first."""
        return terms_of(self.spec.model.name)


def announce(run: Run, state: TrainState) -> None:
    """What will be done, before it is."""
    plan, order = run.plan, run.plan.order
    for data_set in plan.train.data_sets:
        run.say(f"data: {data_set.name}, {samples_of(data_set)}")
    if plan.train.cache is not None:
        limit_gb = plan.train.cache.limit_bytes / GIGABYTE
        run.say(
            f"remote: blocks of {order.block} shards, fetched ahead; at most {limit_gb:.3g} GB of "
            f"them in {plan.train.cache.folder}"
        )
    for reason in plan.train.left_out:
        run.say(f"left out: {reason}")
    if plan.test is None:
        run.say("no test split: this training validates nothing and keeps no `best`")
    else:
        tests = (f"{d.name}, {samples_of(d)}" for d in plan.test.data_sets)
        run.say(f"validation: {'; '.join(tests)}")
    run.say(f"model: {run.spec.model}, {count_parameters(state.model):,} parameters")
    if state.model.stages > 1:
        run.say(f"stages: {state.model.stages}, from the middle frame outwards, one after the other")
    run.say(
        f"steps: {plan.steps:,} ({plan.steps / order.steps_per_epoch:.4g} epochs of "
        f"{order.steps_per_epoch:,}), batch {order.batch}, {plan.crop_hw[1]}x{plan.crop_hw[0]} px"
    )
    run.say(f"device: {machine_of(run)}; run folder: {run.folder.path}")
    if state.step:
        run.say(f"resumed after step {state.step:,}")


def samples_of(data_set: DataSet) -> str:
    """In words: how many, and how large."""
    height, width = data_set.size_hw
    return f"{data_set.sample_count:,} samples of {width}x{height}"


def machine_of(run: Run) -> str:
    """In words: where it computes, and how."""
    ranks = f"{run.ranks.count} ranks on " if run.ranks.count > 1 else ""
    how = f"{run.compute.precision}, compiled" if run.compute.compile else run.compute.precision
    return f"{ranks}{run.compute.device} ({how})"


def log(run: Run, step: int, means: Mapping[str, float], record: Record) -> None:
    """A line, a row of metrics and events of the steps up to `step`."""
    steps, epoch = run.plan.steps, run.plan.epoch_of(step)
    stages = run.spec.model.stages
    stage, done = stage_at(step - 1, steps, stages)
    rate = learning_rate(run.spec.optimizer, done)
    record.add("train", step, epoch, {**means, "learning_rate": rate})
    left_s = (steps - step) * run.plan.order.batch / means["images_per_s"]
    total, *terms = (name for name in run.loss_terms if name != "reversed")
    parts = ", ".join(f"{name} {means[name]:.4g}" for name in terms)
    where = f"epoch {epoch}" if stages == 1 else f"epoch {epoch}  stage {stage + 1}/{stages}"
    run.say(
        f"step {step:,}/{steps:,}  {where}  loss {means[total]:.5g} ({parts})  "
        f"{means['images_per_s']:.3g} images/s, {means['waiting']:.0%} waiting for data, "
        f"{duration(left_s)} to go"
    )
