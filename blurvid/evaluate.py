"""How well a model restores: its frames against the true ones, beside rows that need no model.

    shards -> samples -> predicted frames -> Scores in both directions of time -> a protocol

Whole stored frames are scored. Numbers of one table come from one data set, hence one response
(spec 4). Tables are in `tables.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from blursynth.motion import flow, visible
from blursynth.schema import Sample
from blurvid.batch import channels_first, unit_range
from blurvid.index import DataSet, Mixture
from blurvid.metrics import PSNR_CAP_DB, masked_psnr, masked_ssim, psnr, ssim
from blurvid.restore import predict
from blurvid.stream import BadSamples, read_samples
from blurvid.warp import flow_warp

MODEL = "model"
BLUR = "blurry input repeated"
PREDICTED_MIDDLE = "predicted middle repeated"
TRUE_MIDDLE = "true middle repeated"
MOVED_MIDDLE = "true middle moved"
BATCH_PIXELS = 1 << 18

Metrics = Mapping[str, np.ndarray]


class Scores(NamedTuple):
    """One row: metric ("psnr" in dB, "ssim") -> (samples, n) float64, column k for true frame k.

    forward: frame k of the estimate against it. backward: frame n - 1 - k, that is, the estimate
    reversed in time; equal to `forward` where the row has no direction or a known one. NaN where
    nothing is to be compared.
    """

    forward: Metrics
    backward: Metrics


@dataclass(frozen=True)
class DataFacts:
    """What a table says of its data. averaged: n of each sample's blur. seeds: the data's."""

    data_set: str
    split: str
    fingerprint: str
    response: str
    sizes_hw: tuple[tuple[int, int], ...]
    averaged: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """The scores of one data set: row -> Scores, whose samples are in the order of `keys`."""

    facts: DataFacts
    keys: tuple[str, ...]
    rows: Mapping[str, Scores]


# --- protocols: which direction counts ------------------------------------------------------


def forward_protocol(scores: Scores) -> Metrics:
    """As stored."""
    return scores.forward


def sequence_protocol(scores: Scores) -> Metrics:
    """One direction per sample, that of the higher mean PSNR, for every frame and metric."""
    ahead, back = (direction["psnr"].mean(1, keepdims=True) for direction in scores)
    reverse = back > ahead
    return {m: np.where(reverse, scores.backward[m], scores.forward[m]) for m in scores.forward}


PROTOCOLS = {"sequence": sequence_protocol, "forward": forward_protocol}


def capped_count(metrics: Metrics) -> int:
    """The number of images at the cap of PSNR."""
    return int(np.sum(metrics["psnr"] >= PSNR_CAP_DB))


# --- evaluation -----------------------------------------------------------------------------


def evaluate_model(
    model,
    data: Mixture,
    *,
    device: torch.device,
    batch: int | None = None,
    limit: int | None = None,
    bad: BadSamples | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Evaluation]:
    """All rows on each data set by itself.

    batch: samples at once (None: as many as `BATCH_PIXELS` hold). limit: at most so many samples
    of each data set, evenly spread. bad: takes what is said of samples that cannot be read, which
    are left out. on_progress: told how many samples are done in all.
    """
    done, evaluations = 0, []
    for data_set in data.data_sets:
        numbers = sample_numbers(data_set.sample_count, limit)
        samples = read_samples(replace(data, data_sets=(data_set,)), numbers, bad=bad)
        seen, scored = [], []
        for predicted in predicted_batches(model, samples, device=device, batch=batch):
            scored.append(_score_rows(predicted))
            seen.extend((s.key, s.meta, s.blur.shape[:2]) for s in predicted.samples)
            done += len(predicted.samples)
            on_progress(done)
        evaluations.append(_evaluation(data_set, seen, scored))
    return evaluations


def sequence_psnr(
    model, samples: Iterable[Sample], *, device: torch.device, batch: int | None = None
) -> np.ndarray:
    """(samples, n) float64: the model's PSNR in dB under `sequence`, in the order of the samples.

    What training validates by: the model's row alone, without SSIM. `batch` as above.
    """
    parts = []
    for predicted in predicted_batches(model, samples, device=device, batch=batch):
        turned = (predicted.frames, predicted.frames.flip(1))
        directions = ({"psnr": psnr(f, predicted.truth).cpu().numpy()} for f in turned)
        parts.append(sequence_protocol(Scores(*directions))["psnr"])
    return np.concatenate(parts) if parts else np.empty((0, 0))


def sample_count(data: Mixture, limit: int | None) -> int:
    """The number of samples that an evaluation with this limit takes."""
    return sum(len(sample_numbers(d.sample_count, limit)) for d in data.data_sets)


def spread_numbers(data: Mixture, limit: int | None) -> list[int]:
    """The mixture's numbers of at most `limit` samples of each data set, evenly spread."""
    numbers, first = [], 0
    for data_set in data.data_sets:
        numbers += [first + k for k in sample_numbers(data_set.sample_count, limit)]
        first += data_set.sample_count
    return numbers


def sample_numbers(count: int, limit: int | None) -> list[int]:
    """At most `limit` of 0 ... count - 1, evenly spread from the first on."""
    taken = count if limit is None else min(count, limit)
    return [i * count // taken for i in range(taken)]


class PredictedBatch(NamedTuple):
    """Samples of one size; blur (B, 3, H, W), truth and frames (B, n, 3, H, W) on the device, in
    [0, 1] but for the predicted frames, which are not clamped."""

    samples: Sequence[Sample]
    blur: Tensor
    truth: Tensor
    frames: Tensor


def predicted_batches(
    model, samples: Iterable[Sample], *, device: torch.device, batch: int | None
) -> Iterator[PredictedBatch]:
    """What the model makes of the samples, in their order."""
    for group in equal_sized(samples, batch=batch):
        blur, truth = (
            unit_range(channels_first(np.stack(images)).to(device))
            for images in zip(*((s.blur, s.frames) for s in group), strict=True)
        )
        frames = predict(model, blur).float()
        if frames.shape != truth.shape:
            raise ValueError(
                f"expected {truth.shape[1]} frames from the model, found {frames.shape[1]}"
            )
        yield PredictedBatch(group, blur, truth, frames)


def equal_sized(samples: Iterable[Sample], *, batch: int | None) -> Iterator[list[Sample]]:
    """Groups of neighbours of one size: `batch` at most, or as many as `BATCH_PIXELS` hold."""
    group: list[Sample] = []
    for sample in samples:
        height, width = sample.blur.shape[:2]
        most = batch or max(1, BATCH_PIXELS // (height * width))
        if group and (len(group) >= most or group[0].blur.shape != sample.blur.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


# --- rows -----------------------------------------------------------------------------------


def _score_rows(batch: PredictedBatch) -> dict[str, Scores]:
    """Every row on one batch."""
    middle = batch.truth.shape[1] // 2
    repeated = {
        BLUR: batch.blur,
        PREDICTED_MIDDLE: batch.frames[:, middle],
        TRUE_MIDDLE: batch.truth[:, middle],
    }
    turned = (batch.frames, batch.frames.flip(1))
    rows = {MODEL: Scores(*(_measure(frames, batch.truth) for frames in turned))}
    for name, image in repeated.items():
        rows[name] = _without_direction(_measure(image[:, None], batch.truth))
    if all(has_homography(sample.meta) for sample in batch.samples):
        rows[MOVED_MIDDLE] = _without_direction(_measure_moved(batch))
    return rows


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


def _measure_moved(batch: PredictedBatch) -> Metrics:
    middles = batch.truth[:, batch.truth.shape[1] // 2]
    pairs = zip(batch.samples, middles, strict=True)
    moved, seen = zip(*(moved_middle(sample.meta, middle) for sample, middle in pairs), strict=True)
    compared = torch.stack(moved), batch.truth, torch.stack(seen)
    return _metrics(masked_psnr(*compared), masked_ssim(*compared))


def _measure(estimate: Tensor, truth: Tensor) -> Metrics:
    return _metrics(psnr(estimate, truth), ssim(estimate, truth))


def _metrics(psnr_db: Tensor, ssim_: Tensor) -> Metrics:
    return {"psnr": psnr_db.cpu().numpy(), "ssim": ssim_.cpu().numpy()}


def _without_direction(metrics: Metrics) -> Scores:
    return Scores(metrics, metrics)


# --- a data set's batches together ----------------------------------------------------------


def _evaluation(
    data_set: DataSet, seen: Sequence[tuple[str, Mapping, tuple]], scored: Sequence[Mapping]
) -> Evaluation:
    if not seen:
        raise ValueError(f"{data_set.name}: none of its samples could be read")
    keys, metas, sizes = zip(*seen, strict=True)
    responses = sorted({meta["response"] for meta in metas})
    if len(responses) > 1:
        raise ValueError(
            f"{data_set.name}: expected samples of one response, found {', '.join(responses)}; "
            "their numbers cannot stand in one table"
        )
    facts = DataFacts(
        data_set=data_set.name,
        split=data_set.split,
        fingerprint=data_set.fingerprint,
        response=responses[0],
        sizes_hw=tuple(sorted(set(sizes))),
        averaged=tuple(meta["n"] for meta in metas),
        seeds=tuple(sorted({meta["seed"] for meta in metas})),
    )
    rows = [row for row in scored[0] if all(row in batch for batch in scored)]
    return Evaluation(facts, keys, {row: _joined([b[row] for b in scored]) for row in rows})


def _joined(parts: Sequence[Scores]) -> Scores:
    """The scores of one row, batch after batch."""
    return Scores(
        *(
            {metric: np.concatenate([p[metric] for p in direction]) for metric in direction[0]}
            for direction in zip(*parts, strict=True)
        )
    )
