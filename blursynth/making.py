"""What one job does: a shard from its sources."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2

from .files import TEMPORARY_SUFFIX
from .jobs import begin_job
from .machines import code_digest, leave_facts, package_versions
from .packing import ShardPlan, Take
from .panorama import load_level
from .plan import noise_generator, panorama_spec, window_spec, window_starts
from .render import render_sample
from .schema import Sample, ShardIndex
from .shards import Failure, finished_index, write_shard
from .spec import PanoramaOptions, VideoOptions
from .stopped import RunStopped
from .windows import window_samples

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class PanoramaMaker:
    """Renders the samples of one panorama."""

    data_set: str
    options: PanoramaOptions

    def samples(self, take: Take) -> Iterator[Sample]:
        level = load_level(take.source.path, self.options)
        for number in take.numbers:
            spec = panorama_spec(self.data_set, take.source.name, number, self.options)
            rng = noise_generator(self.options.seed, take.source.name, number)
            yield render_sample(spec, level, self.options, rng)


@dataclass(frozen=True)
class WindowMaker:
    """Averages windows of one scene."""

    data_set: str
    options: VideoOptions

    def samples(self, take: Take) -> Iterator[Sample]:
        starts = window_starts(take.source.numbers, self.options)
        specs = (
            window_spec(self.data_set, take.source, number, starts, self.options)
            for number in take.numbers
        )
        rngs = (noise_generator(self.options.seed, take.source.name, k) for k in take.numbers)
        yield from window_samples(take.source, specs, self.options, rngs=rngs)


Maker = PanoramaMaker | WindowMaker


Made = tuple[int, ShardIndex]


def make_shard(
    number: int, shard: ShardPlan, maker: Maker, *, fingerprint: str, image_format: str
) -> Made:
    """One joblib task: a shard from its sources, one after the other. number: given back."""
    begin_job()
    leave_facts(shard.name.tar.parent.parent)
    progress = progress_file(shard)
    results = _counted(_results(shard, maker), progress)
    try:
        index = write_shard(
            shard.name, results, fingerprint=fingerprint, image_format=image_format
        )
        return number, index
    finally:
        if progress:
            progress.unlink(missing_ok=True)


def what_makes_bytes() -> dict[str, str | None]:
    """What must be the same on every worker: the packages, and this one's own code."""
    return {**package_versions(), "blursynth": code_digest()[:16]}


def make_shard_far(
    number: int, shard: ShardPlan, maker: Maker, *, made_by: dict[str, str | None], **named: str
) -> Made:
    """The same on a worker, which may be another machine, and be asked for a shard that one which
    was lost had finished.

    made_by: `what_makes_bytes` where the run began; RunStopped where that is another here, and where
    this machine does not see the sources.
    """
    here, host = what_makes_bytes(), socket.gethostname()
    for package, expected in made_by.items():
        if here[package] != expected:
            raise RunStopped(
                f"expected {package} {expected} on every worker, as where the run began, found "
                f"{here[package]} on {host}"
            )
    for take in shard.takes:
        if not take.source.path.exists():
            raise RunStopped(
                f"expected every worker to see the sources at the same path, found no "
                f"{take.source.path} on {host}"
            )
    if index := finished_index(shard.name, named["fingerprint"]):
        return number, index
    return make_shard(number, shard, maker, **named)


def _results(shard: ShardPlan, maker: Maker) -> Iterator[Sample | Failure]:
    """A source that cannot be read gives a failure in the place of what was left of it."""
    for take in shard.takes:
        try:
            yield from maker.samples(take)
        except (ValueError, OSError, cv2.error) as error:
            yield Failure(take.source.name, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


def progress_file(shard: ShardPlan) -> Path | None:
    """Where a job in work says how many samples it has done; in an object store nowhere."""
    tar = shard.name.tar
    if not isinstance(tar, Path):
        return None
    return tar.with_name(f".{tar.stem}.count{TEMPORARY_SUFFIX}")


def _counted(
    results: Iterator[Sample | Failure], progress: Path | None
) -> Iterator[Sample | Failure]:
    if progress is None:
        yield from results
        return
    last = time.monotonic()
    progress.parent.mkdir(parents=True, exist_ok=True)
    for count, result in enumerate(results, 1):
        yield result
        if time.monotonic() - last > POLL_SECONDS:
            with suppress(OSError):
                progress.write_text(str(count))
            last = time.monotonic()
