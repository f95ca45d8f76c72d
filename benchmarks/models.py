"""What each model costs: parameters, multiply-adds, time and memory to restore one picture.

    python benchmarks/models.py [--size 256] [--widths 8 16 32] [--frames 3 7] [--rounds 3] [--threads N]

Each row runs in a process of its own, so that its peak of memory is its own; the rows are taken in
turn, round after round, and the median of the rounds is printed. Times are those of fp32, eager, one
picture at a time, as `blurvid restore` does it; weights are fresh, which changes no time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch import Tensor

from blurvid.model import ModelSpec, build_model, count_multiply_adds, count_parameters
from blurvid.restoration import FrameModel

NAMES = ("full", "light", "jin2018", "recurrent")
LONG_S = 4.0  # what a first picture costs besides does not show in so long a time


def cost_of(spec: ModelSpec, size: int, threads: int) -> dict[str, float]:
    """Seconds of the second picture, or of the first where that takes long; MiB that this process
    has at its peak beyond what it had before there was a model."""
    torch.set_num_threads(threads)
    before = _peak_mib()
    model = build_model(spec).eval()
    blur = torch.rand(1, 3, size, size)
    with torch.inference_mode():
        seconds = _seconds_of(model, blur)
        if seconds < LONG_S:
            seconds = _seconds_of(model, blur)
    return {"seconds": seconds, "mib": _peak_mib() - before}


def _seconds_of(model: FrameModel, blur: Tensor) -> float:
    began = time.perf_counter()
    model.restore(blur)
    return time.perf_counter() - began


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(spec: ModelSpec, options: argparse.Namespace) -> dict[str, float]:
    """`cost_of` in a fresh process."""
    row = json.dumps(spec.to_dict())
    command = [sys.executable, __file__, "--row", row, "--size", str(options.size)]
    done = subprocess.run(
        [*command, "--threads", str(options.threads)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def table(options: argparse.Namespace) -> None:
    """Prints a line of Markdown for each model."""
    specs = [
        ModelSpec(name, frames, width)
        for name, frames, width in itertools.product(NAMES, options.frames, options.widths)
    ]
    costs: dict[ModelSpec, list[dict[str, float]]] = {spec: [] for spec in specs}
    for _ in range(options.rounds):
        for spec in specs:
            costs[spec].append(in_own_process(spec, options))
    print(f"{torch.get_num_threads()} threads; {options.size}x{options.size}; fp32, eager")
    print("| model | frames | width | parameters | multiply-adds | seconds | MiB |")
    print("|---|---|---|---|---|---|---|")
    for spec in specs:
        model = build_model(spec)
        adds = count_multiply_adds(model, (options.size, options.size)) / 1e9
        seconds, mib = (statistics.median(c[k] for c in costs[spec]) for k in ("seconds", "mib"))
        print(
            f"| {spec.name} | {spec.frames} | {spec.width} | {count_parameters(model):,} | "
            f"{adds:.1f} G | {seconds:.2f} | {mib:.0f} |",
            flush=True,
        )


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--frames", type=int, nargs="+", default=[3, 7])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.row:
        print(json.dumps(cost_of(ModelSpec.from_dict(options.row), options.size, options.threads)))
    else:
        table(options)


if __name__ == "__main__":
    main()
