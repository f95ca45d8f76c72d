"""Every model trains on the same shards by the same loop: stages, parts left out, metrics."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from blurvid.checkpoint import load_checkpoint, save_checkpoint
from blurvid.compute import Compute, ComputeSpec
from blurvid.losses import terms_of
from blurvid.model import ModelSpec
from blurvid.optimizer import OptimizerSpec, stage_at
from blurvid.plan import DataSpec, ReportSpec, RunSpec, TrainSpec, plan_run, run_name
from blurvid.run_folder import RunFolder
from blurvid.state import LATER_CHOICES, new_state
from blurvid.train import train

CPU = torch.device("cpu")
STEPS = 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_data_set):
    folder = tmp_path_factory.mktemp("shards")
    write_data_set(folder, "dots", "train", [5, 4], frames=7, size_hw=(32, 40))
    write_data_set(folder, "dots", "test", [2], frames=7, first=9, size_hw=(32, 40))
    return folder


def _spec(shards, model="jin2018", *, frames=3, parts=(), **training):
    """parts: of the model, that are left out."""
    return RunSpec(
        ModelSpec(model, frames, 1, without=parts),
        DataSpec(shards, batch=2, crop=32),
        TrainSpec(**{"steps": STEPS, **training}),
        compute=ComputeSpec(precision="fp32"),
        report=ReportSpec(log_every=1, validate_every=3),
    )


def _train(spec, out, *, resume=False, stop=None):
    def say(line):
        if stop is not None and line.startswith(f"step {stop}/"):
            raise KeyboardInterrupt

    train(spec, RunFolder(Path(out)), device=CPU, resume=resume, say=say)


def _rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def _last(folder):
    return load_checkpoint(folder / "last.safetensors")


@pytest.mark.parametrize(
    ("model", "frames", "parts", "training"),
    [
        ("light", 7, (), {"order": "invariant"}),
        ("light", 3, ("itn",), {"without": ("pt", "tcl")}),
        ("full", 3, ("ftn", "lw", "itn"), {"flip": True}),
        ("recurrent", 7, (), {"photometric": "mean"}),
        ("jin2018", 7, (), {}),
    ],
)
def test_every_model_trains_and_keeps_its_own_spec(
    shards, tmp_path, model, frames, parts, training
):
    spec = _spec(shards, model, frames=frames, parts=parts, **training)
    _train(spec, tmp_path / "run")
    best = load_checkpoint(tmp_path / "run/best.safetensors")
    assert best.spec == spec.model and _last(tmp_path / "run").progress["step"] == STEPS
    learnt = [row for row in _rows(tmp_path / "run") if row["total"]]
    assert len(learnt) == STEPS and set(terms_of(model)) <= learnt[0].keys()
    if "tcl" in training.get("without", ()):
        assert {row["consistency"] for row in learnt} == {row["penalty"] for row in learnt} == {"0"}


# --- stages ----------------------------------------------------------------------------------


def test_stages_follow_each_other_as_equally_long_as_can_be():
    assert [stage_at(step, 6, 2) for step in range(6)] == [
        *((0, done / 3) for done in range(3)),
        *((1, done / 3) for done in range(3)),
    ]
    for steps in range(4, 30):
        stages = [stage_at(step, steps, 4) for step in range(steps)]
        lengths = [sum(stage == k for stage, _ in stages) for k in range(4)]
        assert sum(lengths) == steps and max(lengths) - min(lengths) <= 1
        begins = [done for before, (stage, done) in zip([(-1, 0), *stages], stages) if stage != before[0]]
        assert begins == [0.0] * 4
    assert [stage_at(step, 8)[1] for step in range(8)] == [step / 8 for step in range(8)]


def test_the_learning_rate_begins_anew_with_each_stage(shards, tmp_path):
    _train(_spec(shards, steps=8), tmp_path / "run")
    rates = [float(row["learning_rate"]) for row in _rows(tmp_path / "run") if row["total"]]
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 2.5e-5] * 2)


def test_a_stage_leaves_the_weights_of_the_others_as_they_are(shards, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _train(_spec(shards), tmp_path / "run", stop=3)
    half = _last(tmp_path / "run")
    assert half.progress["step"] == 3
    assert {n.split("/")[1].split(".")[0] for n in half.optimizer} == {"middle"}
    _train(_spec(shards), tmp_path / "run", resume=True)
    whole = _last(tmp_path / "run")
    for name, weight in half.weights.items():
        unchanged = torch.equal(weight, whole.weights[name])
        assert unchanged == name.startswith("middle."), name


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_training_in_stages_resumes_to_the_same_bits(shards, tmp_path, stop):
    _train(_spec(shards), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _train(_spec(shards), tmp_path / "run", stop=stop)
    _train(_spec(shards), tmp_path / "run", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        whole, resumed = (tmp_path / run / name for run in ("whole", "run"))
        assert whole.read_bytes() == resumed.read_bytes()


@pytest.mark.parametrize("stop", [3, 5])
def test_the_average_begins_anew_with_each_stage_and_resumes_to_the_same_bits(
    shards, tmp_path, stop
):
    """After three steps of the stage its first weights are all but forgotten: of them remain
    3/12 4/13 2/11 in a decay of 0.999, instead of 7/16 6/15 5/14."""
    spec = replace(_spec(shards), optimizer=OptimizerSpec(1e-2, ema=0.999))
    _train(spec, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _train(spec, tmp_path / "run", stop=stop)
    _train(spec, tmp_path / "run", resume=True)
    whole, resumed = (_last(tmp_path / run) for run in ("whole", "run"))
    assert whole.progress == resumed.progress and whole.progress["averaged"] == 1 + 3
    for name, average in whole.average.items():
        assert torch.equal(average, resumed.average[name])
    first = new_state(spec.model, seed=0, compute=Compute(CPU)).model.state_dict()
    name = "nearest.0.predict_image.weight"
    moved, averaged = (t[name] - first[name] for t in (whole.weights, whole.average))
    assert averaged.abs().sum() > 0.6 * moved.abs().sum()


def test_a_log_line_never_mixes_two_stages(shards, tmp_path):
    spec = replace(_spec(shards), report=ReportSpec(log_every=4, validate_every=6))
    _train(spec, tmp_path / "run")
    logged = [(row["step"], row["middle"], row["pairs"]) for row in _rows(tmp_path / "run") if row["total"]]
    assert [step for step, *_ in logged] == ["3", "4", "6"]
    assert [pairs == "0" for _, _, pairs in logged] == [True, False, False]


def test_fewer_steps_than_stages_are_refused(shards):
    with pytest.raises(ValueError, match="one step for each of the 4 stages of jin2018, found 3"):
        plan_run(_spec(shards, frames=7, steps=3))


# --- what a user may mix ---------------------------------------------------------------------


@pytest.mark.parametrize("model", ["jin2018", "recurrent"])
@pytest.mark.parametrize("training", [{"order": "canonical"}, {"without": ("pt",)}])
def test_models_with_a_loss_of_their_own_refuse_what_would_not_matter(tmp_path, model, training):
    with pytest.raises(ValueError, match=f"{model}, whose own loss is blind to the order of time"):
        _spec(tmp_path, model, **training)


def test_a_run_is_named_after_what_makes_it_another(tmp_path):
    assert run_name(_spec(tmp_path, "full")) == "full-3f-w1-given"
    assert run_name(_spec(tmp_path, frames=7)) == "jin2018-7f-w1"
    light = _spec(tmp_path, "light", parts=("lw",))
    ablated = replace(light, training=TrainSpec(without=("tcl", "pt")))
    assert run_name(ablated) == "light-no-lw-no-pt-no-tcl-3f-w1-given"


@pytest.mark.parametrize("change", [{"without": ("tcl",)}, {"flip": True}])
def test_a_resume_with_another_loss_or_with_mirrors_is_refused(shards, tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        _train(_spec(shards, "full"), tmp_path / "run", stop=2)
    with pytest.raises(ValueError, match="begun with other options"):
        _train(_spec(shards, "full", **change), tmp_path / "run", resume=True)


def test_a_run_of_before_there_were_these_choices_is_resumed(shards, tmp_path):
    spec, last = _spec(shards, "full"), tmp_path / "run/last.safetensors"
    with pytest.raises(KeyboardInterrupt):
        _train(spec, tmp_path / "run", stop=2)
    stored = load_checkpoint(last)
    shaping = {k: v for k, v in stored.progress["shaping"].items() if k not in LATER_CHOICES}
    shaping["model"] = {k: v for k, v in shaping["model"].items() if k != "without"}
    progress = {k: v for k, v in stored.progress.items() if k != "averaged"}
    save_checkpoint(last, replace(stored, progress={**progress, "shaping": shaping}))
    _train(spec, tmp_path / "run", resume=True)
    assert _last(tmp_path / "run").progress["step"] == STEPS
