"""`blursynth verify` as users type it: one line for each fault, one that sums up, exit codes."""

import shutil

import pytest


@pytest.fixture
def made(blursynth, sun360, tmp_path):
    """The folder of shards of four panoramas."""
    blursynth("panorama", "--src", sun360, "--out", tmp_path / "shards", "--size", 16,
        "--per-panorama", 2, "--samples-per-shard", 2, "--jobs", 1)  # fmt: skip
    return tmp_path / "shards"


def test_help_says_what_is_read_with_an_example(blursynth):
    code, out, _ = blursynth("verify", "--help")
    assert code == 0 and "Example:  blursynth verify shards/" in out and "Exit code 1" in out


def test_an_intact_data_set_is_one_line(blursynth, made):
    code, out, err = blursynth("verify", made, "--jobs", 1)
    assert (code, out, err) == (0, f"{made}: 8 samples in 4 shards read; intact\n", "")


def test_drawing_anew_is_said_in_that_line(blursynth, made, sun360):
    code, out, err = blursynth("verify", made, "--rerender", 3, "--src", sun360, "--jobs", 1)
    assert (code, err) == (0, "") and out.count("\n") == 1
    assert "read; 3 samples drawn anew; intact" in out


def test_each_fault_is_a_line_with_shard_and_key_and_the_exit_code_is_1(blursynth, made):
    tar = made / "panorama/train/panorama-train-000001.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    (made / "panorama/train/panorama-train-000002.tar").unlink()
    code, out, _ = blursynth("verify", made, "--jobs", 2)
    *faults, last = out.splitlines()
    assert code == 1 and last.startswith(f"{made}: ") and last.endswith("faults in 2 files")
    assert any(".tar, panorama-" in line and "member blur.png" in line for line in faults)
    assert any("panorama-train-000002.tar: No such file" in line for line in faults)
    assert "Traceback" not in out


def test_an_unfinished_data_set_is_said_and_is_no_fault(blursynth, made):
    (made / "panorama/train/manifest.json").unlink()
    code, out, _ = blursynth("verify", made, "--jobs", 1)
    assert code == 0 and "intact; unfinished, the same command goes on: panorama/train" in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["verify", "nowhere"], "expected a folder of data sets at nowhere, found no such folder"),
        (["verify", "empty"], "expected shards (<data set>/<split>/*.tar"),
        (["verify", "shards", "--rerender", "2"], "--rerender and --src go together"),
        (["verify", "shards", "--src", "empty"], "--rerender and --src go together"),
        (["verify", "shards", "--rerender", "0", "--src", "sun360"], "0 is not in the range"),
        (["verify", "shards", "--rerender", "2", "--src", "empty"], "found none of theirs"),
        (["verify", "shards", "--jobs", "0"], "--jobs"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(blursynth, made, monkeypatch, arguments, words):
    monkeypatch.chdir(made.parent)
    (made.parent / "empty").mkdir()
    code, out, err = blursynth(*arguments)
    assert code == 2 and out == "" and words in err and "Traceback" not in err


def test_a_damaged_shard_that_is_removed_is_made_again(blursynth, made, sun360):
    """What the advice to the user amounts to: remove what is named, give the same command."""
    whole = shutil.copytree(made, made.parent / "whole")
    for path in (made / "panorama/train").glob("panorama-train-000001.*"):
        path.unlink()
    blursynth("panorama", "--src", sun360, "--out", made, "--size", 16,
        "--per-panorama", 2, "--samples-per-shard", 2, "--jobs", 1)  # fmt: skip
    assert blursynth("verify", made, "--jobs", 1)[0] == 0
    tar = "panorama/train/panorama-train-000001.tar"
    assert (made / tar).read_bytes() == (whole / tar).read_bytes()
