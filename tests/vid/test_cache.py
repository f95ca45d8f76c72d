"""A bounded folder of whole shards, shared by processes that may be killed at any moment."""

import fcntl
import hashlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from blurvid.cache import PARTIAL, WHOLE, Ahead, ShardCache
from blurvid.remote import Patience, RemoteFolder, RemoteShard, Unreachable

from .loopback import serving

SIZE = 100_000
QUICK = Patience(retries=1, first_delay_s=0.01, stall_s=5, stalls=2)
FORK = multiprocessing.get_context("fork")


def quiet(line):
    """Unlike a lambda it can be sent to another process."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as state:
        yield state


@pytest.fixture
def shards(server):
    """Ten shards of 100 kB that are served."""
    return [_put(server, number) for number in range(10)]


def _put(server, number):
    content = np.random.default_rng(number).bytes(SIZE)
    name = f"dots-train-{number:06d}.tar"
    (server.folder / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return RemoteShard(RemoteFolder(server.url, QUICK), name, SIZE, digest)


@pytest.fixture
def cache(tmp_path):
    """Room for three shards and a half."""
    return ShardCache(tmp_path / "cache", 350_000, quiet)


def _is_right(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.stem


def _held(cache):
    return sorted(path.name for path in cache.folder.glob("*"))


def _names(shards):
    return sorted(f"{shard.sha256}.tar" for shard in shards)


def _until(condition):
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends, "it never came to pass"
        time.sleep(0.01)


def _start(function, *arguments):
    process = FORK.Process(target=function, args=arguments)
    process.start()
    return process


def _end(processes):
    for process in processes:
        process.join(20)
        assert process.exitcode == 0


def test_a_shard_is_fetched_once_and_then_lies_there_whole(server, cache, shards):
    path = cache.path_of(shards[0])
    assert path == cache.folder / f"{shards[0].sha256}.tar" and _is_right(path)
    assert cache.path_of(shards[0]) == path and server.asked(shards[0].tar) == 1
    assert _held(cache) == _names(shards[:1])


def test_the_shards_used_last_stay(cache, shards):
    for number in (0, 1, 2, 0, 3):
        cache.path_of(shards[number])
        time.sleep(0.02)
    assert _held(cache) == _names([shards[0], shards[2], shards[3]])


def test_a_shard_larger_than_the_cache_is_refused(cache, shards):
    small = ShardCache(cache.folder, SIZE - 1, quiet)
    with pytest.raises(ValueError, match="000000.tar: expected a shard of at most the 0.1 MB"):
        small.path_of(shards[0])
    assert ShardCache(cache.folder, SIZE, quiet).path_of(shards[0])


def test_what_was_opened_can_be_read_after_it_made_room(cache, shards):
    handle = cache.open(shards[0])
    for shard in shards[1:5]:
        cache.path_of(shard)
    assert f"{shards[0].sha256}.tar" not in _held(cache)
    assert hashlib.sha256(os.pread(handle, SIZE, 0)).hexdigest() == shards[0].sha256
    os.close(handle)


@pytest.mark.parametrize("size", [0, 10, SIZE + 1])
def test_a_shard_of_the_wrong_size_is_fetched_anew(server, cache, shards, size):
    path = cache.path_of(shards[0])
    os.truncate(path, size)
    assert _is_right(cache.path_of(shards[0])) and server.asked(shards[0].tar) == 2


def test_files_of_others_are_left_alone(cache, shards):
    cache.folder.mkdir()
    (cache.folder / "thesis.tar").write_bytes(b"x" * 400_000)
    for shard in shards[:5]:
        cache.path_of(shard)
    assert len(_held(cache)) == 4 and (cache.folder / "thesis.tar").exists()


def test_a_fetch_that_fails_leaves_nothing(server, cache, shards):
    (server.folder / shards[0].tar).write_bytes(b"x" * SIZE)
    (server.folder / shards[1].tar).unlink()
    for number, error in enumerate([ValueError, FileNotFoundError, Unreachable]):
        server.refusals = 100 * (number == 2)
        with pytest.raises(error):
            cache.path_of(shards[number])
    assert _held(cache) == []


def test_a_cache_can_be_sent_to_another_process(cache):
    assert pickle.loads(pickle.dumps(cache)) == cache


# --- several at once ---


def test_processes_and_threads_that_want_the_same_shard_fetch_it_once(server, cache, shards):
    server.stalls, server.stall_s = 1, 0.3
    others = [_start(cache.path_of, shards[0]) for _ in range(2)]
    threads = [threading.Thread(target=cache.path_of, args=(shards[0],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert _is_right(cache.path_of(shards[0]))
    _end(others)
    assert server.asked(shards[0].tar) == 1 and len(server.requests) == 1


def _read_all(cache, shards, seed):
    for _ in range(2):
        for number in np.random.default_rng(seed).permutation(len(shards)):
            handle = cache.open(shards[number])
            data = os.pread(handle, SIZE + 1, 0)
            os.close(handle)
            assert hashlib.sha256(data).hexdigest() == shards[number].sha256


def _sizes(folder):
    """Of all files in it, as far as they stay for long enough."""
    for entry in os.scandir(folder):
        try:
            yield entry.name, entry.stat().st_size
        except FileNotFoundError:
            continue


def test_the_bound_holds_and_no_half_file_is_seen_while_processes_read(cache, shards):
    cache.folder.mkdir()
    readers = [_start(_read_all, cache, shards, seed) for seed in range(3)]
    most = 0
    while any(reader.is_alive() for reader in readers):
        with cache._alone():  # else files would come and go while they are counted
            sizes = dict(_sizes(cache.folder))
        most = max(most, sum(sizes.values()))
        assert {size for name, size in sizes.items() if name[0] != "."} <= {SIZE}
        time.sleep(0.002)
    _end(readers)
    assert 2 * SIZE < most <= cache.limit_bytes
    assert not list(cache.folder.glob(PARTIAL)) and len(list(cache.folder.glob(WHOLE))) == 3


def test_room_for_one_shard_serves_two_processes_in_turn(cache, shards):
    narrow = ShardCache(cache.folder, SIZE, quiet)
    _end([_start(_read_all, narrow, shards[:3], seed) for seed in range(2)])


@pytest.mark.parametrize("number", [0, 1])
def test_what_a_killed_process_left_hinders_nobody(server, cache, shards, number):
    server.stalls, server.stall_s = 1, 3
    fetching = _start(cache.path_of, shards[0])
    _until(lambda: server.requests)
    assert len(list(cache.folder.glob(PARTIAL))) == 1
    fetching.kill()
    fetching.join()
    assert fetching.exitcode == -signal.SIGKILL
    assert not list(cache.folder.glob(WHOLE))
    began = time.monotonic()
    assert _is_right(cache.path_of(shards[number]))
    assert _held(cache) == _names([shards[number]]) and time.monotonic() - began < 2


def test_who_waits_for_a_killed_process_goes_on_in_its_place(server, cache, shards):
    server.stalls, server.stall_s = 1, 3
    fetching = _start(cache.path_of, shards[0])
    _until(lambda: server.requests)
    waiting = _start(cache.path_of, shards[0])
    time.sleep(0.1)
    assert len(server.requests) == 1
    fetching.kill()
    _end([waiting])
    assert _held(cache) == _names(shards[:1])


def test_a_process_forked_while_a_lock_was_held_holds_nothing_up(cache, shards):
    with cache._alone():
        child = _start(time.sleep, 20)
    began = time.monotonic()
    assert _is_right(cache.path_of(shards[0]))
    assert time.monotonic() - began < 2
    child.kill()
    child.join()


def test_a_file_system_without_locks_is_refused(cache, shards, monkeypatch):
    def unsupported(handle, operation):
        if operation != fcntl.LOCK_UN:
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(ValueError, match="on a file system with locks .* on a local disk"):
        cache.path_of(shards[0])


class _Paths(Dataset):
    def __init__(self, cache, shards):
        self._cache, self._shards = cache, shards

    def __getitem__(self, number):
        return _is_right(self._cache.path_of(self._shards[number]))


def test_forked_workers_fetch_after_and_while_their_parent_does(server, cache, shards):
    cache.path_of(shards[9])
    server.stalls, server.stall_s = 1, 0.5
    ahead = Ahead(cache)
    ahead.want([shards[0]])
    _until(lambda: server.asked(shards[0].tar))
    loader = DataLoader(
        _Paths(cache, shards), batch_size=None, sampler=[1, 2, 0, 3], num_workers=2, timeout=20
    )
    assert list(loader) == [True] * 4
    assert server.asked(shards[0].tar) == 1
    ahead.close()


# --- ahead ---


def test_what_is_wanted_comes_in_its_order_without_being_asked_for(server, cache, shards):
    ahead = Ahead(cache)
    ahead.want(shards[:3])
    _until(lambda: _names(shards[:3]) == _held(cache))
    assert [path.strip("/") for path, _ in server.requests] == [s.tar for s in shards[:3]]
    ahead.want(shards[3:5])
    _until(lambda: set(_names(shards[3:5])) <= set(_held(cache)))
    ahead.close()


def test_a_new_wish_replaces_the_old_one(server, cache, shards):
    server.stalls, server.stall_s = 1, 0.3
    ahead = Ahead(cache)
    ahead.want(shards[:3])
    _until(lambda: server.requests)
    ahead.want([shards[5]])
    _until(lambda: _held(cache) == _names([shards[0], shards[5]]))
    time.sleep(0.1)
    assert len(server.requests) == 2
    ahead.close()


def test_what_fails_ahead_fails_for_its_reader_and_stops_nothing_else(server, cache, shards):
    (server.folder / shards[0].tar).unlink()
    ahead = Ahead(cache)
    ahead.want(shards[:2])
    _until(lambda: _held(cache) == _names(shards[1:2]))
    with pytest.raises(FileNotFoundError, match=shards[0].tar):
        cache.path_of(shards[0])
    ahead.close()


def test_closing_ends_the_thread_and_waits_for_nothing(server, cache, shards):
    server.stalls, server.stall_s = 1, 0.5
    ahead = Ahead(cache)
    ahead.want(shards[:3])
    _until(lambda: server.requests)
    began = time.monotonic()
    ahead.close()
    assert time.monotonic() - began < 0.1
    _until(lambda: not any(t.name == Ahead.__name__ for t in threading.enumerate()))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("ending", "fails"), [("ahead.close()", 0), ("pass", 0), ("1 / 0", 1)])
def test_a_fetch_that_hangs_keeps_no_program_from_ending(server, cache, shards, ending, fails):
    server.stalls, server.stall_s = 100, 20
    program = (
        "import pickle, sys, time; from blurvid.cache import Ahead\n"
        "ahead = Ahead(pickle.load(sys.stdin.buffer)); ahead.want(pickle.load(sys.stdin.buffer))\n"
        f"time.sleep(1.5)\n{ending}"
    )
    given = pickle.dumps(replace(cache, say=str)) + pickle.dumps(shards)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=given,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=30,
    )
    assert server.requests and time.monotonic() - began < 15
    assert done.stderr.splitlines()[-1:] == [b"ZeroDivisionError: division by zero"] * fails
