"""The rows of a table: the model's frames, and what needs no model, scored on the same samples.

A row that does as well as the model without restoring anything exposes an empty win (spec 4).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blursynth.motion import flow, visible
from blurvid.metrics import Measure
from blurvid.predictions import PredictedBatch
from blurvid.protocols import Metrics, Scores
from blurvid.warp import flow_warp

MODEL = "model"
BLUR = "blurry input repeated"
PREDICTED_MIDDLE = "predicted middle repeated"
TRUE_MIDDLE = "true middle repeated"
MOVED_MIDDLE = "true middle moved"


def score_rows(batch: PredictedBatch, measures: Mapping[str, Measure]) -> dict[str, Scores]:
    """Every row on one batch by each measure."""
    middle = batch.truth.shape[1] // 2
    repeated = {
        BLUR: batch.blur,
        PREDICTED_MIDDLE: batch.frames[:, middle],
        TRUE_MIDDLE: batch.truth[:, middle],
    }
    turned = (batch.frames, batch.frames.flip(1))
    rows = {MODEL: Scores(*(measured(frames, batch.truth, measures) for frames in turned))}
    for name, image in repeated.items():
        rows[name] = _without_direction(measured(image[:, None], batch.truth, measures))
    if all(has_homography(sample.meta) for sample in batch.samples):
        rows[MOVED_MIDDLE] = _without_direction(_measured_moved(batch, measures))
    return rows


def measured(estimate: Tensor, truth: Tensor, measures: Mapping[str, Measure]) -> Metrics:
    """Frames (B, n, 3, H, W) against the true ones: metric -> (B, n) float64."""
    return {name: m.whole(estimate, truth).cpu().numpy() for name, m in measures.items()}


def has_homography(meta: Mapping[str, Any]) -> bool:
    """Whether the true motion between the frames is known to be a homography."""
    return meta["kind"] == "panorama" and meta["xi"] == 0


def moved_middle(meta: Mapping[str, Any], middle: Tensor) -> tuple[Tensor, Tensor]:
    """(3, H, W) -> the middle frame moved to where the others see it (n, 3, H, W), and the
    pixels of each that the middle frame saw as well (n, H, W)."""
    n = len(meta["times"])
    flows = np.stack([flow(meta, k, n // 2) for k in range(n)])
    seen = np.stack([visible(meta, n // 2, k) for k in range(n)])
    there = torch.from_numpy(np.moveaxis(flows, -1, 1)).to(middle)
    moved = flow_warp(middle.expand(n, *middle.shape), there)
    return moved, torch.from_numpy(seen).to(middle.device)


def _measured_moved(batch: PredictedBatch, measures: Mapping[str, Measure]) -> Metrics:
    middles = batch.truth[:, batch.truth.shape[1] // 2]
    pairs = zip(batch.samples, middles, strict=True)
    moved, seen = zip(*(moved_middle(sample.meta, middle) for sample, middle in pairs), strict=True)
    compared = torch.stack(moved), batch.truth, torch.stack(seen)
    return {name: m.masked(*compared).cpu().numpy() for name, m in measures.items()}


def _without_direction(metrics: Metrics) -> Scores:
    return Scores(metrics, metrics)
