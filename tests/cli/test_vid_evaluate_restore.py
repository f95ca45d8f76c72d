"""`blurvid evaluate` and `blurvid restore` as they are typed."""

import csv
import json
import shutil

import cv2
import h5py
import numpy as np
import pytest
import torch

from blurcli import vid_evaluate, vid_options
from blursynth.schema import SCHEMA_VERSION, Sample
from blursynth.shards import ShardName, write_shard
from blurvid import protocols
from blurvid.checkpoint import Checkpoint, save_checkpoint
from blurvid.model import ModelSpec, build_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A run folder whose best is a fresh model of width 4."""
    folder = tmp_path_factory.mktemp("run")
    spec = ModelSpec(frames=3, width=4)
    torch.manual_seed(0)
    save_checkpoint(folder / "best.safetensors", Checkpoint(spec, build_model(spec).state_dict()))
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two data sets with a test split; one of them of two frames a sample, too few."""
    folder = tmp_path_factory.mktemp("shards")
    for name, frames in (("dots", 3), ("short", 2)):
        samples = [video_sample(name, k, frames) for k in range(3)]
        shard = ShardName(str(folder), name, "test", 0)
        write_shard(shard, samples, fingerprint="f" * 64, image_format="png")
    return folder


def video_sample(name, number, frames):
    images = np.random.default_rng(number).integers(0, 256, (frames, 32, 48, 3)).astype(np.uint8)
    meta = {
        **{"schema": SCHEMA_VERSION, "kind": "video", "source": "s", "n": frames, "seed": 3},
        **{"times": np.linspace(0, 1, frames).tolist(), "response": "identity"},
        **{"exact_mean": True, "direction": [0.0, 0.0, 0.0], "clipped": 0.0, "scene": "s"},
        **{"first_frame": "0.png", "crop_xywh": [0, 0, 48, 32]},
    }
    blur = images.mean(0).round().astype(np.uint8)
    return Sample(f"{name}-{number:06d}", blur, images, meta)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    y, x = np.mgrid[:75, :133]
    cv2.imwrite(str(path), np.stack([x, y, x + y], -1).astype(np.uint8))
    return path


def is_one_sentence(text):
    return text.startswith("blurvid: ") and text.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "restore"])
def test_help_says_what_it_reads_and_writes_with_one_example(blurvid, command):
    code, text, _ = blurvid(command, "--help")
    assert code == 0
    for word in ("Read", "rite", f"Example: blurvid {command}", "default: auto"):
        assert word in text


# --- evaluate -------------------------------------------------------------------------------


def test_evaluate_prints_the_table_and_writes_it_with_its_samples(
    blurvid, checkpoint, shards, tmp_path
):
    out = tmp_path / "results"
    code, text, errors = blurvid(
        "evaluate", "--checkpoint", checkpoint, "--shards", shards, "--out", out
    )
    assert code == 0 and "left out: short: 2 frames a sample, 3 wanted" in errors
    assert text == (out / "table.txt").read_text() + f"written to {out}\n"
    for said in ("data set dots", "protocol sequence", "protocol forward", "model", "seed 3"):
        assert said in text
    (stored,) = json.loads((out / "evaluation.json").read_text())
    assert stored["checkpoint"] == str(checkpoint / "best.safetensors")
    with open(out / "samples-dots.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 4 * 3
    with open(out / "figures-dots.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_evaluate_judges_by_all_protocols_and_keeps_the_frames(
    blurvid, checkpoint, shards, tmp_path
):
    names = ["per-frame", "per-pair", "per-metric", "forward", "sequence", "forward"]
    chosen = [part for name in names for part in ("--protocol", name)]
    places = ("--out", tmp_path / "out", "--save", tmp_path / "frames.h5")
    code, text, _ = blurvid(
        "evaluate", "--checkpoint", checkpoint, "--shards", shards, "--ssim3d", *chosen, *places
    )
    assert code == 0 and "ssim3d" in text and text.endswith(f"written to {tmp_path}/frames.h5\n")
    (stored,) = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert list(stored["protocols"]) == names[:5]
    assert text.count("protocol forward:") == 1
    assert all("ssim3d" in row for row in stored["protocols"]["per-pair"].values())
    with h5py.File(tmp_path / "frames.h5") as file:
        assert file["dots/48x32/frames"].shape == (3, 3, 32, 48, 3)
        made_by = json.loads(file.attrs["made_by"])
        assert made_by["path"] == str(checkpoint / "best.safetensors")


def test_the_protocols_that_are_offered_are_those_that_are_known():
    assert vid_evaluate.PROTOCOLS == tuple(protocols.PROTOCOLS)


def test_evaluate_takes_one_protocol_some_samples_and_a_file(blurvid, checkpoint, shards):
    file = checkpoint / "best.safetensors"
    options = ("--data", "dots", "--protocol", "forward", "--limit", 2, "--batch", 1)
    code, text, _ = blurvid("evaluate", "--checkpoint", file, "--shards", shards, *options)
    assert code == 0 and "2 samples of 48x32" in text and "protocol sequence" not in text


def test_of_a_run_folder_its_best_is_taken_or_its_last(checkpoint, tmp_path):
    assert vid_options.checkpoint_file(checkpoint) == checkpoint / "best.safetensors"
    assert vid_options.checkpoint_file(tmp_path) == tmp_path / "last.safetensors"


@pytest.mark.parametrize(
    "options, said",
    [
        (("--split", "train"), "no shards of split 'train'"),
        (("--data", "other"), "no data set 'other'"),
        (("--data", "short"), "at least 3 frames"),
        (("--checkpoint", "nowhere"), "nowhere: expected a checkpoint"),
        (("--checkpoint", "other.safetensors"), "not a whole safetensors file"),
        (("--shards", "nowhere"), "expected a folder of shards"),
        (("--save", "."), "expected a file for the frames"),
    ],
)
def test_a_mistake_in_evaluate_gets_a_sentence(
    blurvid, checkpoint, shards, tmp_path, monkeypatch, options, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.safetensors").write_bytes(b"something else")
    places = ("--out", "results", "--save", "frames.h5")
    code, text, errors = blurvid(
        "evaluate", "--checkpoint", checkpoint, "--shards", shards, *places, *options
    )
    assert code == 2 and said in errors and is_one_sentence(errors), errors
    assert [p.name for p in tmp_path.iterdir()] == ["other.safetensors"] and not text


@pytest.mark.parametrize(
    "options",
    [
        ("--save", "run/best.safetensors"),
        ("--out", "results", "--save", "results"),
        ("--out", "results", "--save", "results/table.txt"),
        ("--out", "file/below"),
        ("--save", "file/below.h5"),
        ("--save", "/dev/null"),
    ],
)
def test_evaluate_replaces_neither_the_checkpoint_nor_its_tables(
    blurvid, checkpoint, shards, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint, tmp_path / "run")
    (tmp_path / "file").write_text("a file")
    before = (tmp_path / "run/best.safetensors").read_bytes()
    code, text, errors = blurvid("evaluate", "--checkpoint", "run", "--shards", shards, *options)
    assert code == 2 and is_one_sentence(errors) and not text
    assert (tmp_path / "run/best.safetensors").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "run"]


# --- restore --------------------------------------------------------------------------------


def test_restore_of_75x133_keeps_the_size_and_writes_frames_strip_and_animations(
    blurvid, checkpoint, photo, tmp_path
):
    out = tmp_path / "restored"
    code, text, _ = blurvid("restore", photo, "--checkpoint", checkpoint, "--out", out, "--gif")
    assert code == 0 and text == f"{photo} -> {out / 'photo'}\n"
    names = [f"frame_{k:03d}.png" for k in range(3)] + ["strip.png", "video.gif", "video.webp"]
    assert sorted(p.name for p in (out / "photo").iterdir()) == names
    assert all(cv2.imread(str(out / "photo" / name)).shape == (75, 133, 3) for name in names[:3])


def test_restore_skips_an_unreadable_image_and_says_so_at_the_end(
    blurvid, checkpoint, photo, tmp_path
):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    options = ("--checkpoint", checkpoint, "--out", tmp_path / "out")
    code, text, errors = blurvid("restore", bad, photo, *options)
    assert code == 1 and "photo.png" in text
    assert str(bad) in errors and "1 of 2 images could not be read" in errors
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["photo"]


def test_restore_of_nothing_readable_is_a_mistake(blurvid, checkpoint, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    code, _, errors = blurvid("restore", bad, "--checkpoint", checkpoint, "--out", tmp_path / "out")
    assert code == 2 and "nothing is restored" in errors and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options, said",
    [
        (("--checkpoint", "nowhere"), "nowhere: expected a checkpoint"),
        (("--fps", "0"), "frames per second"),
        (("missing.png",), "'missing.png' does not exist"),
    ],
)
def test_a_mistake_in_restore_gets_a_sentence(
    blurvid, checkpoint, photo, tmp_path, monkeypatch, options, said
):
    monkeypatch.chdir(tmp_path)
    code, _, errors = blurvid("restore", photo, "--checkpoint", checkpoint, "--out", "o", *options)
    assert code == 2 and said in errors and "Traceback" not in errors
    assert not (tmp_path / "o").exists()


def test_a_gpu_that_is_not_there_is_a_mistake(blurvid, checkpoint, photo, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    options = ("--checkpoint", checkpoint, "--out", tmp_path / "o", "--device", "cuda")
    code, _, errors = blurvid("restore", photo, *options)
    assert code == 2 and "GPU" in errors and is_one_sentence(errors)
