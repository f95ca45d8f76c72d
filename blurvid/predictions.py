"""Samples -> what a model makes of them, batch by batch.

    samples -> groups of one size -> PredictedBatch -> rows, figures, prediction_file
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from blursynth.schema import Sample
from blurvid.batch import channels_first, unit_range
from blurvid.restore import predict

BATCH_PIXELS = 1 << 18


class PredictedBatch(NamedTuple):
    """Samples of one size; blur (B, 3, H, W), truth and frames (B, n, 3, H, W) on the device, in
    [0, 1] but for the predicted frames, which are not clamped."""

    samples: Sequence[Sample]
    blur: Tensor
    truth: Tensor
    frames: Tensor

    def codes(self) -> np.ndarray:
        """(B, n, H, W, 3) uint8: the predicted frames as a camera would save them."""
        codes = self.frames.clamp(0, 1).mul(255).round().byte()
        return np.ascontiguousarray(codes.movedim(2, -1).cpu().numpy())


def predicted_batches(
    model, samples: Iterable[Sample], *, device: torch.device, batch: int | None
) -> Iterator[PredictedBatch]:
    """What the model makes of the samples, in their order."""
    for group in equal_sized(samples, batch=batch):
        blur, truth = (
            unit_range(channels_first(np.stack(images)).to(device))
            for images in zip(*((s.blur, s.frames) for s in group), strict=True)
        )
        frames = predict(model, blur).float()
        if frames.shape != truth.shape:
            raise ValueError(
                f"expected {truth.shape[1]} frames from the model, found {frames.shape[1]}"
            )
        yield PredictedBatch(group, blur, truth, frames)


def equal_sized(samples: Iterable[Sample], *, batch: int | None) -> Iterator[list[Sample]]:
    """Groups of neighbours of one size: `batch` at most, or as many as `BATCH_PIXELS` hold."""
    group: list[Sample] = []
    for sample in samples:
        height, width = sample.blur.shape[:2]
        most = batch or max(1, BATCH_PIXELS // (height * width))
        if group and (len(group) >= most or group[0].blur.shape != sample.blur.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group
