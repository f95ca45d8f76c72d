"""Trainings and evaluations read from URLs as from folders, whatever the line does."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from blurvid import remote
from blurvid.cache import ShardCache
from blurvid.checkpoint import load_checkpoint
from blurvid.compute import ComputeSpec
from blurvid.index import data_sets_under, find_mixture
from blurvid.model import ModelSpec
from blurvid.order import Order
from blurvid.plan import DataSpec, RunSpec, TrainSpec, plan_run
from blurvid.remote import Patience, RemoteFolder
from blurvid.run_folder import RunFolder
from blurvid.stopped import Unreachable
from blurvid.stream import read_batches, read_samples, with_shards_ahead
from blurvid.train import train

from ..object_store import object_store
from .loopback import serving

QUICK = Patience(retries=3, first_delay_s=0.01, stall_s=0.3, stalls=2)
COUNTS = [4, 3, 4, 2, 4]


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_data_set):
    folder = tmp_path_factory.mktemp("local")
    write_data_set(folder, "dots", "train", COUNTS, size_hw=(32, 32))
    write_data_set(folder, "dots", "test", [2], first=sum(COUNTS), size_hw=(32, 32))
    return folder


@pytest.fixture
def server(shards):
    with serving(shards) as state:
        yield state


def _largest(shards):
    return max(path.stat().st_size for path in shards.rglob("*.tar"))


def _cache(folder, shards, tars=4):
    """Room for so many of the largest shard."""
    return ShardCache(folder / "cache", tars * _largest(shards), say=lambda line: None)


def _spec(place, cache=None, *, workers=0):
    return RunSpec(
        ModelSpec(frames=3, width=1),
        DataSpec(place, batch=3, block=2, workers=workers, cache=cache),
        TrainSpec(steps=12),  # two epochs and a bit
        compute=ComputeSpec("fp32"),
    )


def _train(spec, out):
    train(spec, RunFolder(Path(out)), device=torch.device("cpu"), say=lambda line: None)
    return (Path(out) / "last.safetensors").read_bytes()


@pytest.fixture(scope="module")
def local_run(shards, tmp_path_factory):
    return _train(_spec(shards), tmp_path_factory.mktemp("runs") / "local")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_from_a_url_ends_in_the_same_bits(server, shards, local_run, tmp_path, workers):
    cache = _cache(tmp_path, shards)
    place = RemoteFolder(server.url, QUICK)
    assert _train(_spec(place, cache, workers=workers), tmp_path / "run") == local_run
    held = sum(path.stat().st_size for path in cache.folder.iterdir())
    assert 0 < held <= cache.limit_bytes < sum(p.stat().st_size for p in shards.rglob("*.tar"))


def test_dropped_connections_and_slow_answers_change_nothing(server, shards, local_run, tmp_path):
    place = RemoteFolder(server.url, QUICK)
    spec = _spec(place, _cache(tmp_path, shards))
    plan_run(spec)  # what follows meets the tars too, not the indexes alone
    server.drops, server.drop_after, server.stalls, server.stall_s = 6, 5000, 3, 0.4
    assert _train(spec, tmp_path / "run") == local_run
    assert server.drops == server.stalls == 0


def test_a_shard_that_changes_in_mid_epoch_stops_the_training_by_name(
    tmp_path, write_data_set
):
    local = write_data_set(tmp_path / "local", "dots", "train", COUNTS, size_hw=(32, 32))
    with serving(local) as server:
        spec = _spec(RemoteFolder(server.url, QUICK), _cache(tmp_path, local))
        _, coming = (block for _, block in zip(range(2), plan_run(spec).order.blocks(0)))
        tar = sorted(local.rglob("*.tar"))[coming[1][0]]
        data = bytearray(tar.read_bytes())
        data[2000] ^= 1
        tar.write_bytes(data)
        with pytest.raises(Unreachable, match=f"{tar.name}: expected the digest that its index"):
            _train(spec, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run/last.safetensors").progress["step"] >= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_server_that_is_gone_stops_with_a_sentence(shards, tmp_path, workers):
    with serving(shards) as server:
        place = RemoteFolder(server.url, replace(QUICK, retries=1))
        mixture = find_mixture(place, split="train", frames=3, cache=_cache(tmp_path, shards))
    batches = Order(mixture.shard_sizes, batch=3, seed=0).batches(0, 2)
    with pytest.raises(Unreachable, match="tried 2 times"):
        list(read_batches(mixture, batches, collate=lambda samples, batch: len(list(samples)), workers=workers))


def test_the_next_block_is_fetched_while_one_is_read(server, shards, tmp_path):
    cache = _cache(tmp_path, shards)
    place = RemoteFolder(server.url, QUICK)
    mixture = find_mixture(place, split="train", frames=3, cache=cache)
    order = Order(mixture.shard_sizes, batch=3, seed=0, block=2)
    blocks = order.blocks(0)
    expected = [mixture.shards[s].tar.sha256 for _ in range(2) for s in next(blocks)[1]]
    read = read_batches(mixture, order.batches(0, 1), collate=lambda samples, batch: len(list(samples)))
    for _ in with_shards_ahead(read, mixture, order, 0):
        deadline = time.monotonic() + 20
        while not all((cache.folder / f"{digest}.tar").exists() for digest in expected):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_samples_of_a_url_are_those_of_the_folder(server, shards, tmp_path):
    place = RemoteFolder(server.url, QUICK)
    remote = find_mixture(place, split="test", frames=3, cache=_cache(tmp_path, shards))
    local = find_mixture(shards, split="test", frames=3)
    assert remote.data_sets[0].fingerprint == local.data_sets[0].fingerprint
    for one, two in zip(read_samples(remote, range(2)), read_samples(local, range(2)), strict=True):
        assert one.key == two.key and (one.frames == two.frames).all()


def test_tars_without_an_index_are_named_and_not_read(tmp_path, write_data_set):
    local = write_data_set(tmp_path / "local", "dots", "train", [2, 2], size_hw=(32, 32))
    (local / "dots/train/dots-train-000001.json").unlink()
    with serving(local) as server:
        (data_set,) = data_sets_under(RemoteFolder(server.url, QUICK), split="train")
    assert data_set.sample_count == 2 and data_set.unread == ("dots-train-000001.tar",)


def test_a_cache_too_small_for_two_blocks_is_refused(server, shards, tmp_path):
    spec = _spec(RemoteFolder(server.url, QUICK), _cache(tmp_path, shards, tars=3))
    with pytest.raises(ValueError, match="a larger --cache-gb or a smaller --block"):
        plan_run(spec)


def test_where_nothing_lies_a_sentence_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes").mkdir()
    with serving(tmp_path) as server, pytest.raises(ValueError, match="no shards of split 'train'"):
        find_mixture(RemoteFolder(server.url, QUICK), split="train", frames=3)


def test_a_server_that_shows_no_list_is_read_by_its_manifest(blursynth, sun360, tmp_path):
    out = tmp_path / "shards"
    made = blursynth("panorama", "--src", sun360, "--out", out, "--size", 32, "--per-panorama", 2)
    assert made[0] == 0
    with serving(out / "panorama") as server:
        server.listing = False
        (data_set,) = data_sets_under(RemoteFolder(server.url, QUICK), split="train")
    assert data_set.name == "panorama" and data_set.sample_count == 6


@pytest.fixture
def bucket(shards):
    """The URL of an S3 bucket that holds the shards."""
    with object_store("blur") as client:
        for path in sorted(p for p in shards.rglob("*") if p.is_file()):
            key = f"sets/{path.relative_to(shards).as_posix()}"
            client.put_object(Bucket="blur", Key=key, Body=path.read_bytes())
        remote._file_system.cache_clear()
        yield "s3://blur/sets"


def test_a_training_from_s3_as_it_is_typed(blurvid, bucket, local_run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    chosen = ("--width", 1, "--batch", 3, "--block", 2, "--steps", 12, "--precision", "fp32")
    code, out, err = blurvid(
        "train", "--shards", bucket, "--out", tmp_path / "run", "--workers", 0, *chosen
    )
    assert (code, err) == (0, "") and "remote: blocks of 2 shards" in out
    assert (tmp_path / "run/last.safetensors").read_bytes() == local_run
    assert any((tmp_path / "home/blurvid/shards").glob("*.tar"))
    code, out, _ = blurvid("evaluate", "--checkpoint", tmp_path / "run", "--shards", bucket)
    assert code == 0 and "2 samples of 32x32" in out


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("pipe://cat x.tar", "URL of s3://, https://, http://, found 'pipe://cat x.tar'"),
        ("simplecache::s3://b/x", "expected a local folder or a URL"),
        ("http://127.0.0.1:9/x", "127.0.0.1:9/x"),
    ],
)
def test_other_urls_are_a_users_mistake(blurvid, tmp_path, monkeypatch, place, sentence):
    monkeypatch.setattr("blurvid.remote.time.sleep", lambda seconds: None)
    code, _, err = blurvid("train", "--shards", place, "--out", tmp_path / "run", "--width", 1)
    assert code in (1, 2) and sentence in err and err.count("\n") == 1
