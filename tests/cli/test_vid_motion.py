"""`blurvid motion` as it is typed."""

import csv
import json

import cv2
import pytest
import torch

from blursynth.shards import ShardName, write_shard
from blurvid.checkpoint import Checkpoint, save_checkpoint
from blurvid.model import ModelSpec, build_model

from ..vid.turning import panorama_sample

ALL = ["motion.csv", "motion.json", "motion.png", "motion.txt", "paths.png"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A run folder whose best is a fresh model: each of its thetas is the identity."""
    folder = tmp_path_factory.mktemp("run")
    spec = ModelSpec(frames=3, width=1)
    torch.manual_seed(0)
    save_checkpoint(folder / "best.safetensors", Checkpoint(spec, build_model(spec).state_dict()))
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A data set whose motion is a homography, one where it is not, and one of two frames."""
    folder = tmp_path_factory.mktemp("shards")
    for name, named in (("turns", {}), ("sphere", {"xi": 0.7}), ("short", {"frames": 2})):
        samples = [panorama_sample(k, size_hw=(32, 48), **named) for k in range(3)]
        shard = ShardName(str(folder), name, "test", 0)
        write_shard(shard, samples, fingerprint="f" * 64, image_format="png")
    return folder


def is_one_sentence(text):
    return text.startswith("blurvid: ") and text.count("\n") == 1


def test_help_says_what_it_reads_and_writes_with_one_example(blurvid):
    code, text, _ = blurvid("motion", "--help")
    assert code == 0
    for word in ("Reads", "Writes", "Example: blurvid motion", "default: auto", "default: 8"):
        assert word in text


def test_motion_writes_pictures_and_tables_and_prints_the_table(
    blurvid, checkpoint, shards, tmp_path
):
    out = tmp_path / "motion"
    options = ("--checkpoint", checkpoint, "--shards", shards, "--out", out)
    code, text, errors = blurvid("motion", *options)
    assert code == 0 and "left out: short: 2 frames a sample, 3 wanted" in errors
    assert sorted(p.name for p in out.iterdir()) == ALL
    assert text == (out / "motion.txt").read_text() + f"written to {out}: {', '.join(ALL)}\n"
    assert all(cv2.imread(str(out / name)) is not None for name in ("motion.png", "paths.png"))
    sphere, turns = json.loads((out / "motion.json").read_text())
    assert sphere["data_set"] == "sphere" and sphere["end_point_error_px"] is None
    assert turns["checkpoint"] == str(checkpoint / "best.safetensors") and turns["known"] == 3
    rows = turns["end_point_error_px"]["rows"]
    assert rows["identity"]["mean"] > 1
    for network in ("ITN", "FTN"):
        assert rows[network]["mean"] == pytest.approx(rows["identity"]["mean"], abs=1e-4)
    with open(out / "motion.csv", newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == [f"turns-{k:06d}" for k in range(3)]


def test_without_a_known_homography_there_is_figure_6_alone_and_that_is_said(
    blurvid, checkpoint, shards, tmp_path
):
    """Also where paths of an earlier study lie: they would be taken for this one's."""
    options = ("--checkpoint", checkpoint, "--shards", shards, "--out", tmp_path)
    assert blurvid("motion", *options)[0] == 0 and (tmp_path / "paths.png").exists()
    code, text, _ = blurvid("motion", *options, "--data", "sphere")
    assert code == 0 and "Figure 6 alone" in text and "paths.png" not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == [n for n in ALL if n != "paths.png"]
    assert (tmp_path / "motion.csv").read_text().count("\n") == 1


def test_as_many_samples_are_taken_and_drawn_as_asked(blurvid, checkpoint, shards, tmp_path):
    options = ("--checkpoint", checkpoint, "--shards", shards, "--data", "turns", "--limit", 2)
    heights = []
    for pictures in (1, 2):
        out = tmp_path / str(pictures)
        code, text, _ = blurvid("motion", *options, "--pictures", pictures, "--out", out)
        assert code == 0 and "2 samples" in text
        heights.append(cv2.imread(str(out / "motion.png")).shape[0])
    assert heights[1] - heights[0] == 3 * 32 + 4  # another row: 48 px enlarged to 144, and a gap


@pytest.mark.parametrize(
    "options, said",
    [
        (("--split", "train"), "no shards of split 'train'"),
        (("--data", "other"), "no data set 'other'"),
        (("--data", "short"), "at least 3 frames"),
        (("--checkpoint", "nowhere"), "nowhere: expected a checkpoint"),
        (("--shards", "nowhere"), "expected a folder of shards"),
        (("--checkpoint", "diverged.safetensors"), "its training has diverged"),
    ],
)
def test_a_mistake_in_motion_gets_a_sentence_and_leaves_nothing(
    blurvid, checkpoint, shards, tmp_path, monkeypatch, options, said
):
    monkeypatch.chdir(tmp_path)
    write_diverged(tmp_path / "diverged.safetensors")
    code, text, errors = blurvid(
        "motion", "--checkpoint", checkpoint, "--shards", shards, "--out", "results", *options
    )
    assert code == 2 and said in errors and is_one_sentence(errors.splitlines(True)[-1]), errors
    assert not (tmp_path / "results").exists() and not text


def write_diverged(path):
    """Finite weights from which infinite thetas come."""
    spec = ModelSpec(frames=3, width=1)
    weights = build_model(spec).state_dict()
    for name, tensor in weights.items():
        if "localise" in name:
            weights[name] = torch.full_like(tensor, 3e38)
    save_checkpoint(path, Checkpoint(spec, weights))


def test_a_file_where_the_folder_should_be_is_a_mistake(blurvid, checkpoint, shards, tmp_path):
    out = tmp_path / "file"
    out.write_text("mine")
    options = ("--checkpoint", checkpoint, "--shards", shards, "--out", out)
    code, _, errors = blurvid("motion", *options)
    assert code == 2 and "found a file" in errors and is_one_sentence(errors)
    assert out.read_text() == "mine"
