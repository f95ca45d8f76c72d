"""`blurvid train` as it is typed: help, good runs, users' mistakes, and what cannot go on."""

import os
import signal
import subprocess
import sys
import time

import pytest

from blurcli import vid_evaluate, vid_train
from blursynth.shards import ShardName, write_shard
from blurvid.losses import PAPER_TERMS
from blurvid.model import COMPONENTS, MODELS
from blurvid.protocols import PROTOCOLS

from ..conftest import make_sample

SMALL = ("--width", 1, "--batch", 2, "--workers", 0, "--device", "cpu")


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    """Where run folders go that nobody names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A data set of three frames a sample with a test split, and one of two frames, too few."""
    folder = tmp_path_factory.mktemp("shards")
    for name, split, frames, first in (
        ("clip", "train", 3, 0),
        ("clip", "test", 3, 4),
        ("short", "train", 2, 0),
    ):
        samples = [
            make_sample(f"{name}-{first + k:06d}", m=frames, side=(32, 32)) for k in range(4)
        ]
        shard = ShardName(str(folder), name, split, 0)
        write_shard(shard, samples, fingerprint="f" * 64, image_format="png")
    return folder


def test_help_says_what_is_read_and_written_with_an_example(blurvid):
    code, out, _ = blurvid("train", "--help")
    assert code == 0
    for expected in ("Reads", "Writes a run folder", "Example: blurvid train --shards", "--resume"):
        assert expected in out


def test_a_training_says_what_it_does_and_fills_a_run_folder_of_its_own_name(
    blurvid, shards, tmp_path
):
    code, out, err = blurvid("train", "--shards", shards, "--steps", 2, *SMALL)
    assert (code, err) == (0, "")
    assert "data: clip, 4 samples" in out
    assert "left out: short: 2 frames a sample, 3 wanted" in out
    assert "test PSNR" in out and "finished: runs/full-3f-w1-given" in out
    assert (tmp_path / "runs/full-3f-w1-given/best.safetensors").exists()


def test_every_model_is_trained_by_its_name_and_parts_are_left_out_by_theirs(blurvid, shards):
    for options, name in (
        (("--model", "light", "--without", "itn", "--without", "pt"), "light-no-itn-no-pt-3f-w1-given"),
        (("--model", "recurrent", "--flip"), "recurrent-3f-w1"),
        (("--model", "jin2018"), "jin2018-3f-w1"),
    ):
        code, out, err = blurvid("train", "--shards", shards, "--steps", 2, *SMALL, *options)
        assert (code, err) == (0, "") and f"finished: runs/{name}\n" in out
    assert "stages: 2, from the middle frame outwards" in out and "stage 2/2" in out


def test_the_same_command_again_asks_for_resume_and_goes_on_with_it(blurvid, shards):
    command = ("train", "--shards", shards, "--steps", 2, "--out", "run", *SMALL)
    assert blurvid(*command)[0] == 0
    code, _, err = blurvid(*command)
    assert code == 2 and "run is there already: add --resume" in err and err.count("\n") == 1
    code, out, _ = blurvid(*command, "--resume")
    assert code == 0 and "resumed after step 2" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--shards", "absent"), "absent: expected a folder of shards"),
        (("--data", "circles"), "no data set 'circles'"),
        (("--frames", 7), "at least 7 frames, found clip: 3 frames"),
        (("--crop", 64), "expected a crop of at most 32"),
        (("--batch", 99), "batch of 99 samples, found 4 samples"),
        (("--lr", -1), "learning rate above 0"),
        (("--model", "jin2018", "--without", "lw"), "leave out lw, found jin2018"),
        (("--model", "jin2018", "--order", "canonical"), "blind to the order of time"),
        (("--model", "recurrent", "--without", "pt"), "blind to the order of time"),
        (("--resume",), "holds no run to resume"),
    ],
)
def test_a_users_mistake_gets_one_sentence_and_leaves_nothing(
    blurvid, shards, tmp_path, arguments, sentence
):
    code, _, err = blurvid("train", "--shards", shards, "--steps", 2, *SMALL, *arguments)
    assert code == 2 and sentence in err and err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_diverging_training_stops_with_code_1_and_the_key(blurvid, shards):
    code, out, err = blurvid("train", "--shards", shards, "--steps", 9, "--lr", 1e20, *SMALL)
    assert code == 1 and "not finite" in err and "clip-00000" in err and err.count("\n") == 1
    assert "saved after step" in out


def _started(*options):
    """A training in a process group of its own; `--out run` and more as given."""
    command = [sys.executable, "-c", "from blurcli.vid import main; main()", "train"]
    return subprocess.Popen(
        [*command, *map(str, (*SMALL, "--log-every", 1, *options))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_training_killed_and_resumed_with_other_workers_ends_in_the_same_bits(
    blurvid, shards, tmp_path
):
    chosen = ("--shards", shards, "--steps", 12, "--validate-every", 3, "--ema", 0.9)
    assert blurvid("train", *chosen, *SMALL, "--out", tmp_path / "whole")[0] == 0
    with _started(*chosen, "--out", tmp_path / "run") as process:
        while "step 8/" not in process.stdout.readline():
            time.sleep(0)
        os.killpg(process.pid, signal.SIGKILL)
    code, out, _ = blurvid(
        "train", *chosen, *SMALL, "--out", tmp_path / "run", "--workers", 2, "--resume"
    )
    assert code == 0 and "resumed after step" in out and "resumed after step 12" not in out
    for name in ("last.safetensors", "best.safetensors"):
        whole, resumed = (tmp_path / run / name for run in ("whole", "run"))
        assert resumed.read_bytes() == whole.read_bytes()
    assert not list((tmp_path / "run").glob(".*"))


def test_ctrl_c_saves_and_says_how_to_go_on(shards, tmp_path):
    options = ("--shards", shards, "--steps", 100_000, "--workers", 1)
    with _started(*options, "--out", tmp_path / "run") as process:
        while "step 2/" not in process.stdout.readline():
            time.sleep(0)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on from it" in out and "Traceback" not in err
    assert (tmp_path / "run/last.safetensors").exists()


def test_the_command_offers_what_the_library_knows():
    """Its choices are written out, so that --help need not wait for torch."""
    assert set(vid_train.MODELS) == set(MODELS)
    assert set(vid_train.COMPONENTS) == set(COMPONENTS)
    assert set(vid_train.LOSS_TERMS) == set(PAPER_TERMS)
    assert set(vid_evaluate.PROTOCOLS) == set(PROTOCOLS)
