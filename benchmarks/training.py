"""How fast a training step is: plain float32, what `blurvid train` does, and the ways between.

    python benchmarks/training.py [--shards DIR] [--width W] [--crop PX] [--batch B] [--device D]
        [--rounds 5] [--threads N] [--variants NAME ...] [--curves STEPS]

Samples are those below --shards, by default procedural panoramas in a folder that is thrown away.
The plain step is what torch does unasked: eager, float32 without TF32, contiguous, Adam as a loop
over the weights. Every variant takes the training's own steps on the training's own batches; they
take turns, one step each a round, after two that do not count (and compilation, which is timed).
Ratios are medians of those within a round, by the clock and by CPU time: others may be using the
machine, and threads that wait for each other then stretch every step (--threads 1). The parts of a
step are timed in further rounds, with the device awaited after each: data, forward (with the
loss), backward, optimiser, and the rest (checks that all is finite, and the conversion of the
images). The share of time waiting for data is that of the loop of `train`, on its own variant.

--curves trains so many steps three times from the same weights' seed and data: plain, as `train`
does, and plain with another seed; the smoothed losses of the first two must be no farther apart
than those of the first and the third, which is the noise. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import torch
from bench import say
from stopwatch import Cost, alternate, cost_of, ratio, seconds
from training_kills import blursynth

from blurvid.batch import Batch
from blurvid.compute import Compute, ComputeSpec
from blurvid.model import ModelSpec
from blurvid.optimizer import BETAS
from blurvid.pace import Meter
from blurvid.plan import DataSpec, RunSpec, TrainSpec, plan_run
from blurvid.ranks import Ranks
from blurvid.run import Run
from blurvid.run_folder import RunFolder
from blurvid.state import new_state
from blurvid.step import Stepper
from blurvid.train import arrivals, make_stepper

PLAIN, TRAIN = "plain fp32", "as train does"
TARGETS = {"cpu": 1.8, "cuda": 3.0}
WAITING = 0.02
GRAPHS = "reduce-overhead"
WARM_UP = 2
FOREVER = 10**6
PARTS = ("data", "forward", "backward", "optimiser", "rest")
SMOOTHED = 20
POINTS = 10


@dataclass(frozen=True)
class Variant:
    """How a step is computed. fused: Adam as one kernel. graphs: compiled into CUDA graphs."""

    bf16: bool = False
    channels_last: bool = False
    compile: bool = False
    fused: bool = True
    graphs: bool = False

    def on(self, device: torch.device) -> Compute:
        return Compute(device, self.bf16, self.channels_last, self.compile and not self.graphs)


VARIANTS = {
    PLAIN: Variant(fused=False),
    "fused": Variant(),
    "fused channels_last": Variant(channels_last=True),
    "bf16": Variant(bf16=True),
    "bf16 channels_last": Variant(bf16=True, channels_last=True),
    "compiled": Variant(bf16=True, compile=True),
    "compiled channels_last": Variant(bf16=True, channels_last=True, compile=True),
    "graphs": Variant(bf16=True, channels_last=True, compile=True, graphs=True),
}
SLOW_TO_START = {"cpu": ("compiled", "compiled channels_last", "graphs"), "cuda": ()}


@dataclass
class Training:
    """One variant at work: the stepper of `train`, and batches that it has already."""

    run: Run
    stepper: Stepper
    batches: Iterator[Batch]

    def step(self) -> Cost:
        return cost_of(lambda: self._step(next(self.batches)))

    def _step(self, batch: Batch) -> None:
        self.stepper.take(batch, len(batch.keys))
        wait_for(self.run.compute.device)


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as name:
        shards = options.shards or make_shards(Path(name), options.crop)
        spec = RunSpec(
            ModelSpec("full", 3, options.width),
            DataSpec(shards, crop=options.crop, batch=options.batch, workers=options.workers),
            TrainSpec(steps=FOREVER),
        )
        print(f"{machine(device)}, width {options.width}, {options.crop} px, batch {options.batch}")
        met = [speed(spec, device, variants_of(options), options.rounds)]
        if options.curves:
            met.append(curves(spec, device, options.curves))
    sys.exit(not all(met))


def parse() -> argparse.Namespace:
    there = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=Path)
    parser.add_argument("--width", type=int, default=32 if there == "cuda" else 8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of torch, on a CPU")
    parser.add_argument("--device", choices=list(TARGETS), default=there)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--curves", type=int, default=0, metavar="STEPS")
    return parser.parse_args()


def make_shards(folder: Path, px: int) -> Path:
    """Procedural panoramas, as samples."""
    blursynth("sources", "--out", folder / "src", "--width", 2048, "--scenes", 0)
    source = folder / "src/sun360"
    blursynth("panorama", "--src", source, "--out", folder / "shards", "--size", px)
    return folder / "shards"


def machine(device: torch.device) -> str:
    """In words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads of torch"


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# --- the variants ------------------------------------------------------------------------------


def variants_of(options: argparse.Namespace) -> dict[str, Variant]:
    """Those asked for, or all that start soon; always the plain step and the one of `train`."""
    slow = SLOW_TO_START[options.device]
    names = options.variants or [name for name in VARIANTS if name not in slow]
    chosen = {name: VARIANTS[name] for name in names}
    compute = ComputeSpec().on(torch.device(options.device))
    of_train = Variant(compute.bf16, compute.channels_last, compute.compile)
    return {PLAIN: VARIANTS[PLAIN], **chosen, TRAIN: of_train}


def begin(spec: RunSpec, compute: Compute, variant: Variant) -> Training:
    """A fresh training; nothing is written."""
    run = Run(spec, plan_run(spec), RunFolder(Path()), compute, Ranks(), print)
    state = new_state(spec.model, seed=spec.training.seed, compute=compute)
    if not variant.fused:
        weights = state.model.parameters()
        state.optimizer = torch.optim.Adam(weights, betas=BETAS, foreach=False, fused=False)
    stepper = make_stepper(run, state)
    if variant.graphs:
        stepper._supervised.compile(dynamic=False, mode=GRAPHS)
    return Training(run, stepper, ready(run))


def ready(run: Run) -> Iterator[Batch]:
    """A few batches on the device, again and again."""
    first = arrivals(replace(run, spec=without_workers(run.spec)), 0)
    return cycle([next(first).made for _ in range(4)])


def without_workers(spec: RunSpec) -> RunSpec:
    return replace(spec, data=replace(spec.data, workers=0))


# --- speed -------------------------------------------------------------------------------------


def speed(
    spec: RunSpec, device: torch.device, variants: dict[str, Variant], rounds: int
) -> bool:
    """Prints the tables; whether the targets are met."""
    trainings = {name: begin(spec, v.on(device), v) for name, v in variants.items()}
    started = {name: start_up(training) for name, training in trainings.items()}
    costs = alternate({name: t.step for name, t in trainings.items()}, rounds)
    heads = ("s/step", "images/s", "times plain", "by CPU time", "began after")
    print(f"\n{'variant':26}" + "".join(f"{head:>13}" for head in heads))
    for name, found in costs.items():
        gains = [ratio(costs[PLAIN], found, clock) for clock in ("wall", "cpu")]
        speeds = f"{seconds(found):13.3f}{spec.data.batch / seconds(found):13.2f}"
        print(f"{name:26}{speeds}{gains[0]:13.2f}{gains[1]:13.2f}{started[name]:11.0f} s")
    print_parts(spec, trainings, rounds)
    waiting = share_waiting(trainings[TRAIN], rounds)
    return judge(ratio(costs[PLAIN], costs[TRAIN]), waiting, device)


def start_up(training: Training) -> float:
    """Seconds that the first steps take, compilation among them."""
    return sum(training.step().wall for _ in range(WARM_UP))


def judge(gain: float, waiting: float, device: torch.device) -> bool:
    least = TARGETS[device.type]
    print()
    say(f"{TRAIN}, times {PLAIN}", f"{gain:.2f}", f">= {least:g}", gain >= least)
    say("share of time waiting for data", f"{waiting:.2%}", f"< {WAITING:.0%}", waiting < WAITING)
    return gain >= least and waiting < WAITING


def share_waiting(training: Training, rounds: int) -> float:
    """Of the loop of `train` with its workers, once it is under way."""
    meter = Meter(training.run.loss_terms)
    for number, arrival in enumerate(meter.waiting_for(arrivals(training.run, 0))):
        size = len(arrival.made.keys)
        with meter.working():
            meter.add(training.stepper.take(arrival.made, size), size)
        if number + 1 == WARM_UP:
            meter.reset()
        if number + 1 == WARM_UP + 2 * rounds:
            break
    return meter.means()["waiting"]


# --- the parts of a step -----------------------------------------------------------------------


def print_parts(spec: RunSpec, trainings: dict[str, Training], rounds: int) -> None:
    """Milliseconds of each part: medians."""
    data_s = seconds_of_a_batch(spec, trainings[PLAIN].run, rounds)
    print(f"\n{'ms/step, each part awaited':26}" + "".join(f"{part:>11}" for part in PARTS))
    for name, training in trainings.items():
        found = [step_in_parts(training) for _ in range(rounds)]
        medians = {part: statistics.median(one[part] for one in found) for part in PARTS[1:]}
        row = {"data": data_s, **medians}
        print(f"{name:26}" + "".join(f"{1e3 * row[part]:11.1f}" for part in PARTS), flush=True)


def seconds_of_a_batch(spec: RunSpec, run: Run, rounds: int) -> float:
    """To read one in this process; while `train` computes, its workers do it."""
    read = arrivals(replace(run, spec=without_workers(spec)), 0)
    return seconds([cost_of(lambda: next(read)) for _ in range(rounds + 1)][1:])


def step_in_parts(training: Training) -> dict[str, float]:
    """Seconds of one step's parts."""
    device, parts = training.run.compute.device, dict.fromkeys(PARTS[1:], 0.0)
    stepper = training.stepper
    places = [
        (stepper, "_supervised", "forward"),
        (torch.Tensor, "backward", "backward"),
        (stepper._state.optimizer, "step", "optimiser"),
    ]
    with booked(places, parts, device):
        whole = training.step().wall
    return {**parts, "rest": whole - sum(parts.values())}


@contextmanager
def booked(
    places: list[tuple[object, str, str]], parts: dict[str, float], device: torch.device
) -> Iterator[None]:
    """While it lasts, calls of (owner, name) are timed as a part of that name."""
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for (owner, name, original), (_, _, part) in zip(originals, places, strict=True):
        setattr(owner, name, timed(original, parts, part, device))
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def timed(
    function: Callable, parts: dict[str, float], part: str, device: torch.device
) -> Callable:
    def wrapper(*args: object, **named: object) -> object:
        wait_for(device)
        began = time.perf_counter()
        result = function(*args, **named)
        wait_for(device)
        parts[part] += time.perf_counter() - began
        return result

    return wrapper


# --- loss curves ---------------------------------------------------------------------------------


def curves(spec: RunSpec, device: torch.device, steps: int) -> bool:
    """Prints three curves; whether number formats differ less than seeds do."""
    spec = replace(spec, training=replace(spec.training, steps=steps))
    other = replace(spec, training=replace(spec.training, seed=spec.training.seed + 1))
    plain = VARIANTS[PLAIN]
    found = {
        PLAIN: curve(spec, plain.on(device), plain),
        TRAIN: curve(spec, ComputeSpec().on(device), Variant()),
        "another seed": curve(other, plain.on(device), plain),
    }
    print(f"\n{'loss, smoothed, at step':26}" + "".join(f"{name:>16}" for name in found))
    for step in range(steps // POINTS, steps + 1, max(1, steps // POINTS)):
        print(f"{step:<26}" + "".join(f"{losses[step - 1]:16.1f}" for losses in found.values()))
    distance, noise = (apart(found[PLAIN], found[n]) for n in (TRAIN, "another seed"))
    say("apart over the last half", f"{distance:.3%}", f"< {noise:.3%}, seeds", distance < noise)
    return distance < noise


def curve(spec: RunSpec, compute: Compute, variant: Variant) -> list[float]:
    """The loss of each step, as the mean of the last few."""
    training = begin(spec, compute, variant)
    losses = []
    for arrival in arrivals(training.run, 0):
        losses.append(training.stepper.take(arrival.made, len(arrival.made.keys))["total"])
    return [statistics.fmean(losses[max(0, i - SMOOTHED) : i]) for i in range(1, len(losses) + 1)]


def apart(one: list[float], other: list[float]) -> float:
    """The mean relative difference over the last half."""
    pairs = list(zip(one, other, strict=True))[len(one) // 2 :]
    return statistics.fmean(abs(a - b) / abs(a) for a, b in pairs)


if __name__ == "__main__":
    main()
