"""Several processes train as one would: `torchrun` on the CPU, gloo between them."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from blurvid.checkpoint import load_checkpoint
from blurvid.compute import ComputeSpec
from blurvid.index import find_mixture
from blurvid.model import ModelSpec
from blurvid.order import Order
from blurvid.plan import DataSpec, ReportSpec, RunSpec, TrainSpec
from blurvid.ranks import Ranks
from blurvid.run_folder import RunFolder
from blurvid.train import train

BLURVID = (sys.executable, "-c", "from blurcli.vid import main; main()")
STEPS = 5


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_data_set):
    """Eleven samples to train on, which no batch divides, and five to test on."""
    folder = tmp_path_factory.mktemp("shards")
    write_data_set(folder, "dots", "train", [6, 5], size_hw=(32, 32))
    write_data_set(folder, "dots", "test", [5], first=11, size_hw=(32, 32))
    return folder


def _spec(shards, *, batch=3, steps=STEPS, max_bad=0):
    return RunSpec(
        ModelSpec(frames=3, width=1),
        DataSpec(shards, batch=batch, max_bad=max_bad),
        TrainSpec(steps=steps),
        compute=ComputeSpec("fp32"),
        report=ReportSpec(log_every=1),
    )


def _alone(shards, out, **spec):
    train(_spec(shards, **spec), RunFolder(out), device=torch.device("cpu"), say=lambda line: None)


def _command(count, shards, out, *options, batch=3, steps=STEPS, by_rank=()):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    chosen = ("--width", 1, "--batch", batch, "--steps", steps, "--precision", "fp32")
    told = ("--log-every", 1, "--workers", 0, "--device", "cpu")
    blurvid = (*BLURVID, "train", "--shards", shards, "--out", out, *chosen, *told, *options)
    program = (*by_rank, *blurvid)
    return list(map(str, (*torchrun, "--nproc-per-node", count, "--no-python", *program)))


def _by_rank(option):
    """A program that runs blurvid with the rank's number as the value of one more option."""
    return ("sh", "-c", f'exec "$@" {option} "$RANK"', "blurvid")


def _together(count, *arguments, **spec):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        _command(count, *arguments, **spec),
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )


def _rows(out, column):
    with open(out / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(row["step"]), float(row[column])) for row in rows if row[column]]


def _state(out):
    return load_checkpoint(out / "last.safetensors")


def _distance(one, two):
    """Of all tensors together, relative to their norm."""
    difference = [one[name] - two[name] for name in one]
    norm = torch.nn.utils.get_total_norm
    return (norm(difference) / norm(list(one.values()))).item()


# --- the plan, without processes -------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("last", ["drop", "keep"])
def test_the_ranks_slices_are_the_global_batches_whatever_their_number(count, last):
    order = Order((5, 9, 3), batch=7, seed=3, last=last)
    ranks = [Ranks(rank, count) for rank in range(count)]
    for batch in order.batches(0, 9):
        slices = [one.slice_of(batch.numbers) for one in ranks]
        assert sum(slices, ()) == batch.numbers
        sizes = list(map(len, slices))
        assert max(sizes) - min(sizes) <= 1


# --- with processes --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "one"
    _alone(shards, out)
    return out


@pytest.mark.parametrize(("count", "batch"), [(2, 3), (3, 2)])
def test_the_gradient_is_that_of_the_global_batch_however_unequal_the_slices(
    shards, tmp_path, count, batch
):
    """Adam's first moment after one step is a tenth of the gradient, whose size it shows; with
    three ranks for two samples one of them has none. The loss has kinks: where rounding, which
    follows the size of a slice, takes one pixel over one of them, the gradient moves by some 1e-4
    (else by 1e-6); samples that weigh wrong move it by far more."""
    _alone(shards, tmp_path / "one", batch=batch, steps=1)
    done = _together(count, shards, tmp_path / "many", batch=batch, steps=1)
    assert done.returncode == 0, done.stderr
    one, many = (
        {n: t for n, t in _state(tmp_path / run).optimizer.items() if n.startswith("exp_avg/")}
        for run in ("one", "many")
    )
    assert _distance(one, many) < 1e-3


def test_two_ranks_learn_and_validate_as_one_does(shards, one, tmp_path):
    done = _together(2, shards, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("data: dots") == 1 and "2 ranks on cpu" in done.stdout
    for column in ("total", "psnr", "psnr_1"):
        for (step, value), (other_step, other) in zip(
            _rows(one, column), _rows(tmp_path / "two", column), strict=True
        ):
            assert step == other_step and other == pytest.approx(value, rel=1e-3)
    assert _distance(_state(one).weights, _state(tmp_path / "two").weights) < 1e-3


def test_two_ranks_take_the_stages_of_a_training_as_one_does(shards, tmp_path):
    """Other weights learn in each stage, which the ranks must agree on anew."""
    spec = _spec(shards, steps=4)
    spec = replace(spec, model=ModelSpec("jin2018", width=1))
    train(spec, RunFolder(tmp_path / "one"), device=torch.device("cpu"), say=lambda line: None)
    done = _together(2, shards, tmp_path / "two", "--model", "jin2018", steps=4)
    assert done.returncode == 0, done.stderr
    one, two = _state(tmp_path / "one"), _state(tmp_path / "two")
    assert one.optimizer.keys() == two.optimizer.keys()
    assert _distance(one.weights, two.weights) < 1e-3


def test_a_run_of_one_rank_goes_on_with_two(shards, one, tmp_path):
    def stop(line):
        if line.startswith("step 2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        out = RunFolder(tmp_path / "run")
        train(_spec(shards), out, device=torch.device("cpu"), say=stop)
    done = _together(2, shards, tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("resumed after step 2") == 1
    for (step, value), (other_step, other) in zip(
        _rows(one, "total"), _rows(tmp_path / "run", "total"), strict=True
    ):
        assert step == other_step and other == pytest.approx(value, rel=1e-3)


def test_ranks_that_would_train_differently_are_refused_with_one_sentence(shards, tmp_path):
    done = _together(2, shards, tmp_path / "run", by_rank=_by_rank("--seed"))
    said = [line for line in done.stderr.splitlines() if line.startswith("blurvid:")]
    assert done.returncode != 0 and len(said) == 1, done.stderr
    assert "expected the same seed on every rank, found 0 on rank 0 and 1 on rank 1" in said[0]


def test_a_rank_that_fails_alone_is_heard(shards, tmp_path):
    done = _together(2, shards, tmp_path / "run", by_rank=_by_rank("--crop"))  # 0 cannot be
    said = [line for line in done.stderr.splitlines() if line.startswith("blurvid:")]
    assert done.returncode != 0 and said and "crop of at least 1, found 0" in said[0], done.stderr


def _spoil(folder, numbers):
    """Damages the blurs of training samples; their keys in the order of the numbers."""
    mixture, keys = find_mixture(folder, split="train", frames=3), []
    for number in numbers:
        shard, sample = mixture.locate(number)
        with open(shard.tar, "r+b") as file:
            file.seek(sample.members["blur.png"][0])
            file.write(b"\0")
        keys.append(sample.key)
    return keys


def test_a_sample_that_one_rank_cannot_read_stops_all_with_one_sentence(tmp_path, write_data_set):
    write_data_set(tmp_path / "shards", "dots", "train", [11], size_hw=(32, 32))
    shards = tmp_path / "shards"
    second = list(Order((11,), batch=3, seed=0).batches(0, 2))[1].numbers
    for number in (Ranks(1, 2).slice_of(second)[0],):
        (key,) = _spoil(shards, [number])
    done = _together(2, shards, tmp_path / "run")
    said = [line for line in done.stderr.splitlines() if line.startswith("blurvid:")]
    assert done.returncode != 0 and len(said) == 1 and key in said[0], done.stderr
    assert _state(tmp_path / "run").progress["step"] == 1


def test_bad_samples_weigh_nothing_and_the_others_as_much_as_ever(tmp_path, write_data_set):
    """The mean is over the samples that some rank could read."""
    shards = tmp_path / "shards"
    write_data_set(shards, "dots", "train", [11], size_hw=(32, 32))
    first = next(Order((11,), batch=3, seed=0).batches(0, 1)).numbers
    _spoil(shards, first[:1])
    _alone(shards, tmp_path / "one", steps=1, max_bad=1)
    done = _together(2, shards, tmp_path / "two", "--max-bad", 1, steps=1)
    assert done.returncode == 0 and done.stdout.count("left out: ") == 1, done.stderr
    (_, one), (_, two) = _rows(tmp_path / "one", "total") + _rows(tmp_path / "two", "total")
    assert two == pytest.approx(one, rel=1e-4)


def test_ctrl_c_stops_all_ranks_after_the_same_step_and_saves(shards, tmp_path):
    process = subprocess.Popen(
        _command(2, shards, tmp_path / "run", steps=100_000),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with process:
        while "step 3/" not in process.stdout.readline():
            time.sleep(0)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=90)
    assert "--resume goes on from it" in out
    assert _state(tmp_path / "run").progress["step"] >= 3


def test_without_torchrun_a_process_is_alone():
    assert Ranks().first and Ranks().gathered("x") == ["x"]
    assert Ranks().slice_of((1, 2, 3)) == (1, 2, 3)
    assert replace(Ranks(), rank=1, count=2).slice_of(Path("a/b/c").parts) == ("b", "c")
