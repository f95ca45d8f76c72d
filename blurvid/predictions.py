"""Samples -> what a model makes of them, batch by batch, and the file that keeps it.

    samples -> groups of one size -> PredictedBatch -> scores (rows.py), HDF5 (here)
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch import Tensor

from blursynth.schema import Sample
from blurvid.batch import channels_first, unit_range
from blurvid.checkpoint import written_whole
from blurvid.index import DataSet
from blurvid.restore import predict

BATCH_PIXELS = 1 << 18
GZIP_LEVEL = 4


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


# --- kept -----------------------------------------------------------------------------------


class PredictionFile:
    """An HDF5 file to which batches are appended.

    A group for each data set, in it one for each image size ("128x96": width, height); in that
    `blur` (samples, H, W, 3) and `frames` (samples, n, H, W, 3), uint8 RGB, gzip, one image a
    chunk; `key` and `meta` (samples,), texts, the latter JSON. Attributes are JSON: `made_by` of
    the file, `data_set` (name, split, fingerprint) of a data set's group.
    """

    def __init__(self, file: h5py.File, disk: "_Disk"):
        self._file, self._disk = file, disk

    def add(self, data_set: DataSet, batch: PredictedBatch) -> None:
        """Appends the batch's samples."""
        group = self._file.require_group(data_set.name)
        facts = {"split": data_set.split, "fingerprint": data_set.fingerprint}
        group.attrs["data_set"] = json.dumps({"name": data_set.name, **facts})
        height, width = batch.blur.shape[-2:]
        sized = group.require_group(f"{width}x{height}")
        _append(sized, "key", np.array([s.key for s in batch.samples], object))
        _append(sized, "meta", np.array([json.dumps(s.meta) for s in batch.samples], object))
        _append(sized, "blur", np.stack([s.blur for s in batch.samples]))
        _append(sized, "frames", batch.codes())
        self._disk.check()


@contextmanager
def prediction_file(path: Path, made_by: Mapping[str, Any]) -> Iterator[PredictionFile]:
    """A new file at `path`, which stands there when the block ends without an error, or not at
    all; nothing but the batch at hand is in memory."""
    with written_whole(path) as temporary, _Disk(temporary, "w+") as disk:
        with h5py.File(disk, "w") as file:
            file.attrs["made_by"] = json.dumps(made_by)
            yield PredictionFile(file, disk)
        disk.check()


class _Disk(io.FileIO):
    """A file whose writes never fail, but are remembered to have failed.

    HDF5 kills the process (segmentation fault) when it cannot write what it holds at its close, as
    on a full disk.
    """

    _failure: OSError | None = None

    def write(self, data) -> int:
        """All of the data; nothing more once a write has failed."""
        left = memoryview(data).cast("B")
        try:
            while len(left) and not self._failure:
                left = left[super().write(left) :]
        except OSError as error:
            self._failure = error
        return memoryview(data).nbytes

    def check(self) -> None:
        """Raises what a write has failed of."""
        if self._failure:
            raise self._failure


def _append(group: h5py.Group, name: str, rows: np.ndarray) -> None:
    """Makes the data set longer by these rows, and before that the data set itself."""
    if name not in group:
        is_text = rows.dtype == object
        how = {"dtype": h5py.string_dtype()} if is_text else _compressed(rows)
        group.create_dataset(
            name, shape=(0, *rows.shape[1:]), maxshape=(None, *rows.shape[1:]), **how
        )
    stored = group[name]
    stored.resize(len(stored) + len(rows), axis=0)
    stored[-len(rows) :] = rows


def _compressed(images: np.ndarray) -> dict[str, Any]:
    """How (..., H, W, 3) uint8 are stored: an image is a chunk."""
    chunk = (*(1 for _ in images.shape[:-3]), *images.shape[-3:])
    gzip = {"compression": "gzip", "compression_opts": GZIP_LEVEL}
    return {"dtype": images.dtype, "chunks": chunk, **gzip}
