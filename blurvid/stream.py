"""order + index -> decoded samples, read at random from local tars.

Only the members that are needed are read, where the index says they lie. What comes, and in which
order, does not depend on the number of workers; a worker only decodes.
"""

from __future__ import annotations

import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    decode_meta,
    decode_sample,
    image_format_of,
    member_names,
)
from blurvid.batch import evenly_spaced
from blurvid.index import Mixture, Shard
from blurvid.order import GlobalBatch
from blurvid.plain import check_header
from blurvid.stopped import TrainingStopped

T = TypeVar("T")
MAX_OPEN_FILES = 64


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
        self.sentences.append(sentence)
        if len(self.sentences) > self.limit:
            more = f" (with it more than the {self.limit} that --max-bad allows)"
            raise ValueError(sentence + (more if self.limit else ""))
        return True


def read_samples(
    mixture: Mixture, numbers: Iterable[int], *, bad: BadSamples | None = None
) -> Iterator[Sample]:
    """The samples with these numbers, decoded in this process; without those that `bad` takes."""
    files, bad = ShardFiles(), bad or BadSamples()
    for number in numbers:
        try:
            yield read_sample(files, *mixture.locate(number), frames=mixture.frames)
        except ValueError as error:
            bad.add(str(error))


def read_batches(
    mixture: Mixture,
    batches: Iterable[GlobalBatch],
    *,
    collate: Callable[[Sequence[Sample], int], T],
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Delivery[T]]:
    """`collate(samples, epoch)` of each batch in turn, made by `workers` processes (0: here).

    What `collate` cannot take is an error; a sample that cannot be read is a sentence.
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

    ValueError names the tar and the key where a member is missing, cut short or damaged, or is not
    what the index and the tar's header say of it.
    """
    key = indexed.key

    def read(*names: str) -> dict[str, bytes]:
        places = {name: indexed.members[name] for name in names if name in indexed.members}
        return {name: files.read_member(shard.tar, key, name, p) for name, p in places.items()}

    try:
        members = read(META_NAME)
        stored = len(decode_meta(key, members)["times"])
        if stored != indexed.frame_count:
            raise ValueError(
                f"sample {key}: expected {stored} frames as its {META_NAME} says, "
                f"found {indexed.frame_count}"
            )
        numbers = evenly_spaced(stored, frames)
        names = member_names(stored, image_format_of(key, indexed.members))
        members |= read(names[0], *(names[1 + i] for i in numbers))
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

    def read_member(self, path: Path, key: str, name: str, place: tuple[int, int]) -> bytes:
        """The data of a member; ValueError where the header before them says something else."""
        offset, size = place
        data = self.read(path, offset - TAR_BLOCK, TAR_BLOCK + size)
        check_header(data[:TAR_BLOCK], key, name, size)
        return data[TAR_BLOCK:]

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

    def __getitem__(self, batch: GlobalBatch) -> Delivery[T] | _Damage:
        self._files = self._files or ShardFiles()
        frames = self._mixture.frames
        samples, refused = [], []
        for number in batch.numbers:
            try:
                located = self._mixture.locate(number)
                samples.append(read_sample(self._files, *located, frames=frames))
            except ValueError as error:
                refused.append(str(error))
        try:
            return Delivery(self._collate(samples, batch.epoch), tuple(refused))
        except ValueError as error:
            return _Damage(str(error))


def _as_it_is(made: T) -> T:
    return made


def _one_thread(worker: int) -> None:
    """Workers are the parallelism; Ctrl-C is the parent's to answer."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
