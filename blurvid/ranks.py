"""The processes that train together, one a GPU: `torchrun --no-python blurvid train ...`.

Each takes its slice of every global batch; what one of them finds out, all learn before they act,
so that none waits for another that has stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from blurvid.stopped import TrainingStopped

T = TypeVar("T")
RANK, COUNT, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"  # as torchrun sets them
_SIGNS_OF_A_LOST_RANK = ("Connection closed", "Connection reset", "Broken pipe", "NCCL", "Timed out")


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
            with heard():
                dist.all_reduce(values)
        return values

    def gathered(self, value: T) -> list[T]:
        """What each rank gave, in the order of ranks."""
        if self.count == 1:
            return [value]
        values: list[T] = [value] * self.count
        with heard():
            dist.all_gather_object(values, value)
        return values

    def first_alone(self, action: Callable[[], None]) -> None:
        """The first rank acts, the others wait; its ValueError or OSError is everyone's."""
        self.agreed(action if self.first else lambda: None)

    def agreed(self, action: Callable[[], T]) -> T:
        """What the action gives on this rank. A ValueError or OSError of one rank is raised by it
        as it came, and by the others as a ValueError."""
        result, failure = None, None
        try:
            result = action()
        except (ValueError, OSError) as error:
            failure = error
        sentences = [s for s in self.gathered(failure and str(failure)) if s is not None]
        if sentences:
            raise failure or ValueError(sentences[0])
        return result

    def refuse_unequal(self, facts: Mapping[str, Any]) -> None:
        """ValueError that names what is not the same on every rank."""
        for rank, others in enumerate(self.gathered(dict(facts))):
            for name, value in facts.items():
                if others[name] != value:
                    raise ValueError(
                        f"expected the same {name} on every rank, found {value} on rank "
                        f"{self.rank} and {others[name]} on rank {rank}; all of them need the same "
                        "command, shards and run folder"
                    )

    def together(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The module, whose gradient is from now on the mean over ranks."""
        if self.count == 1:
            return module
        return nn.parallel.DistributedDataParallel(
            module,
            device_ids=[device] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )


@contextmanager
def heard() -> Iterator[None]:
    """TrainingStopped where another rank is gone in the middle of what all do together."""
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _SIGNS_OF_A_LOST_RANK):
            raise
        raise TrainingStopped(
            "another process of this training is gone; when all are back, the same command with "
            "--resume goes on from the state that was saved last"
        ) from error


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
