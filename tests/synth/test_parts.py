"""Array jobs: the parts of a run, made in any order and at once, give what one run gives."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from blursynth import files
from blursynth.generate import Part

from ..conftest import tree

SMALL = ("panorama", "--size", 16, "--per-panorama", 3, "--samples-per-shard", 3, "--jobs", 1)


@pytest.fixture
def whole(blursynth, sun360, tmp_path):
    assert blursynth(*SMALL, "--src", sun360, "--out", tmp_path / "whole")[0] == 0
    return tree(tmp_path / "whole")


def test_every_shard_belongs_to_exactly_one_part():
    shards = list(range(11))
    parts = [Part(number, 4).of(shards) for number in range(1, 5)]
    assert sorted(sum(parts, [])) == shards
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert Part().of(shards) == shards


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 2, 3, 1)])
def test_parts_in_any_order_give_the_tree_of_one_run(blursynth, sun360, tmp_path, whole, order):
    for place, number in enumerate(order, 1):
        manifests = list((tmp_path / "out").rglob("manifest.json"))
        assert manifests == []
        code, out, _ = blursynth(
            *SMALL, "--src", sun360, "--out", tmp_path / "out", "--shards-of", f"{number}/3"
        )
        assert code == 0 and ("not there yet" in out) == (place < len(order))
    assert tree(tmp_path / "out") == whole


def test_what_other_parts_have_not_made_yet_is_counted(blursynth, sun360, tmp_path):
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path / "out")
    for part, words in (("1/3", ", 2 shards of other parts not"), ("2/3", ", 1 shard of other p")):
        assert words in blursynth(*arguments, "--shards-of", part)[1]


def test_parts_at_the_same_time_give_the_tree_of_one_run(sun360, tmp_path, whole):
    program = [sys.executable, "-c", "from blurcli.synth import main; main()"]
    arguments = [*map(str, SMALL), "--src", str(sun360), "--out", str(tmp_path / "out")]
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(subprocess.run, [*program, *arguments, "--shards-of", f"{k}/3"])
            for k in (1, 2, 3)
        ]
    assert [run.result().returncode for run in runs] == [0, 0, 0]
    assert tree(tmp_path / "out") == whole


def test_more_parts_than_shards_leave_some_with_nothing_to_do(blursynth, sun360, tmp_path, whole):
    last = ""
    for number in range(1, 8):
        code, last, _ = blursynth(
            *SMALL, "--src", sun360, "--out", tmp_path / "out", "--shards-of", f"{number}/7"
        )
        assert code == 0
    assert "already complete" in last and tree(tmp_path / "out") == whole


def test_a_part_leaves_alone_what_another_is_writing(blursynth, sun360, tmp_path, whole):
    out = tmp_path / "out"
    of_another = out / "panorama/train/.panorama-train-000001.tar.00000000.partial"
    of_another.parent.mkdir(parents=True)
    of_another.write_bytes(b"half")
    arguments = (*SMALL, "--src", sun360, "--out", out)
    assert blursynth(*arguments, "--shards-of", "1/2")[0] == 0 and of_another.exists()
    assert blursynth(*arguments, "--shards-of", "2/2")[0] == 0 and not of_another.exists()
    assert tree(out) == whole


def test_a_whole_run_finishes_what_parts_began(blursynth, sun360, tmp_path, whole):
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path / "out")
    assert blursynth(*arguments, "--shards-of", "2/2")[0] == 0
    assert blursynth(*arguments)[0] == 0 and tree(tmp_path / "out") == whole


def test_parts_work_side_by_side_and_a_whole_run_works_alone(blursynth, sun360, tmp_path):
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path)
    with files.held(tmp_path / "panorama", alone=False):
        assert blursynth(*arguments, "--shards-of", "1/2")[0] == 0
        code, _, err = blursynth(*arguments)
        assert code == 2 and "expected to work alone in" in err
    with files.held(tmp_path / "panorama"):
        code, _, err = blursynth(*arguments, "--shards-of", "1/2")
        assert code == 2 and "expected to work beside runs with --shards-of only in" in err


def test_parts_that_end_together_finish_one_after_the_other(sun360, tmp_path, whole):
    """Each sees nothing missing; what one is writing at the end, the other leaves alone."""
    slow = (
        "import time; from blursynth import files; sync = files._sync\n"
        "def late(path): time.sleep(0.1); sync(path)\n"
        "files._sync = late; from blurcli.synth import main; main()"
    )
    arguments = [*map(str, SMALL), "--src", str(sun360), "--out", str(tmp_path / "out")]
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(
                subprocess.run,
                [sys.executable, "-c", slow, *arguments, "--shards-of", f"{k}/3"],
                capture_output=True,
            )
            for k in (1, 2, 3)
        ]
    assert [run.result().stderr for run in runs] == [b""] * 3
    assert [run.result().returncode for run in runs] == [0, 0, 0]
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("0/4", "expected --shards-of 1/k to k/k, such as 3/40"),
        ("5/4", "found 5/4"),
        ("1/0", "found 1/0"),
        ("3", "expected i/k, such as 3/40 for the third of forty, found 3"),
        ("a/b", "expected i/k"),
        ("-1/4", "expected i/k"),
        ("1/", "found 1/0"),
    ],
)
def test_a_part_that_is_none_is_a_mistake(blursynth, sun360, tmp_path, part, sentence):
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path / "out")
    code, _, err = blursynth(*arguments, "--shards-of", part)
    assert code == 2 and sentence in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_no_part_may_overwrite(blursynth, sun360, tmp_path):
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path / "out")
    code, _, err = blursynth(*arguments, "--shards-of", "1/2", "--overwrite")
    assert code == 2 and "expected --overwrite without --shards-of" in err
