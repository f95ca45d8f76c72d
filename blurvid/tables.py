"""Evaluations as text, CSV and JSON. One data set a table; a table says what it was made of.

The text shows what `summary` holds, rounded, in at most `TEXT_WIDTH` columns.
"""

import csv
import io
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from blurvid.checkpoint import written_whole
from blurvid.evaluate import Evaluation
from blurvid.motion import in_better_direction, mean_of_known
from blurvid.protocols import PROTOCOLS, agreeing_samples, reversed_samples
from blurvid.rows import MODEL, MOVED_MIDDLE

HEADINGS = {"psnr": "PSNR in dB", "ssim": "SSIM", "ssim3d": "SSIM of the volume (ssim3d)"}
DECIMALS = {"psnr": 2, "ssim": 3, "ssim3d": 3}
EXPLAINED = {
    "sequence": "one direction of time per sample, chosen by its mean PSNR",
    "forward": "the direction of time as stored",
    "per-metric": "each sample and metric takes its better direction (the paper's formula)",
    "per-pair": "each pair of frames around the middle takes its direction of higher PSNR",
    "per-frame": "each frame and metric takes its better direction",
}
NAME_WIDTH, NUMBER_WIDTH, TEXT_WIDTH = 28, 7, 100


def frame_names(n: int) -> list[str]:
    """The columns: initial, middle and final of three frames, else F1, F2 ... Fn."""
    return ["Fi", "Fm", "Ff"] if n == 3 else [f"F{k}" for k in range(1, n + 1)]


def write_tables(
    folder: Path, evaluations: Sequence[Evaluation], summaries: Sequence[Mapping[str, Any]]
) -> None:
    """`table.txt`, `evaluation.json`, and for each data set `samples-<data set>.csv` and
    `figures-<data set>.csv`."""
    texts = {"table.txt": "\n".join(map(as_text, summaries))}
    texts["evaluation.json"] = json.dumps(list(summaries), indent=1, allow_nan=False) + "\n"
    for evaluation, described in zip(evaluations, summaries, strict=True):
        name = evaluation.facts.data_set
        texts[f"samples-{name}.csv"] = samples_csv(evaluation, list(described["protocols"]))
        texts[f"figures-{name}.csv"] = figures_csv(evaluation)
    for name, text in texts.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(text)


# --- text -----------------------------------------------------------------------------------


def as_text(summary: Mapping[str, Any]) -> str:
    """The table of one data set: a block for each metric, then the directions of time and the
    re-blur, then all by blur length."""
    lines = _facts(summary)
    for metric in _metrics(summary):
        lines += ["", *_block(metric, summary["protocols"])]
    lines += ["", *_directions(summary), *_reblur(summary["reblur"])]
    if summary["end_point_error_px"] is not None:
        lines += ["", *_motion(summary)]
    for metric in _metrics(summary):
        lines += ["", *_by_blur(metric, summary)]
    return "\n".join([*lines, "", *_notes(summary), ""])


def _facts(summary: Mapping[str, Any]) -> list[str]:
    sizes = ", ".join(f"{width}x{height}" for height, width in summary["sizes_hw"])
    n = averaged_text(*(summary["n"][name] for name in ("min", "max", "mean")))
    step, seed = (summary["training"][name] for name in ("step", "seed"))
    sentences = [
        f"data set {summary['data_set']} ({summary['kind']}), fingerprint "
        f"{summary['fingerprint'][:12]}, split {summary['split']}, {summary['samples']} samples "
        f"of {sizes}",
        f"response {summary['response']}, blur of n frames: {n}; "
        f"data seed {', '.join(map(str, summary['seeds']))}",
        f"checkpoint {summary['checkpoint']}",
        f"model {', '.join(f'{key} {value}' for key, value in summary['model'].items())}; "
        f"training step {known(step)}, seed {known(seed)}",
    ]
    return [line for sentence in sentences for line in wrapped(sentence)]


def wrapped(sentence: str) -> list[str]:
    """Its lines, of at most `TEXT_WIDTH` columns."""
    return textwrap.wrap(
        sentence,
        TEXT_WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def averaged_text(least: int, most: int, mean: float) -> str:
    """How many frames made a blur, in words."""
    return f"n = {least}" if least == most else f"n = {least} to {most}, mean {mean:.1f}"


def known(value: int | None) -> str:
    """Of a training's step or seed, in words."""
    return "not in the file" if value is None else str(value)


def _block(metric: str, protocols: Mapping[str, Any]) -> list[str]:
    """The model under each protocol, beneath it the ends of its interval; then the rows that have
    no direction of time, which are the same under all."""
    capped = "   at 100 dB" if metric == "psnr" else ""
    first = next(iter(protocols.values()))
    names = frame_names(len(first[MODEL][metric]["frames"]))
    lines = [_line(HEADINGS[metric], [*names, "mean"]) + capped]
    for protocol, rows in protocols.items():
        lines.append(_row(f"{MODEL}, {protocol}", metric, rows[MODEL]))
        for name, ends in zip(("95 % from", "to"), _interval_ends(rows[MODEL][metric])):
            lines.append(_line(f"{name:>{NAME_WIDTH - 4}}", _rounded(metric, ends)))
    return lines + [_row(row, metric, first[row]) for row in first if row != MODEL]


def _row(name: str, metric: str, numbers: Mapping[str, Any]) -> str:
    capped = f"{numbers['at_the_cap']:12d}" if metric == "psnr" else ""
    return _line(name, _rounded(metric, _all_of(numbers[metric]))) + capped


def _all_of(numbers: Mapping[str, Any]) -> list:
    """The frames and their mean."""
    return [*numbers["frames"], numbers["mean"]]


def _interval_ends(numbers: Mapping[str, Any]) -> Iterable[Sequence]:
    """The lower ends, then the upper ones."""
    return zip(*_all_of(numbers["interval"]), strict=True)


def _directions(summary: Mapping[str, Any]) -> list[str]:
    agreement, n = summary["agreement"], len(_model_frames(summary))
    alone = " (of one pair, always)" if n == 3 else ""
    return [
        f"agreement, samples whose pairs of frames all choose one direction: "
        f"{agreement['pairs']:.3f}{alone}",
        f"samples reversed under sequence: {agreement['reversed']:.3f}",
    ]


def _reblur(reblur: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, figure in reblur.items():
        mean, low, high = _rounded("psnr", [figure["mean"], *figure["interval"]])
        lines.append(f"re-blur PSNR of the {name} frames: {mean} dB (95 % {low} to {high})")
    return lines


def _motion(summary: Mapping[str, Any]) -> list[str]:
    """End-point errors, then their means by blur length."""
    errors = summary["end_point_error_px"]
    names = frame_names(len(_model_frames(summary)))
    groups = [*summary["by_blur"], summary["worst_tenth"]]
    lines = [_line("end-point error in pixels", [*names, "mean"])]
    for row, error in errors.items():
        lines.append(_line(row, _rounded("psnr", _all_of(error))))
    lines.append(_line("  by blur length", [*map(_bounds, summary["by_blur"]), "worst"]))
    for row in errors:
        means = [group["end_point_error_px"][row]["mean"] for group in groups]
        lines.append(_line(row, _rounded("psnr", means)))
    return lines


def _by_blur(metric: str, summary: Mapping[str, Any]) -> list[str]:
    """A column for each bin and the worst tenth, under the first protocol."""
    protocol, rows = next(iter(summary["protocols"].items()))
    groups = [*summary["by_blur"], summary["worst_tenth"]]

    def line(name: str, row: str, of_row: Callable[[Mapping], float | None]) -> str:
        values = [of_row(group["protocols"][protocol][row][metric]) for group in groups]
        return _line(name, _rounded(metric, values))

    lines = [
        f"{HEADINGS[metric]} by blur length in pixels, protocol {protocol}; means of the frames",
        _line("", [*map(_bounds, summary["by_blur"]), "worst"]),
        _line("samples", [str(group["samples"]) for group in groups]),
    ]
    lines += [line(row, row, itemgetter("mean")) for row in rows]
    for k, name in enumerate(frame_names(len(_model_frames(summary)))):
        lines.append(line(f"{MODEL}, {name}", MODEL, lambda numbers: numbers["frames"][k]))
    return lines + (_reblur_by_blur(groups) if metric == "psnr" else [])


def _reblur_by_blur(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        _line(
            f"re-blur, {name} frames",
            _rounded("psnr", [group["reblur"][name]["mean"] for group in groups]),
        )
        for name in ("predicted", "true")
    ]


def _bounds(group: Mapping[str, Any]) -> str:
    low, high = group["from_px"], group["to_px"]
    return f"{low:g}-" if high is None else f"{low:g}-{high:g}"


def _notes(summary: Mapping[str, Any]) -> list[str]:
    resamples = summary["bootstrap"]["resamples"]
    notes = [f"protocol {name}: {EXPLAINED[name]}" for name in summary["protocols"]]
    notes += [
        f"95 %: bootstrap over samples, {resamples} resamples; at 100 dB: images at PSNR's cap",
        "worst: the tenth of the samples whose predicted middle frame has the lowest PSNR",
    ]
    if MOVED_MIDDLE in next(iter(summary["protocols"].values())):
        notes.append(f"{MOVED_MIDDLE}: by the true homography, on the pixels that both see")
    if summary["end_point_error_px"] is not None:
        notes.append(
            "end-point error: theta of the finest scale against the true homography at corners and "
            "centre, better direction"
        )
    return [line for note in notes for line in wrapped(note)]


def _metrics(summary: Mapping[str, Any]) -> list[str]:
    model = next(iter(summary["protocols"].values()))[MODEL]
    return [metric for metric in HEADINGS if metric in model]


def _model_frames(summary: Mapping[str, Any]) -> Sequence:
    return next(iter(summary["protocols"].values()))[MODEL]["psnr"]["frames"]


def _line(name: str, columns: Sequence[str]) -> str:
    return (f"{name:{NAME_WIDTH}}" + "".join(f"{c:>{NUMBER_WIDTH}}" for c in columns)).rstrip()


def _rounded(metric: str, values: Iterable[float | None]) -> list[str]:
    """A dash where nothing could be compared."""
    return ["-" if value is None else f"{value:.{DECIMALS[metric]}f}" for value in values]


# --- CSV ------------------------------------------------------------------------------------


def samples_csv(evaluation: Evaluation, protocols: Sequence[str]) -> str:
    """A line for each protocol, row and sample; a field is empty where nothing is to compare."""
    metrics = evaluation.rows[MODEL].forward
    names = frame_names(next(iter(metrics.values())).shape[1])
    fields = [f"{metric}_{name}" for metric in metrics for name in names]
    return _csv(["key", "row", "protocol", *fields], _sample_lines(evaluation, protocols))


def _sample_lines(evaluation: Evaluation, protocols: Sequence[str]) -> Iterable[list]:
    for protocol in protocols:
        for row, scores in evaluation.rows.items():
            values = np.concatenate(list(PROTOCOLS[protocol](scores).values()), 1)
            for key, sample in zip(evaluation.keys, values, strict=True):
                yield [key, row, protocol, *(_field(v) for v in sample)]


def figures_csv(evaluation: Evaluation) -> str:
    """A line for each sample: its figures, its end-point errors in pixels, whether `sequence` reverses it, and whether its pairs
    of frames agree on a direction (1 or 0)."""
    model, motion = evaluation.rows[MODEL], in_better_direction(evaluation.motion)
    figures = {
        **evaluation.figures,
        **{f"end_point_error_{row}": mean_of_known(errors) for row, errors in motion.items()},
    }
    flags = {"reversed": reversed_samples(model), "pairs_agree": agreeing_samples(model)}
    columns = [[_field(v) for v in values] for values in figures.values()]
    columns += [[int(v) for v in values] for values in flags.values()]
    header = ["key", *figures, *flags]
    return _csv(header, zip(evaluation.keys, *columns, strict=True))


def _csv(header: Sequence[str], lines: Iterable[Sequence]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return out.getvalue()


def _field(value: float) -> str:
    return f"{value:.6f}" if np.isfinite(value) else ""
