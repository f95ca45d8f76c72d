"""(shard sizes, seed, epoch, block) -> the order of samples, cut into global batches (spec 2.5).

Pure: numbers in, numbers out. Who decodes a batch, and where training stopped, change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

LAST_BATCH = ("drop", "keep")
_SHARDS, _SAMPLES = 0, 1  # what a draw is for: no two of them share a seed


@dataclass(frozen=True)
class GlobalBatch:
    """The samples of one step, by their numbers; all processes together take it."""

    step: int
    epoch: int
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Order:
    """Which samples each step takes.

    shard_sizes: samples in each shard. batch: samples in a global batch. block: number of shards
    that are shuffled together (None: all of them, a permutation of all samples). last: whether
    an epoch's short last batch is dropped or kept.
    """

    shard_sizes: tuple[int, ...]
    batch: int
    seed: int
    block: int | None = None
    last: str = "drop"

    def __post_init__(self) -> None:
        if self.batch < 1 or self.seed < 0 or (self.block is not None and self.block < 1):
            raise ValueError(
                "expected a batch and a block of at least 1 and a seed of at least 0, found "
                f"batch {self.batch}, block {self.block}, seed {self.seed}"
            )
        if self.last not in LAST_BATCH:
            raise ValueError(f"expected last {' or '.join(LAST_BATCH)}, found {self.last!r}")
        if not self.steps_per_epoch:
            raise ValueError(
                f"expected at least one batch of {self.batch} samples, found "
                f"{sum(self.shard_sizes)} samples; take a smaller batch or make more samples"
            )

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(sum(self.shard_sizes), self.batch)
        return whole + (rest > 0 and self.last == "keep")

    def batches(self, start: int, stop: int) -> Iterator[GlobalBatch]:
        """The batches of steps start, start + 1, ... stop - 1, through as many epochs."""
        while start < stop:
            epoch, first = divmod(start, self.steps_per_epoch)
            samples = epoch_order(self.shard_sizes, seed=self.seed, epoch=epoch, block=self.block)
            for position in range(first, min(self.steps_per_epoch, first + stop - start)):
                numbers = samples[position * self.batch : (position + 1) * self.batch]
                yield GlobalBatch(start, epoch, tuple(numbers.tolist()))
                start += 1

    def blocks(self, start: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The blocks from that of step `start` on, without end: the first step that reads from the
        block, and its shards."""
        for epoch in count(start // self.steps_per_epoch):
            first_step, done = epoch * self.steps_per_epoch, 0
            for shards in epoch_blocks(
                len(self.shard_sizes), seed=self.seed, epoch=epoch, block=self.block
            ):
                begun, done = done, done + sum(self.shard_sizes[shard] for shard in shards)
                begins, ends = (first_step + n // self.batch for n in (begun, done - 1))
                if ends >= start and begins < first_step + self.steps_per_epoch:
                    yield begins, tuple(shards.tolist())


def epoch_order(
    shard_sizes: Sequence[int], *, seed: int, epoch: int, block: int | None = None
) -> np.ndarray:
    """Every sample number once: (sum of shard_sizes,) int64.

    The shards are shuffled and taken `block` at a time; the samples of a block are shuffled
    together and come before those of the next block.
    """
    starts = np.concatenate([[0], np.cumsum(shard_sizes)]).astype(np.int64)
    shuffled = []
    for number, members in enumerate(
        epoch_blocks(len(shard_sizes), seed=seed, epoch=epoch, block=block)
    ):
        samples = np.concatenate([np.arange(starts[s], starts[s + 1]) for s in members])
        rng = np.random.default_rng([seed, epoch, _SAMPLES, number])
        shuffled.append(rng.permutation(samples))
    return np.concatenate(shuffled)


def epoch_blocks(
    shards: int, *, seed: int, epoch: int, block: int | None = None
) -> list[np.ndarray]:
    """The numbers 0 ... shards - 1, shuffled and taken `block` at a time (None: all)."""
    shuffled = np.random.default_rng([seed, epoch, _SHARDS, 0]).permutation(shards)
    block = block or shards
    return [shuffled[i : i + block] for i in range(0, shards, block)]
