"""The processes that train together, one a GPU: `torchrun --no-python blurvid train ...`.

Each takes its slice of every global batch; what one of them finds out, all learn before they act,
so that none waits for another that has stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
RANK, COUNT, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"  # as torchrun sets them


@dataclass(frozen=True)
class Ranks:
    """This process is number `rank` of `count`; the first one alone writes and speaks."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def slice_of(self, items: Sequence[T]) -> Sequence[T]:
        """This rank's of `count` contiguous slices, whose lengths differ by one at most."""
        return items[
            len(items) * self.rank // self.count : len(items) * (self.rank + 1) // self.count
        ]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks; float64, on the CPU."""
        values = values.detach().double().cpu()
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def gathered(self, value: T) -> list[T]:
        """What each rank gave, in the order of ranks."""
        if self.count == 1:
            return [value]
        values: list[T] = [value] * self.count
        dist.all_gather_object(values, value)
        return values

    def first_alone(self, action: Callable[[], None]) -> None:
        """The first rank acts, the others wait; its ValueError is everyone's."""
        sentence = None
        if self.first:
            try:
                action()
            except ValueError as error:
                if self.count == 1:
                    raise
                sentence = str(error)
        if sentence := self.gathered(sentence)[0]:
            raise ValueError(sentence)

    def together(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The module, whose gradient is from now on the mean over ranks."""
        if self.count == 1:
            return module
        return nn.parallel.DistributedDataParallel(
            module,
            device_ids=[device] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )


def device_of_rank(device: torch.device) -> torch.device:
    """Of several GPUs the one that torchrun gives this process."""
    if device.type == "cuda" and LOCAL_RANK in os.environ:
        return torch.device("cuda", int(os.environ[LOCAL_RANK]))
    return device


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """The ranks that torchrun started, joined while the block runs; without it, this one alone."""
    count = int(os.environ.get(COUNT, "1"))
    if count == 1 or RANK not in os.environ:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
