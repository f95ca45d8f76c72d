"""What the parts of `synthesis.py` share: where they work, and how they say what they found."""

from __future__ import annotations

import itertools
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ours
from stopwatch import Cost, booking, cost_of


@dataclass(frozen=True)
class Bench:
    """What all parts share. folder: for files that are thrown away."""

    panorama: Path
    folder: Path
    rounds: int
    slow_samples: int
    fresh: itertools.count = field(default_factory=itertools.count)

    def cost_in_fresh_folder(self, work: Callable[[Path], Any]) -> Cost:
        """Of `work(out)`, where `out` is not there yet."""
        out = self.folder / f"out-{next(self.fresh)}"
        cost = cost_of(lambda: work(out))
        shutil.rmtree(out)
        return cost

    def links(self, count: int) -> Path:
        return ours.folder_of_links(self.folder / f"links-{count}", self.panorama, count)


def say(figure: str, value: str, target: str = "", met: bool | None = None) -> None:
    verdict = {True: "met", False: "MISSED", None: ""}[met]
    print(f"{figure:58} {value:>18}   {target:14} {verdict}".rstrip(), flush=True)


def print_rows(rows: Mapping[str, float], samples: int, floor: Mapping[str, float]) -> None:
    """Milliseconds of each sample beside the floor's."""
    whole = sum(rows.values())
    print(f"{'':36}{'ms/sample':>10}{'share':>8}{'floor':>10}")
    for row, spent in rows.items():
        beside = f"{1e3 * floor[row] / samples:10.2f}" if row in floor else ""
        print(f"{row:36}{1e3 * spent / samples:10.2f}{spent / whole:8.1%}{beside}")
    print(f"{'sum':36}{1e3 * whole / samples:10.2f}{'':8}"
          f"{1e3 * sum(floor.values()) / samples:10.2f}\n", flush=True)


def median_rows(
    rows: Mapping[tuple[Any, str], str], work: Callable[[], Any], rounds: int
) -> dict[str, float]:
    """Seconds in each row: the median over the rounds, after one that does not count."""
    found = []
    for _ in range(rounds + 1):
        with booking(rows) as ledger:
            work()
        found.append(ledger.seconds)
    return {row: statistics.median(one[row] for one in found[1:]) for row in found[0]}
