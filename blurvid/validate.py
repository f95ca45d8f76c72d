"""A training's look at the test split: PSNR, pictures, and the weights that are `best`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain

import numpy as np

from blurvid.checkpoint import Checkpoint, save_checkpoint
from blurvid.evaluate import sample_numbers, sequence_psnr, spread_numbers
from blurvid.pace import duration
from blurvid.restore import restore_image
from blurvid.run import Run
from blurvid.run_folder import Record, comparison, stacked
from blurvid.state import TrainState
from blurvid.stream import BadSamples, read_samples

STRIP_SAMPLES = 4


def validate(run: Run, state: TrainState, record: Record | None, bad: BadSamples) -> None:
    """PSNR on the test split under the `sequence` protocol, on all ranks together; pictures of it
    and `best` from the first one."""
    began = time.monotonic()
    of_frames = psnr_of_test_split(run, state, bad).mean(0)
    psnr_db = float(of_frames.mean())
    better = psnr_db > state.best_psnr
    if record is not None:
        if better:
            save_best(run, state, psnr_db)
        add_strips(run, state, record)
        columns = dict(zip(psnr_columns(len(of_frames)), [psnr_db, *of_frames], strict=True))
        record.add("test", state.step, run.plan.epoch_of(state.step), columns)
    state.best_psnr = max(psnr_db, state.best_psnr)  # not before `best` is there
    frames = " ".join(f"{value:.2f}" for value in of_frames)
    run.say(
        f"  step {state.step:,}: test PSNR {psnr_db:.2f} dB (frames {frames})"
        f"{', the best yet' if better else ''}; it took {duration(time.monotonic() - began)}"
    )


def psnr_of_test_split(run: Run, state: TrainState, bad: BadSamples) -> np.ndarray:
    """(samples, n) dB: each rank restores its slice of the samples, all get all."""
    test, unread = run.plan.test, BadSamples(run.plan.test.sample_count)
    numbers = run.ranks.slice_of(spread_numbers(test, run.spec.report.validate_samples))
    samples = read_samples(test, numbers, bad=unread)
    device = run.compute.device
    mine = run.ranks.agreed(lambda: sequence_psnr(state.judged, samples, device=device))
    share_refusals(run, unread.sentences, bad)
    parts = [part for part in run.ranks.gathered(mine) if len(part)]
    if not parts:
        raise ValueError("expected test samples to validate on, found none that can be read")
    return np.concatenate(parts)


def share_refusals(run: Run, sentences: Sequence[str], bad: BadSamples) -> None:
    """All ranks count what was said of samples that one of them could not read."""
    for sentence in chain.from_iterable(run.ranks.gathered(tuple(sentences))):
        if bad.add(sentence):
            run.say(f"left out: {sentence}")


def psnr_columns(frames: int) -> list[str]:
    """The mean of all frames, then each frame."""
    return ["psnr", *(f"psnr_{i + 1}" for i in range(frames))]


def add_strips(run: Run, state: TrainState, record: Record) -> None:
    """A few test samples, evenly spread: blur and predicted frames above the true ones."""
    test, device = run.plan.test, run.compute.device
    numbers = sample_numbers(test.sample_count, STRIP_SAMPLES)
    pictures = [
        comparison(s.blur, restore_image(state.judged, s.blur, device=device), s.frames)
        for s in read_samples(test, numbers, bad=BadSamples(STRIP_SAMPLES))
    ]
    if pictures:
        record.add_samples(state.step, stacked(pictures))


def save_best(run: Run, state: TrainState, psnr_db: float) -> None:
    """The judged weights as `best`."""
    progress = {"step": state.step, "psnr": psnr_db, "seed": run.spec.training.seed}
    weights = Checkpoint(run.spec.model, state.judged.state_dict(), progress=progress)
    save_checkpoint(run.folder.best, weights)
