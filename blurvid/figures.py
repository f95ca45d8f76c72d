"""One number a sample, beside the scores of its frames: how long its blur is, and whether the
predicted frames, blurred again, give it back (spec 4).

Names are columns of `figures-<data set>.csv`; each holds (samples,) float64.
"""

import numpy as np
import torch

from blursynth.light import mean_of_frames
from blursynth.motion import blur_length_px
from blurvid.batch import channels_first, unit_range
from blurvid.metrics import psnr
from blurvid.predictions import PredictedBatch

BLUR_PX = "blur_px"
REBLUR, REBLUR_TRUE = "reblur_psnr", "reblur_psnr_true"


def sample_figures(batch: PredictedBatch) -> dict[str, np.ndarray]:
    """Every figure of a batch, (B,) each."""
    samples = batch.samples
    predicted = zip(samples, batch.codes(), strict=True)
    return {
        BLUR_PX: np.array([blur_length_px(s.meta) for s in samples]),
        REBLUR: np.array([reblur_psnr(f, s.blur, s.meta["response"]) for s, f in predicted]),
        REBLUR_TRUE: np.array([reblur_psnr(s.frames, s.blur, s.meta["response"]) for s in samples]),
    }


def reblur_psnr(frames: np.ndarray, blur: np.ndarray, response: str) -> float:
    """(n, H, W, 3), (H, W, 3) uint8 -> dB: the mean of the frames under the response against the
    blur. n frames are not the many that made it: true ones need not reach the cap."""
    again = mean_of_frames(frames, response)
    return float(psnr(*(_unit(image) for image in (again, blur))))


def _unit(image: np.ndarray) -> torch.Tensor:
    return unit_range(channels_first(image))
