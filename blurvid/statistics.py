"""How sure a mean over samples is: percentile bootstrap (Efron & Tibshirani 1993), spec 4.

Rows of an array are samples, (S,) or (S, C); each column is resampled with the same samples, so
that columns can be compared. NaN (nothing to compare) is left out; where fewer than two samples are
left there is no interval (NaN). The draws follow from `SEED` and the number of samples alone.
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0
MOST_COUNTS = 1 << 22  # in memory at once: 32 MiB, whatever the number of samples


class PairedDifference(NamedTuple):
    """How much higher `a` is than `b` on the same samples; arrays of (C,), or numbers for (S,).

    mean: of a - b. interval: its 95 % interval (lo, hi), the last axis. better: the share of the
    samples in which a > b, equal ones not counted as better. samples: how many could be compared.
    """

    mean: np.ndarray
    interval: np.ndarray
    better: np.ndarray
    samples: np.ndarray


def bootstrap_interval(values: np.ndarray) -> np.ndarray:
    """(S,) or (S, C) -> (2,) or (C, 2): the 95 % interval (lo, hi) of the mean over samples."""
    columns = np.asarray(values, float)
    interval = percentile_interval(resampled_means(columns.reshape(len(columns), -1)))
    return interval.reshape(*columns.shape[1:], 2)


def paired_difference(a: np.ndarray, b: np.ndarray) -> PairedDifference:
    """(S,) or (S, C) twice, sample by sample the same; a sample with NaN in one is left out."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise ValueError(f"expected scores of the same samples, found shapes {a.shape}, {b.shape}")
    difference = a - b
    count = np.isfinite(difference).sum(0)
    with np.errstate(invalid="ignore"):
        better = (difference > 0).sum(0) / count
    return PairedDifference(mean_of(difference), bootstrap_interval(difference), better, count)


def mean_of(values: np.ndarray) -> np.ndarray:
    """(S, ...) -> (...): the mean over samples; NaN where there is nothing but NaN."""
    with np.errstate(invalid="ignore"):
        return np.nansum(values, 0) / np.isfinite(values).sum(0)


def resampled_means(values: np.ndarray) -> np.ndarray:
    """(S, C) -> (RESAMPLES, C): the columns' means over S samples drawn with replacement.

    A draw is a row of counts, how often it holds each sample: a mean is a product of matrices.
    """
    rng, samples = np.random.default_rng(SEED), len(values)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    filled[:, finite.sum(0) < 2] = np.nan
    at_once = max(1, MOST_COUNTS // max(samples, 1))
    means = []
    for first in range(0, RESAMPLES, at_once):
        counts = _counts(rng, samples, draws=min(at_once, RESAMPLES - first))
        compared = samples if finite.all() else counts @ finite.astype(float)
        with np.errstate(invalid="ignore"):
            means.append(counts @ filled / compared)
    return np.concatenate(means)


def percentile_interval(means: np.ndarray) -> np.ndarray:
    """(RESAMPLES, C) -> (C, 2): between the percentiles 2.5 and 97.5 of each column.

    Resamples without anything to compare (NaN) are left out; NaN where all are.
    """
    tail = (1 - LEVEL) / 2
    levels = [tail, 1 - tail]
    if np.isfinite(means).all():
        return np.quantile(means, levels, axis=0).T
    columns = (column[np.isfinite(column)] for column in means.T)
    return np.array([np.quantile(c, levels) if len(c) else [np.nan] * 2 for c in columns])


def _counts(rng: np.random.Generator, samples: int, *, draws: int) -> np.ndarray:
    """(draws, S) float64."""
    return np.array(
        [np.bincount(rng.integers(samples, size=samples), minlength=samples) for _ in range(draws)],
        float,
    )
