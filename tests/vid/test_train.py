"""A training takes the planned steps, loses none of them, and says what it does."""

import csv
import errno
import json
import os
import signal
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from blurvid.batch import Batch
from blurvid.checkpoint import load_checkpoint, load_model, save_checkpoint
from blurvid.compute import Compute, ComputeSpec
from blurvid.interrupts import interruptions
from blurvid.losses import LossTerms, restoration_loss
from blurvid.model import ModelSpec
from blurvid.optimizer import OptimizerSpec, learning_rate, new_average
from blurvid.order import Order
from blurvid.plan import DataSpec, ReportSpec, RunSpec, TrainSpec, plan_run
from blurvid.ranks import Ranks
from blurvid.run_folder import RunFolder
from blurvid.state import new_state
from blurvid.step import Stepper, Supervised, non_finite_keys
from blurvid.stopped import TrainingStopped
from blurvid.train import train

CPU = torch.device("cpu")
STEPS = 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_data_set):
    """Nine samples to train on (four batches of two) and three to test on."""
    folder = tmp_path_factory.mktemp("shards")
    write_data_set(folder, "dots", "train", [5, 4], size_hw=(32, 32))
    write_data_set(folder, "dots", "test", [3], first=9, size_hw=(32, 32))
    return folder


def _spec(shards, *, report=None, data=None, optimizer=None, **training):
    return RunSpec(
        ModelSpec(frames=3, width=1),
        DataSpec(shards, batch=2, **(data or {})),
        TrainSpec(**{"steps": STEPS, **training}),
        OptimizerSpec(**(optimizer or {})),
        ComputeSpec(precision="fp32"),
        ReportSpec(log_every=1, **(report or {})),
    )


def _train(spec, out, *, resume=False, say=lambda line: None):
    train(spec, RunFolder(Path(out)), device=CPU, resume=resume, say=say)


def _raising(error, after_step):
    """A `say` that stops the training when that step is logged."""

    def say(line):
        if line.startswith(f"step {after_step}/"):
            raise error

    return say


@pytest.fixture(scope="module")
def undisturbed_run(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    _train(_spec(shards), folder)
    return folder


def _rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["step"], row["epoch"], row["total"], row["psnr"]) for row in rows]


# --- resume --------------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "workers"), [(3, 1), (4, 0), (0, 0)])
def test_ctrl_c_and_resume_end_in_the_same_bits(shards, undisturbed_run, tmp_path, stop, workers):
    spec = _spec(shards)
    with pytest.raises(KeyboardInterrupt):
        _train(spec, tmp_path / "run", say=_raising(KeyboardInterrupt, stop or 1))
    if not stop:
        (tmp_path / "run/last.safetensors").unlink()  # killed before anything was saved
    resumed = replace(spec, data=replace(spec.data, workers=workers))
    _train(resumed, tmp_path / "run", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (undisturbed_run / name).read_bytes()
    assert _rows(tmp_path / "run") == _rows(undisturbed_run)


def test_steps_that_a_crash_undid_are_taken_and_recorded_once(shards, undisturbed_run, tmp_path):
    with pytest.raises(RuntimeError):
        _train(_spec(shards), tmp_path / "run", say=_raising(RuntimeError, 5))
    assert load_checkpoint(tmp_path / "run/last.safetensors").progress["step"] == 4
    assert [row[0] for row in _rows(tmp_path / "run")] == ["1", "2", "3", "4", "4", "5"]
    _train(_spec(shards), tmp_path / "run", resume=True)
    last = (tmp_path / "run/last.safetensors").read_bytes()
    assert last == (undisturbed_run / "last.safetensors").read_bytes()
    assert _rows(tmp_path / "run") == _rows(undisturbed_run)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.fixture
def interrupted(shards, tmp_path):
    """A run that Ctrl-C ended after step 5; before, it was saved after step 4."""
    with pytest.raises(KeyboardInterrupt):
        _train(_spec(shards), tmp_path / "run", say=_raising(KeyboardInterrupt, 5))
    return tmp_path / "run"


def test_a_truncated_newest_state_falls_back_to_the_one_before(
    shards, undisturbed_run, interrupted
):
    assert _step_of(interrupted / "last.safetensors") == 5
    assert _step_of(interrupted / "last-1.safetensors") == 4
    _cut(interrupted / "last.safetensors")
    said = []
    _train(_spec(shards), interrupted, resume=True, say=said.append)
    assert any("not a whole safetensors file" in s and "last-1.safetensors" in s for s in said)
    assert "resumed after step 4" in said
    last = (interrupted / "last.safetensors").read_bytes()
    assert last == (undisturbed_run / "last.safetensors").read_bytes()


def test_when_no_saved_state_is_whole_nothing_is_begun_anew(shards, interrupted):
    for path in interrupted.glob("last*"):
        _cut(path)
    with pytest.raises(ValueError, match="last-1.safetensors is not a whole"):
        _train(_spec(shards), interrupted, resume=True)


@pytest.mark.parametrize("keep", [1, 3])
def test_the_last_few_states_are_kept(shards, tmp_path, keep):
    spec = _spec(shards, report={"keep": keep, "validate_every": 1})
    _train(spec, tmp_path / "run")
    names = ["last", "last-1", "last-2"][:keep]
    assert sorted(p.stem for p in (tmp_path / "run").glob("last*")) == sorted(names)
    steps = [_step_of(tmp_path / "run" / f"{name}.safetensors") for name in names]
    assert steps == [6, 5, 4][:keep]


def _step_of(path):
    return load_checkpoint(path).progress["step"]


@pytest.mark.parametrize(
    "change",
    [
        {"step": -3, "updates": -3},
        {"step": True},
        {"step": 10**18},
        {"updates": 6},
        {"best_psnr": float("nan")},
        {"bad": "none"},
        {"shaping": None},
    ],
)
def test_a_state_whose_progress_cannot_be_is_refused(shards, interrupted, change):
    path = interrupted / "last.safetensors"
    saved = load_checkpoint(path)
    save_checkpoint(path, replace(saved, progress={**saved.progress, **change}))
    with pytest.raises(ValueError, match="last.safetensors is damaged: "):
        _train(_spec(shards), interrupted, resume=True)


def _negative_squares(tensors):
    name = next(name for name in tensors if name.startswith("exp_avg_sq/"))
    return {**tensors, name: -tensors[name] - 1}


def _reshaped(tensors):
    return {**tensors, "exp_avg/encoder.blocks.0.0.0.weight": torch.zeros(2)}


def _moment_missing(tensors):
    return {name: t for name, t in tensors.items() if not name.startswith("step/middle")}


@pytest.mark.parametrize(
    "change", [_reshaped, _moment_missing, _negative_squares, lambda tensors: {}]
)
def test_an_optimisers_state_that_does_not_fit_is_refused(shards, interrupted, change):
    """Fused Adam would read beyond a moment of another shape."""
    path = interrupted / "last.safetensors"
    saved = load_checkpoint(path)
    save_checkpoint(path, replace(saved, optimizer=change(saved.optimizer)))
    with pytest.raises(ValueError, match="last.safetensors: its optimiser's state does not fit"):
        _train(_spec(shards), interrupted, resume=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resume_is_exact_in_every_memory_layout(shards, tmp_path, precision):
    """bf16 keeps weights channels_last, checkpoints do not."""
    spec = replace(_spec(shards), compute=ComputeSpec(precision))
    _train(spec, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _train(spec, tmp_path / "cut", say=_raising(KeyboardInterrupt, 3))
    _train(spec, tmp_path / "cut", resume=True)
    cut, whole = (tmp_path / run / "last.safetensors" for run in ("cut", "whole"))
    assert cut.read_bytes() == whole.read_bytes()


def test_the_state_of_the_order_is_a_small_json(shards, undisturbed_run):
    """From it and the shards' sizes the rest of the batches follows."""
    text = json.dumps(load_checkpoint(undisturbed_run / "last.safetensors").progress)
    progress = json.loads(text)
    assert len(text) < 1000
    shaping = progress["shaping"]
    order = Order((5, 4), shaping["batch"], shaping["seed"], shaping["block"])
    whole = list(plan_run(_spec(shards)).order.batches(0, 9))
    assert list(order.batches(progress["step"], 9)) == whole[progress["step"] :]


def test_a_finished_run_that_is_resumed_stays_as_it_is(shards, undisturbed_run):
    before = (undisturbed_run / "last.safetensors").read_bytes()
    said = []
    _train(_spec(shards), undisturbed_run, resume=True, say=said.append)
    assert (undisturbed_run / "last.safetensors").read_bytes() == before
    assert "resumed after step 6" in said


def test_a_run_with_other_options_or_data_is_not_resumed(
    shards, undisturbed_run, tmp_path, write_data_set
):
    with pytest.raises(ValueError, match=r"seed: 0 then, 1 now\); go on with those"):
        _train(_spec(shards, seed=1), undisturbed_run, resume=True)
    write_data_set(tmp_path, "dots", "train", [5, 4], size_hw=(32, 32), fingerprint="0" * 64)
    with pytest.raises(ValueError, match="data: .*9 samples, ffff.* then, .*9 samples, 0000"):
        _train(_spec(tmp_path), undisturbed_run, resume=True)
    other = tmp_path / "other"
    write_data_set(other, "dots", "train", [5, 4], size_hw=(32, 32))
    write_data_set(other, "dots", "test", [3], first=19, size_hw=(32, 32))
    with pytest.raises(ValueError, match="begun with other .* data .test data: .* shards"):
        _train(_spec(other), undisturbed_run, resume=True)


def test_a_folder_that_is_there_is_not_written_to_unless_it_is_resumed(shards, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already: add --resume"):
        _train(_spec(shards), tmp_path)
    with pytest.raises(ValueError, match="holds no run to resume"):
        _train(_spec(shards), tmp_path / "absent", resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_ctrl_c_waits_until_a_step_is_whole():
    done = []
    with pytest.raises(KeyboardInterrupt), interruptions(deferred=False) as interrupts:
        with interrupts.held_back():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("step")
    assert done == ["step"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_pressed_twice_waits_all_the_same():
    """Else a step would be cut in two, and what is saved then be none of the training's states."""
    done = []
    with pytest.raises(KeyboardInterrupt), interruptions(deferred=False) as interrupts:
        with interrupts.held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("step")
    assert done == ["step"]


def test_with_several_ranks_ctrl_c_is_only_noted():
    with interruptions(deferred=True) as interrupts:
        with interrupts.held_back():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.asked


# --- what a run leaves ---------------------------------------------------------------------


def test_a_run_folder_holds_all_that_the_user_was_promised(undisturbed_run):
    names = {str(path.relative_to(undisturbed_run)) for path in undisturbed_run.rglob("*")}
    assert names >= {
        "options.json",
        "metrics.csv",
        "last.safetensors",
        "best.safetensors",
        "samples/step-0000004.png",
        "samples/step-0000006.png",
    }
    assert any("events.out.tfevents" in name for name in names)


def test_validation_comes_after_each_epoch_and_at_the_end(undisturbed_run):
    rows = _rows(undisturbed_run)
    assert [(step, epoch) for step, epoch, _, psnr in rows if psnr] == [("4", "1"), ("6", "2")]
    assert [step for step, _, total, _ in rows if total] == ["1", "2", "3", "4", "5", "6"]


def test_best_holds_the_weights_of_the_highest_psnr(undisturbed_run):
    best = load_checkpoint(undisturbed_run / "best.safetensors")
    psnr = {step: float(psnr) for step, _, _, psnr in _rows(undisturbed_run) if psnr}
    step = max(psnr, key=psnr.get)
    expected = {"step": int(step), "psnr": pytest.approx(psnr[step], rel=1e-5), "seed": 0}
    assert best.progress == expected
    assert not best.optimizer


@pytest.mark.parametrize("name", ["best", "last"])
def test_both_checkpoints_can_be_restored_with(undisturbed_run, name):
    model = load_model(undisturbed_run / f"{name}.safetensors", CPU)
    with torch.no_grad():
        assert model.restore(torch.rand(1, 3, 20, 30)).shape == (1, 3, 3, 20, 30)


def test_one_batch_is_overfitted_tenfold(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2], size_hw=(32, 32))
    _train(_spec(tmp_path, steps=40, optimizer={"learning_rate": 2e-3}), tmp_path / "run")
    with open(tmp_path / "run/metrics.csv", newline="") as file:
        losses = [float(row["photometric"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0] / 10


def test_it_says_what_it_will_do(shards, tmp_path):
    said = []
    _train(_spec(shards, steps=3), tmp_path / "run", say=said.append)
    text = "\n".join(said)
    for expected in (
        "data: dots, 9 samples of 32x32",
        "validation: dots, 3 samples",
        "3 frames, width 1, ",
        "steps: 3 (0.75 epochs of 4), batch 2, 32x32 px",
        "device: cpu",
        "s a step on this CPU",
        "step 3/3  epoch 1  loss",
        "images/s",
        "waiting for data",
    ):
        assert expected in text


def test_without_a_test_split_it_says_that_it_validates_nothing(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2], size_hw=(32, 32))
    said = []
    _train(_spec(tmp_path, steps=1), tmp_path / "run", say=said.append)
    assert any("validates nothing" in line for line in said)
    assert (tmp_path / "run/last.safetensors").exists()
    assert not (tmp_path / "run/best.safetensors").exists()


# --- options -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["given", "canonical", "invariant"])
@pytest.mark.parametrize("photometric", ["sum", "mean"])
def test_every_order_and_loss_trains(shards, tmp_path, order, photometric):
    _train(_spec(shards, steps=1, order=order, photometric=photometric), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run/last.safetensors").progress["step"] == 1


def test_any_crop_and_seven_frames_train(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2], frames=7, size_hw=(40, 50))
    spec = replace(
        _spec(tmp_path, steps=1), model=ModelSpec("full", 7, 1), data=DataSpec(tmp_path, crop=37, batch=1)
    )
    _train(spec, tmp_path / "run")
    assert load_model(tmp_path / "run/last.safetensors", CPU).spec.frames == 7


def test_different_sizes_are_mixed_at_the_smallest(tmp_path, write_data_set):
    write_data_set(tmp_path, "wide", "train", [3], size_hw=(40, 80))
    write_data_set(tmp_path, "high", "train", [3], size_hw=(80, 40))
    spec = _spec(tmp_path, steps=2)
    assert plan_run(spec).crop_hw == (40, 40)
    _train(spec, tmp_path / "run")


@pytest.mark.parametrize(("side", "batch"), [(128, 8), (129, 4)])
def test_a_batch_is_eight_up_to_128_px_and_else_four(tmp_path, write_data_set, side, batch):
    write_data_set(tmp_path, "dots", "train", [8], size_hw=(side, side))
    spec = replace(_spec(tmp_path), data=DataSpec(tmp_path))
    assert plan_run(spec).order.batch == batch


def test_epochs_count_when_steps_are_not_given(shards):
    plan = plan_run(_spec(shards, steps=None, epochs=5))
    assert plan.steps == 5 * 4 and plan.validate_every == 4
    assert [plan.epoch_of(step) for step in (0, 1, 4, 5, 20)] == [1, 1, 1, 2, 5]


def test_the_learning_rate_is_halved_at_a_half_and_at_three_quarters():
    rates = [learning_rate(OptimizerSpec(1.0), step / 80) for step in range(80)]
    assert rates == [1.0] * 40 + [0.5] * 20 + [0.25] * 20


def test_the_cosine_schedule_falls_from_the_whole_rate_over_half_of_it_towards_none():
    rates = [learning_rate(OptimizerSpec(2.0, "cosine"), step / 80) for step in range(80)]
    assert rates[0] == 2.0 and rates[40] == pytest.approx(1.0)
    assert all(after < before for before, after in pairwise(rates))
    assert 0 < rates[-1] < 0.002


def test_the_seed_alone_decides_the_first_weights():
    def weights(seed):
        torch.rand(seed + 1)  # what was drawn before does not matter
        state = new_state(ModelSpec("full", 3, 1), seed=seed, compute=Compute(CPU))
        return torch.cat([p.flatten() for p in state.model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: OptimizerSpec(learning_rate=0), "learning rate above 0"),
        (lambda: OptimizerSpec(schedule="linear"), "paper, cosine, found 'linear'"),
        (lambda: OptimizerSpec(clip_norm=-1), "norm above 0 to clip to, found -1"),
        (lambda: OptimizerSpec(ema=1), "ema of at least 0 and below 1, found 1"),
        (lambda: ComputeSpec("fp16"), "auto, fp32, bf16, found 'fp16'"),
        (lambda: ReportSpec(keep=0), "keep of at least 1, found 0"),
        (lambda: TrainSpec(steps=0), "steps of at least 1, found 0"),
        (lambda: TrainSpec(order="sorted"), "given, canonical, invariant, found 'sorted'"),
        (lambda: DataSpec(Path("shards"), crop=0), "crop of at least 1, found 0"),
        (lambda: ReportSpec(log_every=0), "log_every of at least 1, found 0"),
    ],
)
def test_impossible_options_are_refused_at_birth(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_crop_larger_than_the_data_is_refused(shards):
    spec = replace(_spec(shards), data=DataSpec(shards, crop=33, batch=2))
    with pytest.raises(ValueError, match="crop of at most 32, .* found 33"):
        plan_run(spec)


def test_the_average_of_the_weights_is_what_is_validated_and_kept_as_best(shards, tmp_path):
    spec = _spec(shards, optimizer={"ema": 0.9}, steps=4)
    _train(spec, tmp_path / "run")
    last = load_checkpoint(tmp_path / "run/last.safetensors")
    best = load_checkpoint(tmp_path / "run/best.safetensors").weights
    assert all(torch.equal(best[name], last.average[name]) for name in best)
    assert not all(torch.equal(best[name], last.weights[name]) for name in best)


def test_the_average_follows_the_weights_as_its_law_says():
    layer = torch.nn.Linear(1, 1, bias=False)
    average, expected = new_average(layer, 0.5), None
    for n, weight in enumerate([1.0, 3.0, -2.0, 5.0]):
        torch.nn.init.constant_(layer.weight, weight)
        average.update_parameters(layer)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = weight if n == 0 else decay * expected + (1 - decay) * weight
        assert average.module.weight.item() == pytest.approx(expected)


@pytest.mark.parametrize("stop", [2, 5])
def test_a_resume_carries_average_clipping_and_schedule_on_to_the_bit(shards, tmp_path, stop):
    chosen = {"ema": 0.9, "clip_norm": 50.0, "schedule": "cosine"}
    spec = _spec(shards, optimizer=chosen, data={"block": 1})
    _train(spec, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _train(spec, tmp_path / "cut", say=_raising(KeyboardInterrupt, stop))
    _train(spec, tmp_path / "cut", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_clipping_bounds_the_gradient_that_adam_sees(shards, tmp_path):
    """After one step Adam's first moment is a tenth of the gradient."""
    norms = []
    for clip_norm in (None, 1.0):
        out = tmp_path / str(clip_norm)
        _train(_spec(shards, steps=1, optimizer={"clip_norm": clip_norm}), out)
        moments = load_checkpoint(out / "last.safetensors").optimizer
        firsts = [t for name, t in moments.items() if name.startswith("exp_avg/")]
        norms.append(10 * torch.nn.utils.get_total_norm(firsts).item())
    assert norms[0] > 10 and norms[1] == pytest.approx(1, rel=1e-3)


def test_a_profile_is_a_trace_of_a_few_steps(shards, tmp_path):
    _train(_spec(shards, steps=7, report={"profile": True}), tmp_path / "run")
    events = json.loads((tmp_path / "run/trace.json").read_text())["traceEvents"]
    assert any("conv" in event.get("name", "") for event in events)


def test_bf16_learns_as_fp32_does(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [4], size_hw=(32, 32))
    losses = {}
    for precision in ("fp32", "bf16"):
        spec = _spec(tmp_path, steps=30, optimizer={"learning_rate": 2e-3})
        _train(replace(spec, compute=ComputeSpec(precision)), tmp_path / precision)
        with open(tmp_path / precision / "metrics.csv", newline="") as file:
            losses[precision] = [float(row["photometric"]) for row in csv.DictReader(file)]
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.02)
    assert losses["bf16"][0] != losses["fp32"][0]
    assert sum(losses["bf16"][-5:]) == pytest.approx(sum(losses["fp32"][-5:]), rel=0.2)


def test_an_epoch_that_keeps_its_last_batch_takes_every_sample_once(shards, tmp_path):
    spec = _spec(shards, steps=None, epochs=2, last_batch="keep")
    plan = plan_run(spec)
    assert plan.steps == 2 * 5  # nine samples, batches of two
    for epoch in range(2):
        batches = plan.order.batches(5 * epoch, 5 * epoch + 5)
        assert sorted(n for batch in batches for n in batch.numbers) == list(range(9))
    _train(spec, tmp_path / "run")
    assert _step_of(tmp_path / "run/last.safetensors") == 10


# --- what cannot go on ---------------------------------------------------------------------

def _stepper_and_batch():
    """A training of one step, and three samples for it."""
    compute, images = Compute(CPU), torch.randint(256, (3, 4, 3, 32, 32), dtype=torch.uint8)
    state = new_state(ModelSpec("full", 3, 1), seed=0, compute=compute)
    supervised = Supervised(state.model, compute, restoration_loss)
    options = {"spec": OptimizerSpec(), "compute": compute, "ranks": Ranks(), "steps": 1}
    stepper = Stepper(state, supervised, terms=LossTerms._fields, **options)
    return stepper, state, Batch(images, ("a", "b", "c"))


def test_a_gradient_that_is_not_finite_never_reaches_the_weights():
    stepper, state, batch = _stepper_and_batch()
    before = [p.detach().clone() for p in state.model.parameters()]
    next(state.model.parameters()).register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingStopped, match="gradient of step 1 is not finite, .* a, b, c;"):
        stepper.take(batch, 3)
    assert all(torch.equal(*pair) for pair in zip(before, state.model.parameters(), strict=True))
    assert state.step == state.updates == 0


def test_a_loss_that_is_not_finite_is_blamed_on_its_samples_alone():
    totals = torch.tensor([1.0, float("nan"), float("inf")])
    assert non_finite_keys(totals, ("a", "b", "c")) == ["b", "c"]
    stepper, state, batch = _stepper_and_batch()
    torch.nn.init.constant_(next(state.model.parameters()), float("inf"))
    with pytest.raises(TrainingStopped, match="loss of step 1 is not finite for sample a, b, c;"):
        stepper.take(batch, 3)


def test_a_diverging_run_keeps_the_last_finite_state(shards, tmp_path):
    with pytest.raises(TrainingStopped, match="not finite .* dots-00000"):
        _train(_spec(shards, optimizer={"learning_rate": 1e20}), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run/last.safetensors").progress["step"] >= 1


def test_a_damaged_sample_is_named_and_the_steps_before_it_are_kept(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [8], size_hw=(32, 32))
    spec = _spec(tmp_path)
    order = plan_run(spec).order
    unlucky = list(order.batches(0, 3))[2].numbers[0]
    shard, sample = plan_run(spec).train.locate(unlucky)
    with open(shard.tar, "r+b") as file:
        file.seek(sample.members["blur.png"][0])
        file.write(b"\0")
    with pytest.raises(ValueError, match=f"sample {sample.key}, member blur.png"):
        _train(spec, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run/last.safetensors").progress["step"] == 2


def _spoil(mixture, numbers):
    """Damages the blurs of the samples with these numbers; their keys."""
    keys = []
    for number in numbers:
        shard, sample = mixture.locate(number)
        with open(shard.tar, "r+b") as file:
            file.seek(sample.members["blur.png"][0])
            file.write(b"\0")
        keys.append(sample.key)
    return keys


def test_bad_samples_are_left_out_counted_once_and_named(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [5], size_hw=(32, 32))
    write_data_set(tmp_path, "dots", "test", [3], first=5, size_hw=(32, 32))
    spec = _spec(tmp_path, data={"max_bad": 2})
    plan, said = plan_run(spec), []
    keys = [*_spoil(plan.train, [1]), *_spoil(plan.test, [2])]
    _train(spec, tmp_path / "run", say=said.append)
    left_out = [line for line in said if line.startswith("left out")]
    assert len(left_out) == 2 and all(any(key in line for line in left_out) for key in keys)
    bad = load_checkpoint(tmp_path / "run/last.safetensors").progress["bad"]
    assert sorted(f"left out: {sentence}" for sentence in bad) == sorted(left_out)


def test_more_bad_samples_than_allowed_stop_the_training(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [5], size_hw=(32, 32))
    spec = _spec(tmp_path, data={"max_bad": 1})
    _spoil(plan_run(spec).train, [0, 3])
    for resume in (False, True):  # a resume passes over nothing that stopped it
        with pytest.raises(ValueError, match=r"dots.* \(with it more than the 1 that --max-bad"):
            _train(spec, tmp_path / "run", resume=resume)


def test_a_step_none_of_whose_samples_can_be_read_changes_nothing(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [2], size_hw=(32, 32))
    spec = _spec(tmp_path, steps=1, data={"max_bad": 2})
    _spoil(plan_run(spec).train, [0, 1])
    _train(spec, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run/last.safetensors")
    assert checkpoint.progress["step"] == 1 and not checkpoint.optimizer


def test_a_sample_smaller_than_its_index_says_is_bad_like_any_other(tmp_path, write_data_set):
    write_data_set(tmp_path, "dots", "train", [4], size_hw=(32, 32))
    index = tmp_path / "dots/train/dots-train-000000.json"
    index.write_text(index.read_text().replace("32,\n  32", "40,\n  40"))
    with pytest.raises(ValueError, match="tar: sample dots-.*: expected at least 40x40 pixels"):
        _train(_spec(tmp_path, steps=1), tmp_path / "run")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_keeps_the_state_before_and_is_one_error(shards, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        with pytest.raises(OSError) as caught:
            _train(_spec(shards, report={"validate_every": 1, "keep": 9}), disk / "run")
        assert caught.value.errno == errno.ENOSPC and "run/" in caught.value.filename
        assert _step_of(disk / "run/last.safetensors") >= 1
        assert not list((disk / "run").glob(".*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_best_survives_a_ctrl_c_in_the_validation_that_found_it(shards, tmp_path, monkeypatch):
    spec, run = _spec(shards, steps=4), tmp_path / "run"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("blurvid.validate.save_best", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _train(spec, run)
    _train(spec, run, resume=True)
    assert (run / "best.safetensors").exists()
    assert [row[0] for row in _rows(run) if row[3]] == ["4"]
