"""`kill -9` of `blurvid train` at random moments, then `--resume`: the same weights, to the bit.

    python benchmarks/training_kills.py [--times 10] [--kills-per-run 3] [--steps 60] [--seed 0]

A small training on procedural panoramas, which saves every few steps, is left alone once. Then it
is begun anew --times times and its whole process group killed, by turns at a moment drawn from the
length of the undisturbed run and in the middle of a save; it is resumed and killed again as long
as it lasts, and at last left to finish. `last`, `best` and the rows of metrics.csv (but for the
speed) must be those of the undisturbed run. A training that is killed before it has written
options.json cannot be resumed and is begun anew.

Then: other --workers after each kill; the newest saved state cut in two; and the training begun on
one rank, killed, and finished by torchrun on two, whose sums are rounded otherwise: the loss of
each step shows that it took the same samples. Each process computes with one thread. Exit code 1
if anything differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from blurvid.checkpoint import load_checkpoint
from blurvid.compute import ComputeSpec
from blurvid.model import ModelSpec
from blurvid.run import RATES
from blurvid.run_folder import RunFolder
from blurvid.state import new_state

PROGRAMS = {
    name: [sys.executable, "-c", f"from blurcli.{name} import main; main()"]
    for name in ("synth", "vid")
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ON_TWO_RANKS = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--no-python"]
SOURCES = ["--width", "512", "--panoramas", "6", "--scenes", "0"]
SHARDS = ["--size", "48", "--per-panorama", "8", "--samples-per-shard", "8", "--jobs", "1"]
WIDTH = 1
SPEED = RATES[1:]
BEFORE_OPTIONS, BEFORE_STATE, LATER = "before options.json", "before the first state", "later"
MOMENTS = (BEFORE_OPTIONS, BEFORE_STATE, LATER)
SAME_LOSS, SAME_WEIGHTS = 1e-3, 0.05
POLL_S, SAVE_S = 0.0005, 0.003  # how often a save is looked for, and how long one is


@dataclass(frozen=True)
class Training:
    """The command of a training, but for its run folder. two_ranks: of torchrun, else one."""

    shards: Path
    steps: int
    workers: int = 1
    two_ranks: bool = False

    def start(self, out: Path, *, output: int = subprocess.DEVNULL) -> subprocess.Popen:
        """Resumes it, or begins it anew where it has no options yet; a process group of its own."""
        resume = RunFolder(out).options.exists()
        if not resume:
            shutil.rmtree(out, ignore_errors=True)
        return subprocess.Popen(
            [*self._program(), *self._options(), "--out", str(out), *["--resume"] * resume],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )

    def finish(self, out: Path) -> tuple[str, float]:
        """Left alone to its end: what it says, and how long it takes."""
        began = time.monotonic()
        run = self.start(out, output=subprocess.PIPE)
        said, errors = run.communicate()
        if run.returncode:
            sys.exit(f"{' '.join(run.args)} ended with {run.returncode}: {errors}")
        return said, time.monotonic() - began

    def _program(self) -> list[str]:
        return [*(ON_TWO_RANKS if self.two_ranks else []), *PROGRAMS["vid"]]

    def _options(self) -> list[str]:
        options = {
            "--shards": self.shards, "--steps": self.steps, "--workers": self.workers,
            "--width": WIDTH, "--crop": 32, "--batch": 3, "--ema": 0.9, "--precision": "fp32",
            "--device": "cpu", "--log-every": 1, "--validate-every": 3, "--validate-samples": 2,
            "--keep": 2,
        }  # fmt: skip
        return ["train", *map(str, itertools.chain.from_iterable(options.items()))]


@dataclass
class Killer:
    """Kills runs at moments drawn from an undisturbed one's length; counts where they fell."""

    rng: random.Random
    seconds: float
    fell: Counter = field(default_factory=Counter)
    saving: int = 0

    def kill(self, training: Training, out: Path, *, saving: bool) -> bool:
        """Starts or resumes the run and kills it; False where it had ended before.

        saving: in the middle of the first save after the moment.
        """
        folder, run = RunFolder(out), training.start(out)
        wait(run, self.rng.uniform(0, self.seconds))
        if saving:
            wait_for_save(run, folder)
            time.sleep(self.rng.uniform(0, SAVE_S))
        at_work = run.poll() is None
        if at_work:
            os.killpg(run.pid, signal.SIGKILL)
            self.fell[where(folder)] += 1
            self.saving += bool(list(out.glob(".*.partial")))
        run.wait()
        return at_work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--kills-per-run", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        training = Training(make_shards(Path(name)), options.steps)
        undisturbed = Path(name, "undisturbed")
        _, seconds = training.finish(undisturbed)
        print(f"undisturbed: {options.steps} steps in {seconds:.0f} s")
        print(f"| what | kills | {' | '.join(MOMENTS)} | in a save | the same |")
        print("|---|---|---|---|---|---|---|", flush=True)
        rng = random.Random(options.seed)
        same = [
            *killed(training, undisturbed, options, Killer(rng, seconds)),
            *workers_changed(training, undisturbed, options.kills_per_run, Killer(rng, seconds)),
            newest_state_cut(training, undisturbed, Killer(rng, seconds)),
            ranks_changed(training, undisturbed, Killer(rng, seconds)),
        ]
    print("nothing differs" if all(same) else "DIFFERENT")
    sys.exit(not all(same))


def make_shards(folder: Path) -> Path:
    """A small data set with a test split."""
    blursynth("sources", "--out", folder / "src", *SOURCES)
    blursynth("panorama", "--src", folder / "src/sun360", "--out", folder / "shards", *SHARDS)
    return folder / "shards"


def blursynth(*arguments: object) -> None:
    command = [*PROGRAMS["synth"], *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


# --- the moments ------------------------------------------------------------------------------


def wait(run: subprocess.Popen, seconds: float) -> None:
    """So long, or until the run ends."""
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def wait_for_save(run: subprocess.Popen, folder: RunFolder) -> None:
    """Until a part of a checkpoint is there, or the run ends."""
    while run.poll() is None and not list(folder.path.glob(".*.safetensors.*.partial")):
        time.sleep(POLL_S)


def where(folder: RunFolder) -> str:
    if not folder.options.exists():
        return BEFORE_OPTIONS
    return LATER if folder.last.exists() else BEFORE_STATE


# --- the faults -------------------------------------------------------------------------------


def killed(
    training: Training, undisturbed: Path, options: argparse.Namespace, killer: Killer
) -> Iterator[bool]:
    """Whether each of the killed runs ended like the undisturbed one; one row for all."""
    equal = []
    for _ in range(options.times):
        out = fresh(undisturbed, "killed")
        for number in range(options.kills_per_run):
            if not killer.kill(training, out, saving=bool(number % 2)):
                break
        training.finish(out)
        equal.append(same_run(out, undisturbed))
    report("killed, resumed", killer, f"{sum(equal)} of {len(equal)}")
    yield from equal


def workers_changed(
    training: Training, undisturbed: Path, kills: int, killer: Killer
) -> Iterator[bool]:
    """One process decodes at first, then none, then two, then three."""
    out = fresh(undisturbed, "workers")
    counts = [1, 0, 2, 3]
    for number in range(kills):
        workers = counts[number % len(counts)]
        killer.kill(replace(training, workers=workers), out, saving=True)
    replace(training, workers=counts[kills % len(counts)]).finish(out)
    same = same_run(out, undisturbed)
    report("resumed with other --workers", killer, said(same))
    yield same


def newest_state_cut(training: Training, undisturbed: Path, killer: Killer) -> bool:
    """Half of the newest state is lost; the one before it is taken, and this is said."""
    out = fresh(undisturbed, "cut")
    folder = killed_after_saves(training, out, killer)
    os.truncate(folder.last, folder.last.stat().st_size // 2)
    sentences, _ = training.finish(out)
    told = "the state that was saved before it is taken" in sentences
    same = told and same_run(out, undisturbed)
    report("last.safetensors cut in two", killer, said(same) + ("" if told else ", NOTHING SAID"))
    return same


def ranks_changed(training: Training, undisturbed: Path, killer: Killer) -> bool:
    """Begun on one rank, finished on two; equal but for rounding."""
    out = fresh(undisturbed, "ranks")
    killed_after_saves(training, out, killer)
    replace(training, two_ranks=True).finish(out)
    loss = largest_difference(losses(out), losses(undisturbed))
    weights = relative_difference(out, undisturbed)
    same = loss < SAME_LOSS and weights < SAME_WEIGHTS
    report("resumed on two ranks", killer, f"{said(same)}, but for rounding")
    print(f"two ranks: largest relative difference of a step's loss {loss:.1e} (< {SAME_LOSS:g})")
    print(f"two ranks: |w2 - w1| / |w1 - w_begun| {weights:.1e} (< {SAME_WEIGHTS:g})")
    return same


def killed_after_saves(training: Training, out: Path, killer: Killer) -> RunFolder:
    """A run that was killed after it had saved two states."""
    folder = RunFolder(out)
    while len(folder.saved()) < 2:
        if not killer.kill(training, out, saving=True):  # it had ended before: sooner, then
            shutil.rmtree(out)
            killer.seconds /= 2
    return folder


# --- what is compared ---------------------------------------------------------------------------


def same_run(out: Path, undisturbed: Path) -> bool:
    """Whether both left the same; a run folder that differs is kept and named."""
    different = [what for what in traces(out) if traces(out)[what] != traces(undisturbed)[what]]
    if different:
        kept = shutil.copytree(out, tempfile.mkdtemp(prefix="training-kills-") + "/run")
        print(f"different: {', '.join(different)}; kept in {kept}", file=sys.stderr)
    return not different


def traces(out: Path) -> dict[str, object]:
    """What must not depend on kills."""
    folder = RunFolder(out)
    digests = {path.name: digest(path) for path in (folder.last, folder.best)}
    return {**digests, "metrics.csv": [without(row, SPEED) for row in rows(out)]}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows(out: Path) -> list[dict[str, str]]:
    with open(RunFolder(out).metrics, newline="") as file:
        return list(csv.DictReader(file))


def without(row: dict[str, str], columns: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in columns}


def losses(out: Path) -> list[float]:
    """Of each step."""
    return [float(row["total"]) for row in rows(out) if row["total"]]


def largest_difference(found: list[float], expected: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(found, expected, strict=True))


def relative_difference(out: Path, undisturbed: Path) -> float:
    """How far the weights are apart, in lengths of the way that the training took them."""
    compute = ComputeSpec("fp32").on(torch.device("cpu"))
    begun = new_state(ModelSpec("full", 3, WIDTH), seed=0, compute=compute).model.state_dict()
    one, two = (load_checkpoint(RunFolder(o).last).weights for o in (undisturbed, out))
    return distance(two, one) / distance(one, begun)


def distance(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    return sum(float((one[name] - two[name]).square().sum()) for name in one) ** 0.5


def fresh(undisturbed: Path, name: str) -> Path:
    """A place for a run folder where there is none."""
    out = undisturbed.with_name(name)
    shutil.rmtree(out, ignore_errors=True)
    return out


def said(same: bool) -> str:
    return "yes" if same else "NO"


def report(what: str, killer: Killer, same: str) -> None:
    fell = [killer.fell[moment] for moment in MOMENTS]
    row = (what, killer.fell.total(), *fell, killer.saving, same)
    print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
