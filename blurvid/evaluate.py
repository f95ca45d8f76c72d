"""How well a model restores: its frames against the true ones, beside rows that need no model.

    shards -> samples -> predictions -> rows (Scores in both directions of time), figures
           -> a protocol -> summary -> tables

Whole stored frames are scored. Numbers of one table come from one data set, hence one response
(spec 4).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from blursynth.schema import Sample
from blurvid.figures import sample_figures
from blurvid.index import DataSet, Mixture
from blurvid.metrics import METRICS, Measure, psnr
from blurvid.predictions import PredictedBatch, predicted_batches
from blurvid.protocols import Scores, sequence_protocol
from blurvid.rows import score_rows
from blurvid.stream import BadSamples, read_samples


@dataclass(frozen=True)
class EvaluationSpec:
    """What is measured and on how much.

    batch: samples at once (None: as many as fit `BATCH_PIXELS`). limit: at most so many samples of
    each data set, evenly spread. measures: the metrics by name, "psnr" among them.
    """

    batch: int | None = None
    limit: int | None = None
    measures: Mapping[str, Measure] = field(default_factory=lambda: METRICS)

    def __post_init__(self):
        for name, value in (("batch", self.batch), ("limit", self.limit)):
            if value is not None and value < 1:
                raise ValueError(f"expected a {name} of at least 1, found {value}")
        if "psnr" not in self.measures:
            raise ValueError("expected psnr among the measures: it chooses the direction of time")


@dataclass(frozen=True)
class DataFacts:
    """What a table says of its data. averaged: n of each sample's blur. seeds: the data's."""

    data_set: str
    split: str
    fingerprint: str
    kind: str
    response: str
    sizes_hw: tuple[tuple[int, int], ...]
    averaged: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """What was measured on one data set; samples are in the order of `keys`.

    rows: row -> Scores. figures: name -> (samples,) float64, one number a sample.
    """

    facts: DataFacts
    keys: tuple[str, ...]
    rows: Mapping[str, Scores]
    figures: Mapping[str, np.ndarray]

    def of_samples(self, numbers: np.ndarray) -> "Evaluation":
        """The same of these samples alone; `facts` stay those of the data set."""

        def taken(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[numbers] for name, values in arrays.items()}

        rows = {row: Scores(*map(taken, scores)) for row, scores in self.rows.items()}
        keys = tuple(self.keys[k] for k in numbers)
        return Evaluation(self.facts, keys, rows, taken(self.figures))


def evaluate_model(
    model,
    data: Mixture,
    *,
    device: torch.device,
    spec: EvaluationSpec = EvaluationSpec(),
    bad: BadSamples | None = None,
    on_batch: Callable[[DataSet, PredictedBatch], None] = lambda data_set, batch: None,
) -> list[Evaluation]:
    """All rows and figures on each data set by itself.

    bad: takes what is said of samples that cannot be read, which are left out. on_batch: is given
    each batch once it is scored.
    """
    evaluations = []
    for data_set in data.data_sets:
        numbers = sample_numbers(data_set.sample_count, spec.limit)
        samples = read_samples(replace(data, data_sets=(data_set,)), numbers, bad=bad)
        parts = []
        for batch in predicted_batches(model, samples, device=device, batch=spec.batch):
            parts.append(_scored(batch, spec.measures))
            on_batch(data_set, batch)
        evaluations.append(_evaluation(data_set, parts))
    return evaluations


def sequence_psnr(
    model, samples: Iterable[Sample], *, device: torch.device, batch: int | None = None
) -> np.ndarray:
    """(samples, n) float64: the model's PSNR in dB under `sequence`, in the order of the samples.

    What training validates by: the model's row alone, without SSIM. batch: as in `EvaluationSpec`.
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


# --- a data set's batches together ----------------------------------------------------------


@dataclass(frozen=True)
class _ScoredBatch:
    """What is left of a batch: no pixels."""

    keys: tuple[str, ...]
    metas: tuple[Mapping, ...]
    size_hw: tuple[int, int]
    rows: Mapping[str, Scores]
    figures: Mapping[str, np.ndarray]


def _scored(batch: PredictedBatch, measures: Mapping[str, Measure]) -> _ScoredBatch:
    height, width = batch.blur.shape[-2:]
    return _ScoredBatch(
        keys=tuple(sample.key for sample in batch.samples),
        metas=tuple(sample.meta for sample in batch.samples),
        size_hw=(height, width),
        rows=score_rows(batch, measures),
        figures=sample_figures(batch),
    )


def _evaluation(data_set: DataSet, parts: Sequence[_ScoredBatch]) -> Evaluation:
    """The batches as one; a row counts where every batch has it."""
    if not parts:
        raise ValueError(f"{data_set.name}: none of its samples could be read")
    keys = tuple(key for part in parts for key in part.keys)
    names = [row for row in parts[0].rows if all(row in part.rows for part in parts)]
    rows = {
        row: Scores(*map(_joined, zip(*(part.rows[row] for part in parts), strict=True)))
        for row in names
    }
    figures = _joined([part.figures for part in parts])
    return Evaluation(_facts(data_set, parts), keys, rows, figures)


def _facts(data_set: DataSet, parts: Sequence[_ScoredBatch]) -> DataFacts:
    metas = [meta for part in parts for meta in part.metas]
    responses = sorted({meta["response"] for meta in metas})
    if len(responses) > 1:
        raise ValueError(
            f"{data_set.name}: expected samples of one response, found {', '.join(responses)}; "
            "their numbers cannot stand in one table"
        )
    return DataFacts(
        data_set=data_set.name,
        split=data_set.split,
        fingerprint=data_set.fingerprint,
        kind=" and ".join(sorted({meta["kind"] for meta in metas})),
        response=responses[0],
        sizes_hw=tuple(sorted({part.size_hw for part in parts})),
        averaged=tuple(meta["n"] for meta in metas),
        seeds=tuple(sorted({meta["seed"] for meta in metas})),
    )


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of several batches, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
