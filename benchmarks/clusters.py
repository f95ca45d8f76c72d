"""What a cluster costs, and whether it keeps law 1 while its workers are killed.

    python benchmarks/clusters.py [--times 20] [--jobs 2] [--seed 0] [--rounds 3]

First the same data set by processes here (loky), by dask and by ray, both started here with as many
workers: samples/s by turns, and the ratio to loky's. Starting the cluster counts and is shown as well.
Then runs on a dask cluster of two workers of which one is killed once to three times, each at a
moment drawn from the length of an undisturbed run: every file must have the bytes of a run by loky,
but for what may differ between two runs. Needs the extras dask and ray.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from distributed import LocalCluster
from kills import PROGRAM, differing, tree

SHAPE = ["--size", "128", "--per-panorama", "29", "--samples-per-shard", "29"]
BACKENDS = ("loky", "dask", "ray")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = ["--out", str(folder / "src"), "--panoramas", "16", "--width", "2048"]
        subprocess.run([*PROGRAM, "sources", *sources], check=True, capture_output=True)
        command = ["panorama", "--src", str(folder / "src/sun360"), *SHAPE, "--out"]
        print_costs(command, folder, options.jobs, options.rounds)
        print_kills(command, folder, options.times, random.Random(options.seed))


# --- what it costs -----------------------------------------------------------------------------


def print_costs(command: list[str], folder: Path, jobs: int, rounds: int) -> None:
    """A row for each backend: medians over the rounds, in which the backends take turns."""
    rates, whole = {name: [] for name in BACKENDS}, {name: [] for name in BACKENDS}
    for number in range(rounds):
        for backend in BACKENDS:
            began = time.monotonic()
            out = folder / f"cost-{number}-{backend}"
            said = run([*command, str(out), "--backend", backend, "--jobs", str(jobs)])
            whole[backend].append(time.monotonic() - began)
            rates[backend].append(float(re.search(r"\(([\d.]+) samples/s\)", said)[1]))
            shutil.rmtree(out)
    print(f"\n{jobs} workers, 464 samples, median of {rounds} turns\n")
    print("| backend | samples/s, cluster's start included | to loky | whole command, s |")
    print("|---|---|---|---|")
    for backend in BACKENDS:
        ratios = [a / b for a, b in zip(rates[backend], rates["loky"], strict=True)]
        medians = map(statistics.median, (rates[backend], ratios, whole[backend]))
        rate, ratio, seconds = medians
        print(f"| {backend} | {rate:.1f} | {ratio:.2f} | {seconds:.1f} |", flush=True)


def run(arguments: list[str]) -> str:
    """What it says."""
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


# --- what it withstands ------------------------------------------------------------------------


def print_kills(command: list[str], folder: Path, times: int, rng: random.Random) -> None:
    """One line: how many workers were killed at work, and how many runs gave the same bytes."""
    run([*command, str(folder / "undisturbed")])
    undisturbed, killed, same = tree(folder / "undisturbed"), 0, 0
    shape = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 0}
    quiet = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with LocalCluster(**shape, **quiet) as cluster:
        far = ["--backend", "dask", "--address", cluster.scheduler_address]
        began = time.monotonic()
        run([*command, str(folder / "once"), *far])
        seconds = time.monotonic() - began
        for _ in range(times):
            out = folder / "killed"
            shutil.rmtree(out, ignore_errors=True)
            moments = sorted(rng.uniform(0.3, seconds) for _ in range(rng.randint(1, 3)))
            killed += killed_meanwhile(cluster, moments, rng, [*command, str(out), *far])
            found = tree(out)
            same += found == undisturbed
            if found != undisturbed:
                print(f"different: {differing(found, undisturbed)}", file=sys.stderr)
    print(f"\n{killed} dask workers killed in {times} runs: {same} of {times} trees the same")


def killed_meanwhile(
    cluster: LocalCluster, moments: list[float], rng: random.Random, arguments: list[str]
) -> int:
    """Runs the command; how many workers were killed before it ended."""
    over, killed = threading.Event(), []

    def kill() -> None:
        began = time.monotonic()
        for moment in moments:
            if over.wait(max(moment - (time.monotonic() - began), 0)):
                return
            pids = [worker.pid for worker in list(cluster.workers.values()) if worker.pid]
            if pids:
                killed.append(rng.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        run(arguments)
    finally:
        over.set()
        thread.join()
    return len(killed)


if __name__ == "__main__":
    main()
