"""Where a training stands: model, optimiser and a few counters; from and to `last.safetensors`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from blurvid.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from blurvid.compute import Compute
from blurvid.model import ModelSpec, build_model
from blurvid.optimizer import new_average, new_optimizer
from blurvid.restoration import FrameModel

STEP = "step"
MOMENTS = (STEP, "exp_avg", "exp_avg_sq")
LATER_CHOICES = {"flip": False, "loss without": []}  # what runs of earlier versions did not name


@dataclass
class TrainState:
    """All that changes in a training. average: the moving average of the weights, if there is one.
    step: steps done. updates: those in which some sample could be read. validated: the step after which the test split was last looked at.
    best_psnr: of all validations, in dB. bad: what was said of samples that could not be read."""

    model: FrameModel
    optimizer: torch.optim.Adam
    average: AveragedModel | None
    step: int = 0
    updates: int = 0
    validated: int = 0
    best_psnr: float = -math.inf
    bad: list[str] = field(default_factory=list)

    @property
    def judged(self) -> FrameModel:
        """The weights that are validated and kept as `best`."""
        return self.model if self.average is None else self.average.module


def new_state(spec: ModelSpec, *, seed: int, compute: Compute, ema: float = 0.0) -> TrainState:
    """Fresh weights drawn from `seed`; torch's own generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(spec)
    return _state_of(model, compute, ema)


def save_state(path: Path, state: TrainState, *, shaping: Mapping[str, Any]) -> None:
    """Everything for an exact resume; `shaping`: what must be the same then."""
    progress = {
        "step": state.step,
        "updates": state.updates,
        "averaged": 0 if state.average is None else int(state.average.n_averaged),
        "validated": state.validated,
        "best_psnr": state.best_psnr if math.isfinite(state.best_psnr) else None,
        "bad": state.bad,
        "shaping": dict(shaping),
    }
    checkpoint = Checkpoint(
        state.model.spec,
        state.model.state_dict(),
        optimizer=optimizer_tensors(state.model, state.optimizer),
        average={} if state.average is None else state.average.module.state_dict(),
        progress=progress,
    )
    save_checkpoint(path, checkpoint)


def load_state(
    path: Path, *, shaping: Mapping[str, Any], compute: Compute, ema: float = 0.0
) -> TrainState:
    """The inverse of `save_state`; ValueError where the run would not go on as it began."""
    checkpoint = load_checkpoint(path)
    progress = _checked(path, checkpoint.progress)
    _refuse_other_run(path, progress["shaping"], shaping)
    with torch.random.fork_rng(devices=[]):
        model = build_model(checkpoint.spec)
    model.load_state_dict(checkpoint.weights)
    state = _state_of(model, compute, ema)
    state.step, state.validated = progress["step"], progress["validated"]
    state.updates = progress["updates"]
    if state.updates:
        load_optimizer_tensors(path, state, checkpoint.optimizer)
        if state.average is not None:
            averaged = progress.get("averaged", state.updates)
            load_average(path, state.average, checkpoint.average, averaged=averaged)
    state.bad = list(progress["bad"])
    if progress["best_psnr"] is not None:
        state.best_psnr = progress["best_psnr"]
    return state


def _checked(path: Path, progress: Mapping[str, Any]) -> Mapping[str, Any]:
    """The progress of a training, with all that `save_state` writes."""
    if "shaping" not in progress:
        raise ValueError(f"{path}: expected the state of a training, found weights alone")
    for name, is_right in PROGRESS.items():
        if not is_right(progress.get(name, ...)):
            raise ValueError(f"{path} is damaged: its {name} is {str(progress.get(name))[:80]!r}")
    counts = progress["updates"], progress["step"], progress["shaping"].get("steps")
    if not counts[0] <= counts[1] or not _is_count(counts[2]) or counts[1] > counts[2]:
        raise ValueError(f"{path} is damaged: {counts[1]} steps done of {counts[2]}")
    return progress


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


PROGRESS = {
    "shaping": lambda v: isinstance(v, dict),
    "step": _is_count,
    "updates": _is_count,
    "averaged": lambda v: v is ... or _is_count(v),
    "validated": _is_count,
    "best_psnr": lambda v: v is None or type(v) in (int, float) and math.isfinite(v),
    "bad": lambda v: isinstance(v, list) and all(isinstance(s, str) for s in v),
}


def optimizer_tensors(
    model: FrameModel, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Adam's moments as `exp_avg/<name of the weight>`; none of weights that have not learnt yet."""
    return {
        f"{moment}/{name}": optimizer.state[parameter][moment]
        for name, parameter in model.named_parameters()
        for moment in MOMENTS
        if parameter in optimizer.state
    }


def load_optimizer_tensors(path: Path, state: TrainState, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    weights = dict(state.model.named_parameters())
    whole = state.model.stages == 1
    learnt = [name for name in weights if whole or f"{STEP}/{name}" in tensors]
    shapes = {
        f"{moment}/{name}": () if moment == STEP else weights[name].shape
        for name in learnt
        for moment in MOMENTS
    }
    squares = (t for name, t in tensors.items() if name.startswith("exp_avg_sq/"))
    fits = shapes == {name: tensor.shape for name, tensor in tensors.items()}
    if not fits or any(bool((square < 0).any()) for square in squares):
        raise ValueError(f"{path}: its optimiser's state does not fit the model's weights")
    moments = {
        number: {m: _laid_out_as(weight, tensors[f"{m}/{name}"]) for m in MOMENTS}
        for number, (name, weight) in enumerate(weights.items())
        if name in learnt
    }
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _laid_out_as(weight: Tensor, moment: Tensor) -> Tensor:
    """A moment in the memory layout of its weight: fused Adam goes through both as they lie. The
    number of steps stays as it is."""
    if not moment.ndim:
        return moment
    return torch.empty_like(weight, requires_grad=False).copy_(moment)


def load_average(
    path: Path, average: AveragedModel, weights: Mapping[str, Tensor], *, averaged: int
) -> None:
    """The moving average as it was when that was its count."""
    if weights.keys() != average.module.state_dict().keys():
        raise ValueError(f"{path}: its moving average does not fit the model's weights")
    average.module.load_state_dict(weights)
    average.n_averaged.fill_(averaged)


def _state_of(model: FrameModel, compute: Compute, ema: float) -> TrainState:
    model = compute.prepare(model)
    return TrainState(model, new_optimizer(model), new_average(model, ema))


def _whole_spec(stored: Any) -> Any:
    """The model's spec with what a run of an earlier version could not choose yet."""
    try:
        return ModelSpec.from_dict(stored).to_dict()
    except ValueError:
        return stored


def _refuse_other_run(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    then = {**LATER_CHOICES, **then, "model": _whole_spec(then.get("model"))}
    names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if names:
        differences = "; ".join(f"{n}: {then.get(n)} then, {now.get(n)} now" for n in names)
        raise ValueError(
            f"{path.parent} was begun with other options or data ({differences}); go on with "
            "those, or give another --out"
        )
