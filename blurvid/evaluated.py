"""What `blurvid evaluate --out` left of a run, read back and checked.

Raises ValueError that names the file.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blurvid.rows import MODEL
from blurvid.tables import frame_names, known

FOLDER, FILE = "evaluation", "evaluation.json"
COMPARED = ("psnr", "ssim")
UNREADABLE = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)


class Measured(NamedTuple):
    """What figures must share to stand in one table. frames: restored of each blur."""

    data_set: str
    fingerprint: str
    split: str
    response: str
    frames: int


@dataclass(frozen=True)
class Evaluated:
    """One run on one data set, under one protocol.

    step, seed: of the training, None where its checkpoint did not say. kind: of the blur, "panorama"
    or "video". averaged: least, most and mean n of frames that made a blur. rows: row -> metric -> the figures of the n frames
    and their mean, NaN where nothing could be compared. sample_psnr: key -> the model's PSNR in
    dB, the mean over the frames.
    """

    run: str
    checkpoint: str
    step: int | None
    seed: int | None
    protocol: str
    model: str
    width: int
    measured: Measured
    kind: str
    sizes_hw: tuple[tuple[int, int], ...]
    averaged: tuple[int, int, float]
    samples: int
    rows: Mapping[str, Mapping[str, tuple[float, ...]]]
    sample_psnr: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> str:
        """Which file of a run folder, and of which training, in words."""
        file = Path(self.checkpoint).name
        return f"{file}, step {known(self.step)}, seed {known(self.seed)}"


def read_runs(paths: Sequence[Path], *, protocol: str) -> list[Evaluated]:
    """Every data set of every run. A path is the folder of an `evaluation.json`, or a run folder
    with it in `evaluation/`."""
    found = []
    for name, path in zip(run_names(paths), paths, strict=True):
        file = evaluation_file(path)
        for entry in _entries(file):
            found.append(_read_entry(file, name, entry, protocol))
    return found


def evaluation_file(path: Path) -> Path:
    """Where a run's evaluation stands; ValueError with the command that makes it."""
    for file in (path / FILE, path / FOLDER / FILE):
        if file.is_file():
            return file
    if path.name == FILE and path.is_file():
        return path
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise ValueError(f"{path}: expected a run folder, found {found}")
    command = ["blurvid", "evaluate", "--checkpoint", path, "--shards", _shards_of(path)]
    typed = shlex.join(map(str, [*command, "--out", path / FOLDER]))
    raise ValueError(f"{path} holds no {FILE}; make it with: {typed}")


def run_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path (of `RUN/evaluation...` the run's); of those alike the path."""
    full = [Path(os.path.abspath(path.parent if path.name == FILE else path)) for path in paths]
    last = [(p.parent if p.name.startswith(FOLDER) else p).name for p in full]
    return [
        name if last.count(name) == 1 else str(path)
        for name, path in zip(last, paths, strict=True)
    ]


def _shards_of(path: Path) -> str:
    """Where the run's own shards are, as far as its folder says."""
    try:
        return str(json.loads((path / "options.json").read_text())["data"]["shards"])
    except (OSError, *UNREADABLE):
        return "shards/"


def _entries(file: Path) -> list[Any]:
    try:
        entries = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: it is no JSON; make the evaluation anew") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{file} is damaged: expected a list of data sets; make it anew")
    return entries


def _read_entry(file: Path, run: str, entry: Any, protocol: str) -> Evaluated:
    try:
        known = list(entry["protocols"])
        evaluated = _evaluated(run, entry, protocol) if protocol in known else None
    except UNREADABLE as error:
        raise ValueError(
            f"{file}: expected what `blurvid evaluate --out` writes, found an entry that is "
            f"damaged or of an earlier version ({type(error).__name__}: {error}); make it anew"
        ) from error
    if evaluated is None:
        raise ValueError(
            f"{file} holds no protocol {protocol!r}, but: {', '.join(known)}; evaluate again with "
            f"--protocol {protocol}"
        )
    scores = _sample_psnr(file.with_name(f"samples-{evaluated.measured.data_set}.csv"), evaluated)
    return replace(evaluated, sample_psnr=scores)


def _evaluated(run: str, entry: Mapping[str, Any], protocol: str) -> Evaluated:
    """Without the figures of the single samples."""
    model, stored = entry["model"], entry["protocols"][protocol]
    frames = int(model["frames"])
    facts = (str(entry[name]) for name in ("data_set", "fingerprint", "split", "response"))
    rows = {row: {m: _figures(s[m], frames) for m in COMPARED} for row, s in stored.items()}
    if MODEL not in rows:
        raise ValueError(f"no row {MODEL!r}")
    return Evaluated(
        run=run,
        checkpoint=str(entry["checkpoint"]),
        step=_whole(entry["training"]["step"]),
        seed=_whole(entry["training"]["seed"]),
        protocol=protocol,
        model=" without ".join(filter(None, [str(model["name"]), ", ".join(model["without"])])),
        width=int(model["width"]),
        measured=Measured(*facts, frames),
        kind=str(entry["kind"]),
        sizes_hw=tuple((int(height), int(width)) for height, width in entry["sizes_hw"]),
        averaged=(int(entry["n"]["min"]), int(entry["n"]["max"]), float(entry["n"]["mean"])),
        samples=int(entry["samples"]),
        rows=rows,
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _figures(summary: Mapping[str, Any], frames: int) -> tuple[float, ...]:
    stored = [*summary["frames"], summary["mean"]]
    if len(stored) != frames + 1:
        raise ValueError(f"expected figures of {frames} frames, found {len(stored) - 1}")
    figures = tuple(math.nan if value is None else float(value) for value in stored)
    if any(map(math.isinf, figures)):
        raise ValueError("expected finite figures, found inf")
    return figures


def _sample_psnr(path: Path, evaluated: Evaluated) -> dict[str, float]:
    """key -> mean PSNR of the model's frames, from `samples-<data set>.csv`."""
    if not path.is_file():
        raise ValueError(f"{path} is missing beside {FILE}; make the evaluation anew")
    wanted = (MODEL, evaluated.protocol)
    columns = [f"psnr_{name}" for name in frame_names(evaluated.measured.frames)]
    found: dict[str, float] = {}
    with open(path, newline="") as file:
        lines = csv.DictReader(file)
        try:
            for line in lines:
                if (line["row"], line["protocol"]) == wanted:
                    _add(found, line["key"], np.mean([float(line[c]) for c in columns]))
        except (csv.Error, *UNREADABLE) as error:
            raise ValueError(
                f"{path} is damaged at line {lines.line_num} ({error}); make the evaluation anew"
            ) from error
    if len(found) != evaluated.samples:
        raise ValueError(
            f"{path}: expected {evaluated.samples} samples as {FILE} says, found {len(found)}; "
            "make the evaluation anew"
        )
    return found


def _add(found: dict[str, float], key: str, psnr: Any) -> None:
    if key in found or not math.isfinite(psnr):
        raise ValueError(f"{key}: expected one finite figure a frame")
    found[key] = float(psnr)
