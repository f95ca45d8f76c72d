"""The driver: plan -> one joblib task per shard -> manifest. Nothing finished is ever made twice."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import joblib

from .card import check_licence
from .files import TEMPORARY_SUFFIX, held_alone, remove_temporaries
from .jobs import begin_job
from .manifest import manifest_path, prepare_folder, run_facts, splits_of, write_manifests
from .panorama import load_level
from .plan import DataSetPlan, ShardPlan, Take, panorama_spec, window_spec, window_starts
from .render import render_sample
from .schema import Sample, ShardIndex
from .shards import Failure, ShardName, finished_index, write_shard
from .spec import PanoramaOptions, VideoOptions
from .windows import window_samples

POLL_SECONDS = 0.2


class RunStopped(Exception):
    """A run that ends early for a reason in the data; what is finished is kept (exit code 1)."""


# --- what one job does -----------------------------------------------------------------------


@dataclass(frozen=True)
class PanoramaMaker:
    """Renders the samples of one panorama."""

    data_set: str
    options: PanoramaOptions

    def samples(self, take: Take) -> Iterator[Sample]:
        level = load_level(take.source.path, self.options)
        for number in take.numbers:
            spec = panorama_spec(self.data_set, take.source.name, number, self.options)
            yield render_sample(spec, level, self.options)


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
        yield from window_samples(take.source, specs, self.options)


def make_shard(
    shard: ShardPlan, maker: PanoramaMaker | WindowMaker, *, fingerprint: str, image_format: str
) -> ShardIndex:
    """One joblib task: a shard from its sources, one after the other."""
    begin_job()
    progress = progress_file(shard)
    results = _counted(_results(shard, maker), progress)
    try:
        return write_shard(
            shard.name, results, fingerprint=fingerprint, image_format=image_format
        )
    finally:
        progress.unlink(missing_ok=True)


def _results(
    shard: ShardPlan, maker: PanoramaMaker | WindowMaker
) -> Iterator[Sample | Failure]:
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


def progress_file(shard: ShardPlan) -> Path:
    """Where a job in work says how many samples it has done."""
    return shard.name.tar.with_name(f".{shard.name.tar.stem}.count{TEMPORARY_SUFFIX}")


def _counted(results: Iterator[Sample | Failure], progress: Path) -> Iterator[Sample | Failure]:
    last = time.monotonic()
    progress.parent.mkdir(parents=True, exist_ok=True)
    for count, result in enumerate(results, 1):
        yield result
        if time.monotonic() - last > POLL_SECONDS:
            with suppress(OSError):
                progress.write_text(str(count))
            last = time.monotonic()


# --- the run ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunOptions:
    """What does not shape the data. jobs: as joblib has it, -1 for all processors. command: as it
    was typed, for the card; licence: of the data, for the card."""

    jobs: int = -1
    max_failures: int | None = None
    overwrite: bool = False
    command: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        check_licence(self.licence)

    @property
    def card(self) -> dict[str, str]:
        """What `write_card` is told of the run."""
        return {"command": self.command, "licence": self.licence}


@dataclass(frozen=True)
class RunResult:
    """What a run left: every shard's index, the failures, and what was new."""

    indexes: tuple[ShardIndex, ...]
    failures: tuple[Failure, ...]
    made_samples: int
    seconds: float


def generate(
    plan: DataSetPlan,
    maker: PanoramaMaker | WindowMaker,
    *,
    run: RunOptions,
    failures: list[Failure],
    on_progress: Callable[[int], None] = lambda done: None,
) -> RunResult:
    """Makes what of the plan is not there yet. `failures`: those met before the first pixel.

    `on_progress` is told now and then how many samples there are. Raises RunStopped where more
    sources fail than `max_failures` (default: 10 % of them, at least 3) or none gives a sample.
    """
    if run.jobs == 0:
        raise ValueError("expected --jobs of 1 or more, or -1 for all processors, found 0")
    with held_alone(plan.folder):
        prepare_folder(plan, overwrite=run.overwrite)
        try:
            return _generate(plan, maker, run, failures, on_progress)
        finally:
            remove_temporaries(plan.folder)


def _generate(
    plan: DataSetPlan,
    maker: PanoramaMaker | WindowMaker,
    run: RunOptions,
    failures: list[Failure],
    on_progress: Callable[[int], None],
) -> RunResult:
    began = time.monotonic()
    tally = _Tally(plan, failures, _failure_limit(plan, failures, run.max_failures))
    for shard in plan.shards:
        if index := finished_index(shard.name, plan.fingerprint):
            tally.add(shard, index)
    waiting = tally.waiting()
    with (
        _reporting(lambda: on_progress(tally.samples_so_far())),
        _given_up_quietly(_made(waiting, maker, plan, run.jobs)) as made_shards,
    ):
        for number, index in made_shards:
            tally.add(waiting[number], index)
    made = sum(len(tally.done[shard.name].samples) for shard in waiting)
    seconds = time.monotonic() - began
    if waiting or not all(manifest_path(plan, split).exists() for split in splits_of(plan)):
        facts = run_facts(made, seconds)
        write_manifests(plan, tally.done, failures=tally.failures, facts=facts, card=run.card)
    if not any(index.samples for index in tally.done.values()):
        raise RunStopped(f"no source gave a sample; the first: {_first(tally.failures)}")
    indexes = tuple(tally.done[shard.name] for shard in plan.shards)
    return RunResult(indexes, tuple(tally.failures), made, seconds)


@contextmanager
def _given_up_quietly(made: Generator) -> Iterator[Generator]:
    """Ends the jobs when the run ends early, without joblib's warning that their work is lost."""
    try:
        yield made
    except BrokenExecutor as error:
        raise RunStopped(
            "a job was ended from outside, perhaps for want of memory; what is finished is kept, "
            "and the same command goes on, with fewer --jobs if need be"
        ) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.close()


def _made(
    waiting: list[ShardPlan], maker: PanoramaMaker | WindowMaker, plan: DataSetPlan, jobs: int
) -> Generator[tuple[int, ShardIndex], None, None]:
    """Positions in `waiting` with the indexes, as the shards become ready."""
    named = {"fingerprint": plan.fingerprint, "image_format": plan.options["image_format"]}
    parallel = joblib.Parallel(
        n_jobs=min(joblib.effective_n_jobs(jobs), max(len(waiting), 1)),
        return_as="generator_unordered",
        batch_size=1,
    )
    return parallel(
        joblib.delayed(_numbered)(number, make_shard, _anywhere(shard), maker, **named)
        for number, shard in enumerate(waiting)
    )


def _anywhere(shard: ShardPlan) -> ShardPlan:
    """The same place, also for a process that was started in another folder."""
    folder = str(Path(shard.name.folder).absolute())
    return replace(shard, name=replace(shard.name, folder=folder))


def _numbered(number: int, function: Callable, *args, **named) -> tuple:
    return number, function(*args, **named)


@dataclass
class _Tally:
    """What is done and what failed, while the run goes on."""

    plan: DataSetPlan
    met_before: list[Failure]
    failure_limit: int

    def __post_init__(self) -> None:
        self.done: dict[ShardName, ShardIndex] = {}
        self._gave: set[str] = set()
        self._failed = {failure.source for failure in self.met_before}

    def add(self, shard: ShardPlan, index: ShardIndex) -> None:
        self.done[shard.name] = index
        self._failed.update(source for source, _ in index.failures)
        self._gave.update(index.sources)
        failed = len(self._failed - self._gave)
        if failed > self.failure_limit:
            raise RunStopped(
                f"{failed} sources failed, more than the {self.failure_limit} that "
                f"--max-failures allows; what is finished is kept; the first: "
                f"{_first(self.failures)}"
            )

    @property
    def failures(self) -> list[Failure]:
        """Each once, in the order of the plan, whatever the order of work was."""
        indexes = [self.done[s.name] for s in self.plan.shards if s.name in self.done]
        in_shards = [Failure(*failure) for index in indexes for failure in index.failures]
        return list(dict.fromkeys([*self.met_before, *in_shards]))

    def waiting(self) -> list[ShardPlan]:
        return [shard for shard in self.plan.shards if shard.name not in self.done]

    def samples_so_far(self) -> int:
        finished = sum(len(index.samples) for index in list(self.done.values()))
        return finished + sum(_count_in(progress_file(shard)) for shard in self.waiting())


def _failure_limit(plan: DataSetPlan, failures: list[Failure], given: int | None) -> int:
    return max(3, (len(plan.sources) + len(failures)) // 10) if given is None else given


def _first(failures: list[Failure]) -> str:
    return f"{failures[0].source}: {failures[0].reason}" if failures else "none was planned"


def _count_in(progress: Path) -> int:
    try:
        return int(progress.read_text() or 0)
    except (OSError, ValueError):
        return 0


@contextmanager
def _reporting(report: Callable[[], None]) -> Iterator[None]:
    """Calls `report` now and then in a thread of its own, and once at the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(POLL_SECONDS):
            report()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    report()
