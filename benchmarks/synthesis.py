"""How fast samples are made: against other packages, and against what cannot be left out.

    python benchmarks/synthesis.py PANORAMA.jpg [--reencode QUALITY] [--video FOLDER] [--rounds 5]
        [--only time --only floor --only peers --only video --only jobs --only memory --only scale]

PANORAMA.jpg: one equirectangular picture, best of 9104x4552 pixels, as it is or encoded anew as JPEG
4:4:4 (the targets are about one of 17 MB). FOLDER: numbered 720p frames; by default a 1280x720 cut
that pans over the panorama is written as PNG. Everything is done in the default configuration, with
one thread of OpenCV, torch and OpenMP in each process. Contestants take turns; each figure is the
median over the rounds, a ratio the median of the ratios within a round, by the clock and by CPU time:
the worse one is held to the target.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import joblib
import numpy as np
import ours
from bench import Bench, median_rows, print_rows, say, say_ratio
from floors import decode_flags, images_of, panorama_floor, shard_floor
from many_sources import part_scale
from stopwatch import Cost, alternate, cost_of, ratio, seconds
from video_windows import part_video

from blursynth import generate, light, panorama, plan, render, schema, shards, sources

PARTS = ("time", "floor", "peers", "video", "jobs", "memory", "scale")
PAPER_PANORAMAS, PAPER_SAMPLES = 1000, 29_200
BUSY = 1.5

PANORAMA_ROWS = {
    (sources, "find_panoramas"): "find and digest the source",
    (plan, "panorama_spec"): "plan",
    (cv2, "imdecode"): "decode",
    (panorama, "load_level"): "linearise, level",
    (panorama, "sample"): "rays and positions",
    (cv2, "remap"): "sampling of the canvas",
    (cv2, "blur"): "mean over a pixel's area",
    (render, "encode_frame"): "canvas to sRGB",
    (cv2, "warpPerspective"): "warping the frames",
    (light, "mean_of_frames"): "mean of the frames",
    (render, "render_sample"): "canvas' bounds, metadata",
    (schema, "encode_image"): "PNG",
    (shards, "write_shard"): "tar, digests, index, sync",
    (generate, "generate"): "plan file, manifest, joblib",
}


# --- one panorama ----------------------------------------------------------------------------


@dataclass(frozen=True)
class OnePanorama:
    """The work that is compared: one panorama, its 29 samples."""

    src: Path
    flags: int
    specs: list
    images: list[np.ndarray]

    @classmethod
    def of(cls, bench: Bench) -> OnePanorama:
        src = bench.links(1)
        work = ours.panorama_work(src, bench.folder / "planned")
        name = work.planned.sources[0].name
        specs = [
            plan.panorama_spec("panorama", name, number, ours.OPTIONS)
            for number in range(ours.PER_PANORAMA)
        ]
        flags = decode_flags(bench.panorama, ours.OPTIONS)
        return cls(src, flags, specs, images_of(work.samples()))

    def make(self, out: Path) -> None:
        ours.panorama_work(self.src, out).make()


def part_time(bench: Bench, one: OnePanorama) -> None:
    print("\nWhere the time goes, one panorama, one job (each moment in the innermost row)\n")
    work = partial(bench.cost_in_fresh_folder, one.make)
    rows = median_rows(PANORAMA_ROWS, work, bench.rounds)
    floor_rows = {(cv2, "imdecode"): "decode", (schema, "encode_image"): "PNG"}
    floor = partial(panorama_floor, bench.panorama, one.flags, one.images)
    print_rows(rows, ours.PER_PANORAMA, median_rows(floor_rows, floor, bench.rounds))


def part_speed(bench: Bench, one: OnePanorama, parts: set[str]) -> dict[str, list[Cost]]:
    """Ours, the floor and the other packages in turn."""
    contestants = {"ours": partial(bench.cost_in_fresh_folder, one.make)}
    if "floor" in parts:
        floor = partial(panorama_floor, bench.panorama, one.flags, one.images)
        contestants["floor"] = partial(cost_of, floor)
    if "peers" in parts:
        contestants |= _researchers(bench, one)
    costs = alternate(contestants, bench.rounds)
    print(f"\nOne panorama, {ours.PER_PANORAMA} samples, {_frames_each(one):.1f} frames each, "
          "one job\n")
    for name, found in costs.items():
        say(f"{name}: samples/s per core (by CPU time)",
            f"{ours.PER_PANORAMA / seconds(found):.2f} "
            f"({ours.PER_PANORAMA / seconds(found, 'cpu'):.2f})")
    _say_ratios(costs)
    return costs


def _researchers(bench: Bench, one: OnePanorama) -> dict[str, Callable[[], Cost]]:
    """Importing them takes a while."""
    from peers import PEERS
    from researcher import pipeline

    tar = bench.folder / "peer.tar"
    specs = {"pytorch360convert": one.specs, "py360convert": one.specs[: bench.slow_samples]}
    return {
        name: partial(pipeline, bench.panorama, tar, some, PEERS[name], ours.PER_PANORAMA)
        for name, some in specs.items()
    }


def _say_ratios(costs: Mapping[str, list[Cost]]) -> None:
    for name, least in (("pytorch360convert", 10), ("py360convert", 80)):
        if name in costs:
            say_ratio(f"times as fast as with {name}", costs[name], costs["ours"], least=least)
        if name in costs and "floor" in costs:
            floors = ratio(costs[name], costs["floor"], "cpu")
            say(f"the floor itself by CPU time, likewise with {name}", f"{floors:.1f}")
    if "floor" in costs:
        say_ratio("time over the floor's", costs["ours"], costs["floor"], most=1.5)


def _frames_each(one: OnePanorama) -> float:
    return statistics.mean(spec.n for spec in one.specs)


# --- two jobs, memory ------------------------------------------------------------------------


def part_jobs(bench: Bench, one: OnePanorama, panoramas: int = 2) -> float | None:
    """Two shards of some panoramas each. Gives how many times as fast two jobs are, if that can be
    told on this machine now."""
    src = bench.links(2 * panoramas)
    in_shard = panoramas * ours.PER_PANORAMA
    saved = bench.folder / "images.npy"
    np.save(saved, np.stack(one.images))
    floor = joblib.delayed(shard_floor)(bench.panorama, one.flags, saved, panoramas)

    def make(out: Path, jobs: int) -> None:
        ours.panorama_work(src, out, samples_per_shard=in_shard).make(jobs)

    contestants = {}
    for jobs in (1, 2):
        contestants[f"ours {jobs}"] = partial(bench.cost_in_fresh_folder, partial(make, jobs=jobs))
        contestants[f"floor {jobs}"] = partial(
            cost_of, partial(joblib.Parallel(n_jobs=jobs), [floor, floor])
        )
    costs = alternate(contestants, bench.rounds)
    faster, floors_faster = (ratio(costs[f"{w} 1"], costs[f"{w} 2"]) for w in ("ours", "floor"))
    part = faster / floors_faster
    print(f"\nTwo jobs against one, {2 * in_shard} samples in two shards, processes warm\n")
    say("two floor processes: times as fast as one", f"{floors_faster:.2f}")
    say("two jobs: times as fast as one", f"{faster:.2f}")
    alone = floors_faster >= BUSY
    say("of what the floor reaches", f"{part:.2f}", ">= 0.95", part >= 0.95 if alone else None)
    if not alone:
        print(f"not judged: below {BUSY} the floor says that others were using the processors")
    return faster if alone else None


def part_memory(bench: Bench) -> None:
    print("\nPeak memory of one job, a process of its own\n")
    for count in (1, 3):
        command = [sys.executable, str(Path(ours.__file__)), str(bench.links(count))]
        imported, peak = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.split()
        say(f"{count} source(s), MiB (of them after the imports)", f"{peak} ({imported})",
            "<= 700 MB", float(peak) * 1.048576 <= 700)


# --- the whole -------------------------------------------------------------------------------


def say_paper(costs: Mapping[str, list[Cost]], faster: float | None) -> None:
    """The paper's panorama set, reckoned."""
    each = PAPER_SAMPLES / PAPER_PANORAMAS / ours.PER_PANORAMA
    alone = seconds(costs["ours"]) * PAPER_PANORAMAS * each
    print(f"\nThe paper's panorama set, {PAPER_PANORAMAS} panoramas like this one, {PAPER_SAMPLES:,} "
          f"samples: {alone / 60:.1f} minutes in one job,")
    how = "measured now" if faster else "assumed"
    print(f"{alone / (faster or 1.9) / 60:.1f} in two, {faster or 1.9:.2f} times as fast ({how})")


def say_where(bench: Bench) -> None:
    height, width = schema.image_size(bench.panorama.read_bytes(), "jpg")
    print(f"{bench.panorama.name}: {width}x{height}, {bench.panorama.stat().st_size / 1e6:.1f} MB; "
          f"{ours.OPTIONS.camera.size} px, {ours.OPTIONS.camera.hfov_deg:g} degrees; PNG; "
          f"medians of {bench.rounds} rounds; py360convert: {bench.slow_samples} samples, scaled")
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start; "
          f"OpenCV {cv2.__version__}, numpy {np.__version__}; one thread in each process")


def measure(bench: Bench, parts: set[str], video: Path | None) -> None:
    one, costs, faster = OnePanorama.of(bench), {}, None
    say_where(bench)
    if "time" in parts:
        part_time(bench, one)
    if parts & {"floor", "peers"}:
        costs = part_speed(bench, one, parts)
    if "video" in parts:
        part_video(bench, video)
    if "jobs" in parts:
        faster = part_jobs(bench, one)
    if "memory" in parts:
        part_memory(bench)
    if "scale" in parts:
        part_scale(bench)
    if costs:
        say_paper(costs, faster)


def reencoded(args: argparse.Namespace, folder: Path) -> Path:
    """The panorama as JPEG 4:4:4 of that quality."""
    path = folder / f"{args.panorama.stem}-quality-{args.reencode}.jpg"
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, args.reencode, *sampling]
    cv2.imwrite(str(path), cv2.imread(str(args.panorama)), parameters)
    return path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("panorama", type=Path)
    parser.add_argument("--reencode", type=int, help="JPEG quality")
    parser.add_argument("--video", type=Path, help="a folder of numbered 720p frames")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-samples", type=int, default=2, help="made with py360convert")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = reencoded(args, Path(folder)) if args.reencode else args.panorama
        bench = Bench(path, Path(folder), args.rounds, args.slow_samples)
        measure(bench, set(args.only or PARTS), args.video)


if __name__ == "__main__":
    main()
