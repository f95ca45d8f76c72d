"""Who does the work: processes of this machine, or the workers of a dask or ray cluster.

Through joblib's own backends. A worker on another machine sees sources and data sets under the same
paths, or puts shards into an object store.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import closing, contextmanager, redirect_stdout
from importlib.util import find_spec
from textwrap import shorten
from typing import Any

import joblib

from .stopped import RunStopped

PACKAGES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
BACKENDS = tuple(PACKAGES)
CONNECT_S, WORKERS_S = 10, 60
NO_ADDRESSES = ("auto", "local")  # of ray: that of this machine, and none
ROUND = 8  # shards of each worker between two looks at what came of them, under ray
LOSSES = 4  # of ray's workers, as often as dask puts up with
KEPT = "what is finished is kept, and the same command goes on"

Tasks = Sequence[Any]
Do = Callable[[Tasks], Iterator[Any]]


@contextmanager
def workers(backend: str, *, jobs: int, address: str | None) -> Iterator[Do]:
    """Gives what does joblib's delayed tasks, and yields their results as they come.

    jobs: processes, -1 for all processors; not asked where `address`, of a running cluster, is
    given. ValueError where the package is missing or nobody answers there; RunStopped where workers
    are lost for good.
    """
    check(backend, address)
    with _OPENERS[backend](joblib.effective_n_jobs(jobs), address) as do:
        yield do


def check(backend: str, address: str | None) -> None:
    """ValueError where the backend's package is missing, or nobody listens at the address."""
    if find_spec(PACKAGES[backend]) is None:
        raise ValueError(
            f"--backend {backend} needs the package {PACKAGES[backend]}, which is not installed: "
            f'pip install "blursynth-blurvid[{backend}]"'
        )
    if address is not None and backend == "loky":
        raise ValueError("expected --address with --backend dask or ray, found it without")
    if address is not None and address not in NO_ADDRESSES:
        _knock(backend, address)


def _knock(backend: str, address: str) -> None:
    """That somebody answers there: the clients of the clusters take minutes to say no."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"expected a {backend} cluster at {address}, found none ({_line(error)}); give "
            f"--address as host:port of one that runs, or leave it out"
        ) from error


def _line(error: BaseException) -> str:
    return shorten(str(error), 200, placeholder=" ...") or type(error).__name__


# --- processes of this machine -----------------------------------------------------------------


@contextmanager
def _loky(jobs: int, address: None) -> Iterator[Do]:
    def do(tasks: Tasks) -> Iterator[Any]:
        with closing(_as_they_come(tasks, min(jobs, max(len(tasks), 1)))) as results:
            yield from results

    try:
        yield do
    except BrokenExecutor as error:
        raise RunStopped(
            "a job was ended from outside, perhaps for want of memory; what is finished is kept, "
            "and the same command goes on, with fewer --jobs if need be"
        ) from error


def _as_they_come(tasks: Iterable[Any], jobs: int, **more: Any) -> Generator:
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, **more)
    results = parallel(tasks)
    try:
        yield from results
    finally:
        with warnings.catch_warnings():  # joblib's, that the work of a run that ends is lost
            warnings.simplefilter("ignore")
            results.close()


# --- dask --------------------------------------------------------------------------------------


@contextmanager
def _dask(jobs: int, address: str | None) -> Iterator[Do]:
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    with (
        _silent("distributed", "asyncio"),
        _dask_client(jobs, address) as client,
        joblib.parallel_config(backend=_dask_backend(client)),
    ):

        def do(tasks: Tasks) -> Iterator[Any]:
            """All go to the scheduler at once: for workers that come later, too."""
            with closing(_as_they_come(tasks, -1, pre_dispatch="all")) as results:
                yield from results

        try:
            yield do
        except KilledWorker as error:
            raise RunStopped(
                "several workers died over one shard, perhaps for want of memory; "
                f"{KEPT}"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise RunStopped(f"the dask scheduler is gone ({error}); {KEPT}") from error


@contextmanager
def _dask_client(jobs: int, address: str | None) -> Iterator[Any]:
    """Of the scheduler at `address`, or of one that lives as long as this."""
    from distributed import Client, LocalCluster

    if address is None:
        here = {"n_workers": jobs, "threads_per_worker": 1, "processes": True, "memory_limit": 0}
        quiet = {"dashboard_address": ":0", "silence_logs": logging.ERROR}
        with LocalCluster(**here, **quiet) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
        client.wait_for_workers(1, timeout=WORKERS_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(
            f"expected a dask scheduler with workers at {address}, found none ({error}); start "
            "them with `dask scheduler` and `dask worker`, or leave out --address"
        ) from error
    with client:
        yield client


def _dask_backend(client: Any) -> Any:
    """joblib's, but for two things. A task that is lost with its workers comes back as the error
    that it is, and is not waited for for ever. With a single worker, too, it is the worker that
    works, and not this process."""
    from joblib._dask import DaskDistributedBackend

    class Dask(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs):
            return max(super().effective_n_jobs(n_jobs), 2)

        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            future.add_done_callback(
                lambda done: callback(done.exception()) if done.exception() else None
            )
            return future

        def retrieve_result_callback(self, out):
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    return Dask(client=client)


@contextmanager
def _silent(*libraries: str) -> Iterator[None]:
    """What goes wrong ends in one sentence, not in the libraries' own pages."""
    loggers = [logging.getLogger(library) for library in libraries]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# --- ray ---------------------------------------------------------------------------------------


@contextmanager
def _ray(jobs: int, address: str | None) -> Iterator[Do]:
    """joblib's ray backend gives its results all at once, so that the tasks go to it in rounds."""
    import ray
    from ray.util.joblib import register_ray

    quiet = _silent("ray.util.multiprocessing.pool"), redirect_stdout(sys.stderr)
    with quiet[0], quiet[1], _ray_cluster(jobs, address):
        register_ray()
        try:
            yield _ray_rounds
        except ray.exceptions.RayError as error:
            raise RunStopped(f"ray workers were lost ({_line(error)}); {KEPT}") from error


def _ray_rounds(tasks: Tasks) -> Iterator[Any]:
    """A round in which a worker is lost is done again, up to LOSSES times in all; what of it is
    finished is found so by the tasks."""
    import ray

    at, losses = 0, 0
    while at < len(tasks):
        try:
            for results in _ray_pool(tasks[at:]):
                at += len(results)
                yield from results
        except ray.exceptions.RayError:
            losses += 1
            if losses > LOSSES:
                raise


def _ray_pool(tasks: Tasks) -> Iterator[list[Any]]:
    """The results of each round of one pool of workers."""
    size = _ray_size()
    with (
        joblib.parallel_config(backend="ray"),
        joblib.Parallel(n_jobs=size, batch_size=1, pre_dispatch="all") as parallel,
    ):
        for at in range(0, len(tasks), ROUND * size):
            yield parallel(tasks[at : at + ROUND * size])


def _ray_size() -> int:
    """Processors of the cluster; with less than two joblib would do all the work here."""
    import ray

    size = int(ray.cluster_resources().get("CPU", 0))
    if not size:
        raise RunStopped(f"the ray cluster has no processors, or is gone; {KEPT}")
    if size == 1:
        raise ValueError(
            "expected a ray cluster of two processors or more, found one; leave --backend out, or "
            "give --jobs 2 or more"
        )
    return size


@contextmanager
def _ray_cluster(jobs: int, address: str | None) -> Iterator[None]:
    """The cluster that this program is in, or that at `address`, or one that lives as long as
    this."""
    import ray

    ours, address = not ray.is_initialized(), address or os.environ.get("RAY_ADDRESS")
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        here = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        try:
            ray.init(address=address or "local", **here, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"expected a ray cluster at {address or 'this machine'}, found none "
                f"({_line(error)}); start one with `ray start --head`, give RAY_AUTH_MODE as it has "
                "it, or leave out --address"
            ) from error
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


_OPENERS = {"loky": _loky, "dask": _dask, "ray": _ray}
