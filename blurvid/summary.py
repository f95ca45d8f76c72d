"""An evaluation as numbers: what `evaluation.json` holds, what the table shows, what runs are
compared by (spec 4).

    Evaluation -> of all samples, of each bin of blur length, of the worst tenth -> JSON values

None stands where nothing can be compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blurvid.checkpoint import load_checkpoint
from blurvid.evaluate import DataFacts, Evaluation
from blurvid.figures import BLUR_PX, REBLUR, REBLUR_TRUE
from blurvid.protocols import (
    PROTOCOLS,
    Metrics,
    agreeing_samples,
    capped_count,
    reversed_samples,
)
from blurvid.rows import MODEL
from blurvid.statistics import (
    LEVEL,
    RESAMPLES,
    SEED,
    bootstrap_interval,
    mean_of,
    percentile_interval,
    resampled_means,
)

BLUR_EDGES_PX = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, np.inf)
WORST_SHARE = 10


@dataclass(frozen=True)
class CheckpointFacts:
    """What a table says of its model. model: the spec's `to_dict`. step, seed: of the training,
    None where the file does not hold them."""

    path: str
    model: Mapping[str, Any]
    step: int | None = None
    seed: int | None = None


def checkpoint_facts(path: Path) -> CheckpointFacts:
    """Of a `best` or `last` file."""
    checkpoint = load_checkpoint(path)
    progress, shaping = checkpoint.progress, checkpoint.progress.get("shaping")
    seed = progress.get("seed", shaping.get("seed") if isinstance(shaping, dict) else None)
    whole = (v if type(v) is int else None for v in (progress.get("step"), seed))
    return CheckpointFacts(str(path), checkpoint.spec.to_dict(), *whole)


def summary(
    evaluation: Evaluation, checkpoint: CheckpointFacts, protocols: Sequence[str]
) -> dict[str, Any]:
    """The object of one data set in `evaluation.json`."""
    return {
        **_described(evaluation.facts, len(evaluation.keys)),
        "checkpoint": checkpoint.path,
        "model": dict(checkpoint.model),
        "training": {"step": checkpoint.step, "seed": checkpoint.seed},
        "bootstrap": {"resamples": RESAMPLES, "level": LEVEL, "seed": SEED},
        **_measured(evaluation, protocols),
        "by_blur": [
            {**bounds, "samples": len(numbers), **_measured(part, protocols)}
            for bounds, numbers, part in _bins(evaluation)
        ],
        "worst_tenth": _worst_tenth(evaluation, protocols),
    }


def frame_means(values: np.ndarray) -> np.ndarray:
    """(samples, n) -> (n + 1,): the mean over samples of each frame, then that of all frames.

    NaN (nothing to compare) is left out; where nothing else is there, it stays.
    """
    return _with_mean(mean_of(values))


def _described(facts: DataFacts, samples: int) -> dict[str, Any]:
    averaged = np.array(facts.averaged)
    return {
        "data_set": facts.data_set,
        "fingerprint": facts.fingerprint,
        "split": facts.split,
        "kind": facts.kind,
        "samples": samples,
        "sizes_hw": [list(size) for size in facts.sizes_hw],
        "response": facts.response,
        "n": {"min": int(averaged.min()), "max": int(averaged.max()), "mean": averaged.mean()},
        "seeds": list(facts.seeds),
    }


# --- groups of samples ----------------------------------------------------------------------


def blur_bins(blur_px: np.ndarray) -> list[tuple[float, float, np.ndarray]]:
    """(samples,) pixels -> (from, to, numbers of the samples from <= length < to) of the bins that
    hold some; NaN is in none."""
    edges = zip(BLUR_EDGES_PX, BLUR_EDGES_PX[1:])
    bins = [(a, b, np.flatnonzero((blur_px >= a) & (blur_px < b))) for a, b in edges]
    return [found for found in bins if len(found[2])]


def worst_numbers(evaluation: Evaluation) -> np.ndarray:
    """The tenth of the samples, at least one, whose predicted middle frame has the lowest PSNR."""
    psnr = evaluation.rows[MODEL].forward["psnr"]
    order = np.argsort(psnr[:, psnr.shape[1] // 2], kind="stable")
    return np.sort(order[: max(1, len(order) // WORST_SHARE)])


def _bins(evaluation: Evaluation) -> Iterator[tuple[dict[str, Any], np.ndarray, Evaluation]]:
    """Bounds, sample numbers and evaluation of each bin."""
    for low, high, numbers in blur_bins(evaluation.figures[BLUR_PX]):
        bounds = {"from_px": low, "to_px": high if np.isfinite(high) else None}
        yield bounds, numbers, evaluation.of_samples(numbers)


def _worst_tenth(evaluation: Evaluation, protocols: Sequence[str]) -> dict[str, Any]:
    numbers = worst_numbers(evaluation)
    return {"samples": len(numbers), **_measured(evaluation.of_samples(numbers), protocols)}


# --- the numbers of a group -----------------------------------------------------------------


def _measured(evaluation: Evaluation, protocols: Sequence[str]) -> dict[str, Any]:
    """Every figure of these samples."""
    model = evaluation.rows[MODEL]
    scored = {
        protocol: {row: PROTOCOLS[protocol](s) for row, s in evaluation.rows.items()}
        for protocol in protocols
    }
    return {
        "protocols": {protocol: _rows(metrics) for protocol, metrics in scored.items()},
        "agreement": {
            "pairs": float(agreeing_samples(model).mean()),
            "reversed": float(reversed_samples(model).mean()),
        },
        "reblur": {
            "predicted": _figure(evaluation.figures[REBLUR]),
            "true": _figure(evaluation.figures[REBLUR_TRUE]),
        },
    }


def _figure(values: np.ndarray) -> dict[str, Any]:
    """(samples,) -> mean and interval."""
    return {"mean": _plain(mean_of(values)), "interval": _plain(bootstrap_interval(values))}


def _rows(scored: Mapping[str, Metrics]) -> dict[str, dict[str, Any]]:
    """Row -> its frames' means and intervals by metric; all resampled together, with one draw."""
    names = [(row, metric) for row, metrics in scored.items() for metric in metrics]
    values = np.stack([scored[row][metric] for row, metric in names], 1)  # (S, names, n)
    draws = resampled_means(values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])
    means, resampled = _with_mean(mean_of(values)), _with_mean(draws)
    intervals = percentile_interval(resampled.reshape(len(draws), -1)).reshape(*means.shape, 2)
    rows = {row: {"at_the_cap": capped_count(metrics)} for row, metrics in scored.items()}
    for (row, metric), mean, interval in zip(names, means, intervals, strict=True):
        rows[row][metric] = {
            **_frames_and_mean(mean),
            "interval": _frames_and_mean(interval),
        }
    return rows


def _frames_and_mean(values: np.ndarray) -> dict[str, Any]:
    return {"frames": _plain(values[:-1]), "mean": _plain(values[-1])}


def _with_mean(values: np.ndarray) -> np.ndarray:
    """(..., n) -> (..., n + 1): their mean behind the frames."""
    return np.concatenate([values, values.mean(-1, keepdims=True)], -1)


def _plain(values: np.ndarray) -> Any:
    """As JSON holds it: floats in lists; None for what is not finite."""
    return np.where(np.isfinite(values), values, None).tolist()
