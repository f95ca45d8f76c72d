"""All that `blursynth panorama` and `gopro` do after their imports, in the default configuration.

    python benchmarks/ours.py SOURCES_DIR

makes the samples of the panoramas below a folder in one job and prints the process's peak memory in
MiB: after the imports, and at the end.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blursynth import generate, making, plan, sources, spec
from blursynth.schema import Sample

PER_PANORAMA = 29
OPTIONS = spec.PanoramaOptions()
WINDOWS = spec.VideoOptions()


@dataclass(frozen=True)
class Work:
    """A data set that is planned."""

    planned: plan.DataSetPlan
    maker: making.PanoramaMaker | making.WindowMaker
    failures: list

    def make(self, jobs: int = 1) -> generate.RunResult:
        run = generate.RunOptions(jobs)
        return generate.generate(self.planned, self.maker, run=run, failures=self.failures)

    def samples(self) -> Iterator[Sample]:
        """The samples alone, not written."""
        for shard in self.planned.shards:
            for take in shard.takes:
                yield from self.maker.samples(take)


def panorama_work(
    src: Path, out: Path, *, per_panorama: int = PER_PANORAMA, samples_per_shard: int = 256
) -> Work:
    """Of all panoramas below `src`."""
    data_set = spec.DataSetOptions(
        "panorama", samples_per_shard=samples_per_shard, test_fraction=0
    )
    digests = sources.Digests(out / "digests.json")
    found, failures = sources.find_panoramas(src, digests)
    planned = plan.plan_panoramas(
        out, found, options=OPTIONS, data_set=data_set, per_panorama=per_panorama
    )
    digests.save()
    return Work(planned, making.PanoramaMaker("panorama", OPTIONS), failures)


def windows_work(src: Path, out: Path) -> Work:
    """Of all windows of the scenes below `src`."""
    data_set = spec.DataSetOptions("gopro", test_fraction=0)
    digests = sources.Digests(out / "digests.json")
    found, failures = sources.find_scenes(src, digests)
    planned = plan.plan_windows(out, found, options=WINDOWS, data_set=data_set)
    digests.save()
    return Work(planned, making.WindowMaker("gopro", WINDOWS), failures)


def folder_of_links(folder: Path, path: Path, count: int) -> Path:
    """A new folder with so many links to one file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:06d}{path.suffix}").symlink_to(path.resolve())
    return folder


def peak_mib() -> float:
    """Of this program alone; getrusage's maximum begins with that of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        high = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(high.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(src: Path) -> None:
    import webdataset  # noqa: F401  torch comes with it

    imported = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        panorama_work(src, Path(folder)).make()
    print(f"{imported:.0f} {peak_mib():.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
