"""What a training leaves behind: options, metrics, events, sample strips, checkpoints (spec 3)."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blursynth.schema import encode_image
from blurvid.checkpoint import written_whole
from blurvid.restore import STRIP_GAP, strip

WHITE = 255


@dataclass(frozen=True)
class RunFolder:
    """The names of what a run folder holds."""

    path: Path

    @property
    def options(self) -> Path:
        return self.path / "options.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def events(self) -> Path:
        return self.path / "tensorboard"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def trace(self) -> Path:
        return self.path / "trace.json"

    def before_last(self, k: int) -> Path:
        """The state that was saved k saves before `last`; `last` itself for k = 0."""
        return self.path / f"last-{k}.safetensors" if k else self.last

    def saved(self) -> list[Path]:
        """The saved states that are there, the newest first."""
        older = self.path.glob("last-*.safetensors")
        numbers = sorted(int(p.stem[5:]) for p in older if p.stem[5:].isdigit())
        return [p for p in map(self.before_last, (0, *numbers)) if p.exists()]

    def make_room(self, keep: int) -> None:
        """Moves the saved states one back and removes all but `keep` - 1 of them, so that the
        next save keeps them; `last` is there all the while."""
        for k, path in reversed(list(enumerate(self.saved()))):
            if k >= keep - 1:
                if k:
                    path.unlink()
            elif k:
                os.replace(path, self.before_last(k + 1))
            else:
                _doubled(path, self.before_last(1))

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    def samples(self, step: int) -> Path:
        return self.path / "samples" / f"step-{step:07d}.png"

    def check(self, *, resume: bool) -> None:
        """That a new run finds no other here, and a resumed one its own."""
        if resume and not self.options.exists():
            raise ValueError(f"{self.path} holds no run to resume; leave --resume out")
        leftovers = set(self.path.glob(".*.partial"))  # of a run that was killed
        taken = self.path.is_file() or self.path.is_dir() and set(self.path.iterdir()) - leftovers
        if taken and not resume:
            raise ValueError(
                f"{self.path} is there already: add --resume to go on with that run, "
                "or give another --out"
            )

    def remove_leftovers(self) -> None:
        """Of a run that was killed while it wrote; the folder is held."""
        for leftover in self.path.glob(".*.partial"):
            leftover.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other training works in this folder meanwhile; the hold ends with the process. Where
        the file system knows no locks, nothing is held."""
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            _lock(handle, self.path)
            self.remove_leftovers()
            yield
        finally:
            os.close(handle)

    def write_options(self, options: Mapping[str, Any]) -> None:
        with written_whole(self.options) as temporary:
            temporary.write_text(json.dumps(options, indent=1) + "\n")


class Record:
    """Metrics row by row, in `metrics.csv` and as TensorBoard events; strips as pictures.

    A run resumed after `step` continues both from there: later rows are those of steps that a
    kill undid.
    """

    def __init__(self, folder: RunFolder, columns: Sequence[str], *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, needed here alone

        self._folder = folder
        self._columns = ["step", "epoch", *columns]
        _keep_rows(folder.metrics, self._columns, step)
        self._file = open(folder.metrics, "a", newline="")
        self._rows = csv.DictWriter(self._file, self._columns, restval="")
        self._events = SummaryWriter(str(folder.events), purge_step=step + 1)

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._events.close()

    def add(self, group: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """A row of these values; as events they are named `group/name`."""
        written = {name: f"{value:.6g}" for name, value in values.items()}
        self._rows.writerow({"step": step, "epoch": epoch, **written})
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{group}/{name}", value, step)
        self._events.flush()

    def add_samples(self, step: int, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8 RGB."""
        path = self._folder.samples(step)
        with written_whole(path) as temporary:
            temporary.write_bytes(encode_image(picture, "png"))
        self._events.add_image("test/samples", picture, step, dataformats="HWC")


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"expected {path} to itself, found another training at work in it; wait for that one, "
            "or give another --out"
        ) from error
    except OSError:
        return


def _doubled(path: Path, other: Path) -> None:
    """The file under the other name as well, without a copy where the file system can."""
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        with written_whole(other) as temporary:
            shutil.copyfile(path, temporary)


def _keep_rows(path: Path, columns: Sequence[str], step: int) -> None:
    """The header and the rows up to `step`."""
    kept = []
    if path.exists():
        try:
            with open(path, newline="") as file:
                rows = csv.reader(file)
                kept = [row for row in rows if len(row) == len(columns) and row[0].isdigit()]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); move it away, and a new one is begun"
            ) from error
    with written_whole(path) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows([columns, *(row for row in kept if int(row[0]) <= step)])


def comparison(blur: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """blur (H, W, 3), predicted and truth (n, H, W, 3), uint8 -> one picture: the blur, and to
    its right the predicted frames above the true ones."""
    return stacked([strip([blur, *predicted]), strip([np.full_like(blur, WHITE), *truth])])


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) one below the other, white between them and beside narrower ones."""
    widest = max(picture.shape[1] for picture in pictures)
    margins = [((0, STRIP_GAP), (0, widest - picture.shape[1]), (0, 0)) for picture in pictures]
    padded = [np.pad(p, m, constant_values=WHITE) for p, m in zip(pictures, margins, strict=True)]
    return np.concatenate(padded)[:-STRIP_GAP]
