"""The same PNG files through our stream and through other packages' loaders, with one decoder and
one collation, and through the decoder alone.

Each maker takes the images and gives a function: number of workers -> the batches of an epoch,
(B, 3, H, W) and (B, n, 3, H, W) uint8. Each package shuffles in its documented way.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from stopwatch import Cost, cost_of
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from blursynth.schema import decode_image, member_names
from blurvid.batch import Assembly, frames_as_stored, write_planes
from blurvid.index import Mixture, find_mixture
from blurvid.order import Order
from blurvid.stream import ShardFiles, read_batches, read_members

BATCH = 8
WAIT_SECONDS = 120
SHUFFLED_TOGETHER = 100  # samples that webdataset holds
PEER_MODULES = {
    "webdataset": "webdataset",
    "litdata": "litdata",
    "mosaicml-streaming": "streaming",
}

Pair = tuple[np.ndarray, np.ndarray]
Tensors = tuple[Tensor, Tensor]
Epoch = Callable[[int], Iterable[Tensors]]


@dataclass(frozen=True)
class Images:
    """One data set. folder: holds shards/, and is where the other packages' forms of it go."""

    folder: Path
    px: int
    frames: int

    @cached_property
    def mixture(self) -> Mixture:
        return find_mixture(self.folder / "shards", split="train", frames=self.frames)

    @property
    def in_shard(self) -> int:
        return max(self.mixture.shard_sizes)

    @property
    def names(self) -> list[str]:
        """Member names of the pictures, the blur's first."""
        return member_names(self.frames, "png")[: 1 + self.frames]

    def pngs(self, number: int) -> dict[str, bytes]:
        """The files of a sample by member name."""
        shard, indexed = self.mixture.locate(number)
        files = ShardFiles()  # which closes the tar when it is let go
        tar = files.opened(shard.tar)
        places = {name: indexed.members[name] for name in self.names}
        return read_members(tar, indexed.key, places)

    def all_pngs(self) -> list[list[bytes]]:
        return [list(self.pngs(i).values()) for i in range(self.mixture.sample_count)]


# --- the same for all ------------------------------------------------------------------------


def collate(pairs: Iterable[Pair]) -> Tensors:
    """Of blurs (H, W, 3) and frames (n, H, W, 3), uint8."""
    pairs = list(pairs)
    size_hw, frame_count = pairs[0][0].shape[:2], len(pairs[0][1])
    blurs = np.empty((len(pairs), 3, *size_hw), np.uint8)
    frames = np.empty((len(pairs), frame_count, 3, *size_hw), np.uint8)
    write_planes([blur for blur, _ in pairs], blurs)
    for (_, targets), planes in zip(pairs, frames, strict=True):
        write_planes(targets, planes)
    return torch.from_numpy(blurs), torch.from_numpy(frames)


def collate_files(names: Sequence[str], samples: Sequence[Mapping[str, bytes]]) -> Tensors:
    """Of samples as the other packages' loaders have them, by the members' names."""
    return collate(decode(bytes(sample[name]) for name in names) for sample in samples)


def decode(pngs: Iterable[bytes]) -> Pair:
    blur, *frames = (decode_image(png, "png") for png in pngs)
    return blur, np.stack(frames)


def one_thread(worker: int = 0) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


# --- ours and the floor ----------------------------------------------------------------------


def whole_pictures(images: Images) -> Assembly:
    """What training makes batches with; its crops are the whole pictures here."""
    return Assembly(images.mixture.size_hw, images.frames, 0, frames_as_stored)


def ours(images: Images) -> Epoch:
    """As training reads."""
    order = Order(images.mixture.shard_sizes, batch=BATCH, seed=0)

    def epoch(workers: int) -> Iterator[Tensors]:
        batches = order.batches(0, order.steps_per_epoch)
        read = read_batches(images.mixture, batches, collate=whole_pictures(images), workers=workers)
        return ((delivery.made.blur, delivery.made.frames) for delivery in read)

    return epoch


def floor_cost(pngs: list[list[bytes]], workers: int) -> Cost:
    """Of decoding files that are in memory, shared out to so many processes (0: here)."""
    if not workers:
        _decode_alone(pngs[:BATCH])
        return cost_of(partial(_decode_alone, pngs))
    barrier = multiprocessing.Barrier(workers + 1, timeout=WAIT_SECONDS)
    shares = [pngs[number::workers] for number in range(workers)]
    processes = [multiprocessing.Process(target=_share, args=(s, barrier)) for s in shares]
    for process in processes:
        process.start()
    barrier.wait()
    cost = cost_of(barrier.wait)
    for process in processes:
        process.join()
    return cost


def _share(pngs: list[list[bytes]], barrier: multiprocessing.Barrier) -> None:
    one_thread()
    _decode_alone(pngs[:BATCH])
    barrier.wait()
    _decode_alone(pngs)
    barrier.wait()


def _decode_alone(pngs: Iterable[Iterable[bytes]]) -> None:
    for png in itertools.chain.from_iterable(pngs):
        decode_image(png, "png")


# --- others ----------------------------------------------------------------------------------


def webdataset_loader(images: Images) -> Epoch:
    """The shards as they are, read in sequence; a worker has whole shards."""
    import webdataset

    tars = [str(shard.tar) for shard in images.mixture.shards]
    samples = webdataset.WebDataset(tars, shardshuffle=len(tars)).shuffle(SHUFFLED_TOGETHER)
    batches = samples.batched(BATCH, collation_fn=partial(collate_files, images.names))
    return lambda workers: webdataset.WebLoader(
        batches, batch_size=None, num_workers=workers, worker_init_fn=one_thread
    )


def litdata_loader(images: Images) -> Epoch:
    from litdata import StreamingDataLoader, StreamingDataset

    folder = _written(images.folder / "litdata", partial(_write_litdata, images))
    return _epoch(StreamingDataLoader, StreamingDataset(str(folder), shuffle=True), images)


def _write_litdata(images: Images, folder: Path) -> None:
    from litdata import optimize

    numbers = list(range(images.mixture.sample_count))
    optimize(
        images.pngs, numbers, str(folder), chunk_size=images.in_shard, num_workers=1, verbose=False
    )


def mosaicml_loader(images: Images) -> Epoch:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    folder = _written(images.folder / "mosaicml", partial(_write_mosaicml, images))
    data = StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH)
    return _epoch(DataLoader, data, images)


def _write_mosaicml(images: Images, folder: Path) -> None:
    from streaming import MDSWriter

    columns = dict.fromkeys(images.names, "bytes")
    shard_bytes = max(shard.tar.stat().st_size for shard in images.mixture.shards)
    with MDSWriter(columns=columns, out=str(folder), size_limit=shard_bytes) as writer:
        for number in range(images.mixture.sample_count):
            writer.write(images.pngs(number))


PEERS: dict[str, Callable[[Images], Epoch]] = {
    "webdataset": webdataset_loader,
    "litdata": litdata_loader,
    "mosaicml-streaming": mosaicml_loader,
}


def why_left_out(peer: str) -> str:
    """Empty where it can be used."""
    try:
        version(peer)
        import_module(PEER_MODULES[peer])
    except (ImportError, RuntimeError) as error:  # the latter: another package is of another build
        return str(error)
    return ""


def _epoch(loader: type[DataLoader], data: IterableDataset, images: Images) -> Epoch:
    return lambda workers: loader(
        data,
        batch_size=BATCH,
        num_workers=workers,
        collate_fn=partial(collate_files, images.names),
        worker_init_fn=one_thread,
        drop_last=True,
    )


def _written(folder: Path, write: Callable[[Path], None]) -> Path:
    """The folder, which `write` makes where it is not there yet: whole or not at all."""
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}-{os.getpid()}")
        write(unfinished)
        unfinished.rename(folder)
    return folder
