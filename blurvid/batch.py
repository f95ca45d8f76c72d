"""Samples -> Batch of tensors: which frames, which crop, which direction of time.

Whatever is drawn is drawn from (seed, epoch, sample), never from the state of a worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from blursynth.schema import Sample
from blurvid.order import GlobalBatch

DIRECTION_THRESHOLD = 0.25


@dataclass(frozen=True)
class Batch:
    """images (B, 1 + n, 3, H, W) uint8 RGB: each blur and, in time order, its frames; B keys.

    One tensor, as handing it from process to process or to a GPU costs by the piece. A batch
    without samples has no key and one black image, so that a model can be called on it.
    """

    images: Tensor
    keys: tuple[str, ...]

    @property
    def blur(self) -> Tensor:
        """(B, 3, H, W)."""
        return self.images[:, 0]

    @property
    def frames(self) -> Tensor:
        """(B, n, 3, H, W)."""
        return self.images[:, 1:]

    def to(self, device: torch.device) -> Batch:
        """On the device; from pinned memory the copy goes on while the caller does."""
        return Batch(self.images.to(device, non_blocking=True), self.keys)

    def pin_memory(self) -> Batch:
        """In memory from which a GPU copies by itself."""
        return Batch(self.images.pin_memory(), self.keys)


@dataclass(frozen=True)
class Assembly:
    """How the samples of a batch become tensors. crop_hw: the size cut out at random. frames: of
    each sample. frames_in_order: the frames of a sample, turned to the direction that is trained
    on. flip: mirror each sample left to right, and upside down, by the toss of a coin each."""

    crop_hw: tuple[int, int]
    frames: int
    seed: int
    frames_in_order: Callable[[Sample], np.ndarray]
    flip: bool = False

    def __call__(self, samples: Iterable[Sample], batch: GlobalBatch) -> Batch:
        """samples: those of `batch`'s that could be read, each let go before the next is decoded."""
        images = np.empty((len(batch.numbers), 1 + self.frames, 3, *self.crop_hw), np.uint8)
        keys: list[str] = []
        for sample in samples:
            rng = sample_rng(self.seed, batch.epoch, sample.key)
            window = self._window(sample, rng)
            if self.flip:
                across, upside_down = rng.integers(2, size=2).tolist()
                sample = flipped(sample, across=across, upside_down=upside_down)
            stored = (sample.blur, *self.frames_in_order(sample))
            write_planes([image[window] for image in stored], images[len(keys)])
            keys.append(sample.key)
        if not keys:
            return Batch(torch.zeros(1, 1 + self.frames, 3, *self.crop_hw, dtype=torch.uint8), ())
        return Batch(torch.from_numpy(images[: len(keys)]), tuple(keys))

    def _window(self, sample: Sample, rng: np.random.Generator) -> tuple[slice, slice]:
        size_hw = sample.blur.shape[:2]
        if size_hw[0] < self.crop_hw[0] or size_hw[1] < self.crop_hw[1]:
            raise ValueError(
                f"sample {sample.key}: expected at least {self.crop_hw[1]}x{self.crop_hw[0]} "
                f"pixels to crop, found {size_hw[1]}x{size_hw[0]}"
            )
        return random_window(size_hw, self.crop_hw, rng=rng)


def unit_range(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1], on the images' own device; the one place where it happens."""
    return images.float().div(255)


def write_planes(images: Sequence[np.ndarray], into: np.ndarray) -> None:
    """Images (H, W, 3) uint8 -> into (images, 3, H, W), in place; OpenCV takes a sixth of the time
    that a transposed copy does."""
    for image, planes in zip(images, into, strict=True):
        cv2.split(image, list(planes))


def channels_first(images: np.ndarray) -> Tensor:
    """(..., H, W, 3) -> (..., 3, H, W), contiguous."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))


def evenly_spaced(stored: int, wanted: int) -> tuple[int, ...]:
    """Which `wanted` of `stored` frames, from the first to the last: of 7, the 1st, 4th and 7th.

    Of an odd number the middle one is always among an odd number wanted, and reversal of time
    turns the choice into itself.
    """
    if not 2 <= wanted <= stored:
        raise ValueError(f"expected at least {wanted} frames (and 2), found {stored}")
    steps = np.arange(wanted // 2) * (stored - 1) / (wanted - 1)
    first = np.floor(steps + 0.5).astype(int).tolist()
    middle = [(stored - 1) // 2] if wanted % 2 else []
    return (*first, *middle, *(stored - 1 - i for i in reversed(first)))


# --- the direction of time (spec 1.5) ------------------------------------------------------


def frames_as_stored(sample: Sample) -> np.ndarray:
    """(n, H, W, 3) uint8 in the order of the shard."""
    return sample.frames


def frames_canonical(sample: Sample) -> np.ndarray:
    """(n, H, W, 3) uint8, reversed where `direction` points the other way; a sample and its
    reversal give the same."""
    return sample.frames[::-1] if points_backward(sample.meta["direction"]) else sample.frames


def points_backward(direction: Sequence[float]) -> bool:
    """Whether the first component of magnitude above 0.25 is negative; none: as stored."""
    clear = [component for component in direction if abs(component) > DIRECTION_THRESHOLD]
    return bool(clear) and clear[0] < 0


def flipped(sample: Sample, *, across: bool, upside_down: bool) -> Sample:
    """The sample seen in a mirror: left and right changed, or top and bottom; its `direction` too,
    the other metadata stay.

    A turn of the camera about y, or a move in x, changes its sign left to right, that about x, or
    a move in y, upside down, a roll in either mirror: (y, x, z) and (x, y, 0) alike.
    """
    rows = slice(None, None, -1 if upside_down else 1)
    columns = slice(None, None, -1 if across else 1)
    signs = (-1 if across else 1, -1 if upside_down else 1, -1 if across != upside_down else 1)
    direction = [sign * d for sign, d in zip(signs, sample.meta["direction"], strict=True)]
    return replace(
        sample,
        blur=sample.blur[rows, columns],
        frames=sample.frames[:, rows, columns],
        meta={**sample.meta, "direction": direction},
    )


FRAME_ORDERS = {
    "given": frames_as_stored,
    "canonical": frames_canonical,
    "invariant": frames_as_stored,  # the loss chooses
}


# --- randomness ----------------------------------------------------------------------------


def sample_rng(seed: int, epoch: int, key: str) -> np.random.Generator:
    """The sample's own generator in this epoch."""
    identity = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, epoch, identity])


def random_window(
    size_hw: tuple[int, int], crop_hw: tuple[int, int], *, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Rows and columns of a crop, every position equally likely."""
    tops = size_hw[0] - crop_hw[0] + 1
    lefts = size_hw[1] - crop_hw[1] + 1
    top, left = int(rng.integers(tops)), int(rng.integers(lefts))
    return slice(top, top + crop_hw[0]), slice(left, left + crop_hw[1])
