"""Trains a model on shards (spec 1.5): the loop, one step of it, and what it says on the way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blurvid.batch import FRAME_ORDERS, Assembly, Batch, unit_range
from blurvid.checkpoint import Checkpoint, save_checkpoint
from blurvid.evaluate import sample_numbers, sequence_psnr
from blurvid.index import DataSet, Mixture
from blurvid.losses import restoration_loss
from blurvid.model import NAME, count_parameters, pad_to_multiple
from blurvid.pace import Meter, Pace, duration
from blurvid.plan import Plan, RunSpec, TrainSpec, describe, plan_run, shaping
from blurvid.restore import restore_image
from blurvid.run_folder import Record, RunFolder, comparison, stacked
from blurvid.state import TrainState, load_state, new_state, save_state
from blurvid.stopped import TrainingStopped
from blurvid.stream import read_batches, read_samples

LOSS_TERMS = ("total", "photometric", "consistency", "penalty", "reversed")
RATES = ("learning_rate", "images_per_s", "waiting")
SAVE_SECONDS = 300
STRIP_SAMPLES = 4


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
    columns = [*LOSS_TERMS, *RATES, *psnr_columns(spec.model.frames)]
    with Record(folder, columns, step=state.step) as record:
        try:
            take_steps(run, state, record)
        except (KeyboardInterrupt, TrainingStopped, ValueError):
            save(run, state)
            say(f"saved after step {state.step:,}; the same command with --resume goes on from it")
            raise
        except torch.OutOfMemoryError as error:
            raise TrainingStopped(
                f"the memory of {device} is full; choose a smaller --batch, --crop or --width"
            ) from error
    say(f"finished: {folder.path}")


def starting_state(run: Run, *, resume: bool) -> TrainState:
    """As `last` says, or fresh."""
    if resume and run.folder.last.exists():
        same = shaping(run.spec, run.plan)
        return load_state(run.folder.last, shaping=same, device=run.device)
    return new_state(run.spec.model, seed=run.spec.training.seed, device=run.device)


def take_steps(run: Run, state: TrainState, record: Record) -> None:
    """The loop: batch, step, log, validation, checkpoint."""
    meter, saved = Meter(LOSS_TERMS), time.monotonic()
    pace = Pace(run.plan.steps - state.step, say=run.say) if run.device.type == "cpu" else None
    validate_when_due(run, state, record)
    for batch in meter.waiting_for(training_batches(run, state.step)):
        with undisturbed(), meter.working():
            terms = take_step(run, state, batch)
            meter.add(terms, len(batch.keys))
        if pace is not None:
            pace.after_step(meter.last_step_s)
        if state.step % run.spec.report.log_every == 0 or state.step == run.plan.steps:
            log(run, state, meter, record)
            meter.reset()
        validate_when_due(run, state, record)
        if time.monotonic() - saved > SAVE_SECONDS:
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
    means = torch.stack([getattr(terms, name).detach().float().mean() for name in LOSS_TERMS])
    return dict(zip(LOSS_TERMS, means.tolist(), strict=True))


def learning_rate(training: TrainSpec, step: int, steps: int) -> float:
    """Of the step after `step` of `steps`: halved at 1/2 and at 3/4 of the run."""
    return training.learning_rate * 0.5 ** ((2 * step >= steps) + (4 * step >= 3 * steps))


def refuse_non_finite_loss(totals: Tensor, batch: Batch, step: int) -> None:
    """Stops with the keys of the samples whose loss (B,) is NaN or infinite."""
    finite = torch.isfinite(totals).tolist()
    if not all(finite):
        keys = ", ".join(k for k, fine in zip(batch.keys, finite, strict=True) if not fine)
        raise TrainingStopped(
            f"the loss of step {step} is not finite for sample {keys}; look at it, "
            "or begin anew with a smaller --lr"
        )


def refuse_non_finite_gradient(state: TrainState, batch: Batch) -> None:
    """Stops before a step that would spoil the weights."""
    gradients = [p.grad for p in state.model.parameters() if p.grad is not None]
    if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
        raise TrainingStopped(
            f"the gradient of step {state.step + 1} is not finite, in a batch of the samples "
            f"{', '.join(batch.keys)}; begin anew with a smaller --lr"
        )


# --- validation and checkpoints ------------------------------------------------------------


def validate_when_due(run: Run, state: TrainState, record: Record) -> None:
    """Every so many steps and at the end, once; then the state is saved."""
    due = state.step % run.plan.validate_every == 0 or state.step == run.plan.steps
    if not due or state.validated == state.step:
        return
    if run.plan.test is not None:
        validate(run, state, run.plan.test, record)
    state.validated = state.step
    save(run, state)


def validate(run: Run, state: TrainState, test: Mixture, record: Record) -> None:
    """PSNR on the test split under the `sequence` protocol, pictures of it, and `best`."""
    began, limit = time.monotonic(), run.spec.report.validate_samples
    of_frames = sequence_psnr(state.model, test, device=run.device, limit=limit).mean(0)
    psnr_db = float(of_frames.mean())
    columns = dict(zip(psnr_columns(test.frames), [psnr_db, *of_frames], strict=True))
    record.add("test", state.step, run.plan.epoch_of(state.step), columns)
    record.add_samples(state.step, sample_strips(run, state, test))
    better = psnr_db > state.best_psnr
    if better:
        state.best_psnr = psnr_db
        progress = {"step": state.step, "psnr": psnr_db}
        weights = Checkpoint(run.spec.model, state.model.state_dict(), progress=progress)
        save_checkpoint(run.folder.best, weights)
    frames = " ".join(f"{value:.2f}" for value in of_frames)
    run.say(
        f"  step {state.step:,}: test PSNR {psnr_db:.2f} dB (frames {frames})"
        f"{', the best yet' if better else ''}; it took {duration(time.monotonic() - began)}"
    )


def psnr_columns(frames: int) -> list[str]:
    """The mean of all frames, then each frame."""
    return ["psnr", *(f"psnr_{i + 1}" for i in range(frames))]


def sample_strips(run: Run, state: TrainState, test: Mixture) -> np.ndarray:
    """A few test samples, evenly spread: blur and predicted frames above the true ones."""
    numbers = sample_numbers(test.sample_count, STRIP_SAMPLES)
    return stacked(
        [
            comparison(s.blur, restore_image(state.model, s.blur, device=run.device), s.frames)
            for s in read_samples(test, numbers)
        ]
    )


def save(run: Run, state: TrainState) -> None:
    """The state as `last`."""
    save_state(run.folder.last, state, shaping=shaping(run.spec, run.plan))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the block is done: a step is taken whole or not at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


# --- what is said --------------------------------------------------------------------------


def announce(run: Run, state: TrainState) -> None:
    """What will be done, before it is."""
    plan, order = run.plan, run.plan.order
    for data_set in plan.train.data_sets:
        run.say(f"data: {data_set.name}, {samples_of(data_set)}")
    for reason in plan.train.left_out:
        run.say(f"left out: {reason}")
    if plan.test is None:
        run.say("no test split: this training validates nothing and keeps no `best`")
    else:
        tests = (f"{d.name}, {samples_of(d)}" for d in plan.test.data_sets)
        run.say(f"validation: {'; '.join(tests)}")
    spec, parameters = run.spec.model, count_parameters(state.model)
    run.say(f"model: {NAME}, {spec.frames} frames, width {spec.width}, {parameters:,} parameters")
    run.say(
        f"steps: {plan.steps:,} ({plan.steps / order.steps_per_epoch:.4g} epochs of "
        f"{order.steps_per_epoch:,}), batch {order.batch}, {plan.crop_hw[1]}x{plan.crop_hw[0]} px"
    )
    run.say(f"device: {run.device}; run folder: {run.folder.path}")
    if state.step:
        run.say(f"resumed after step {state.step:,}")


def samples_of(data_set: DataSet) -> str:
    """In words: how many, and how large."""
    height, width = data_set.size_hw
    return f"{data_set.sample_count:,} samples of {width}x{height}"


def log(run: Run, state: TrainState, meter: Meter, record: Record) -> None:
    """A line, a row of metrics and events."""
    steps, epoch = run.plan.steps, run.plan.epoch_of(state.step)
    rate = learning_rate(run.spec.training, state.step - 1, steps)
    means = {**meter.means(), "learning_rate": rate}
    record.add("train", state.step, epoch, means)
    left_s = (steps - state.step) * run.plan.order.batch / means["images_per_s"]
    run.say(
        f"step {state.step:,}/{steps:,}  epoch {epoch}  loss {means['total']:.5g} "
        f"(photometric {means['photometric']:.5g}, consistency {means['consistency']:.3g}, "
        f"penalty {means['penalty']:.4g})  {means['images_per_s']:.3g} images/s, "
        f"{means['waiting']:.0%} waiting for data, {duration(left_s)} to go"
    )
