"""Data sets put into an object store: the same bytes as in a folder, whole or not at all."""

import signal
import subprocess
import sys
import time

import pytest

from blursynth import objects
from blursynth.objects import ObjectPath, any_path
from blursynth.stopped import RunStopped

from ..conftest import comparable, tree
from ..object_store import object_store, objects_in

pytestmark = pytest.mark.machines
SMALL = ("panorama", "--size", 16, "--per-panorama", 3, "--samples-per-shard", 3)
OUT = "s3://blur/sets"
PROGRAM = [sys.executable, "-c", "from blurcli.synth import main; main()"]


@pytest.fixture
def store():
    with object_store("blur") as client:
        objects._store.cache_clear()
        yield client
    objects._store.cache_clear()


@pytest.fixture
def local(blursynth, sun360, tmp_path):
    assert blursynth(*SMALL, "--src", sun360, "--out", tmp_path / "local", "--jobs", 1)[0] == 0
    return tree(tmp_path / "local")


def stored(client):
    return comparable(
        {place.removeprefix("sets/"): data for place, data in objects_in(client, "blur").items()}
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bucket_holds_the_bytes_of_a_folder(blursynth, sun360, store, local, jobs):
    code, out, err = blursynth(*SMALL, "--src", sun360, "--out", OUT, "--jobs", jobs)
    assert (code, err) == (0, "") and out.startswith("s3://blur/sets/panorama: 9 train samples")
    assert stored(store) == local


def test_only_what_is_missing_in_a_bucket_is_made(blursynth, sun360, store, local):
    arguments = (*SMALL, "--src", sun360, "--out", OUT, "--jobs", 1)
    assert blursynth(*arguments)[0] == 0
    code, out, _ = blursynth(*arguments)
    assert code == 0 and "already complete" in out
    store.delete_object(Bucket="blur", Key="sets/panorama/train/panorama-train-000001.json")
    store.put_object(Bucket="blur", Key="sets/panorama/train/panorama-train-000002.tar", Body=b"cut")
    code, out, _ = blursynth(*arguments)
    assert code == 0 and "made 6 in" in out and stored(store) == local


def test_a_run_into_a_bucket_that_is_killed_goes_on(blursynth, sun360, store, local, tmp_path):
    arguments = [*map(str, SMALL), "--src", str(sun360), "--out", OUT, "--jobs", "1"]
    process = subprocess.Popen([*PROGRAM, *arguments])
    key = "sets/panorama/train/panorama-train-000000.json"
    while process.poll() is None and key not in objects_in(store, "blur"):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = objects_in(store, "blur")[key]
    assert blursynth(*arguments)[0] == 0 and stored(store) == local
    assert objects_in(store, "blur")[key] == first


def test_other_options_are_refused_and_overwrite_starts_anew(blursynth, sun360, store, local):
    arguments = (*SMALL, "--src", sun360, "--out", OUT, "--jobs", 1)
    assert blursynth(*arguments, "--seed", 1)[0] == 0
    code, _, err = blursynth(*arguments)
    assert code == 2 and "option seed was 1 and is 0" in err
    assert blursynth(*arguments, "--overwrite")[0] == 0 and stored(store) == local


def test_what_is_not_ours_in_a_bucket_stays(blursynth, sun360, store):
    store.put_object(Bucket="blur", Key="sets/panorama/thesis.tex", Body=b"years")
    for more in ((), ("--overwrite",)):
        code, _, err = blursynth(*SMALL, "--src", sun360, "--out", OUT, *more)
        assert code == 2 and "found other files in it (thesis.tex)" in err
    assert objects_in(store, "blur") == {"sets/panorama/thesis.tex": b"years"}
    store.put_object(Bucket="blur", Key="sets/thesis", Body=b"years")
    code, _, err = blursynth(*SMALL, "--src", sun360, "--out", OUT, "--name", "thesis")
    assert code == 2 and "found other files in it (thesis)" in err


def test_folders_that_a_console_made_are_no_foreign_files(blursynth, sun360, store, local):
    places = ("sets/", "sets/panorama/", "sets/panorama/train/")
    for place in places:
        store.put_object(Bucket="blur", Key=place, Body=b"")
    arguments = (*SMALL, "--src", sun360, "--out", OUT, "--jobs", 1)
    for more in ((), (), ("--overwrite",)):
        code, out, err = blursynth(*arguments, *more)
        assert (code, err) == (0, "")
        found = objects_in(store, "blur")
        ours = {k.removeprefix("sets/"): v for k, v in found.items() if not k.endswith("/")}
        assert comparable(ours) == local
    assert set(places[:2]) <= found.keys()


def test_parts_meet_in_a_bucket(blursynth, sun360, store, local):
    for part in ("2/2", "1/2"):
        arguments = (*SMALL, "--src", sun360, "--out", OUT, "--jobs", 1)
        assert blursynth(*arguments, "--shards-of", part)[0] == 0
    assert stored(store) == local


def test_a_bucket_that_is_not_there_is_a_mistake(blursynth, sun360, store):
    code, _, err = blursynth(*SMALL, "--src", sun360, "--out", "s3://nowhere/x", "--jobs", 1)
    assert code == 2 and "s3://nowhere/x/panorama/.digests.json: no such object or bucket" in err


def test_a_store_that_refuses_the_keys_is_a_mistake(blursynth, sun360, store, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    code, _, err = blursynth(*SMALL, "--src", sun360, "--out", OUT, "--jobs", 1)
    assert code == 2 and "the store refuses" in err and "Traceback" not in err


def test_a_store_that_does_not_answer_stops_the_run(blursynth, sun360, store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    code, _, err = blursynth(*SMALL, "--src", sun360, "--out", OUT, "--jobs", 1)
    assert code == 1 and "could not be reached" in err and "the same command goes on" in err


def test_what_was_put_into_a_bucket_is_trained_on(blursynth, blurvid, sun360, store, tmp_path):
    size = ("panorama", "--size", 32, "--per-panorama", 3, "--samples-per-shard", 3)
    assert blursynth(*size, "--src", sun360, "--out", OUT, "--jobs", 1)[0] == 0
    chosen = ("--width", 1, "--batch", 3, "--steps", 2, "--workers", 0, "--precision", "fp32")
    code, _, err = blurvid("train", "--shards", OUT, "--out", tmp_path / "run", *chosen)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    "place",
    [
        *("http://host/x", "s3://", "s3:///x", "s3://b/a?b", "s3://b/a*", "gs://b/x", "S3://b/x"),
        *("s3://b//x", "s3://b/x//y", "s3://b/x/../y", "s3://b/./x", "s3://b/..", "s3://../x"),
    ],
)
def test_other_urls_are_a_mistake(blursynth, sun360, place):
    code, _, err = blursynth(*SMALL, "--src", sun360, "--out", place)
    assert code == 2 and "expected" in err and place in err


def test_a_place_in_a_bucket_is_used_like_a_path():
    assert any_path("s3://bucket/") == any_path("s3://bucket") == ObjectPath("s3://bucket")
    place = any_path("s3://bucket/a b/") / "c.d" / "e.tar"
    assert str(place) == "s3://bucket/a b/c.d/e.tar"
    assert (place.name, place.stem, str(place.parent)) == ("e.tar", "e", "s3://bucket/a b/c.d")
    assert place.with_suffix(".json") == ObjectPath("s3://bucket/a b/c.d/e.json")


def test_an_object_is_read_listed_and_removed(store):
    one, other = any_path("s3://blur/a/one"), any_path("s3://blur/a/b/other")
    assert not one.exists() and one.size_bytes() is None
    one.put(b"12345")
    other.put(b"")
    assert one.exists() and one.parent.exists() and one.size_bytes() == 5
    assert one.read_bytes() == b"12345" and other.size_bytes() == 0
    with one.open() as file:
        file.seek(3)
        assert file.read() == b"45"
    assert sorted(p.name for p in one.parent.iterdir()) == ["b", "one"]
    assert [str(p) for p in one.parent.glob("*/oth*")] == ["s3://blur/a/b/other"]
    one.unlink()
    one.unlink(missing_ok=True)
    other.parent.remove_all()
    assert not one.exists() and objects_in(store, "blur") == {}
    with pytest.raises(FileNotFoundError, match="s3://blur/a/one"):
        one.read_bytes()


def test_without_its_package_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(objects, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "blursynth-blurvid\[s3\]"'):
        any_path("s3://bucket/x")


def test_our_own_mistakes_are_not_taken_for_the_network(store):
    with pytest.raises(TypeError), objects._asking("s3://blur/x"):
        raise TypeError("ours")
    with pytest.raises(RunStopped, match="could not be reached"), objects._asking("s3://blur/x"):
        raise TimeoutError("theirs")
