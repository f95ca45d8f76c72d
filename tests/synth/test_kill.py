"""Laws 1 and 3: whenever a run dies, the same command finishes it, to the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blurcli import synth
from blursynth import files, verify
from blursynth.manifest import DIGESTS_NAME
from blursynth.schema import encode_index
from blursynth.shards import ShardName, write_shard

from ..conftest import make_picture, make_sample, tree, write_image, write_scene

DRIVER = Path(__file__).with_name("dying.py")
PANORAMA = ("panorama", "--size", "16", "--per-panorama", "3", "--samples-per-shard", "3")
GOPRO = ("gopro", "--n", "3", "--crop", "24", "--samples-per-shard", "2")
POINTS = {
    "in the middle of the digest store": ("writing", DIGESTS_NAME),
    "in the middle of the plan": ("writing", "plan.json"),
    "in the middle of a tar": ("adding", "panorama-train-000001.tar"),
    "between a whole tar and its rename": ("before", "panorama-train-000001.tar"),
    "between a tar and its index": ("after", "panorama-train-000001.tar"),
    "in the middle of an index": ("writing", "panorama-train-000001.json"),
    "between a whole index and its rename": ("before", "panorama-train-000001.json"),
    "in the middle of the card": ("writing", "README.md"),
    "in the middle of its picture": ("writing", "contact-sheet.png"),
    "between the card and the manifest": ("before", "manifest.json"),
    "between the manifests": ("after", "manifest.json"),
}


@pytest.fixture(scope="module")
def src(tmp_path_factory):
    folder = tmp_path_factory.mktemp("src")
    for number in range(4):
        write_image(folder / "sun360" / f"place {number}.png", make_picture(64, 128, number))
    write_scene(folder / "gopro/train/GOPR0001_11_00", seed=1, frames=7)
    write_scene(folder / "gopro/test/GOPR0003_11_00", seed=3, frames=5)
    return folder


@pytest.fixture(scope="module")
def driver():
    """Runs the program in a process that dies at a named point; gives how that process ended."""
    process = subprocess.Popen(
        [sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def dying(point, *arguments):
        process.stdin.write(json.dumps([*point, *map(str, arguments)]) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield dying
    process.stdin.close()
    process.wait()


def finished(out):
    """The tars with an index, with the time of their last change."""
    tars = [p.with_suffix(".tar") for p in out.rglob("*-??????.json")]
    return {tar: tar.stat().st_mtime_ns for tar in tars}


def is_intact(out):
    return verify.verify(verify.find_data_sets(out), out, jobs=1).faults == ()


# --- named points ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(src, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    for command, folder in ((PANORAMA, "sun360"), (GOPRO, "gopro")):
        arguments = [*command, "--src", str(src / folder), "--out", str(out), "--jobs", "1"]
        synth.blursynth(arguments, standalone_mode=False)
    return tree(out)


@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_there_is_finished_by_the_same_command(
    blursynth, src, driver, undisturbed, tmp_path, point
):
    arguments = (*PANORAMA, "--src", src / "sun360", "--out", tmp_path, "--jobs", 1)
    assert driver(POINTS[point], *arguments) == signal.SIGKILL
    before = finished(tmp_path)
    assert len(before) == {"tar": 1, "index": 1, "manifest": 4, "card": 4, "picture": 4}.get(
        next((w for w in ("tar", "index", "manifest", "card", "picture") if w in point), ""), 0
    )
    assert blursynth(*arguments)[0] == 0
    assert tree(tmp_path) == {k: v for k, v in undisturbed.items() if k.startswith("panorama/")}
    assert {tar: finished(tmp_path)[tar] for tar in before} == before
    assert is_intact(tmp_path)


@pytest.mark.parametrize(
    "point", [("adding", "gopro-train-000001.tar"), ("after", "gopro-train-000000.tar")]
)
def test_a_run_of_video_too(blursynth, src, driver, undisturbed, tmp_path, point):
    arguments = (*GOPRO, "--src", src / "gopro", "--out", tmp_path, "--jobs", 1)
    assert driver(point, *arguments) == signal.SIGKILL
    assert blursynth(*arguments)[0] == 0
    assert tree(tmp_path) == {k: v for k, v in undisturbed.items() if k.startswith("gopro/")}


def test_failures_stand_in_the_order_of_the_plan_whatever_the_order_of_work(blursynth, tmp_path):
    for number in range(6):
        write_image(tmp_path / f"src/good {number}.png", make_picture(64, 128, number))
        write_image(tmp_path / f"src/good {number} but square.png", make_picture(64, 64))
    arguments = (*PANORAMA, "--src", tmp_path / "src", "--out", tmp_path / "out", "--jobs", 1)
    assert blursynth(*arguments, "--max-failures", 6)[0] == 0
    whole = tree(tmp_path / "out")
    assert len(whole["panorama/train/manifest.json"]["failures"]) == 6
    (tmp_path / "out/panorama/train/panorama-train-000000.json").unlink()
    assert blursynth(*arguments, "--max-failures", 6)[0] == 0
    assert tree(tmp_path / "out") == whole


def test_an_index_that_was_damaged_later_is_named_with_what_to_do(blursynth, src, tmp_path):
    arguments = (*PANORAMA, "--src", src / "sun360", "--out", tmp_path, "--jobs", 1)
    blursynth(*arguments)
    index = tmp_path / "panorama/train/panorama-train-000001.json"
    whole = index.read_bytes()
    index.write_bytes(whole[:-9])
    code, _, err = blursynth(*arguments)
    assert code == 2 and f"{index} is not the index of a shard; remove it, and its shard" in err
    index.unlink()
    assert blursynth(*arguments)[0] == 0 and index.read_bytes() == whole


# --- processes that outlive others -------------------------------------------------------------


def test_two_writers_of_one_shard_do_not_meet(tmp_path):
    """As a job whose run was killed, and the run that goes on."""
    name = ShardName(str(tmp_path), "clip", "train", 0)
    samples = [make_sample(f"clip-0123456789abcdef-{k:06d}") for k in range(3)]
    wanted = {"fingerprint": "f", "image_format": "png"}
    bytes_of_the_other = []

    def interrupted():
        yield samples[0]
        write_shard(name, samples, **wanted)
        bytes_of_the_other.append(name.tar.read_bytes())
        yield from samples[1:]

    index = write_shard(name, interrupted(), **wanted)
    assert name.tar.read_bytes() == bytes_of_the_other[0]
    assert name.index.read_bytes() == encode_index(index)
    assert sorted(p.name for p in name.tar.parent.iterdir()) == [name.index.name, name.tar.name]


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_works(blursynth, src, tmp_path):
    arguments = (*PANORAMA, "--src", src / "sun360", "--out", tmp_path, "--jobs", 1)
    with files.held(tmp_path / "panorama"):
        code, _, err = blursynth(*arguments)
    assert code == 2 and "found another run at work there; wait until it ends, or stop it" in err
    assert blursynth(*arguments)[0] == 0


@pytest.fixture
def at_work(src, tmp_path):
    """A run with two jobs that are in the middle of a tar each, its workers, and its arguments."""
    arguments = [*PANORAMA[:3], "--per-panorama", "80", "--samples-per-shard", "80"]
    arguments += ["--src", str(src / "sun360"), "--out", str(tmp_path / "out"), "--jobs", "2"]
    program = [sys.executable, "-c", "from blurcli.synth import main; main()", *arguments]
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        until(lambda: len(list(tmp_path.glob("out/panorama/*/.*.tar.*.partial"))) == 2)
        yield process, workers_of(process.pid), arguments
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def workers_of(parent):
    """The loky workers that a process has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    if not children.exists():
        pytest.skip("/proc does not tell the children of a process here")
    pids = [int(pid) for pid in children.read_text().split()]
    return [p for p in pids if b"popen_loky" in Path(f"/proc/{p}/cmdline").read_bytes()]


def is_alive(pid):
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


def test_jobs_whose_run_was_killed_leave_soon_and_disturb_nothing(blursynth, at_work, tmp_path):
    process, workers, arguments = at_work
    assert len(workers) == 2
    process.kill()
    process.wait()
    assert blursynth(*arguments[:-1], "1")[0] == 0
    until(lambda: not any(map(is_alive, workers)), seconds=3)
    goes_on = tree(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    assert blursynth(*arguments[:-1], "1")[0] == 0
    assert tree(tmp_path / "out") == goes_on


ORPHAN = """
import multiprocessing, os, sys, time
from blursynth.jobs import begin_job

def work(parent):
    while os.getppid() == parent:
        time.sleep(0.01)
    begin_job()
    time.sleep(20)

child = multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(),))
child.start()
print(child.pid, flush=True)
os._exit(0)
"""


def test_a_job_that_begins_after_its_run_was_killed_leaves_as_well():
    command = [sys.executable, "-c", ORPHAN]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    orphan = int(parent.stdout.readline())
    parent.wait()
    parent.stdout.close()
    until(lambda: not is_alive(orphan), seconds=5)


def test_a_job_that_is_killed_ends_the_run_with_a_sentence(blursynth, at_work, tmp_path):
    process, workers, arguments = at_work
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 1 and err.count("\n") == 1
    assert "a job was ended from outside, perhaps for want of memory; what is finished is" in err
    assert not [p for p in tmp_path.rglob("*") if files.is_temporary(p)]
    assert blursynth(*arguments[:-1], "1")[0] == 0 and is_intact(tmp_path / "out")


# --- a full disk -------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_ends_the_run_with_a_sentence_and_loses_nothing(
    blursynth, src, small_disk, tmp_path, jobs
):
    disk, enlarge = small_disk
    arguments = [*PANORAMA, "--size", "64", "--format", "npy", "--src", src / "sun360"]
    code, out, err = blursynth(*arguments, "--per-panorama", 7, "--out", disk, "--jobs", jobs)
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert ".tar: No space left on device; what is finished is kept: make room, and the" in err
    before = finished(disk)
    assert before and is_intact(disk) and not list(disk.rglob("*.partial"))
    enlarge()
    assert blursynth(*arguments, "--per-panorama", 7, "--out", disk, "--jobs", 1)[0] == 0
    assert {tar: finished(disk)[tar] for tar in before} == before
    again = tmp_path / "again"
    assert blursynth(*arguments, "--per-panorama", 7, "--out", again, "--jobs", 1)[0] == 0
    assert tree(disk) == tree(again)


def test_a_disk_that_is_full_from_the_start_gets_the_same_sentence(blursynth, src, small_disk):
    disk, _ = small_disk
    (disk / "film.mp4").write_bytes(bytes((1 << 20) - 4096))
    arguments = (*PANORAMA, "--src", src / "sun360", "--out", disk / "out", "--jobs", 1)
    code, out, err = blursynth(*arguments)
    assert (code, out) == (1, "") and "No space left on device; what is finished is kept" in err
    assert {p.name for p in disk.rglob("*") if p.is_file()} <= {"film.mp4", DIGESTS_NAME}
