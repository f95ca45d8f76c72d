"""The driver: plan -> one joblib task per shard -> manifest. Nothing finished is ever made twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import joblib

from . import backends
from .card import check_licence
from .files import held, one_after_the_other, remove_temporaries
from .machines import UNKNOWN, leave_facts, machines_of
from .making import POLL_SECONDS, Made, Maker, make_shard, make_shard_far, what_makes_bytes
from .manifest import (
    PLAN_NAME,
    manifest_path,
    prepare_folder,
    run_facts,
    splits_of,
    write_manifests,
)
from .packing import ShardPlan
from .plan import DataSetPlan
from .schema import ShardIndex
from .shards import Failure, finished_index
from .stopped import RunStopped
from .tally import Tally, failure_limit, first_of

SEEN_SECONDS = 90  # after which what one machine wrote stands in the folders of another, under NFS


@dataclass(frozen=True)
class Part:
    """Every `count`-th shard of a plan, from the `number`-th on; 1 of 1 is all of them."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(
                "expected --shards-of 1/k to k/k, such as 3/40 for the third of forty jobs, "
                f"found {self.number}/{self.count}"
            )

    @property
    def is_whole(self) -> bool:
        return self.count == 1

    def of(self, shards: Sequence[ShardPlan]) -> Sequence[ShardPlan]:
        """Those that belong to it."""
        return shards[self.number - 1 :: self.count]


@dataclass(frozen=True)
class RunOptions:
    """What does not shape the data.

    jobs: as joblib has it, -1 for all processors. backend, address: see `backends.workers`.
    command: as it was typed, and licence: of the data, both for the card.
    """

    jobs: int = -1
    max_failures: int | None = None
    overwrite: bool = False
    backend: str = "loky"
    address: str | None = None
    part: Part = Part()
    command: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        check_licence(self.licence)
        if self.jobs == 0:
            raise ValueError("expected --jobs of 1 or more, or -1 for all processors, found 0")
        if self.overwrite and not self.part.is_whole:
            raise ValueError(
                "expected --overwrite without --shards-of, as each part would throw away what the "
                "others made; remove the data set first"
            )

    @property
    def is_far(self) -> bool:
        """Whether the work may be done on other machines."""
        return self.backend != "loky"

    @property
    def card(self) -> dict[str, str]:
        """What `write_card` is told of the run."""
        return {"command": self.command, "licence": self.licence}


@dataclass(frozen=True)
class RunResult:
    """What a run left: every finished shard's index, the failures, and what was new.

    missing: how many shards other parts have not made yet; while there are any, no manifest is.
    """

    indexes: tuple[ShardIndex, ...]
    failures: tuple[Failure, ...]
    made_samples: int
    seconds: float
    missing: int = 0


def generate(
    plan: DataSetPlan,
    maker: Maker,
    *,
    run: RunOptions,
    failures: list[Failure],
    on_progress: Callable[[int], None] = lambda done: None,
) -> RunResult:
    """Makes what of the plan's part is not there yet. `failures`: those met before the first pixel.

    `on_progress` is told now and then how many samples of it there are. Raises RunStopped where
    more sources fail than `max_failures` (default: 10 % of them, at least 3) or none gives a sample.
    """
    began = time.monotonic()
    backends.check(run.backend, run.address)
    with held(plan.folder, alone=run.part.is_whole):
        prepare_folder(plan, overwrite=run.overwrite)
        if run.part.is_whole:
            remove_temporaries(plan.folder)
        tally = Tally(plan, failures, failure_limit(plan, failures, run.max_failures))
        try:
            return _generate(tally, maker, run, began, on_progress)
        finally:
            if run.part.is_whole:
                remove_temporaries(plan.folder)


def _generate(
    tally: Tally,
    maker: Maker,
    run: RunOptions,
    began: float,
    on_progress: Callable[[int], None],
) -> RunResult:
    plan, mine = tally.plan, run.part.of(tally.plan.shards)
    tally.add_finished(plan.shards)
    if tally.done and not machines_of(plan.folder):
        leave_facts(plan.folder, UNKNOWN)
    waiting = tally.waiting(mine)
    with _reporting(lambda: on_progress(tally.samples_so_far(mine))):
        if waiting:
            _make(waiting, maker, tally, run)
    tally.add_finished(tally.waiting())
    made = sum(len(tally.done[shard.name].samples) for shard in waiting)
    result = RunResult(
        tuple(tally.done[shard.name] for shard in plan.shards if shard.name in tally.done),
        tuple(tally.failures),
        made,
        time.monotonic() - began,
        len(tally.waiting()),
    )
    if not result.missing:
        with one_after_the_other(plan.folder / PLAN_NAME):
            _finish(tally, result, run)
    return result


def _finish(tally: Tally, result: RunResult, run: RunOptions) -> None:
    """The cards and manifests, where something is new or they are not there."""
    plan = tally.plan
    if result.made_samples or not all(manifest_path(plan, s).exists() for s in splits_of(plan)):
        facts = run_facts(result.made_samples, result.seconds, machines_of(plan.folder))
        write_manifests(plan, tally.done, failures=tally.failures, facts=facts, card=run.card)
    remove_temporaries(plan.folder)
    if not any(index.samples for index in result.indexes):
        raise RunStopped(f"no source gave a sample; the first: {first_of(tally.failures)}")


def _make(waiting: Sequence[ShardPlan], maker: Maker, tally: Tally, run: RunOptions) -> None:
    """Makes these shards and adds them to the tally."""
    with (
        backends.workers(run.backend, jobs=run.jobs, address=run.address) as do,
        closing(do(_tasks(waiting, maker, tally.plan, run.is_far))) as results,
    ):
        for number, index in results:
            if run.is_far:
                _refuse_unseen(waiting[number], tally.plan.fingerprint)
            tally.add(waiting[number], index)


def _tasks(
    waiting: Sequence[ShardPlan], maker: Maker, plan: DataSetPlan, is_far: bool
) -> list[Callable[[], Made]]:
    """As `joblib.delayed` has them."""
    named = {"fingerprint": plan.fingerprint, "image_format": plan.options["image_format"]}
    task = joblib.delayed(make_shard)
    if is_far:
        task, named = joblib.delayed(make_shard_far), {**named, "made_by": what_makes_bytes()}
    return [task(k, _anywhere(shard), maker, **named) for k, shard in enumerate(waiting)]


def _refuse_unseen(shard: ShardPlan, fingerprint: str) -> None:
    """That what a worker wrote is there for this machine as well."""
    over = time.monotonic() + SEEN_SECONDS
    while not finished_index(shard.name, fingerprint):
        if time.monotonic() > over:
            raise RunStopped(
                f"{shard.name.tar} was written by a worker and is not to be seen here: every worker "
                "must write to the same --out, on a file system that all share or s3://"
            )
        time.sleep(POLL_SECONDS)


def _anywhere(shard: ShardPlan) -> ShardPlan:
    """The same place, also for a process that was started in another folder."""
    if not isinstance(shard.name.tar, Path):
        return shard
    folder = str(Path(shard.name.folder).absolute())
    return replace(shard, name=replace(shard.name, folder=folder))


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
