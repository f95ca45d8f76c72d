"""Evaluations as text, CSV and JSON. One data set a table; a table says what it was made of."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blurvid.checkpoint import written_whole
from blurvid.evaluate import (
    MOVED_MIDDLE,
    PROTOCOLS,
    DataFacts,
    Evaluation,
    Metrics,
    capped_count,
)

HEADINGS = {"psnr": "PSNR in dB", "ssim": "SSIM"}
DECIMALS = {"psnr": 2, "ssim": 3}
EXPLAINED = {
    "sequence": "one direction of time per sample, chosen by its mean PSNR",
    "forward": "the direction of time as stored",
}
NAME_WIDTH, NUMBER_WIDTH = 26, 7


def frame_names(n: int) -> list[str]:
    """The columns: initial, middle and final of three frames, else F1, F2 ... Fn."""
    return ["Fi", "Fm", "Ff"] if n == 3 else [f"F{k}" for k in range(1, n + 1)]


def frame_means(values: np.ndarray) -> np.ndarray:
    """(samples, n) -> (n + 1,): the mean over samples of each frame, then that of all frames.

    NaN (nothing to compare) is left out; where nothing else is there, it stays.
    """
    count = np.isfinite(values).sum(0)
    with np.errstate(invalid="ignore"):
        means = np.nansum(values, 0) / count
    return np.append(means, means.mean())


def write_tables(
    folder: Path, evaluations: Sequence[Evaluation], checkpoint: str, protocols: Sequence[str]
) -> None:
    """`table.txt`, `evaluation.json`, and `samples-<data set>.csv` for each data set."""
    texts = {"table.txt": "\n".join(as_text(e, checkpoint, protocols) for e in evaluations)}
    objects = [as_json(e, checkpoint, protocols) for e in evaluations]
    texts["evaluation.json"] = json.dumps(objects, indent=1, allow_nan=False) + "\n"
    for evaluation in evaluations:
        texts[f"samples-{evaluation.facts.data_set}.csv"] = as_csv(evaluation, protocols)
    for name, text in texts.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(text)


# --- text -----------------------------------------------------------------------------------


def as_text(evaluation: Evaluation, checkpoint: str, protocols: Sequence[str]) -> str:
    """The table of one data set, a block for each protocol and metric."""
    lines = [*_described(evaluation.facts, len(evaluation.keys)), f"checkpoint {checkpoint}"]
    for protocol in protocols:
        scored = {row: PROTOCOLS[protocol](s) for row, s in evaluation.rows.items()}
        lines += ["", f"protocol {protocol}: {EXPLAINED[protocol]}"]
        for metric in HEADINGS:
            lines += _block(metric, scored)
    if MOVED_MIDDLE in evaluation.rows:
        lines += ["", f"{MOVED_MIDDLE}: by the true homography, on the pixels that both see"]
    return "\n".join([*lines, ""])


def _described(facts: DataFacts, samples: int) -> list[str]:
    sizes = ", ".join(f"{width}x{height}" for height, width in facts.sizes_hw)
    seeds = ", ".join(map(str, facts.seeds))
    least, most = min(facts.averaged), max(facts.averaged)
    n = f"{least}" if least == most else f"{least} to {most}, mean {np.mean(facts.averaged):.1f}"
    return [
        f"data set {facts.data_set}, fingerprint {facts.fingerprint[:12]}, split {facts.split}, "
        f"{samples} samples of {sizes}",
        f"response {facts.response}, blur of n frames: n = {n}; seed {seeds}",
    ]


def _block(metric: str, scored: dict[str, Metrics]) -> list[str]:
    n = next(iter(scored.values()))[metric].shape[1]
    columns = [*frame_names(n), "mean"]
    heading = f"{HEADINGS[metric]:{NAME_WIDTH}}" + "".join(f"{c:>{NUMBER_WIDTH}}" for c in columns)
    lines = [heading + ("   at 100 dB" if metric == "psnr" else "")]
    for row, metrics in scored.items():
        numbers = (_number(v, DECIMALS[metric]) for v in frame_means(metrics[metric]))
        capped = f"{capped_count(metrics):12d}" if metric == "psnr" else ""
        lines.append(f"{row:{NAME_WIDTH}}" + "".join(numbers) + capped)
    return lines


def _number(value: float, decimals: int) -> str:
    """As wide as a column; a dash where nothing could be compared."""
    text = "-" if math.isnan(value) else f"{value:.{decimals}f}"
    return f"{text:>{NUMBER_WIDTH}}"


# --- CSV and JSON ---------------------------------------------------------------------------


def as_csv(evaluation: Evaluation, protocols: Sequence[str]) -> str:
    """A line for each protocol, row and sample; a field is empty where nothing is to compare."""
    n = len(frame_means(next(iter(evaluation.rows.values())).forward["psnr"])) - 1
    fields = [f"{metric}_{name}" for metric in HEADINGS for name in frame_names(n)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["key", "row", "protocol", *fields])
    for protocol in protocols:
        for row, scores in evaluation.rows.items():
            metrics = PROTOCOLS[protocol](scores)
            values = np.concatenate([metrics[metric] for metric in HEADINGS], 1)
            for key, sample in zip(evaluation.keys, values, strict=True):
                writer.writerow([key, row, protocol, *(_field(v) for v in sample)])
    return out.getvalue()


def _field(value: float) -> str:
    return f"{value:.6f}" if np.isfinite(value) else ""


def as_json(evaluation: Evaluation, checkpoint: str, protocols: Sequence[str]) -> dict[str, Any]:
    """What the text says, unrounded."""
    facts = evaluation.facts
    return {
        "data_set": facts.data_set,
        "fingerprint": facts.fingerprint,
        "split": facts.split,
        "samples": len(evaluation.keys),
        "sizes_hw": [list(size) for size in facts.sizes_hw],
        "response": facts.response,
        "n": {"min": min(facts.averaged), "max": max(facts.averaged)},
        "seeds": list(facts.seeds),
        "checkpoint": checkpoint,
        "protocols": {
            protocol: {row: _summary(PROTOCOLS[protocol](s)) for row, s in evaluation.rows.items()}
            for protocol in protocols
        },
    }


def _summary(metrics: Metrics) -> dict[str, Any]:
    summary: dict[str, Any] = {"at_the_cap": capped_count(metrics)}
    for metric, values in metrics.items():
        *frames, mean = (float(v) if np.isfinite(v) else None for v in frame_means(values))
        summary[metric] = {"frames": frames, "mean": mean}
    return summary
