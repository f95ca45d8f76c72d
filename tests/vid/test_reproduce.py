"""`blurvid reproduce`: a table is made, stopped, gone on with, and not made again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from blurcli import synth
from blurvid import paper
from blurvid.recipes import SCALES, Supply, recipes_of
from blurvid.reproduce import SHOWN, Job, data_sets_for, finish_training, reproduce
from blurvid.reproduction import HERE, NO_MODEL, PRINTED, Reproduction, as_text

from ..conftest import make_picture, write_image

RUNS = ("full-panorama-3f", "light-video-3f")


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_data_set):
    """Panoramas by blursynth, and a video data set `clips` of seven frames a sample."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):
        write_image(folder / "sun360" / f"place {number}.png", make_picture(128, 256, number))
    made = ("--src", folder / "sun360", "--out", folder / "shards", "--size", 32, "--jobs", 1)
    typed = ["panorama", *map(str, made), "--per-panorama", "2"]
    synth.blursynth.main(typed, standalone_mode=False)
    write_data_set(folder / "shards", "clips", "train", [4], frames=7)
    write_data_set(folder / "shards", "clips", "test", [3], first=9, frames=7)
    return folder / "shards"


def small_job(shards, out, said=None):
    supply = Supply(shards, data_sets_for("table2", shards))
    say = (lambda line: None) if said is None else said.append
    return Job(supply, out, SCALES["small"], torch.device("cpu"), say)


@pytest.fixture(scope="module")
def finished(shards, tmp_path_factory):
    """The folder of a small Table 2, made at one go."""
    out = tmp_path_factory.mktemp("finished")
    reproduce("table2", small_job(shards, out))
    return out


def options(shards, out):
    small = ("--scale", "small", "--workers", 0, "--device", "cpu")
    return ("table2", "--shards", shards, "--out", out, *small)


def stop(shards, out, after, how):
    """Starts the command and stops it once a line holds `after`; its exit code and what it said."""
    program = [sys.executable, "-c", "from blurcli.vid import main; main()", "reproduce"]
    with subprocess.Popen(
        [*program, *map(str, options(shards, out))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        said = [process.stdout.readline()]
        while after not in said[-1]:
            assert said[-1], process.stderr.read()
            said.append(process.stdout.readline())
        os.killpg(process.pid, how)
        rest, errors = process.communicate(timeout=60)
    return process.returncode, "".join(said) + rest, errors


def test_a_table_stopped_twice_and_gone_on_with_ends_in_the_same_bits(
    blurvid, shards, finished, tmp_path
):
    out = tmp_path / "out"
    code, said, errors = stop(shards, out, "step 5/20", signal.SIGINT)
    assert code == 130 and "goes on from here" in said and "Traceback" not in errors
    code, said, _ = stop(shards, out, "model: light", signal.SIGKILL)
    assert code == -signal.SIGKILL and "resumed after step" in said
    code, said, errors = blurvid("reproduce", *options(shards, out))
    assert (code, errors) == (0, "")
    assert f"{out / RUNS[0]}: trained already" in said and "evaluated already" in said
    for run in RUNS:
        whole, resumed = (folder / run / "last.safetensors" for folder in (finished, out))
        assert resumed.read_bytes() == whole.read_bytes()
    for name in ("table2.txt", "table2.csv", "table2.json"):
        assert (out / name).read_text() == (finished / name).read_text()
    assert not list(out.rglob(".*"))


def test_a_second_call_repeats_no_work_and_prints_the_table(blurvid, shards, finished):
    kept = ("last.safetensors", "options.json", "evaluation.json")
    before = {p: p.stat().st_mtime_ns for name in kept for p in finished.rglob(name)}
    code, said, _ = blurvid("reproduce", *options(shards, finished))
    assert code == 0 and len(before) == 6
    assert said.count("trained already") == said.count("evaluated already") == 2
    assert "step 5/20" not in said
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (finished / "table2.txt").read_text() in said


def test_the_table_says_scale_data_and_the_papers_figures_beside_ours(finished):
    text = (finished / "table2.txt").read_text()
    for said in (
        "Table 2: cross-dataset evaluation",
        "scale small: 20 steps, width 2",
        "NO RESULTS",
        "tested on video: data set clips, fingerprint ffffffffffff, split test, 3 samples",
        "23.38   30.30   23.38",
        "0.762   0.863   0.761",
        "blurry input repeated",
        "run full-panorama-3f, trained on panorama, tested on video",
    ):
        assert said in text, said
    assert "not done yet" not in text


def test_csv_and_json_hold_the_figures_of_the_evaluation_and_of_the_paper(finished):
    stored = json.loads((finished / "table2.json").read_text())
    evaluation = json.loads((finished / RUNS[1] / "evaluation/evaluation.json").read_text())
    for row in stored["rows"]:
        if (row["row"], row["source"]) == ("Lighter model", HERE):
            model = evaluation[0]["protocols"][row["protocol"]]["model"][row["metric"]]
            assert row["figures"] == {"frames": model["frames"], "mean": model["mean"]}
    printed = [r for r in stored["rows"] if (r["source"], r["metric"]) == (PRINTED, "psnr")]
    assert printed[0]["figures"]["frames"] == [23.383, 30.300, 23.380]
    assert any(row["source"] == NO_MODEL for row in stored["rows"])
    with open(finished / "table2.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * len(stored["rows"]) and {row["scale"] for row in lines} == {"small"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "evaluation.json").write_text("[]"),
        lambda folder: (folder / "samples-clips.csv").unlink(),
        lambda folder: os.utime(folder / "evaluation.json", (1, 1)),
        lambda folder: (folder / "evaluation.json").write_text(
            (folder / "evaluation.json").read_text().replace("last.safe", "best.safe")
        ),
    ],
    ids=["damaged", "half", "older than the weights", "of other weights"],
)
def test_an_evaluation_that_is_not_of_these_weights_and_samples_is_made_again(
    shards, finished, tmp_path, spoil
):
    out = shutil.copytree(finished, tmp_path / "out")
    spoil(out / RUNS[1] / "evaluation")
    said = []
    reproduce("table2", small_job(shards, out, said))
    assert sum("evaluated already" in line for line in said) == 1
    assert (out / "table2.txt").read_text() == (finished / "table2.txt").read_text()


def test_rows_that_are_not_done_are_dashes_and_named():
    made = Reproduction("table4", SCALES["paper"], recipes_of("table4"), {})
    text = as_text(made, SHOWN)
    assert "not done yet: jin2018-video-7f, full-video-7f" in text
    assert "the paper's settings: 80 epochs, width 32, crops of 128 px in batches of 8" in text
    for row in paper.rows_of("table4"):
        assert "".join(f"{value:8.2f}" for value in row.psnr) in text


def test_each_kind_of_blur_of_table_1_is_a_table_by_itself():
    made = Reproduction("table1", SCALES["paper"], recipes_of("table1"), {})
    video, panorama = as_text(made, ["sequence"]).split("the paper's figures: ")[1:]
    assert "GoPro high-speed video, 256x256" in video and "31.99" in video
    assert "SUN360 panoramas, 128x128" in panorama and "31.99" not in panorama


def test_the_runs_of_a_table_can_be_compared(blurvid, finished):
    """`compare` reads what `evaluate` writes."""
    runs = (finished / RUNS[1], finished / RUNS[0] / "evaluation-video")
    code, text, errors = blurvid("compare", *runs, "--protocol", "per-metric")
    assert (code, errors) == (0, "")
    for said in ("light-video-3f", "blurry input repeated", "paper, Table 1: Ours"):
        assert said in text
    assert text.splitlines()[-1].startswith("full-panorama-3f") and "tables:" not in text


# --- mistakes -------------------------------------------------------------------------------


@pytest.fixture
def clips_alone(tmp_path, write_data_set):
    folder = tmp_path / "shards"
    write_data_set(folder, "clips", "train", [4])
    write_data_set(folder, "clips", "test", [2], first=9)
    return folder


def mistake(blurvid, table, shards, *more):
    code, text, errors = blurvid(
        "reproduce", table, "--shards", shards, "--out", "out", "--scale", "small", *more
    )
    assert code == 2 and not text and "Traceback" not in errors
    return errors


def test_a_kind_of_blur_that_is_not_there_gets_the_command_that_makes_it(
    blurvid, clips_alone, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    errors = mistake(blurvid, "table1", clips_alone)
    assert "expected a data set of panorama blur to train on, found none" in errors
    assert f"blursynth panorama --src sun360/ --size 128 --frames 3 --out {clips_alone}" in errors
    assert errors.count("\n") == 1 and not (tmp_path / "out").exists()


def test_of_several_data_sets_of_a_kind_one_is_to_be_chosen(
    blurvid, clips_alone, tmp_path, monkeypatch, write_data_set
):
    monkeypatch.chdir(tmp_path)
    write_data_set(clips_alone, "more", "train", [4])
    errors = mistake(blurvid, "table3", clips_alone)
    assert "found clips, more; choose one with --data" in errors
    assert data_sets_for("table3", clips_alone, names=["more"]) == {"video": "more"}
    assert "no data set 'x'" in mistake(blurvid, "table3", clips_alone, "--data", "x")
    errors = mistake(blurvid, "table3", clips_alone, "--data", "more")
    assert "no data set 'more' with a test split" in errors and not (tmp_path / "out").exists()


def test_too_few_frames_are_said_before_anything_is_trained(
    blurvid, clips_alone, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    errors = mistake(blurvid, "table4", clips_alone)
    assert "jin2018-video-7f: " in errors and "at least 7 frames, found clips: 3" in errors
    assert f"blursynth gopro --src gopro/ --n 7 --crop 128 --out {clips_alone}" in errors
    assert not (tmp_path / "out").exists()


def test_images_below_the_papers_size_are_said_with_the_command_that_makes_such(
    blurvid, clips_alone, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    errors = mistake(blurvid, "table3", clips_alone, "--scale", "paper")
    assert "expected a crop of at most 32" in errors and "--n 7 --crop 256" in errors
    assert errors.count("\n") == 1 and not (tmp_path / "out").exists()


def test_another_scale_in_the_same_folder_is_refused_and_leaves_it_as_it_was(
    blurvid, clips_alone, tmp_path, monkeypatch, finished, shards
):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    monkeypatch.setitem(SCALES, "small", SCALES["small"].__class__("small", 2, 40, 32, 2, 4))
    code, _, errors = blurvid("reproduce", *options(shards, finished))
    assert code == 2 and "was begun with other options" in errors and "steps: 20 then" in errors
    assert {path: path.read_bytes() for path in before} == before


def test_a_file_in_place_of_the_folder_is_refused(blurvid, clips_alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").write_text("a file")
    assert "found a file" in mistake(blurvid, "table3", clips_alone)


def test_reproduce_says_what_it_reads_and_writes_with_one_example(blurvid):
    code, text, _ = blurvid("reproduce", "--help")
    assert code == 0 and "Reads the data sets" in text and "Writes a run folder" in text
    assert "Example: blurvid reproduce table1 --shards" in text


def test_a_folder_of_another_scale_is_refused_before_anything_is_trained(shards, finished, tmp_path):
    """Table 3 trains on video what is shared; here its last row was made at another scale."""
    job = small_job(shards, tmp_path / "out")
    other = replace(job, scale=replace(job.scale, width=1, steps=2))
    recipes = recipes_of("table3")
    shared_one = recipes[-1].training
    finish_training(shared_one, other)
    before = sorted(p.name for p in (tmp_path / "out").iterdir())
    with pytest.raises(ValueError, match=f"{shared_one.name} was begun with other options"):
        reproduce("table3", job)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == before == [shared_one.name]


def test_something_else_in_place_of_a_run_folder_is_refused_by_name(shards, tmp_path):
    job = small_job(shards, tmp_path / "out")
    (tmp_path / "out" / RUNS[1]).mkdir(parents=True)
    (tmp_path / "out" / RUNS[1] / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=f"{RUNS[1]}: expected a run folder or nothing"):
        reproduce("table2", job)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [RUNS[1]]


def test_a_training_whose_only_state_is_damaged_says_what_to_remove(shards, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    for state in (out / RUNS[0]).glob("last*"):
        state.write_bytes(state.read_bytes()[:999])
    with pytest.raises(ValueError, match=f"remove {out / RUNS[0]}, and it is made anew"):
        reproduce("table2", small_job(shards, out))
