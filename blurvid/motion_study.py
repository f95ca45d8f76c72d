"""A model's motion on shards: each sample's transformations, beside the true ones.

    shards -> samples -> SampleMotion -> MotionStudy, whose tables are in `motion_tables.py` and
    whose pictures are in `motion_pictures.py`
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from blursynth.schema import Sample
from blurvid.batch import channels_first, unit_range
from blurvid.evaluate import equal_sized, has_homography, sample_numbers
from blurvid.index import DataSet, Mixture
from blurvid.restoration import pad_to_multiple
from blurvid.motion import (
    FTN,
    ITN,
    EndPointErrors,
    finest_thetas,
    joined_errors,
    others,
    runs_backward,
    sample_errors,
)
from blurvid.stream import read_samples
from blurvid.warp import affine_warp

# --- what a model predicts ------------------------------------------------------------------


@dataclass(frozen=True)
class SampleMotion:
    """A sample and what is predicted of its motion.

    thetas: network -> (n - 1, 2, 3) float64, the finest scale, non-middle frames in time order.
    """

    sample: Sample
    thetas: Mapping[str, np.ndarray]

    def errors(self) -> dict[str, EndPointErrors] | None:
        """Row -> (1, n); None where the true motion is not known."""
        meta = self.sample.meta
        return sample_errors(self.thetas, meta) if has_homography(meta) else None

    def turned(self) -> "SampleMotion":
        """With the thetas in the better direction of time: that of the smaller end-point error;
        where the true motion is not known, that whose moved middle is nearer to the true frames."""
        reversed_ = {network: chain[::-1] for network, chain in self.thetas.items()}
        errors, other = self.errors(), replace(self, thetas=reversed_)
        if errors is not None:
            return other if runs_backward(errors)[0] else self
        return other if other._photometric_error() < self._photometric_error() else self

    def moved_middle(self) -> np.ndarray:
        """(n - 1, H, W, 3) uint8: the true middle frame moved by the thetas of FTN, as the paper's
        Figure 6 has it; by those of ITN where there is no FTN."""
        frames = self.sample.frames
        chain = self.thetas[FTN if FTN in self.thetas else ITN]
        return moved_by(chain, frames[len(frames) // 2])

    def _photometric_error(self) -> float:
        frames = self.sample.frames
        return float(np.abs(self.moved_middle() - frames[others(len(frames))].astype(float)).mean())


def moved_by(thetas: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(m, 2, 3), (H, W, 3) uint8 -> (m, H, W, 3) uint8: the image as each theta moves it, padded
    meanwhile as the networks see it."""
    height, width = image.shape[:2]
    padded = pad_to_multiple(channels_first(image))[None].double()
    moved = affine_warp(padded.expand(len(thetas), -1, -1, -1), torch.from_numpy(thetas.copy()))
    codes = moved[..., :height, :width].round().byte()
    return np.ascontiguousarray(codes.permute(0, 2, 3, 1).numpy())


def predicted_motions(
    model, samples: Iterable[Sample], *, device: torch.device
) -> Iterator[SampleMotion]:
    """What the model's networks say of each sample, in their order."""
    for group in equal_sized(samples, batch=None):
        blur = unit_range(channels_first(np.stack([s.blur for s in group])).to(device))
        with torch.inference_mode():
            thetas = finest_thetas(model(pad_to_multiple(blur)))
        for number, sample in enumerate(group):
            yield SampleMotion(sample, {name: t[number] for name, t in thetas.items()})


# --- a data set -----------------------------------------------------------------------------


@dataclass(frozen=True)
class MotionStudy:
    """The motion of one data set's samples.

    samples: how many were looked at. keys and errors (row -> samples as those keys): of those whose
    true motion is known, none where no sample's is. shown: samples for pictures.
    """

    data_set: DataSet
    samples: int
    keys: tuple[str, ...]
    errors: Mapping[str, EndPointErrors]
    shown: tuple[SampleMotion, ...]


def study_motion(
    model,
    data: Mixture,
    *,
    device: torch.device,
    limit: int | None = None,
    pictures: int = 8,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[MotionStudy]:
    """Each data set by itself: the end-point errors of all samples, or of `limit` evenly spread
    ones, and of these `pictures`, evenly spread, to show. on_progress: as in `evaluate_model`."""
    done, studies = 0, []
    for data_set in data.data_sets:
        numbers = sample_numbers(data_set.sample_count, limit)
        samples = read_samples(replace(data, data_sets=(data_set,)), numbers)
        wanted = set(sample_numbers(len(numbers), pictures))
        shown, known = [], []
        for number, motion in enumerate(predicted_motions(model, samples, device=device)):
            if number in wanted:
                shown.append(motion)
            known.append((motion.sample.key, motion.errors()))
            done += 1
            on_progress(done)
        studies.append(_study(data_set, known, shown))
    return studies


def _study(
    data_set: DataSet, seen: Sequence[tuple[str, Any]], shown: Sequence[SampleMotion]
) -> MotionStudy:
    known = [(key, errors) for key, errors in seen if errors is not None]
    rows = known[0][1] if known else {}
    joined = {row: joined_errors([errors[row] for _, errors in known]) for row in rows}
    return MotionStudy(data_set, len(seen), tuple(key for key, _ in known), joined, tuple(shown))
