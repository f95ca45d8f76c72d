"""Studies of motion as text, CSV and JSON, and as pictures in a folder."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from blursynth.schema import encode_image
from blurvid.checkpoint import written_whole
from blurvid.motion import (
    FTN,
    IDENTITY,
    ITN,
    in_better_direction,
    mean_of_known,
    others,
    runs_backward,
)
from blurvid.motion_pictures import figure_6, path_panels
from blurvid.motion_study import MotionStudy
from blurvid.tables import frame_names

ROWS = (ITN, FTN, IDENTITY)
BIN_EDGES_PX = (0, 1, 2, 4, 8, 16, np.inf)
NAME_WIDTH, NUMBER_WIDTH = 10, 9
FIGURE_NAME, PATHS_NAME = "motion.png", "paths.png"
CSV_NAME, JSON_NAME, TABLE_NAME = "motion.csv", "motion.json", "motion.txt"


def write_studies(folder: Path, studies: Sequence[MotionStudy], checkpoint: str) -> list[str]:
    """The tables and the pictures; the names of what is written. Without a known true motion there
    are no paths: those of an earlier study there are removed."""
    objects = [as_json(study, checkpoint) for study in studies]
    contents = {
        TABLE_NAME: "\n".join(as_text(study, checkpoint) for study in studies).encode(),
        JSON_NAME: (json.dumps(objects, indent=1, allow_nan=False) + "\n").encode(),
        CSV_NAME: as_csv(studies).encode(),
        FIGURE_NAME: encode_image(figure_6(studies), "png"),
    }
    paths = path_panels(studies)
    if paths is not None:
        contents[PATHS_NAME] = encode_image(paths, "png")
    else:
        (folder / PATHS_NAME).unlink(missing_ok=True)
    for name, data in contents.items():
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(data)
    return sorted(contents)


# --- text -----------------------------------------------------------------------------------


def as_text(study: MotionStudy, checkpoint: str) -> str:
    """The table of one data set: mean and median, then the means in bins of the identity's error,
    which is how far the picture moves."""
    data = study.data_set
    lines = [
        f"data set {data.name}, fingerprint {data.fingerprint[:12]}, split {data.split}, "
        f"{study.samples} samples",
        f"checkpoint {checkpoint}",
        "",
    ]
    if not study.keys:
        said = "no known homography (video, or xi > 0): Figure 6 alone, no end-point error"
        return "\n".join([*lines, said, ""])
    errors = in_better_direction(study.errors)
    share = runs_backward(study.errors).mean()
    lines += [
        "end-point error in px at corners and centre, theta of the finest scale against the true",
        "homography; one direction of time per sample and all networks, that of the smaller mean",
        f"error; {len(study.keys)} samples, {share:.1%} of them reversed",
        *_frame_block(errors),
        "",
        "mean in bins of the identity's error",
        *_bin_block(errors),
    ]
    return "\n".join([*lines, ""])


def _frame_block(errors: Mapping[str, np.ndarray]) -> list[str]:
    """Each frame's mean over samples; mean and median over samples of their means over frames."""
    n = errors[IDENTITY].shape[1]
    columns = [*(frame_names(n)[k] for k in others(n)), "mean", "median"]
    lines = [_line("", columns)]
    for row, values in errors.items():
        means = mean_of_known(values)
        frames = mean_of_known(values.T)[others(n)]
        lines.append(_line(row, map(_number, [*frames, *mean_and_median(means)])))
    return lines


def mean_and_median(values: np.ndarray) -> tuple[float, float]:
    """Without NaN; NaN where nothing else is there."""
    known = values[np.isfinite(values)]
    return (float(known.mean()), float(np.median(known))) if known.size else (np.nan, np.nan)


def _bin_block(errors: Mapping[str, np.ndarray]) -> list[str]:
    binned = bins(errors)
    names = [_bin_name(b["from_px"], b["to_px"]) for b in binned]
    lines = [_line("px", names), _line("samples", [f"{b['samples']}" for b in binned])]
    return lines + [_line(row, [_number(b["mean"][row]) for b in binned]) for row in errors]


def bins(errors: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Row -> (samples, n) px -> the bins of the identity's mean error that hold samples: their
    edges (from, below; None: no end), number of samples and each row's mean."""
    means = {row: mean_of_known(values) for row, values in errors.items()}
    binned = []
    for least, below in pairwise(BIN_EDGES_PX):
        inside = (means[IDENTITY] >= least) & (means[IDENTITY] < below)
        if inside.any():
            binned.append(
                {
                    "from_px": least,
                    "to_px": None if np.isinf(below) else below,
                    "samples": int(inside.sum()),
                    "mean": {row: float(mean_of_known(m[inside])) for row, m in means.items()},
                }
            )
    return binned


def _bin_name(least: float, below: float | None) -> str:
    return f"{least:g}+" if below is None else f"{least:g}-{below:g}"


def _line(name: str, columns: Sequence[str]) -> str:
    return f"{name:{NAME_WIDTH}}" + "".join(f"{column:>{NUMBER_WIDTH}}" for column in columns)


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


# --- CSV and JSON ---------------------------------------------------------------------------


def as_csv(studies: Sequence[MotionStudy]) -> str:
    """A line a sample whose true motion is known: its direction, and in px each row's error, mean
    over frames; a field is empty where there is no such network."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["data_set", "key", "reversed", *ROWS])
    for study in studies:
        if not study.keys:
            continue
        means = {row: mean_of_known(e) for row, e in in_better_direction(study.errors).items()}
        backward = runs_backward(study.errors)
        for number, key in enumerate(study.keys):
            errors = [_field(means[row][number]) if row in means else "" for row in ROWS]
            writer.writerow([study.data_set.name, key, int(backward[number]), *errors])
    return out.getvalue()


def _field(value: float) -> str:
    return f"{value:.6f}" if np.isfinite(value) else ""


def as_json(study: MotionStudy, checkpoint: str) -> dict[str, Any]:
    """What the text says, unrounded; `end_point_error_px` is null where no true motion is known."""
    data = study.data_set
    return {
        "data_set": data.name,
        "fingerprint": data.fingerprint,
        "split": data.split,
        "samples": study.samples,
        "known": len(study.keys),
        "checkpoint": checkpoint,
        "end_point_error_px": _summary(study) if study.keys else None,
    }


def _stored(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _summary(study: MotionStudy) -> dict[str, Any]:
    errors = in_better_direction(study.errors)
    means = {row: mean_of_known(values) for row, values in errors.items()}
    return {
        "reversed": int(runs_backward(study.errors).sum()),
        "rows": {
            row: {
                **dict(zip(("mean", "median"), map(_stored, mean_and_median(m)), strict=True)),
                "frames": [_stored(v) for v in mean_of_known(errors[row].T)],
            }
            for row, m in means.items()
        },
        "bins": bins(errors),
    }
