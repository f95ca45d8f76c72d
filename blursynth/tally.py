"""What of a plan is done and what failed, while the run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .making import progress_file
from .packing import ShardPlan
from .plan import DataSetPlan
from .schema import ShardIndex
from .shards import Failure, ShardName, finished_index
from .stopped import RunStopped

READERS = 16  # threads that look for what is finished: in an object store each look takes a while


@dataclass
class Tally:
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
                f"{first_of(self.failures)}"
            )

    @property
    def failures(self) -> list[Failure]:
        """Each once, in the order of the plan, whatever the order of work was."""
        indexes = [self.done[s.name] for s in self.plan.shards if s.name in self.done]
        in_shards = [Failure(*failure) for index in indexes for failure in index.failures]
        return list(dict.fromkeys([*self.met_before, *in_shards]))

    def add_finished(self, shards: Sequence[ShardPlan]) -> None:
        """Those of these that are done."""

        def look(shard: ShardPlan) -> ShardIndex | None:
            return finished_index(shard.name, self.plan.fingerprint)

        with ThreadPoolExecutor(READERS) as pool:
            for shard, index in zip(shards, pool.map(look, shards), strict=True):
                if index:
                    self.add(shard, index)

    def waiting(self, among: Sequence[ShardPlan] | None = None) -> list[ShardPlan]:
        """Those that are not done."""
        shards = self.plan.shards if among is None else among
        return [shard for shard in shards if shard.name not in self.done]

    def samples_so_far(self, among: Sequence[ShardPlan]) -> int:
        done = [self.done.get(shard.name) for shard in among]
        finished = sum(len(index.samples) for index in done if index)
        return finished + sum(_count_in(progress_file(shard)) for shard in self.waiting(among))


def failure_limit(plan: DataSetPlan, failures: list[Failure], given: int | None) -> int:
    return max(3, (len(plan.sources) + len(failures)) // 10) if given is None else given


def first_of(failures: list[Failure]) -> str:
    return f"{failures[0].source}: {failures[0].reason}" if failures else "none was planned"


def _count_in(progress: Path | None) -> int:
    try:
        return int(progress.read_text() or 0) if progress else 0
    except (OSError, ValueError):
        return 0
