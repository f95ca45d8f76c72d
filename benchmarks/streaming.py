"""How fast a training reads: our stream against decoding alone and other packages' loaders.

    grep -v -e numpy -e filelock constraints.txt > loose.txt    # mosaicml-streaming wants older ones
    pip install -c loose.txt -e ".[stream-bench]"               # in an environment of its own
    python benchmarks/streaming.py [--rounds 5] [--epochs 20] [--src PANORAMAS] [--work FOLDER]
        [--px 128 256] [--frames 3 7] [--workers 0 1 2] [--samples N] [--only memory|speed]

Samples of panoramas (procedural ones, or those below --src) are made once in --work, by default a
folder that is thrown away, and their PNG files written again in the others' forms. A package that
cannot be imported is named and left out (mosaicml-streaming also needs a torchvision that fits
torch). Everybody shuffles, decodes with our decoder and delivers
batches of 8 as uint8 tensors, blurs (B, 3, H, W) and frames (B, n, 3, H, W); ours as training reads
them, with each sample's metadata parsed and checked. One thread of OpenCV and of torch in each process.

Samples/s of one epoch, without the start: the clock starts when as many batches have come as there
are workers (one without workers), so that no worker is ahead; these batches are not counted. The
floor is the same files, held in memory, decoded in as many processes, which have decoded some
before the clock starts. Each epoch is read by a new process, as some loaders leave threads and
locks behind. Contestants take turns; ratios are medians of those within a round.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import itertools
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench import say
from loaders import (
    BATCH,
    PEERS,
    WAIT_SECONDS,
    Epoch,
    Images,
    Tensors,
    floor_cost,
    one_thread,
    ours,
    whole_pictures,
    why_left_out,
)
from stopwatch import Cost, alternate, cost_of, ratio, seconds

from blurvid.order import Order
from blurvid.stream import read_batches

PARTS = ("memory", "speed")
SAMPLES = {128: 512, 256: 192}
SHARDS = 8
JUDGED_WORKERS = 2
SETTLED_EPOCH = 3
SETTLE_SECONDS = 0.5
LEAVE_SECONDS = 5
PROGRAM = [sys.executable, "-c", "from blurcli.synth import main; main()"]

Costs = dict[str, list[Cost]]


# --- what is read ----------------------------------------------------------------------------


def make_images(src: Path, folder: Path, px: int, frames: int, samples: int) -> Images:
    """`blursynth panorama`, which leaves what is there already."""
    images = Images(folder / f"{px}px-{frames}frames-{samples}", px, frames)
    options = {
        "--src": src, "--out": images.folder / "shards", "--size": px, "--frames": frames,
        "--train": samples, "--test-fraction": 0, "--samples-per-shard": samples // SHARDS,
    }  # fmt: skip
    blursynth("panorama", *itertools.chain.from_iterable(options.items()))
    return images


def procedural(folder: Path) -> Path:
    """Where the panoramas are."""
    blursynth("sources", "--out", folder, "--panoramas", SHARDS, "--hdr", 0, "--scenes", 0)
    return folder / "sun360"


def blursynth(*words: object) -> None:
    subprocess.run([*PROGRAM, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


# --- speed -----------------------------------------------------------------------------------


def epoch_cost(epoch: Epoch, workers: int) -> Cost:
    """Of one sample; this process's CPU time."""
    batches = iter(epoch(workers))
    for _ in range(max(1, workers)):
        next(batches)
    counts = []
    cost = cost_of(lambda: counts.extend(map(_checked_count, batches)))
    return cost * (1 / sum(counts))


def _checked_count(batch: Tensors) -> int:
    blurs, frames = batch
    assert frames.shape[2:] == blurs.shape[1:] and len(frames) == len(blurs)
    return len(blurs)


def contestants(images: Images, peers: Iterable[str]) -> dict[str, Callable[[int], Cost]]:
    """Name -> the cost of a sample with so many workers."""
    pngs = images.all_pngs()
    makers = {"ours": ours} | {name: PEERS[name] for name in peers}
    work = {"floor": lambda workers: floor_cost(pngs, workers) * (1 / len(pngs))}
    for name, maker in makers.items():
        work[name] = partial(lambda maker, workers: epoch_cost(maker(images), workers), maker)
    return {name: partial(in_new_process, one) for name, one in work.items()}


def in_new_process(work: Callable[[int], Cost], workers: int) -> Cost:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=lambda: sender.send(work(workers)))
    process.start()
    sender.close()
    if not receiver.poll(WAIT_SECONDS):
        process.kill()
    cost = receiver.recv()  # EOFError where it was killed, or failed and said why
    process.join(LEAVE_SECONDS)
    process.kill()
    return cost


def part_speed(found: Iterable[Images], workers: Iterable[int], rounds: int) -> None:
    reasons = {name: why_left_out(name) for name in PEERS}
    for name, reason in reasons.items():
        print(f"{name} is left out: {reason}" if reason else f"{name} {version(name)}")
    peers = [name for name, reason in reasons.items() if not reason]
    print(f"\nSamples/s of one epoch in batches of {BATCH}, and ours against each\n")
    print(f"{'px':>4}{'frames':>7}{'workers':>8}{'ours':>8}" + "".join(
        f"{name:>20}" for name in ("floor", *peers)), flush=True)
    judged = []
    for images in found:
        runners = contestants(images, peers)
        for count in workers:
            costs = alternate({n: partial(run, count) for n, run in runners.items()}, rounds)
            print_row(images, count, costs)
            judged += [costs] if count == JUDGED_WORKERS else []
    if judged:
        judge(judged, peers)


def print_row(images: Images, workers: int, costs: Costs) -> None:
    """Samples/s of each, and in brackets how many times as fast ours is."""
    cells = "".join(
        f"{1 / seconds(found):12.0f} ({speed_ratio(costs, name):5.2f})"
        for name, found in costs.items()
        if name != "ours"
    )
    rate = 1 / seconds(costs["ours"])
    print(f"{images.px:4}{images.frames:7}{workers:8}{rate:8.0f}{cells}", flush=True)


def judge(judged: list[Costs], peers: Iterable[str]) -> None:
    """The worst row with two workers against the targets."""
    print(f"\nThe least of {len(judged)} rows with {JUDGED_WORKERS} workers\n")
    for name, least in {"floor": 0.9, **dict.fromkeys(peers, 1.0)}.items():
        worst = min(speed_ratio(costs, name) for costs in judged)
        say(f"times as fast as {name}", f"{worst:.2f}", f">= {least:g}", worst >= least)


def speed_ratio(costs: Costs, name: str) -> float:
    """How many times as fast ours is: the median of the ratios within a round."""
    return ratio(costs[name], costs["ours"])


# --- memory ----------------------------------------------------------------------------------


def part_memory(images: Images, epochs: int) -> None:
    """After each epoch, when the workers have made the batches that they may make ahead."""
    order = Order(images.mixture.shard_sizes, batch=BATCH, seed=0)
    steps = order.steps_per_epoch
    batches = read_batches(
        images.mixture,
        order.batches(0, (epochs + 1) * steps),
        collate=whole_pictures(images),
        workers=JUDGED_WORKERS,
    )
    print(f"\nMemory of the stream, {images.px} px, {images.frames} frames, main process + "
          f"{JUDGED_WORKERS} workers: MiB after each epoch\n")
    found = []
    for _ in range(epochs):
        for _ in itertools.islice(batches, steps):
            pass
        time.sleep(SETTLE_SECONDS)
        found.append(memory_mib())
        print(f"{found[-1]:.1f}", end=" ", flush=True)
    batches.close()
    print("\n")
    say_growth(found)


def say_growth(mib: list[float]) -> None:
    if len(mib) <= SETTLED_EPOCH:
        print(f"Growth is told from epoch {SETTLED_EPOCH} on; take more --epochs")
        return
    growth = mib[-1] / mib[SETTLED_EPOCH - 1] - 1
    say(f"growth from epoch {SETTLED_EPOCH} to {len(mib)}", f"{growth:.2%}", "<= 1 %",
        growth <= 0.01)


def memory_mib() -> float:
    """Of this process and those that it started; what they share counts once."""
    children = (child.pid for child in multiprocessing.active_children())
    return sum(map(_proportional_mib, (os.getpid(), *children)))


def _proportional_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


# --- the whole -------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--src", type=Path, help="panoramas in the place of procedural ones")
    parser.add_argument("--work", type=Path, help="a folder to keep and use again")
    parser.add_argument("--px", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--frames", type=int, nargs="+", choices=(3, 7), default=(3, 7))
    parser.add_argument("--workers", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--samples", type=int, help="of each data set")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="of the part about memory")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    return parser.parse_args()


def measure(args: argparse.Namespace, folder: Path) -> None:
    src = args.src or procedural(folder / "sources")
    found = [
        make_images(src, folder, px, frames, args.samples or SAMPLES.get(px, min(SAMPLES.values())))
        for px, frames in itertools.product(args.px, args.frames)
    ]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start; medians of "
          f"{args.rounds} rounds")
    parts = set(args.only or PARTS)
    if "memory" in parts:
        part_memory(found[0], args.epochs)
    if "speed" in parts:
        part_speed(found, args.workers, args.rounds)


def main() -> None:
    args = arguments()
    sys.path.append(sys.path.pop(0))  # this file has the name of a package of the peers
    one_thread()
    with tempfile.TemporaryDirectory() as folder:
        measure(args, args.work or Path(folder))


if __name__ == "__main__":
    main()
