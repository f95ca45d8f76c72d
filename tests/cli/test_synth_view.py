"""`blursynth view` as users type it."""

import pytest


@pytest.fixture
def made(blursynth, sun360, tmp_path, monkeypatch):
    """The folder of shards of four panoramas, in the current folder."""
    blursynth("panorama", "--src", sun360, "--out", tmp_path / "shards", "--size", 16,
        "--per-panorama", 2, "--samples-per-shard", 2, "--jobs", 1)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shards"


def test_help_says_what_is_read_and_written_with_an_example(blursynth):
    code, out, _ = blursynth("view", "--help")
    assert code == 0 and "Example:  blursynth view shards/" in out
    assert "by default view.html in the current folder" in " ".join(out.split())


def test_a_page_is_written_into_the_current_folder_and_said_in_one_line(blursynth, made):
    code, out, err = blursynth("view", "shards")
    assert (code, err) == (0, "")
    size = (made.parent / "view.html").stat().st_size
    assert out == f"view.html: 8 of 8 samples drawn with seed 0, {size / 1e6:.1f} MB\n"
    assert (made.parent / "view.html").read_bytes().startswith(b"<!doctype html>")
    assert not list(made.parent.glob(".*partial"))


def test_a_page_of_a_data_set_or_of_a_split_can_be_made(blursynth, made, tmp_path):
    for place, count in (("panorama", 8), ("panorama/train", 6)):
        code, out, _ = blursynth("view", made / place, "--out", "one.html", "--samples", 3)
        assert code == 0 and out.startswith(f"one.html: 3 of {count} samples drawn with seed 0")


def test_the_data_set_can_still_be_gone_on_with(blursynth, made, sun360):
    """A page in the default place is not taken for a foreign file of the data set's folder."""
    blursynth("view", "shards")
    code, out, _ = blursynth("panorama", "--src", sun360, "--out", "shards", "--size", 16,
        "--per-panorama", 2, "--samples-per-shard", 2, "--jobs", 1)  # fmt: skip
    assert code == 0 and "already complete" in out


def test_what_cannot_be_shown_is_counted_and_does_not_stop_the_page(blursynth, made):
    (made / "panorama/train/panorama-train-000001.tar").unlink()
    code, out, err = blursynth("view", "shards")
    assert (code, err) == (0, "") and out.startswith("view.html: 6 of 6 samples drawn")
    assert out.endswith("MB; named on it: 1 that cannot be shown\n")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere"], "expected a folder of data sets at nowhere, found no such folder"),
        (["empty"], "expected shards (<data set>/<split>/*.tar"),
        (["shards", "--samples", "201"], "201 is not in the range 0<=x<=200"),
        (["shards", "--out", "shards/panorama/view.html"], "outside of the folder of a data set"),
        (["shards", "--out", "empty"], "is a directory"),
        (["shards", "--out", "shards/panorama/plan.json/view.html"], "plan.json"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(blursynth, made, arguments, words):
    (made.parent / "empty").mkdir()
    code, out, err = blursynth("view", *arguments)
    assert code == 2 and out == "" and words in err and "Traceback" not in err
    assert not (made.parent / "view.html").exists()
