"""What the parts of `synthesis.py` share: where they work, and how they say what they found."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ours
from stopwatch import NOTHING, Cost, booking, cost_of, ratio, seconds


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


def say_ratio(
    figure: str, costs: list[Cost], to: list[Cost], *, least: float = 0, most: float = np.inf
) -> None:
    """By both clocks, of which the worse must meet the target: others may be using the machine."""
    wall, cpu = (ratio(costs, to, clock) for clock in ("wall", "cpu"))
    target = f">= {least:g}" if least else f"<= {most:g}"
    met = min(wall, cpu) >= least and max(wall, cpu) <= most
    say(f"{figure} (by CPU time)", f"{wall:.2f} ({cpu:.2f})", target, met)


def print_rows(rows: Mapping[str, Cost], samples: int, floor: Mapping[str, Cost]) -> None:
    """Milliseconds of a sample by the clock and by CPU time, the share of the latter, the floor's."""
    print(f"{'ms/sample':36}{'wall':>8}{'CPU':>8}{'share':>8}{'floor: wall':>14}{'CPU':>8}")
    whole, floors = (sum(costs.values(), NOTHING) for costs in (rows, floor))
    for row, cost in {**rows, "sum": whole}.items():
        beside = {**floor, "sum": floors}.get(row)
        cells = "" if beside is None else _milliseconds(beside, samples, 14)
        print(f"{row:36}{_milliseconds(cost, samples, 8)}{cost.cpu / whole.cpu:8.1%}{cells}")
    print(flush=True)


def _milliseconds(cost: Cost, samples: int, width: int) -> str:
    return f"{1e3 * cost.wall / samples:{width}.2f}{1e3 * cost.cpu / samples:8.2f}"


def median_rows(
    rows: Mapping[tuple[Any, str], str], work: Callable[[], Any], rounds: int
) -> dict[str, Cost]:
    """The cost of each row: the median over the rounds, after one that does not count."""
    found = []
    for _ in range(rounds + 1):
        with booking(rows) as ledger:
            work()
        found.append(ledger.costs)
    return {
        row: Cost(*(seconds([one[row] for one in found[1:]], clock) for clock in ("wall", "cpu")))
        for row in found[0]
    }
