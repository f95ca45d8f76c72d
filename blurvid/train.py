"""Trains a model on shards (spec 1.5): the loop, one step of it, and what it says on the way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from blurvid.batch import FRAME_ORDERS, Assembly, Batch, unit_range
from blurvid.checkpoint import Checkpoint, save_checkpoint
from blurvid.evaluate import Evaluation, evaluate_model
from blurvid.index import Mixture
from blurvid.losses import restoration_loss
from blurvid.model import count_parameters, pad_to_multiple
from blurvid.plan import Plan, RunSpec, TrainSpec, describe, plan_run, shaping
from blurvid.restore import restore_image
from blurvid.run_folder import Record, RunFolder, comparison, stacked
from blurvid.state import TrainState, load_state, new_state, save_state
from blurvid.stopped import TrainingStopped
from blurvid.stream import read_batches, read_samples

T = TypeVar("T")
LOSS_TERMS = ("total", "photometric", "consistency", "penalty", "reversed")
RATES = ("learning_rate", "images_per_s", "waiting")
SAVE_SECONDS = 300
STRIP_SAMPLES = 4
LONG_SECONDS = 600


@dataclass(frozen=True)
class Run:
    """What does not change while a training runs. say: prints a line."""

    spec: RunSpec
    plan: Plan
    folder: RunFolder
    device: torch.device
    say: Callable[[str], None]


def train(
    spec: RunSpec,
    folder: RunFolder,
    *,
    device: torch.device,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Trains to the end of the plan, or on from `last` when resumed; leaves all in `folder`."""
    folder.check(resume=resume)
    plan = plan_run(spec)
    run = Run(spec, plan, folder, device, say)
    state = starting_state(run, resume=resume)
    folder.write_options(describe(spec, plan, device))
    announce(run, state)
    frames = spec.model.frames
    columns = [*LOSS_TERMS, *RATES, "psnr", *(f"psnr_{i + 1}" for i in range(frames))]
    with Record(folder, columns, step=state.step) as record:
        try:
            take_steps(run, state, record)
        except KeyboardInterrupt:
            save(run, state)
            say(f"saved after step {state.step:,}; the same command with --resume goes on from it")
            raise
        except TrainingStopped:
            save(run, state)
            raise
    say(f"finished: {folder.path}")


def starting_state(run: Run, *, resume: bool) -> TrainState:
    """As `last` says, or fresh."""
    if resume and run.folder.last.exists():
        same = shaping(run.spec, run.plan)
        return load_state(run.folder.last, shaping=same, device=run.device)
    return new_state(run.spec.model, seed=run.spec.training.seed, device=run.device)


def take_steps(run: Run, state: TrainState, record: Record) -> None:
    """The loop: batch, step, log, validation, checkpoint."""
    meter, pace, saved = Meter(), Pace(run), time.monotonic()
    validate_when_due(run, state, record)
    for batch in meter.waiting_for(training_batches(run, state.step)):
        with undisturbed(), meter.working():
            terms = take_step(run, state, batch)
            meter.add(terms, len(batch.keys))
        pace.tell(meter.last_step_s, state.step)
        if state.step % run.spec.report.log_every == 0 or state.step == run.plan.steps:
            log(run, state, meter, record)
            meter.reset()
        validate_when_due(run, state, record)
        if state.step == state.validated or time.monotonic() - saved > SAVE_SECONDS:
            save(run, state)
            saved = time.monotonic()


def training_batches(run: Run, start: int) -> Iterator[Batch]:
    """The batches of the steps from `start` to the plan's end."""
    training, plan = run.spec.training, run.plan
    assembly = Assembly(plan.crop_hw, training.seed, FRAME_ORDERS[training.order])
    batches = plan.order.batches(start, plan.steps)
    return read_batches(plan.train, batches, collate=assembly, workers=run.spec.data.workers)


def take_step(run: Run, state: TrainState, batch: Batch) -> dict[str, float]:
    """One step of Adam; the loss terms, means over the batch, and the share reversed."""
    training = run.spec.training
    batch = batch.to(run.device)
    blur, frames = (pad_to_multiple(unit_range(i)) for i in (batch.blur, batch.frames))
    order = "invariant" if training.order == "invariant" else "given"
    terms = restoration_loss(
        state.model(blur), frames, photometric=training.photometric, order=order
    )
    refuse_non_finite_loss(terms.total, batch, state.step + 1)
    state.optimizer.zero_grad(set_to_none=True)
    terms.total.mean().backward()
    refuse_non_finite_gradient(state, batch)
    rate = learning_rate(training, state.step, run.plan.steps)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.step += 1
    return {name: float(getattr(terms, name).float().mean()) for name in LOSS_TERMS}


def learning_rate(training: TrainSpec, step: int, steps: int) -> float:
    """Of the step after `step` of `steps`: halved at 1/2 and at 3/4 of the run."""
    return training.learning_rate * 0.5 ** ((2 * step >= steps) + (4 * step >= 3 * steps))


def refuse_non_finite_loss(totals: Tensor, batch: Batch, step: int) -> None:
    """Stops with the keys of the samples whose loss (B,) is NaN or infinite."""
    finite = torch.isfinite(totals).tolist()
    if not all(finite):
        keys = ", ".join(k for k, fine in zip(batch.keys, finite, strict=True) if not fine)
        raise TrainingStopped(
            f"the loss of step {step} is not finite for sample {keys}; look at it with "
            "`blursynth view`, or take a smaller --lr"
        )


def refuse_non_finite_gradient(state: TrainState, batch: Batch) -> None:
    """Stops before a step that would spoil the weights."""
    gradients = [p.grad for p in state.model.parameters() if p.grad is not None]
    if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
        raise TrainingStopped(
            f"the gradient of step {state.step + 1} is not finite, in a batch of the samples "
            f"{', '.join(batch.keys)}; take a smaller --lr"
        )


# --- validation and checkpoints ------------------------------------------------------------


def validate_when_due(run: Run, state: TrainState, record: Record) -> None:
    """Every so many steps and at the end, once: PSNR on the test split, strips, `best`."""
    due = state.step % run.plan.validate_every == 0 or state.step == run.plan.steps
    if not due or state.validated == state.step:
        return
    if run.plan.test is not None:
        evaluation = validate(run, state, run.plan.test)
        record.add("test", state.step, run.plan.epoch_after(state.step), psnr_columns(evaluation))
        record.add_samples(state.step, sample_strips(run, state, run.plan.test))
        best = evaluation.psnr > state.best_psnr
        if best:
            state.best_psnr = evaluation.psnr
            save_best(run, state)
        run.say(f"  test PSNR {evaluation.psnr:.2f} dB{' (best so far)' if best else ''}")
    state.validated = state.step
