"""Predicted frames kept in one HDF5 file, as they come; a file stands under its name only when it
is whole."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from blurvid.checkpoint import written_whole
from blurvid.index import DataSet
from blurvid.predictions import PredictedBatch

GZIP_LEVEL = 4


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
