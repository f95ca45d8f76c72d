"""How weights are learnt: Adam, its learning rate over a run, and the moving average of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

BETAS = (0.9, 0.999)


def halved_twice(done: float) -> float:
    """The paper's schedule (5.1): halved at 1/2 and at 3/4 of the run."""
    return 0.5 ** ((done >= 0.5) + (done >= 0.75))


def cosine(done: float) -> float:
    """Half a cosine, from 1 at the beginning down to 0 at the end."""
    return 0.5 * (1 + math.cos(math.pi * done))


SCHEDULES = {"paper": halved_twice, "cosine": cosine}


@dataclass(frozen=True)
class OptimizerSpec:
    """learning_rate: of the first step. clip_norm: gradients of a larger norm are scaled down to
    it (None: never). ema: decay of the moving average of the weights, that is validated and kept
    as `best` (0: none)."""

    learning_rate: float = 1e-4
    schedule: str = "paper"
    clip_norm: float | None = None
    ema: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"expected a learning rate above 0, found {self.learning_rate}")
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise ValueError(f"expected schedule to be {known}, found {self.schedule!r}")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise ValueError(f"expected a norm above 0 to clip to, found {self.clip_norm}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"expected ema of at least 0 and below 1, found {self.ema}")


def stage_at(step: int, steps: int, stages: int = 1) -> tuple[int, float]:
    """The stage of the step after `step` of `steps`, and how much of that stage is done, in [0, 1).

    The stages 0 ... stages - 1 follow each other, as equally long as can be.
    """
    stage = step * stages // steps
    begin, end = (-(-number * steps // stages) for number in (stage, stage + 1))
    return stage, (step - begin) / (end - begin)


def learning_rate(spec: OptimizerSpec, done: float) -> float:
    """Of a step before which that share of the run is done, or of its stage: each begins anew."""
    return spec.learning_rate * SCHEDULES[spec.schedule](done)


def new_optimizer(model: nn.Module) -> torch.optim.Adam:
    """Adam of the model's weights, one kernel for all of them; its rate is set at each step."""
    return torch.optim.Adam(model.parameters(), betas=BETAS, fused=True)


def new_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """The moving average of the model's weights, none where `decay` is 0.

    Early on it follows faster, by min(decay, (1 + n) / (10 + n)) after n steps, so that the
    first weights are soon forgotten; `begin_average_anew` counts them from 1 again.
    """
    if not decay:
        return None

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor) -> None:
        n = int(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, multi_avg_fn=torch.no_grad()(average))


def begin_average_anew(average: AveragedModel) -> None:
    """Where other weights begin to learn: theirs, too, are to be soon forgotten."""
    average.n_averaged.fill_(1)
