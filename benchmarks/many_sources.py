"""The part of `synthesis.py` about many sources: planning, resuming and finishing grow no faster than
the number of shards."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import ours
from bench import Bench, say
from stopwatch import booking

from blursynth import generate, making, plan, sources

SCALES = (10, 100, 1000)
SCALE_ROWS = {
    (sources, "find_panoramas"): "plan",
    (plan, "plan_panoramas"): "plan",
    (sources.Digests, "save"): "plan",
    (making, "make_shard"): "make",
    (generate, "write_manifests"): "finish",
    (generate, "generate"): "rest",
}


def part_scale(bench: Bench, samples_per_shard: int = 10) -> None:
    small = bench.folder / "small.jpg"
    picture = cv2.imread(str(bench.panorama), cv2.IMREAD_REDUCED_COLOR_8)
    cv2.imwrite(str(small), cv2.resize(picture, (1024, 512), interpolation=cv2.INTER_AREA))
    print(f"\nMany panoramas (links to one of 1024x512), one sample of each, {samples_per_shard} in a "
          "shard, one job: ms per sample\n")
    print(f"{'panoramas':>10}{'plan':>10}{'make':>10}{'finish':>10}{'rest':>10}{'plan again':>12}"
          f"{'resume':>10}")
    found = {count: _scale_row(bench, small, count, samples_per_shard) for count in SCALES}
    for count, row in found.items():
        cells = (1e3 * spent / count for spent in row.values())
        print(f"{count:10d}" + "".join(f"{cell:10.2f}" for cell in cells))
    print()
    for what in ("plan", "finish", "rest", "plan again", "resume"):
        growth = found[SCALES[-1]][what] / found[SCALES[-2]][what]
        say(f"{what}: growth from {SCALES[-2]} to {SCALES[-1]} panoramas, shards 10x",
            f"{growth:.1f}", "<= 10 (+25 %)", growth <= 12.5)


def _scale_row(bench: Bench, small: Path, count: int, samples_per_shard: int) -> dict[str, float]:
    src = ours.folder_of_links(bench.folder / "many", small, count)
    out = bench.folder / f"out-{next(bench.fresh)}"
    rows = []
    for _ in range(2):
        with booking(SCALE_ROWS) as ledger:
            ours.panorama_work(
                src, out, per_panorama=1, samples_per_shard=samples_per_shard
            ).make()
        rows.append({row: cost.wall for row, cost in ledger.costs.items()})
    shutil.rmtree(out)
    first, again = rows
    return {**first, "plan again": again["plan"], "resume": again["rest"] + again["finish"]}
