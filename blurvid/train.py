"""Trains a model on shards (spec 1.5): the loop, one step of it, and what it says on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch.profiler import profile, schedule

from blurvid.batch import FRAME_ORDERS, Assembly, Batch
from blurvid.checkpoint import Damaged, load_checkpoint, written_whole
from blurvid.compute import on_device
from blurvid.interrupts import interruptions
from blurvid.losses import loss_of
from blurvid.optimizer import stage_at
from blurvid.pace import Meter, Pace
from blurvid.plan import RunSpec, describe, plan_run
from blurvid.ranks import Ranks
from blurvid.run import RATES, Run, announce, log
from blurvid.run_folder import Record, RunFolder
from blurvid.state import TrainState, load_state, new_state, save_state
from blurvid.step import Stepper, Supervised
from blurvid.stopped import TrainingStopped, Unreachable
from blurvid.stream import BadSamples, Delivery, read_batches, with_shards_ahead
from blurvid.validate import psnr_columns, share_refusals, validate

SAVE_SECONDS = 300
STOPPING = (TrainingStopped, Unreachable, ValueError)
PROFILED = (2, 4)  # steps before the trace, steps in it


def train(
    spec: RunSpec,
    folder: RunFolder,
    *,
    device: torch.device,
    resume: bool = False,
    ranks: Ranks = Ranks(),
    say: Callable[[str], None] = print,
) -> None:
    """Trains to the end of the plan, or on from `last` when resumed; leaves all in `folder`.

    With several ranks each calls this; the first one alone writes and says.
    """
    ranks.first_alone(lambda: folder.check(resume=resume))
    say = say if ranks.first else _nothing
    plan = ranks.agreed(lambda: plan_run(spec))
    run = Run(spec, plan, folder, spec.compute.on(device), ranks, say)
    with folder.held() if ranks.first else nullcontext():
        run_from(run, starting_state(run, resume=resume))


def run_from(run: Run, state: TrainState) -> None:
    """Takes the steps that are left, and leaves `last` whatever stops it."""
    folder, say = run.folder, run.say
    run.ranks.first_alone(lambda: folder.write_options(describe(run.spec, run.plan, run.compute)))
    announce(run, state)
    with opened_record(run, state) as record:
        try:
            take_steps(run, state, record)
        except (KeyboardInterrupt, *STOPPING):
            save(run, state)
            say(f"saved after step {state.step:,}; the same command with --resume goes on from it")
            raise
        except torch.OutOfMemoryError as error:
            raise TrainingStopped(
                f"the memory of {run.compute.device} is full; choose a smaller --batch, --crop or --width"
            ) from error
    say(f"finished: {folder.path}")


def starting_state(run: Run, *, resume: bool) -> TrainState:
    """As `last` says, or fresh; on every rank the same."""
    if resume:
        run.ranks.first_alone(lambda: put_newest_sound_state_last(run))
    state = run.ranks.agreed(lambda: saved_or_new_state(run, resume=resume))
    run.ranks.refuse_unequal({**run.shaping, "number of steps done": state.step})
    return state


def saved_or_new_state(run: Run, *, resume: bool) -> TrainState:
    """As this rank finds it."""
    ema = run.spec.optimizer.ema
    if resume and run.folder.last.exists():
        return load_state(run.folder.last, shaping=run.shaping, compute=run.compute, ema=ema)
    seed = run.spec.training.seed
    return new_state(run.spec.model, seed=seed, compute=run.compute, ema=ema)


def put_newest_sound_state_last(run: Run) -> None:
    """Gives the newest saved state that is not damaged the name `last`; says if it is an older one.

    ValueError where every one of them is damaged.
    """
    saved = run.folder.saved()
    for number, path in enumerate(saved):
        try:
            load_checkpoint(path)
        except Damaged as error:
            if path == saved[-1]:
                raise
            run.say(f"{error}; the state that was saved before it is taken: {saved[number + 1]}")
        else:
            os.replace(path, run.folder.last)
            return


def opened_record(run: Run, state: TrainState) -> AbstractContextManager[Record | None]:
    """The record of the run, for the rank that writes it."""
    if not run.ranks.first:
        return nullcontext()
    columns = [*run.loss_terms, *RATES, *psnr_columns(run.spec.model.frames)]
    return Record(run.folder, columns, step=state.step)


def take_steps(run: Run, state: TrainState, record: Record | None) -> None:
    """The loop: batch, step, log, validation, checkpoint."""
    stepper = make_stepper(run, state)
    meter, saved = Meter(run.loss_terms), time.monotonic()
    staged, left = state.model.stages > 1, run.plan.steps - state.step
    pace = Pace(left, say=run.say, staged=staged) if on_cpu(run) else None
    bad = BadSamples(run.spec.data.max_bad, state.bad)
    state.bad = bad.sentences
    validate_when_due(run, state, record, bad)
    deferred = run.ranks.count > 1
    with interruptions(deferred=deferred) as interrupts, profiled(run) as after_profiled_step:
        for arrival in meter.waiting_for(arrivals(run, state.step)):
            with interrupts.held_back(), meter.working():
                size = agree(run, arrival, bad, stop=interrupts.asked)
                if size:
                    meter.add(stepper.take(arrival.made, size), size)
                else:
                    state.step += 1
            after_profiled_step()
            if pace is not None:
                pace.after_step(meter.last_step_s)
            log_when_due(run, state, meter, record)
            validate_when_due(run, state, record, bad)
            if run.ranks.first and time.monotonic() - saved > SAVE_SECONDS:
                save(run, state)
                saved = time.monotonic()


def make_stepper(run: Run, state: TrainState) -> Stepper:
    """What takes the steps of this run."""
    training = run.spec.training
    loss = loss_of(
        run.spec.model.name,
        photometric=training.photometric,
        order=training.order,
        without=training.without,
    )
    return Stepper(
        state,
        Supervised(state.model, run.compute, loss),
        spec=run.spec.optimizer,
        compute=run.compute,
        ranks=run.ranks,
        steps=run.plan.steps,
        terms=run.loss_terms,
    )


def arrivals(run: Run, start: int) -> Iterator[Delivery[Batch] | Exception]:
    """This rank's slices of the global batches from step `start` to the plan's end; where one does
    not come, why, as the last one: the other ranks must learn of it before it is raised."""
    training, plan = run.spec.training, run.plan
    frame_order = FRAME_ORDERS[training.order]
    assembly = Assembly(
        plan.crop_hw, plan.train.frames, training.seed, frame_order, flip=training.flip
    )
    slices = (
        replace(batch, numbers=run.ranks.slice_of(batch.numbers))
        for batch in plan.order.batches(start, plan.steps)
    )
    read = read_batches(
        plan.train,
        slices,
        collate=assembly,
        workers=run.spec.data.workers,
        pin_memory=not on_cpu(run),
    )
    try:
        yield from on_device(
            with_shards_ahead(read, plan.train, plan.order, start), run.compute.device
        )
    except STOPPING as error:
        yield error


def agree(
    run: Run, arrival: Delivery[Batch] | Exception, bad: BadSamples, *, stop: bool
) -> int:
    """How many samples of the global batch could be read.

    All ranks learn of samples that could not (ValueError where they are too many), of a failure of
    one of them (raised by it as it came, TrainingStopped by the others), and of a Ctrl-C that one
    of them was given (KeyboardInterrupt).
    """
    failure = arrival if isinstance(arrival, Exception) else None
    read, refused = (0, ()) if failure else (len(arrival.made.keys), arrival.refused)
    facts = torch.tensor([read, len(refused), stop, failure is not None])
    size, any_refused, any_stop, any_failure = map(int, run.ranks.sum(facts).tolist())
    if any_failure:
        sentences = run.ranks.gathered(failure and str(failure))
        raise failure or TrainingStopped(next(filter(None, sentences)))
    if any_refused:
        share_refusals(run, refused, bad)
    if any_stop:
        raise KeyboardInterrupt
    return size


def log_when_due(run: Run, state: TrainState, meter: Meter, record: Record | None) -> None:
    """A line, a row of metrics and events, every so many steps, and at the end of a stage."""
    stage_ends = stage_at(state.step, run.plan.steps, state.model.stages)[1] == 0
    if state.step % run.spec.report.log_every and not stage_ends:
        return
    if record is not None and meter.steps:
        log(run, state.step, meter.means(), record)
    meter.reset()


def validate_when_due(
    run: Run, state: TrainState, record: Record | None, bad: BadSamples
) -> None:
    """Every so many steps and at the end, once; then the state is saved."""
    due = state.step % run.plan.validate_every == 0 or state.step == run.plan.steps
    if not due or state.validated == state.step:
        return
    if run.plan.test is not None:
        validate(run, state, record, bad)
    state.validated = state.step
    save(run, state)


def save(run: Run, state: TrainState) -> None:
    """The state as `last`; the ones before it are kept as far as the user wants."""
    if run.ranks.first:
        run.folder.make_room(run.spec.report.keep)
        save_state(run.folder.last, state, shaping=run.shaping)


@contextmanager
def profiled(run: Run) -> Iterator[Callable[[], None]]:
    """Gives what is to be called after each step; --profile leaves a trace of some of them."""
    if not (run.spec.report.profile and run.ranks.first):
        yield _nothing
        return

    skipped, measured = PROFILED

    def write(profiler: profile) -> None:
        with written_whole(run.folder.trace) as temporary:
            profiler.export_chrome_trace(str(temporary))
        run.say(f"trace of {measured} steps: {run.folder.trace}, for https://ui.perfetto.dev")

    plan = schedule(wait=skipped - 1, warmup=1, active=measured, repeat=1)
    with profile(schedule=plan, on_trace_ready=write) as profiler:
        yield profiler.step


def on_cpu(run: Run) -> bool:
    return run.compute.device.type == "cpu"


def _nothing(*_: object) -> None:
    """Says and does nothing."""
