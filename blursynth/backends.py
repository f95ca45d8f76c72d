"""Who does the work: processes of this machine, or the workers of a dask or ray cluster.

Through joblib's own backends. A worker on another machine sees sources and data sets under the same
paths, or puts shards into an object store.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import Any

import joblib

from .stopped import RunStopped

PACKAGES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
BACKENDS = tuple(PACKAGES)
CONNECT_S, WORKERS_S = 10, 60
ROUND = 8  # shards of each worker between two looks at what came of them, under ray
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
    if find_spec(PACKAGES[backend]) is None:
        raise ValueError(
            f"--backend {backend} needs the package {PACKAGES[backend]}, which is not installed: "
            f'pip install "blursynth-blurvid[{backend}]"'
        )
    if address is not None and backend == "loky":
        raise ValueError("expected --address with --backend dask or ray, found it without")
    with _OPENERS[backend](joblib.effective_n_jobs(jobs), address) as do:
        yield do


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


def _as_they_come(tasks: Iterable[Any], jobs: int) -> Generator:
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
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

    with _silent("distributed"), _dask_client(jobs, address) as client, _captured(client):

        def do(tasks: Tasks) -> Iterator[Any]:
            with closing(_as_they_come(tasks, -1)) as results:
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


def _captured(client: Any) -> Any:
    """joblib's dask backend, which would wait for ever for a task that is lost with its workers:
    here what became of it comes back as the error that it is."""
    from joblib._dask import DaskDistributedBackend

    class Dask(DaskDistributedBackend):
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

    return joblib.parallel_config(backend=Dask(client=client))


@contextmanager
def _silent(library: str) -> Iterator[None]:
    """What goes wrong ends in one sentence, not in the library's own pages."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


# --- ray ---------------------------------------------------------------------------------------


@contextmanager
def _ray(jobs: int, address: str | None) -> Iterator[Do]:
    """joblib's ray backend gives its results all at once, so that the tasks go to it in rounds."""
    import ray
    from ray.util.joblib import register_ray

    with _silent("ray.util.multiprocessing.pool"), _ray_cluster(jobs, address) as size:
        register_ray()

        def do(tasks: Tasks) -> Iterator[Any]:
            with (
                joblib.parallel_config(backend="ray"),
                joblib.Parallel(n_jobs=size, batch_size=1, pre_dispatch="all") as parallel,
            ):
                for at in range(0, len(tasks), ROUND * size):
                    yield from parallel(tasks[at : at + ROUND * size])

        try:
            yield do
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:200]
            raise RunStopped(f"a ray worker was lost ({reason}); {KEPT}") from error


@contextmanager
def _ray_cluster(jobs: int, address: str | None) -> Iterator[int]:
    """Its number of processors. Of the cluster that this program is in, or that at `address`, or
    one that lives as long as this."""
    import ray

    ours, address = not ray.is_initialized(), address or os.environ.get("RAY_ADDRESS")
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        here = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        try:
            ray.init(address=address, **here, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"expected a ray cluster at {address}, found none ({error}); start one with "
                "`ray start --head`, or leave out --address"
            ) from error
    try:
        yield max(int(ray.cluster_resources().get("CPU", 1)), 1)
    finally:
        if ours:
            ray.shutdown()


_OPENERS = {"loky": _loky, "dask": _dask, "ray": _ray}
