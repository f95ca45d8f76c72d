"""`kill -9` of `blursynth panorama` and `blursynth gopro` at random moments, then the same command.

    python benchmarks/kills.py [--times 20] [--jobs 2] [--seed 0]

Each time a run is killed once to three times, each at a moment drawn from the length of an
undisturbed run: by turns the whole process group, the main process alone (its jobs are orphaned),
and one job. Then the same command runs to its end, and every file must have the bytes of the
undisturbed run, but for the `run` facts of the manifests, the command in the cards (the folder
differs) and `.digests.json`; and no job of a killed run may be there five seconds later.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PROGRAM = [sys.executable, "-c", "from blurcli.synth import main; main()"]
PANORAMA = ["--size", "48", "--per-panorama", "12", "--samples-per-shard", "12"]
GOPRO = ["--n", "7", "--crop", "96", "--samples-per-shard", "6"]
VICTIMS = ("process group", "main process", "one job")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = ["sources", "--out", str(folder / "src"), "--width", "512", "--length", "16"]
        subprocess.run([*PROGRAM, *sources], check=True, capture_output=True)
        print("| command | killed | kills at work | the same bytes | jobs that stayed |")
        print("|---|---|---|---|---|")
        for command in (
            ["panorama", "--src", str(folder / "src/sun360"), *PANORAMA],
            ["gopro", "--src", str(folder / "src/gopro"), *GOPRO],
        ):
            command += ["--jobs", str(options.jobs), "--out"]
            report(command, folder / command[0], options.times, rng)


def report(command: list[str], folder: Path, times: int, rng: random.Random) -> None:
    """Prints a row for each kind of victim."""
    undisturbed, seconds = run_whole([*command, str(folder / "undisturbed")])
    kills, rounds, same, stayed = Counter(), Counter(), Counter(), Counter()
    for number in range(times):
        victim, out = VICTIMS[number % len(VICTIMS)], folder / "killed"
        wanted, hit, jobs = rng.randint(1, 3), 0, []
        while hit < wanted:
            if not hit:
                shutil.rmtree(out, ignore_errors=True)
            was_at_work, those = kill_at(
                rng.uniform(0.3, seconds), victim, rng.random(), [*command, str(out)]
            )
            jobs += those
            if was_at_work:
                hit += 1
            else:
                hit, seconds = 0, 0.9 * seconds  # it had ended before: the machine is faster now
        found, _ = run_whole([*command, str(out)])
        kills[victim] += wanted
        rounds[victim] += 1
        stayed[victim] += left_over(jobs)
        same[victim] += found == undisturbed
        if found != undisturbed:
            keep = shutil.copytree(out, tempfile.mkdtemp(prefix="kills-") + "/found")
            print(f"different: {differing(found, undisturbed)}; kept in {keep}", file=sys.stderr)
    for victim in VICTIMS:
        equal = f"{same[victim]} of {rounds[victim]}"
        row = (command[0], victim, kills[victim], equal, stayed[victim])
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def run_whole(command: list[str]) -> tuple[dict[str, object], float]:
    """What a run that is left alone leaves, and how long it takes."""
    began = time.monotonic()
    done = subprocess.run([*PROGRAM, *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return tree(Path(command[-1])), time.monotonic() - began


def kill_at(
    seconds: float, victim: str, pick: float, command: list[str]
) -> tuple[bool, list[int]]:
    """Starts a run and kills the victim after so many seconds; whether it was still at work, and
    the jobs that it had.

    pick: which job, from 0 to 1; where there is none yet, the main process is killed.
    """
    run = subprocess.Popen(
        [*PROGRAM, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    was_at_work = run.poll() is None
    jobs = jobs_of(run.pid)
    if victim == "one job" and jobs:
        os.kill(jobs[int(pick * len(jobs))], signal.SIGKILL)
    elif victim == "process group" and was_at_work:
        os.killpg(run.pid, signal.SIGKILL)
    else:
        run.kill()
    run.wait()
    return was_at_work, jobs


def jobs_of(main: int) -> list[int]:
    """The process numbers of its joblib workers (Linux)."""
    try:
        numbers = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    except OSError:
        return []
    return [int(number) for number in numbers if b"popen_loky" in command_of(int(number))]


def left_over(jobs: list[int]) -> int:
    """How many of them do not end within five seconds."""
    for _ in range(50):
        if not any(b"popen_loky" in command_of(job) for job in jobs):
            return 0
        time.sleep(0.1)
    return sum(b"popen_loky" in command_of(job) for job in jobs)


def command_of(process: int) -> bytes:
    """How a process was started; nothing where there is none (any more)."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def tree(out: Path) -> dict[str, object]:
    """Every file by its place; of manifests and cards only what must not differ."""
    found: dict[str, object] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.name != ".digests.json"):
        data: object = path.read_bytes()
        if path.name == "manifest.json":
            told = json.loads(path.read_bytes())
            data = {name: told[name] for name in told.keys() - {"run", "sha256"}}
        if path.name == "README.md":
            data = re.sub(r"(?m)^blursynth (panorama|gopro) .*$", "", path.read_text())
        found[path.relative_to(out).as_posix()] = data
    return found


def differing(one: dict, other: dict) -> list[str]:
    places = one.keys() | other.keys()
    return sorted(place for place in places if one.get(place) != other.get(place))


if __name__ == "__main__":
    main()
