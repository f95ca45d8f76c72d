"""How a step is computed on a device: number format, memory layout, compilation, copying ahead.

None of it changes what is computed, but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import nn

from blurvid.batch import Batch
from blurvid.stream import Delivery

PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class ComputeSpec:
    """What the user chooses. precision: "auto" is bf16 where the device computes in it. compile:
    None: on a GPU, where it soon pays."""

    precision: str = "auto"
    compile: bool | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"expected precision to be {known}, found {self.precision!r}")

    def on(self, device: torch.device) -> Compute:
        """The choices that were left open, made for this device.

        On a CPU, oneDNN reorders what is not channels_last before each bfloat16 convolution.
        """
        gpu = device.type == "cuda"
        bf16 = self.precision == "bf16" or self.precision == "auto" and has_bf16(device)
        compile_ = gpu if self.compile is None else self.compile
        return Compute(device, bf16, channels_last=gpu or bf16, compile=compile_)


@dataclass(frozen=True)
class Compute:
    """bf16: convolutions under autocast to bfloat16; weights, warps, losses and the optimiser stay
    float32. channels_last: the memory layout of images and weights."""

    device: torch.device
    bf16: bool = False
    channels_last: bool = False
    compile: bool = False

    @property
    def precision(self) -> str:
        return "bf16" if self.bf16 else "fp32"

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model itself, on the device and in the layout."""
        return model.to(self.device, memory_format=self.memory_format)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def has_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16: without them it would be slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def on_device(
    deliveries: Iterable[Delivery[Batch]], device: torch.device
) -> Iterator[Delivery[Batch]]:
    """The batches on the device; on a GPU each is copied while the one before is worked on."""
    if device.type != "cuda":
        yield from deliveries
        return
    copying, coming = torch.cuda.Stream(device), None
    for delivery in deliveries:
        with torch.cuda.stream(copying):
            arriving = replace(delivery, made=delivery.made.to(device)), copying.record_event()
        if coming is not None:
            yield _arrived(*coming)
        coming = arriving
    if coming is not None:
        yield _arrived(*coming)


def _arrived(delivery: Delivery[Batch], copied: torch.cuda.Event) -> Delivery[Batch]:
    """What was copied; the work that follows waits for the copy."""
    working = torch.cuda.current_stream()
    working.wait_event(copied)
    delivery.made.images.record_stream(working)
    return delivery
