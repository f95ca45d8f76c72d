"""The part of `synthesis.py` about windows of video: each source frame decoded once."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

import cv2
import ours
from bench import Bench, median_rows, print_rows, say, say_ratio
from floors import images_of, windows_floor
from stopwatch import alternate, cost_of, seconds

from blursynth import generate, light, plan, schema, shards, sources, windows

WINDOW_ROWS = {
    (sources, "find_scenes"): "find and digest the source",
    (plan, "window_spec"): "plan",
    (cv2, "imread"): "decode",
    (cv2, "imdecode"): "decode",
    (windows.FrameReader, "window"): "BGR to RGB, keeping",
    (windows, "direction_of"): "direction (optical flow)",
    (light, "mean_of_frames"): "mean of the frames",
    (schema, "encode_image"): "PNG",
    (shards, "write_shard"): "cutting, tar, digests, index, sync",
    (generate, "generate"): "plan file, manifest, joblib",
}


def part_video(bench: Bench, given: Path | None, count: int = 48) -> None:
    scene = given or _pan(bench.panorama, bench.folder / "video" / "GOPR0001_00_00", count)
    work = ours.windows_work(scene, bench.folder / "planned")
    files = work.planned.sources[0].files
    images = images_of(work.samples())
    samples = sum(shard.samples for shard in work.planned.shards)
    size = statistics.mean(path.stat().st_size for path in files) / 2**20
    print(f"\nVideo: {samples} windows of {ours.WINDOWS.n} frames, crop {ours.WINDOWS.crop}, all "
          f"stored, from {len(files)} frames of {size:.2f} MiB\n")

    def make(out: Path) -> None:
        ours.windows_work(scene, out).make()

    ours_work = partial(bench.cost_in_fresh_folder, make)
    floor = partial(windows_floor, files, images)
    rows = median_rows(WINDOW_ROWS, ours_work, bench.rounds)
    floor_rows = {(cv2, "imread"): "decode", (schema, "encode_image"): "PNG"}
    print_rows(rows, samples, median_rows(floor_rows, floor, bench.rounds))
    costs = alternate({"ours": ours_work, "floor": partial(cost_of, floor)}, bench.rounds)
    say("windows/s per core", f"{samples / seconds(costs['ours']):.2f}")
    say_ratio("time over the floor's", costs["ours"], costs["floor"], most=1.2)


def _pan(path: Path, folder: Path, count: int) -> Path:
    """A 1280x720 cut of the full picture that moves right by 3 pixels per frame, as PNG."""
    folder.mkdir(parents=True)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    top = (picture.shape[0] - 720) // 2
    for number in range(count):
        cut = picture[top : top + 720, 3 * number : 3 * number + 1280]
        cv2.imwrite(str(folder / f"{number + 1:06d}.png"), cut)
    return folder
