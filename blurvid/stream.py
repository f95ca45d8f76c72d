"""order + index -> decoded samples, read at random from tars: local, or fetched into a cache.

Only the members that are needed are read, where the index says they lie. What comes, and in which
order, does not depend on the number of workers; a worker only decodes.
"""

from __future__ import annotations

import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from blursynth.schema import (
    META_NAME,
    TAR_BLOCK,
    IndexedSample,
    Sample,
    decode_frames,
    decode_meta,
    image_format_of,
    member_names,
)
from blurvid.batch import evenly_spaced
from blurvid.cache import Ahead, ShardCache
from blurvid.index import Mixture, Shard
from blurvid.order import GlobalBatch, Order
from blurvid.plain import check_header
from blurvid.remote import RemoteShard
from blurvid.stopped import TrainingStopped, Unreachable

T = TypeVar("T")
MAX_OPEN_FILES = 64
WASTE = 1.5  # members are read at once where no more than this times their size is read


@dataclass(frozen=True)
class Delivery(Generic[T]):
    """What came of one batch. made: what `collate` made of the samples that could be read.
    refused: a sentence for each of the others."""

    made: T
    refused: tuple[str, ...]

    def pin_memory(self) -> Delivery[T]:
        """As the loader asks for it."""
        return replace(self, made=self.made.pin_memory())


class BadSamples:
    """The samples that could not be read, each counted once however often it is met.

    limit: more of them are a ValueError. sentences: what was said of each, by tar and key.
    """

    def __init__(self, limit: int = 0, sentences: Iterable[str] = ()) -> None:
        self.limit = limit
        self.sentences = list(sentences)

    def add(self, sentence: str) -> bool:
        """Whether it is a new one."""
        if sentence in self.sentences:
            return False
        if len(self.sentences) >= self.limit:
            more = f" (with it more than the {self.limit} that --max-bad allows)"
            raise ValueError(sentence + (more if self.limit else ""))
        self.sentences.append(sentence)
        return True


def read_samples(
    mixture: Mixture, numbers: Iterable[int], *, bad: BadSamples | None = None
) -> Iterator[Sample]:
    """The samples with these numbers, decoded in this process; without those that `bad` takes."""
    files, bad = ShardFiles(mixture.cache), bad or BadSamples()
    for number in numbers:
        try:
            yield read_sample(files, *mixture.locate(number), frames=mixture.frames)
        except ValueError as error:
            bad.add(str(error))


def read_batches(
    mixture: Mixture,
    batches: Iterable[GlobalBatch],
    *,
    collate: Callable[[Iterator[Sample], GlobalBatch], T],
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Delivery[T]]:
    """`collate(samples, batch)` of each batch in turn, made by `workers` processes (0: here).

    A sample that cannot be read is a sentence. ValueError for what `collate` cannot take,
    Unreachable for a remote shard that cannot be had, TrainingStopped where a worker is gone.
    """
    loader = DataLoader(
        _BatchReader(mixture, collate),
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else it would draw from the global one
    )
    for made in _while_workers_live(loader):
        if isinstance(made, _Failure):
            raise made.kind(made.sentence)
        yield made


def with_shards_ahead(
    made: Iterable[T], mixture: Mixture, order: Order, start: int
) -> Iterator[T]:
    """What is made of the steps from `start` on; of remote shards the next block is fetched while
    one is read. The cache holds both."""
    if mixture.cache is None:
        yield from made
        return
    ahead, blocks = Ahead(mixture.cache), order.blocks(start)
    try:
        _, reading = next(blocks)
        first_step, coming = next(blocks)
        ahead.want([mixture.shards[s].tar for s in (*reading, *coming)])
        for step, one in enumerate(made, start):
            if step >= first_step:  # every step before is done with the block before
                first_step, coming = next(blocks)
                ahead.want([mixture.shards[s].tar for s in coming])
            yield one
    finally:
        ahead.close()


def _while_workers_live(made: Iterable[T]) -> Iterator[T]:
    """TrainingStopped where a worker is gone: killed, or for want of memory."""
    try:
        yield from made
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingStopped(
            "a process that decodes samples was killed; the memory may be full: "
            "choose fewer --workers or a smaller --batch"
        ) from error


def read_sample(
    files: ShardFiles, shard: Shard, indexed: IndexedSample, *, frames: int
) -> Sample:
    """The sample with `frames` evenly spaced ones of its frames.

    ValueError names the tar and the key where a member is missing, cut short or damaged, or is not
    what the index and the tar's header say of it; Unreachable as `ShardFiles` raises it.
    """
    key = indexed.key
    try:
        numbers = evenly_spaced(indexed.frame_count, frames)
        names = member_names(indexed.frame_count, image_format_of(key, indexed.members))
        wanted = [names[0], *(names[1 + i] for i in numbers), META_NAME]
        places = {name: indexed.members[name] for name in wanted if name in indexed.members}
        members = read_members(files.opened(shard.tar), key, places)
        meta = decode_meta(key, members)
        if len(meta["times"]) != indexed.frame_count:
            raise ValueError(
                f"sample {key}: expected {len(meta['times'])} frames as its {META_NAME} says, "
                f"found {indexed.frame_count}"
            )
        return decode_frames(key, members, meta, numbers)
    except ValueError as error:
        raise ValueError(f"{shard.tar}: {error}") from error
    except Unreachable:
        raise
    except OSError as error:
        raise ValueError(f"{shard.tar}: sample {key}: {error.strerror or error}") from error


def refuse_smaller(shard: Shard, sample: Sample, least_hw: tuple[int, int]) -> None:
    """That a sample is no smaller than the indexes say that all are."""
    height, width = sample.blur.shape[:2]
    if height < least_hw[0] or width < least_hw[1]:
        raise ValueError(
            f"{shard.tar}: sample {sample.key}: expected at least {least_hw[1]}x{least_hw[0]} "
            f"pixels as the index says, found {width}x{height}"
        )


def read_members(tar: int, key: str, places: Mapping[str, tuple[int, int]]) -> dict[str, bytes]:
    """The data of members, each at (offset, size), of the tar open as `tar`.

    ValueError where the header before them says something else, OSError where the tar ends before.
    """
    begin = min(offset for offset, _ in places.values()) - TAR_BLOCK
    end = max(sum(place) for place in places.values())
    if end - begin > WASTE * sum(size for _, size in places.values()) + TAR_BLOCK * 2 * len(places):
        parts = [read_members(tar, key, {name: place}) for name, place in places.items()]
        return {name: data for part in parts for name, data in part.items()}
    data = os.pread(tar, end - begin, begin)
    members = {}
    for name, (offset, size) in places.items():
        at = offset - begin
        if len(data) < at + size:
            found = max(len(data) - at, 0)
            raise OSError(f"expected {size} bytes at byte {offset}, found {found}")
        check_header(data[at - TAR_BLOCK : at], key, name, size)
        members[name] = data[at : at + size]
    return members


class ShardFiles:
    """Tars opened when they are first read, in the process that reads; the last few stay open.

    cache: where remote ones are fetched to.
    """

    def __init__(self, cache: ShardCache | None = None) -> None:
        self._cache = cache
        self._open: OrderedDict[Path | RemoteShard, int] = OrderedDict()

    def opened(self, tar: Path | RemoteShard) -> int:
        """A file descriptor of the tar; OSError where a local one cannot be opened, Unreachable
        where a remote one cannot be had or is not what its index says."""
        if tar not in self._open:
            self._make_room()
            self._open[tar] = self._open_anew(tar)
        self._open.move_to_end(tar)
        return self._open[tar]

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _open_anew(self, tar: Path | RemoteShard) -> int:
        if not isinstance(tar, RemoteShard):
            return os.open(tar, os.O_RDONLY)
        try:
            return self._cache.open(tar)
        except (OSError, ValueError) as error:
            raise Unreachable(str(error)) from error

    def _make_room(self) -> None:
        """Closes the tar whose use lies longest back, and those that the cache has dropped: an open
        file takes space without a name, too."""
        gone = [tar for tar, handle in self._open.items() if not os.fstat(handle).st_nlink]
        if not gone and len(self._open) >= MAX_OPEN_FILES:
            gone = [next(iter(self._open))]
        for tar in gone:
            os.close(self._open.pop(tar))

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True)
class _Failure:
    """An error on its way out of a worker; as an exception its sentence would be lost."""

    kind: type[Exception]
    sentence: str


class _BatchReader(Dataset):
    """A batch's numbers -> what `collate` makes of its samples. Files are opened on first use,
    hence never shared between processes."""

    def __init__(
        self, mixture: Mixture, collate: Callable[[Iterator[Sample], GlobalBatch], T]
    ) -> None:
        self._mixture = mixture
        self._collate = collate
        self._files: ShardFiles | None = None

    def __getitem__(self, batch: GlobalBatch) -> Delivery[T] | _Failure:
        self._files = self._files or ShardFiles(self._mixture.cache)
        refused: list[str] = []
        try:
            made = self._collate(self._samples(batch.numbers, refused), batch)
            return Delivery(made, tuple(refused))
        except (ValueError, Unreachable) as error:
            kind = Unreachable if isinstance(error, Unreachable) else ValueError
            return _Failure(kind, str(error))

    def _samples(self, numbers: Iterable[int], refused: list[str]) -> Iterator[Sample]:
        """The samples that can be read; `refused` gets a sentence for each of the others."""
        for number in numbers:
            try:
                shard, indexed = self._mixture.locate(number)
                sample = read_sample(self._files, shard, indexed, frames=self._mixture.frames)
                refuse_smaller(shard, sample, self._mixture.size_hw)
            except ValueError as error:
                refused.append(str(error))
            else:
                yield sample


def _as_it_is(made: T) -> T:
    return made


def _one_thread(worker: int) -> None:
    """Workers are the parallelism; Ctrl-C is the parent's to answer."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
