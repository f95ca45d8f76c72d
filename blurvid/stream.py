"""order + index -> decoded samples, read at random from local tars.

Only the members that are needed are read, where the index says they lie. What comes, and in which
order, does not depend on the number of workers; a worker only decodes.
"""

from __future__ import annotations

import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from blursynth.schema import (
    META_NAME,
    IndexedSample,
    Sample,
    decode_meta,
    decode_sample,
    image_format_of,
    member_names,
    refuse_unknown_members,
)
from blurvid.batch import evenly_spaced
from blurvid.index import Mixture, Shard
from blurvid.order import GlobalBatch
from blurvid.stopped import TrainingStopped

T = TypeVar("T")
MAX_OPEN_FILES = 64


def read_samples(mixture: Mixture, numbers: Iterable[int]) -> Iterator[Sample]:
    """The samples with these numbers, decoded in this process."""
    files = ShardFiles()
    for number in numbers:
        yield read_sample(files, *mixture.locate(number), frames=mixture.frames)


def read_batches(
    mixture: Mixture,
    batches: Iterable[GlobalBatch],
    *,
    collate: Callable[[Sequence[Sample], int], T],
    workers: int = 0,
) -> Iterator[T]:
    """`collate(samples, epoch)` of each batch in turn, made by `workers` processes (0: here)."""
    loader = DataLoader(
        _BatchReader(mixture, collate),
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # else it would draw from the global one
    )
    for made in _while_workers_live(loader):
        if isinstance(made, _Damage):
            raise ValueError(made.sentence)
        yield made


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

    ValueError names the tar and the key where a member is missing, not listed by the contract,
    cut short or damaged.
    """
    key = indexed.key

    def read(name: str) -> bytes:
        return files.read(shard.tar, *indexed.members[name])

    try:
        members = {name: read(name) for name in (META_NAME,) if name in indexed.members}
        stored = len(decode_meta(key, members)["times"])
        numbers = evenly_spaced(stored, frames)
        image_format = image_format_of(key, indexed.members)
        names = member_names(stored, image_format)
        refuse_unknown_members(key, indexed.members, names)
        wanted = [names[0], *(names[1 + i] for i in numbers)]
        members |= {name: read(name) for name in wanted if name in indexed.members}
        return decode_sample(key, members, frames=numbers)
    except ValueError as error:
        raise ValueError(f"{shard.tar}: {error}") from error
    except OSError as error:
        raise ValueError(f"{shard.tar}: sample {key}: {error.strerror or error}") from error


class ShardFiles:
    """Tars opened when they are first read, in the process that reads; the last few stay open."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`; OSError where the file ends before."""
        data = os.pread(self._handle(path), size, offset)
        if len(data) != size:
            raise OSError(f"expected {size} bytes at byte {offset}, found {len(data)}")
        return data

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _handle(self, path: Path) -> int:
        if path not in self._open:
            if len(self._open) >= MAX_OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = os.open(path, os.O_RDONLY)
        self._open.move_to_end(path)
        return self._open[path]

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True)
class _Damage:
    """An error on its way out of a worker; as an exception its sentence would be lost."""

    sentence: str


class _BatchReader(Dataset):
    """A batch's numbers -> what `collate` makes of its samples. Files are opened on first use,
    hence never shared between processes."""

    def __init__(self, mixture: Mixture, collate: Callable[[Sequence[Sample], int], T]) -> None:
        self._mixture = mixture
        self._collate = collate
        self._files: ShardFiles | None = None

    def __getitem__(self, batch: GlobalBatch) -> T | _Damage:
        self._files = self._files or ShardFiles()
        frames = self._mixture.frames
        try:
            samples = [
                read_sample(self._files, *self._mixture.locate(number), frames=frames)
                for number in batch.numbers
            ]
            return self._collate(samples, batch.epoch)
        except ValueError as error:
            return _Damage(str(error))


def _as_it_is(made: T) -> T:
    return made


def _one_thread(worker: int) -> None:
    """Workers are the parallelism; Ctrl-C is the parent's to answer."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
