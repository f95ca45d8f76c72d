"""Several runs side by side in the form of the paper's tables, beside its numbers (spec 3, 4).

    evaluations -> one Comparison for each data set measured alike -> text, CSV, JSON

What was measured on other data, another split, with another response or number of frames never
stands in one table.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blurvid import paper
from blurvid.checkpoint import written_whole
from blurvid.evaluated import COMPARED, Evaluated, Measured
from blurvid.rows import MODEL, PREDICTED_MIDDLE
from blurvid.statistics import paired_difference
from blurvid.tables import DECIMALS, HEADINGS, averaged_text, frame_names, wrapped

RUN, NO_MODEL, PAPER = "run", "no model", "paper"
NUMBER_WIDTH = 8


class Row(NamedTuple):
    """A line of a table. source: RUN, NO_MODEL or PAPER. samples: None in the paper's rows.
    figures: metric -> the n frames and their mean (NaN: nothing to compare; empty: not printed)."""

    source: str
    name: str
    model: str
    width: int | None
    samples: int | None
    figures: Mapping[str, tuple[float, ...]]


class Difference(NamedTuple):
    """One run against another, over the samples that both have.

    mean: over them, of its mean PSNR less that of the other, in dB. interval: 95 %, bootstrap.
    share_better: of the samples. NaN where they share none (the interval: fewer than two). alone:
    how many samples either has that the other lacks, this run's first.
    """

    run: str
    against: str
    mean: float
    interval: tuple[float, float]
    share_better: float
    common: int
    alone: tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    """One table: runs that were measured alike. averaged: as in `Evaluated`. weights: run -> which
    they are. differences: of each run but the first against
    the first."""

    measured: Measured
    kind: str
    sizes_hw: tuple[tuple[int, int], ...]
    averaged: tuple[int, int, float]
    protocol: str
    weights: Mapping[str, str]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]


def compare(evaluated: Iterable[Evaluated]) -> list[Comparison]:
    """A table for each data set that was measured alike, in the order in which they come."""
    tables: dict[Measured, list[Evaluated]] = {}
    for one in evaluated:
        tables.setdefault(one.measured, []).append(one)
    return [_comparison(runs) for runs in tables.values()]


def _comparison(runs: Sequence[Evaluated]) -> Comparison:
    first = runs[0]
    return Comparison(
        first.measured,
        first.kind,
        first.sizes_hw,
        first.averaged,
        first.protocol,
        {run.run: run.weights for run in runs},
        (*_run_rows(runs), *_rows_without_a_model(first), *_paper_rows(first)),
        tuple(_difference(run, first) for run in runs[1:]),
    )


def _run_rows(runs: Sequence[Evaluated]) -> Iterable[Row]:
    """Each run, then what the middle frame of each is worth alone."""
    for run in runs:
        yield Row(RUN, run.run, run.model, run.width, run.samples, run.rows[MODEL])
    for run in runs:
        if PREDICTED_MIDDLE in run.rows:
            name = f"{run.run}: {PREDICTED_MIDDLE}"
            figures = run.rows[PREDICTED_MIDDLE]
            yield Row(RUN, name, run.model, run.width, run.samples, figures)


def _rows_without_a_model(run: Evaluated) -> Iterable[Row]:
    for name, figures in run.rows.items():
        if name not in (MODEL, PREDICTED_MIDDLE):
            yield Row(NO_MODEL, name, "", None, run.samples, figures)


def _paper_rows(run: Evaluated) -> Iterable[Row]:
    for row in paper.rows_beside(run.kind, run.measured.frames):
        figures = {metric: paper.figures(row, metric) for metric in COMPARED}
        yield Row(PAPER, paper.label(row), row.model, paper.WIDTH, None, figures)


def _difference(run: Evaluated, first: Evaluated) -> Difference:
    common = [key for key in first.sample_psnr if key in run.sample_psnr]
    alone = (len(run.sample_psnr) - len(common), len(first.sample_psnr) - len(common))
    numbers = math.nan, (math.nan, math.nan), math.nan
    if common:
        pair = (np.array([one.sample_psnr[key] for key in common]) for one in (run, first))
        found = paired_difference(*pair)
        low, high = map(float, found.interval)
        numbers = float(found.mean), (low, high), float(found.better)
    return Difference(run.run, first.run, *numbers, len(common), alone)


# --- text -----------------------------------------------------------------------------------


def as_text(comparisons: Sequence[Comparison]) -> str:
    """All tables, and why they are several."""
    parts = ["\n".join(_lines(comparison)) for comparison in comparisons]
    if len(comparisons) > 1:
        remark = wrapped(
            f"{len(comparisons)} tables: what was measured on other data, another split, with "
            "another response or another number of frames does not stand in one table"
        )
        parts.append("\n".join(remark))
    return "\n\n".join(parts) + "\n"


def _lines(comparison: Comparison) -> list[str]:
    measured = comparison.measured
    sizes = ", ".join(f"{width}x{height}" for height, width in comparison.sizes_hw)
    lines = [
        f"data set {measured.data_set}, fingerprint {measured.fingerprint[:12]}, "
        f"split {measured.split}, {measured.frames} frames of {sizes}",
        f"response {measured.response}, blur of n frames: {averaged_text(*comparison.averaged)}; "
        f"protocol {comparison.protocol}",
        *(f"{run}: {weights}" for run, weights in comparison.weights.items()),
    ]
    for metric in COMPARED:
        lines += ["", *_block(comparison.rows, metric)]
    lines += _remarks(comparison)
    return lines + (["", *_differences(comparison)] if comparison.differences else [])


def _block(rows: Sequence[Row], metric: str) -> list[str]:
    printed = [row for row in rows if row.figures[metric]]
    names = _width("run", (row.name for row in printed))
    models = _width("model", (row.model for row in printed))
    columns = [*frame_names(len(rows[0].figures[metric]) - 1), "mean"]
    heading = f"{HEADINGS[metric]:{names}}  {'model':{models}}  width  samples"
    lines = [heading + "".join(f"{column:>{NUMBER_WIDTH}}" for column in columns)]
    for row in printed:
        facts = f"{row.width or '':>5}  {row.samples or '':>7}"
        numbers = "".join(number_text(value, DECIMALS[metric]) for value in row.figures[metric])
        lines.append(f"{row.name:{names}}  {row.model:{models}}  {facts}{numbers}")
    return lines


def _remarks(comparison: Comparison) -> list[str]:
    remarks, samples = [], {row.samples for row in comparison.rows if row.source == RUN}
    if len(samples) > 1:
        remarks.append(
            "the runs were measured on different numbers of samples: compare them by the paired "
            "differences; the rows without a model are those of the first run"
        )
    beside = paper.rows_beside(comparison.kind, comparison.measured.frames)
    if beside:
        remarks.append(
            f"the paper's rows: its own data ({paper.SOURCES[comparison.kind]}, "
            f"{beside[0].size}x{beside[0].size} px), models of width {paper.WIDTH}, the better "
            "direction for each metric (their means are taken here); not comparable with the rows "
            "above as they stand"
        )
    return ["", *(line for remark in remarks for line in wrapped(remark))] if remarks else []


def _differences(comparison: Comparison) -> list[str]:
    names = _width("run", (d.run for d in comparison.differences))
    lines = [
        f"against {comparison.differences[0].against}, sample by sample: mean PSNR in dB",
        f"{'run':{names}}  difference    95 % interval  better  samples",
    ]
    for d in comparison.differences:
        if not d.common:
            lines.append(f"{d.run:{names}}  no sample in common")
            continue
        interval = " ".join("-" if math.isnan(end) else f"{end:+.3f}" for end in d.interval)
        lines.append(
            f"{d.run:{names}}  {d.mean:>+10.3f}  {interval:>15}  {d.share_better:>6.0%}  "
            f"{d.common:>7}{_left_out(d)}"
        )
    return lines


def _left_out(difference: Difference) -> str:
    here, there = difference.alone
    if not here + there:
        return ""
    return f"   left out: {here} of this run alone, {there} of {difference.against} alone"


def _width(heading: str, texts: Iterable[str]) -> int:
    return max(map(len, [heading, *texts]))


def number_text(value: float, decimals: int) -> str:
    """As wide as a column; a dash for NaN."""
    text = "-" if math.isnan(value) else f"{value:.{decimals}f}"
    return f"{text:>{NUMBER_WIDTH}}"


# --- files ----------------------------------------------------------------------------------


def write_comparison(folder: Path, comparisons: Sequence[Comparison]) -> None:
    """`compare.txt`, `compare.csv` and `compare.json`."""
    objects = [as_json(comparison) for comparison in comparisons]
    texts = {
        "compare.txt": as_text(comparisons),
        "compare.csv": as_csv(comparisons),
        "compare.json": json.dumps(objects, indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(text)


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """A line for each figure; empty where nothing could be compared."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    row_fields = ("source", "row", "model", "width", "samples", "metric", "frame", "value")
    writer.writerow([*Measured._fields, "protocol", *row_fields])
    for comparison in comparisons:
        facts = (*comparison.measured, comparison.protocol)
        columns = [*frame_names(comparison.measured.frames), "mean"]
        for row in comparison.rows:
            for metric, values in row.figures.items():
                for column, value in zip(columns, values):
                    number = "" if math.isnan(value) else f"{value:.6f}"
                    writer.writerow([*facts, *row[:-1], metric, column, number])
    return out.getvalue()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """What the text says, unrounded; null where nothing could be compared."""
    return {
        **comparison.measured._asdict(),
        "kind": comparison.kind,
        "sizes_hw": [list(size) for size in comparison.sizes_hw],
        "n": dict(zip(("min", "max", "mean"), comparison.averaged)),
        "protocol": comparison.protocol,
        "weights": dict(comparison.weights),
        "rows": [_row_object(row) for row in comparison.rows],
        "differences": [
            {key: _nullable(value) for key, value in d._asdict().items()}
            for d in comparison.differences
        ],
    }


def _row_object(row: Row) -> dict[str, Any]:
    figures = {
        metric: {"frames": _nullable(values[:-1]), "mean": _nullable(values[-1])}
        for metric, values in row.figures.items()
        if values
    }
    return {**row._asdict(), "figures": figures}


def _nullable(value: Any) -> Any:
    """Null for NaN, tuples as lists."""
    if isinstance(value, tuple):
        return [_nullable(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
