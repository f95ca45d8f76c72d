"""The commands of `blursynth` as users type them: help, one good run, users' mistakes."""

import os
import subprocess
import sys

import pytest

from ..conftest import make_picture, write_image, write_scene


@pytest.mark.parametrize("command", ["panorama", "gopro", "sources", "info"])
def test_help_says_what_is_read_and_written_with_an_example(blursynth, command):
    code, out, _ = blursynth(command, "--help")
    assert code == 0 and "Example:" in out and f"blursynth {command}" in out


def test_panorama_makes_shards_and_says_so_in_one_line(blursynth, sun360, tmp_path):
    arguments = ("panorama", "--src", sun360, "--out", tmp_path / "shards", "--size", 16,
                 "--per-panorama", 2, "--jobs", 1)  # fmt: skip
    code, out, err = blursynth(*arguments)
    assert (code, err) == (0, "") and out.count("\n") == 1
    assert "6 train samples in 1 shard, 2 test samples in 1 shard" in out and "samples/s" in out
    code, out, err = blursynth(*arguments)
    assert code == 0 and "already complete" in out


def test_gopro_reads_gopro_and_writes_shards_by_default(blursynth, gopro, monkeypatch):
    monkeypatch.chdir(gopro.parent)
    code, out, err = blursynth("gopro", "--n", 7, "--crop", 64)
    assert (code, err) == (0, "")
    assert "8 train samples in 1 shard, 4 test samples in 1 shard" in out
    code, out, _ = blursynth("info", "shards")
    assert code == 0 and "64x64, png, 7 frames beside each blur" in out


def test_a_shared_clip_is_a_warning(blursynth, gopro, tmp_path):
    write_scene(gopro / "test" / "GOPR0001_11_01", seed=4)
    code, _, err = blursynth("gopro", "--src", gopro, "--out", tmp_path / "s", "--crop", 32)
    assert code == 0 and "share the clips GOPR0001" in err


def test_failures_are_named_and_the_run_goes_on(blursynth, sun360, tmp_path):
    write_image(sun360 / "square.png", make_picture(64, 64))
    code, out, err = blursynth(
        "panorama", "--src", sun360, "--out", tmp_path / "s", "--size", 16,
        "--per-panorama", 2, "--jobs", 1,
    )  # fmt: skip
    assert code == 0 and "1 source left out" in out
    assert "left out square.png: expected a panorama twice as wide as high" in err


def test_a_split_whose_every_source_failed_is_said_to_be_empty(blursynth, sun360, tmp_path):
    arguments = ("panorama", "--src", sun360, "--size", 16, "--per-panorama", 2, "--jobs", 1)
    assert blursynth(*arguments, "--out", tmp_path / "whole")[0] == 0
    index = (tmp_path / "whole/panorama/test/panorama-test-000000.json").read_text()
    (tested,) = (name for name in sorted(sun360.iterdir()) if f'"{name.name}"' in index)
    tested.write_bytes(tested.read_bytes()[:2000])
    code, out, err = blursynth(*arguments, "--out", tmp_path / "broken")
    assert code == 0 and "0 test samples" in out
    assert "note: the test split is empty, as every source of it was left out" in err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["panorama", "--src", "nowhere"], "nowhere, found no such folder; name it with --src"),
        (["panorama", "--src", "empty"], "expected panoramas (.jpg"),
        (["panorama", "--src", "gopro", "--fov", "200"], "field of view"),
        (["panorama", "--src", "gopro", "--name", "a/b"], "--name"),
        (["panorama", "--format", "gif"], "'gif' is not one of"),
        (["gopro", "--src", "nowhere"], "found no such folder"),
        (["gopro", "--n", "11", "--crop", "32"], "expected 11 consecutive frames, found 10"),
        (["gopro", "--n", "6"], "--n odd"),
        (["gopro", "--crop", "73"], "expected frames of at least 73x73, found 96x72"),
        (["gopro", "--jobs", "0", "--crop", "32"], "--jobs"),
        (["gopro", "--max-failures", "-1", "--crop", "32"], "-1 is not in the range x>=0"),
        (["info", "nowhere"], "no such folder"),
        (["info", "empty"], "expected shards"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(
    blursynth, gopro, monkeypatch, arguments, words
):
    monkeypatch.chdir(gopro.parent)
    os.mkdir("empty")
    code, out, err = blursynth(*arguments)
    assert code == 2 and out == "" and words in err and "Traceback" not in err
    assert not list(gopro.parent.rglob("*.tar"))


def test_sharp_frames_are_refused_with_the_name_of_the_right_data(blursynth, tmp_path):
    write_scene(tmp_path / "train" / "GOPR0372_07_00" / "sharp", seed=0)
    code, _, err = blursynth("gopro", "--src", tmp_path, "--out", tmp_path / "shards")
    assert code == 2 and "GOPRO_Large_all" in err


def test_another_data_set_in_the_folder_is_refused(blursynth, sun360, gopro, tmp_path):
    out = tmp_path / "shards"
    common = ("--out", out, "--name", "mine", "--jobs", 1)
    assert blursynth("gopro", "--src", gopro, "--crop", 32, *common)[0] == 0
    code, _, err = blursynth("panorama", "--src", sun360, *common)
    assert code == 2 and "kind was 'video' and is 'panorama'" in err and "--overwrite" in err


def test_importing_blursynth_imports_no_torch():
    modules = "blursynth, blursynth.generate, blursynth.info, blursynth.schema, blursynth.motion"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
