"""One step of a training: forward, loss, backward, the checks, the update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from blurvid.batch import Batch, unit_range
from blurvid.compute import Compute
from blurvid.optimizer import OptimizerSpec, begin_average_anew, learning_rate, stage_at
from blurvid.ranks import Ranks
from blurvid.restoration import FrameModel, Restoration, pad_to_multiple
from blurvid.state import TrainState
from blurvid.stopped import TrainingStopped

Loss = Callable[[Restoration, Tensor], NamedTuple]


class Supervised(nn.Module):
    """Model and loss in one: blur (B, 3, H, W), frames (B, n, 3, H, W) -> (B, terms), the loss
    terms of each sample, the total first, float32."""

    def __init__(self, model: FrameModel, compute: Compute, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self._compute = compute
        self._loss = loss

    def forward(self, blur: Tensor, frames: Tensor) -> Tensor:
        with self._compute.autocast():
            restoration = self.model(blur)
        terms = self._loss(restoration, frames)
        return torch.stack([term.float() for term in terms], 1)


class Stepper:
    """Takes the steps of a training: one `TrainState`, its part of the global batches.

    steps: of the whole training, for the learning rate and the stages. terms: the names of the
    loss terms of `supervised`.
    """

    def __init__(
        self,
        state: TrainState,
        supervised: Supervised,
        *,
        spec: OptimizerSpec,
        compute: Compute,
        ranks: Ranks,
        steps: int,
        terms: Sequence[str],
    ) -> None:
        self._state, self._spec, self._ranks, self._steps = state, spec, ranks, steps
        self._compute, self._terms = compute, terms
        self._alone, self._stage = supervised, None
        if compute.compile:
            supervised.compile(dynamic=False)

    def take(self, batch: Batch, size: int) -> dict[str, float]:
        """One step on this rank's `batch` of a global batch of `size` samples; means of the loss
        terms over the global batch.

        The gradient is that of the global batch, however unequal the ranks' slices are. Nothing
        non-finite reaches the weights: TrainingStopped instead, on every rank.
        """
        state = self._state
        stage, done = stage_at(state.step, self._steps, state.model.stages)
        if stage != self._stage:
            self._begin(stage)
            if stage and done == 0 and state.average is not None:
                begin_average_anew(state.average)
        terms = self._loss_terms(batch)
        state.optimizer.zero_grad(set_to_none=True)
        (terms[:, 0].sum() * (self._ranks.count / size)).backward()
        gradients = [p.grad for p in state.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        means = self._refuse_non_finite(batch, terms.detach(), norm, size)
        if self._spec.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(
                state.model.parameters(), self._spec.clip_norm, norm
            )
        rate = learning_rate(self._spec, done)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.step()
        if state.average is not None:
            state.average.update_parameters(state.model)
        state.step += 1
        state.updates += 1
        return means

    def _begin(self, stage: int) -> None:
        """The ranks learn together those weights that learn in this stage."""
        self._state.model.begin_stage(stage)
        self._supervised = self._ranks.together(self._alone, self._compute.device)
        self._stage = stage

    def _loss_terms(self, batch: Batch) -> Tensor:
        """(samples, terms). A rank without samples takes the step with a black image, whose loss
        does not count."""
        images = (unit_range(i) for i in (batch.blur, batch.frames))
        blur, frames = (pad_to_multiple(i, self._state.model.stride) for i in images)
        blur = blur.contiguous(memory_format=self._compute.memory_format)
        return self._supervised(blur, frames)[: len(batch.keys)]

    def _refuse_non_finite(
        self, batch: Batch, terms: Tensor, norm: Tensor, size: int
    ) -> dict[str, float]:
        """The mean of each loss term over the global batch, if all is finite on every rank."""
        finite = torch.isfinite(norm)[None]
        *sums, gradients = self._ranks.sum(torch.cat([terms.double().sum(0), finite])).tolist()
        step = self._state.step + 1
        if not all(map(math.isfinite, sums)):
            raise TrainingStopped(
                f"the loss of step {step} is not finite for sample "
                f"{self._joined(non_finite_keys(terms[:, 0], batch.keys))}; look at it, "
                "or begin anew with a smaller --lr"
            )
        if gradients < self._ranks.count:
            raise TrainingStopped(
                f"the gradient of step {step} is not finite, in a batch of the samples "
                f"{self._joined(batch.keys)}; begin anew with a smaller --lr"
            )
        return {name: value / size for name, value in zip(self._terms, sums, strict=True)}

    def _joined(self, keys: Sequence[str]) -> str:
        """Those of all ranks, in words."""
        return ", ".join(key for part in self._ranks.gathered(tuple(keys)) for key in part)


def non_finite_keys(totals: Tensor, keys: Sequence[str]) -> list[str]:
    """The keys of the samples whose loss (B,) is NaN or infinite."""
    finite = torch.isfinite(totals).tolist()
    return [key for key, fine in zip(keys, finite, strict=True) if not fine]
