"""Law 1 on clusters: whoever does the work, and whatever becomes of workers, the bytes are the same."""

import logging
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import joblib
import pytest

from blursynth import backends, generate, making, plan, sources, spec
from blursynth.stopped import RunStopped

from ..conftest import make_picture, tree, write_image
from ..object_store import object_store, objects_in
from ..optional import needed

SMALL = ("panorama", "--size", 16, "--per-panorama", 3, "--samples-per-shard", 3)
LONG = ("panorama", "--size", 96, "--per-panorama", 40, "--samples-per-shard", 40)
machines = pytest.mark.machines


def made(blursynth, src, out, *more):
    """The tree of a run; each of these is one."""
    code, _, err = blursynth(*more, "--src", src, "--out", out)
    assert code == 0, err
    return tree(Path(out))


@pytest.fixture
def whole(blursynth, sun360, tmp_path):
    return made(blursynth, sun360, tmp_path / "whole", *SMALL, "--jobs", 1)


@contextmanager
def meanwhile(work):
    """Does `work(over)` in a thread until the block ends, which sets the event `over`."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# --- dask --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dask_cluster():
    """Two worker processes and a scheduler, as `dask worker` and `dask scheduler` are."""
    distributed = needed("distributed")
    shape = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "memory_limit": 0}
    quiet = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(**shape, **quiet) as cluster:
        yield cluster


def pids_of(cluster):
    return {worker.pid for worker in list(cluster.workers.values())} - {None}


def pid_that_writes(cluster, out):
    """The worker that has an unfinished tar below `out` open, if one has."""
    for pid in pids_of(cluster):
        try:
            open_files = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        if any(f.startswith(str(out)) and ".tar." in f for f in open_files):
            return pid
    return None


@machines
def test_a_dask_cluster_gives_the_same_bytes_though_a_worker_is_killed(
    blursynth, sun360, tmp_path, dask_cluster
):
    if not Path("/proc/self/fd").exists():
        pytest.skip("/proc does not tell the open files of a process here")
    alone, out, killed = tmp_path / "alone", tmp_path / "out", []

    def kill_one(over):
        while not killed and not over.wait(0.002):
            if pid := pid_that_writes(dask_cluster, out):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    expected = made(blursynth, sun360, alone, *LONG, "--jobs", 1)
    before = pids_of(dask_cluster)
    with meanwhile(kill_one):
        address = dask_cluster.scheduler_address
        found = made(blursynth, sun360, out, *LONG, "--backend", "dask", "--address", address)
    assert found == expected
    assert set(killed) <= before and len(killed) == 1 and killed[0] not in pids_of(dask_cluster)


@machines
def test_workers_that_always_die_end_the_run_with_a_sentence(
    blursynth, sun360, tmp_path, dask_cluster
):
    def kill_all(over):
        while not over.wait(0.002):
            if pid := pid_that_writes(dask_cluster, tmp_path / "out"):
                os.kill(pid, signal.SIGKILL)

    arguments = (*LONG, "--src", sun360, "--out", tmp_path / "out")
    far = ("--backend", "dask", "--address", dask_cluster.scheduler_address)
    with meanwhile(kill_all):
        code, _, err = blursynth(*arguments, *far)
    assert code == 1 and "several workers died over one shard" in err
    assert blursynth(*arguments, *far)[0] == 0
    assert tree(tmp_path / "out") == made(blursynth, sun360, tmp_path / "alone", *LONG)


@machines
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_it_is_the_workers_that_work(backend):
    needed(backends.PACKAGES[backend])
    jobs = {"dask": 1, "ray": 2}[backend]
    with backends.workers(backend, jobs=jobs, address=None) as do:
        pids = set(do([joblib.delayed(os.getpid)() for _ in range(4)]))
    assert len(pids) <= jobs and os.getpid() not in pids


@machines
def test_a_worker_that_comes_later_works_as_well():
    """All tasks are with the scheduler from the start."""
    distributed = needed("distributed")
    shape = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": 0}
    quiet = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(**shape, **quiet) as cluster:
        address = cluster.scheduler_address
        with backends.workers("dask", jobs=1, address=address) as do:
            results = do([joblib.delayed(slow_pid)() for _ in range(60)])
            pids = {next(results)}
            cluster.scale(2)
            assert len(pids.union(results)) == 2


def slow_pid():
    time.sleep(0.1)
    return os.getpid()


@machines
def test_dask_started_here_gives_the_same_bytes(blursynth, sun360, tmp_path, whole):
    needed("distributed")
    found = made(blursynth, sun360, tmp_path / "out", *SMALL, "--backend", "dask", "--jobs", 2)
    assert found == whole


@machines
def test_dask_workers_put_the_same_bytes_into_a_bucket(blursynth, sun360, whole):
    needed("distributed")
    with object_store("blur") as client:
        out = ("--out", "s3://blur/sets", "--backend", "dask", "--jobs", 2)
        code, _, err = blursynth(*SMALL, "--src", sun360, *out)
        assert (code, err) == (0, "")
        tars = {k.removeprefix("sets/"): v for k, v in objects_in(client, "blur").items()}
    assert {k for k in whole if k.endswith(".tar")} == {k for k in tars if k.endswith(".tar")}
    assert all(tars[k] == whole[k] for k in whole if k.endswith((".tar", "0.json")))


@machines
def test_a_source_that_fails_on_a_cluster_is_data_as_it_is_here(
    blursynth, sun360, tmp_path, dask_cluster
):
    write_image(sun360 / "square.png", make_picture(64, 64))
    expected = made(blursynth, sun360, tmp_path / "alone", *SMALL, "--jobs", 1)
    far = ("--backend", "dask", "--address", dask_cluster.scheduler_address)
    assert made(blursynth, sun360, tmp_path / "out", *SMALL, *far) == expected


@machines
def test_no_scheduler_and_no_worker_are_mistakes(blursynth, sun360, tmp_path, monkeypatch):
    distributed = needed("distributed")
    monkeypatch.setattr(backends, "CONNECT_S", 1)
    monkeypatch.setattr(backends, "WORKERS_S", 1)
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path / "out", "--backend", "dask")
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        for address in ("tcp://127.0.0.1:9", "nowhere", empty.scheduler_address):
            code, _, err = blursynth(*arguments, "--address", address)
            assert code == 2 and f"{address}, found none" in err and "Traceback" not in err
            if address != empty.scheduler_address:
                assert not (tmp_path / "out/panorama/plan.json").exists()


# --- ray ---------------------------------------------------------------------------------------


@pytest.fixture
def ray_here():
    ray = needed("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield ray
    ray.shutdown()


@machines
def test_ray_gives_the_same_bytes(blursynth, sun360, tmp_path, whole, ray_here, monkeypatch):
    monkeypatch.setattr(backends, "ROUND", 1)  # so that there are several
    found = made(blursynth, sun360, tmp_path / "out", *SMALL, "--backend", "ray")
    assert found == whole and ray_here.is_initialized()


@machines
def test_a_ray_cluster_that_is_not_there_is_a_mistake(blursynth, sun360, tmp_path):
    needed("ray")
    arguments = (*SMALL, "--src", sun360, "--out", tmp_path / "out", "--backend", "ray")
    code, _, err = blursynth(*arguments, "--address", "nowhere")
    assert code == 2 and "expected a ray cluster at nowhere, found none" in err
    code, _, err = blursynth(*arguments, "--address", "127.0.0.1:9")
    assert code == 2 and "expected a ray cluster at 127.0.0.1:9, found none" in err
    code, _, err = blursynth(*arguments, "--jobs", 1)
    assert code == 2 and "expected a ray cluster of two processors or more, found one" in err
    assert "Traceback" not in err


@machines
def test_a_ray_worker_that_is_killed_costs_no_more_than_its_work(
    blursynth, sun360, tmp_path, ray_here
):
    """Its round is done again, but for what was finished."""
    out, killed = tmp_path / "out", []

    def kill_one(over):
        while not killed and not over.wait(0.002):
            for path in Path("/proc").glob("[0-9]*"):
                if writes_below(path, out):
                    killed.append(int(path.name))
                    os.kill(killed[0], signal.SIGKILL)
                    return

    expected = made(blursynth, sun360, tmp_path / "alone", *LONG, "--jobs", 1)
    with meanwhile(kill_one):
        assert made(blursynth, sun360, out, *LONG, "--backend", "ray") == expected
    assert len(killed) == 1


def writes_below(process, out):
    """Whether a process, by its folder in /proc, is a ray worker with an unfinished tar there."""
    try:
        if b"ray::" not in (process / "cmdline").read_bytes():
            return False
        open_files = [os.readlink(link) for link in (process / "fd").iterdir()]
    except OSError:
        return False
    return any(f.startswith(str(out)) and ".tar." in f for f in open_files)


# --- what a worker must be like ----------------------------------------------------------------


@pytest.fixture
def planned(sun360, tmp_path):
    """A plan, and what `make_shard_far` takes of it."""
    options = spec.PanoramaOptions(camera=spec.CameraOptions(size=16))
    found, _ = sources.find_panoramas(sun360, sources.Digests(tmp_path / "digests.json"))
    data_set = spec.DataSetOptions("panorama", samples_per_shard=3)
    whole = plan.plan_panoramas(
        tmp_path / "out", found, options=options, data_set=data_set, per_panorama=3
    )
    named = {"fingerprint": whole.fingerprint, "image_format": "png"}
    return whole, making.PanoramaMaker("panorama", options), named


def test_a_worker_with_other_packages_or_other_code_is_refused(planned):
    whole, maker, named = planned
    for name in ("numpy", "blursynth"):
        others = {**making.what_makes_bytes(), name: "1.0"}
        with pytest.raises(RunStopped, match=f"expected {name} 1.0 on every worker.*found"):
            making.make_shard_far(0, whole.shards[0], maker, made_by=others, **named)
    assert not whole.shards[0].name.tar.exists()


def test_a_worker_that_does_not_see_the_sources_is_refused_and_makes_no_failures(planned):
    whole, maker, named = planned
    take = whole.shards[0].takes[0]
    elsewhere = replace(take, source=replace(take.source, path=Path("/elsewhere/a.png")))
    shard = replace(whole.shards[0], takes=(elsewhere,))
    with pytest.raises(RunStopped, match="see the sources at the same path, found no /elsewhere"):
        making.make_shard_far(0, shard, maker, made_by=making.what_makes_bytes(), **named)
    assert not shard.name.index.exists()


def test_a_worker_that_writes_elsewhere_is_noticed(planned, monkeypatch):
    whole, maker, named = planned
    monkeypatch.setattr(generate, "SEEN_SECONDS", 0.1)
    with pytest.raises(RunStopped, match="not to be seen here: every worker must write to the same"):
        generate._refuse_unseen(whole.shards[0], whole.fingerprint)
    making.make_shard_far(0, whole.shards[0], maker, made_by=making.what_makes_bytes(), **named)
    generate._refuse_unseen(whole.shards[0], whole.fingerprint)


def test_a_shard_that_comes_to_be_seen_late_is_waited_for(planned, monkeypatch):
    whole, maker, named = planned

    def late(over):
        time.sleep(0.5)
        making.make_shard_far(0, whole.shards[0], maker, made_by=making.what_makes_bytes(), **named)

    with meanwhile(late):
        generate._refuse_unseen(whole.shards[0], whole.fingerprint)


def test_a_shard_that_a_lost_worker_had_finished_is_not_made_again(planned):
    whole, maker, named = planned
    shard, made_by = whole.shards[0], making.what_makes_bytes()
    first = making.make_shard_far(0, shard, maker, made_by=made_by, **named)
    before = shard.name.tar.stat().st_mtime_ns
    assert making.make_shard_far(0, shard, maker, made_by=made_by, **named) == first
    assert shard.name.tar.stat().st_mtime_ns == before


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_without_its_package_a_backend_says_what_to_install(backend, monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    words = rf'pip install "blursynth-blurvid\[{backend}\]"'
    with (
        pytest.raises(ValueError, match=words),
        backends.workers(backend, jobs=1, address=None),
    ):
        pass


def test_an_address_belongs_to_a_cluster(blursynth, sun360, tmp_path):
    code, _, err = blursynth(
        *SMALL, "--src", sun360, "--out", tmp_path / "out", "--address", "tcp://127.0.0.1:9"
    )
    assert code == 2 and "expected --address with --backend dask or ray" in err
