"""Which direction of time counts: five protocols, and what the directions say of a model (spec 4).

A blur is the same forwards and backwards, so a right answer may come reversed. A protocol is a
function of `Scores` in both directions; each sample is judged by itself. A tie stays as stored.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from blurvid.metrics import PSNR_CAP_DB

Metrics = Mapping[str, np.ndarray]


class Scores(NamedTuple):
    """One row: metric ("psnr" in dB, "ssim") -> (samples, n) float64, column k for true frame k.

    forward: frame k of the estimate against it. backward: frame n - 1 - k, that is, the estimate
    reversed in time; equal to `forward` where the row has no direction or a known one. NaN where
    nothing is to be compared.
    """

    forward: Metrics
    backward: Metrics


def sequence_protocol(scores: Scores) -> Metrics:
    """One direction per sample, that of the higher mean PSNR, for every frame and metric."""
    return _turned(scores, reversed_samples(scores)[:, None])


def forward_protocol(scores: Scores) -> Metrics:
    """As stored."""
    return scores.forward


def per_metric_protocol(scores: Scores) -> Metrics:
    """Each metric takes the direction of its own higher mean over the frames (the paper's)."""
    return {
        metric: np.where(_pair_gain(scores, metric).mean(1, keepdims=True) > 0, back, ahead)
        for metric, ahead, back in _both(scores)
    }


def per_pair_protocol(scores: Scores) -> Metrics:
    """Each symmetric pair of frames (k, n - 1 - k) takes the direction of its own higher mean
    PSNR, for every metric."""
    return _turned(scores, _pair_gain(scores, "psnr") > 0)


def per_frame_protocol(scores: Scores) -> Metrics:
    """Each frame and metric takes its own better direction."""
    return {metric: np.maximum(ahead, back) for metric, ahead, back in _both(scores)}


PROTOCOLS: dict[str, Callable[[Scores], Metrics]] = {
    "sequence": sequence_protocol,
    "forward": forward_protocol,
    "per-metric": per_metric_protocol,
    "per-pair": per_pair_protocol,
    "per-frame": per_frame_protocol,
}


def reversed_samples(scores: Scores) -> np.ndarray:
    """(samples,) bool: those that `sequence` reverses."""
    return _pair_gain(scores, "psnr").mean(1) > 0


def agreeing_samples(scores: Scores) -> np.ndarray:
    """(samples,) bool: those whose pairs all choose one direction; a tie agrees with both."""
    gain = _pair_gain(scores, "psnr")
    return ~((gain > 0).any(1) & (gain < 0).any(1))


def capped_count(metrics: Metrics) -> int:
    """The number of images at the cap of PSNR."""
    return int(np.sum(metrics["psnr"] >= PSNR_CAP_DB))


def _both(scores: Scores) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Metric, forward and backward scores."""
    return ((metric, ahead, scores.backward[metric]) for metric, ahead in scores.forward.items())


def _turned(scores: Scores, reverse: np.ndarray) -> Metrics:
    """`backward` where `reverse` (broadcast to (samples, n)) holds, else `forward`."""
    return {metric: np.where(reverse, back, ahead) for metric, ahead, back in _both(scores)}


def _pair_gain(scores: Scores, metric: str) -> np.ndarray:
    """(samples, n): what its pair gains by reversal, at both frames of each pair.

    A sequence's gain is the mean of these: exactly 0 where reversal but exchanges the scores of
    mirrored frames, which a sum over single frames would miss by its rounding.
    """
    gain = scores.backward[metric] - scores.forward[metric]
    return gain + gain[:, ::-1]
