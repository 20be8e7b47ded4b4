"""Workers as Ray actors, one process each: on this machine by default, on a running cluster by address.

The only module that knows Ray. An actor's tasks run in one thread, while `stop` can still be called in another. An
actor that dies is never restarted by Ray, but replaced here, so that the driver hears of it; nodes that join the
cluster get workers as the actors that wait for resources are placed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

from ...meshes.errors import PorefieldError
from .interface import Event, Failed, Finished, Joined, Lost, MakeWork, WorkerInfo, WorkersError, ready_info

OBJECT_STORE_BYTES = 200_000_000
"""Of an embedded Ray: results go to the store on disk, so next to nothing passes through shared memory."""
LOSSES_IN_A_ROW = 5
"""Workers that may die one after the other without a task being finished in between."""
START_TIMEOUT_S = 300.0
"""Without any worker at all."""
PASSED_ON = (
    # Where results go, so that no worker writes to another store. No keys: Ray keeps these variables and shows them.
    "AWS_ALLOW_HTTP",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PLATFORMS",
    "POREFIELD_CACHE_DIR",
)


@dataclass
class _Worker:
    actor: Any
    ready: Any
    tasks: dict[Any, int] = field(default_factory=dict)
    info: WorkerInfo | None = None


class RayCluster:
    """The executor on Ray.

    Args:
        workers: how many; None for as many as the cluster's cores (or GPUs) allow when it starts.
        threads_per_worker: of the numerics on the CPU; each takes one of Ray's CPUs.
        gpus_per_worker: 1 for a GPU of its own, a fraction to share one.
        address: of a running cluster; None starts one here and ends it on closing.
    """

    def __init__(
        self,
        make_work: MakeWork,
        *,
        workers: int | None = None,
        threads_per_worker: int = 1,
        gpus_per_worker: float = 0,
        address: str | None = None,
    ) -> None:
        self._make_work = make_work
        self._wanted = workers
        self._threads, self._gpus, self._address = threads_per_worker, gpus_per_worker, address
        self._ray: ModuleType = _ray()
        self._owned = False
        self._workers: dict[str, _Worker] = {}
        self._count = 0
        self._losses = 0
        self._last_alive_s = time.monotonic()

    def __enter__(self) -> Self:
        ray = self._ray
        if not ray.is_initialized():
            self._owned = True
            with _signals_kept():
                _init(ray, self._address)
        available = ray.cluster_resources()
        cpus, gpus = available.get("CPU", 1), available.get("GPU", 0)
        fitting = int(gpus / self._gpus) if self._gpus else int(cpus / self._threads)
        self._handle = ray.put(self._make_work)
        try:
            for _ in range(self._wanted or max(fitting, 1)):
                self._start_worker()
        except BaseException:
            self.close(0)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, worker: str, task_id: int, task: Any) -> None:
        entry = self._workers[worker]
        entry.tasks[entry.actor.run.options(concurrency_group="work").remote(task)] = task_id

    def wait(self, timeout_s: float) -> list[Event]:
        waiting = {ref: (name, worker) for name, worker in self._workers.items() for ref in _refs(worker)}
        if not waiting:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=timeout_s)
        if ready:  # whatever else is there already comes along
            ready, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        events: list[Event] = []
        for ref in ready:
            name, worker = waiting[ref]
            if name in self._workers:  # else lost by an earlier one of these
                events.append(self._event(name, worker, ref))
        if any(worker.info for worker in self._workers.values()):
            self._last_alive_s = time.monotonic()
        elif time.monotonic() - self._last_alive_s > START_TIMEOUT_S:
            got = f"none after {START_TIMEOUT_S:g} s; the cluster has {self._ray.available_resources()} free"
            raise WorkersError.of("workers", f"a worker with {self._threads} CPU and {self._gpus:g} GPU", got)
        return events

    def close(self, grace_s: float = 10.0) -> None:
        if not self._ray.is_initialized():
            self._workers.clear()
            return
        running = [ref for worker in self._workers.values() for ref in worker.tasks]
        if running:
            for worker in self._workers.values():
                worker.actor.stop.options(concurrency_group="control").remote()
            self._ray.wait(running, num_returns=len(running), timeout=grace_s)
        for worker in self._workers.values():
            self._ray.kill(worker.actor)
        self._workers.clear()
        if self._owned:
            self._ray.shutdown()

    def _start_worker(self) -> None:
        name = f"ray-{self._count}"
        self._count += 1
        options = {
            "num_cpus": self._threads,
            "num_gpus": self._gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": environment(self._threads, self._gpus)},
        }
        # one thread works, in the order of submission; `stop` has a thread of its own
        actor = self._ray.remote(concurrency_groups={"work": 1, "control": 1}, **options)(_Actor).remote()
        start = actor.start.options(concurrency_group="work")
        self._workers[name] = _Worker(actor, start.remote(name, self._threads, self._handle))

    def _event(self, name: str, worker: _Worker, ref: Any) -> Event:
        try:
            result, error = self._ray.get(ref)
        except self._ray.exceptions.RayError as fault:
            return self._lose(name, worker, fault)
        if ref == worker.ready:
            worker.ready = None
            if error is not None:
                raise WorkersError.of("workers", "a worker that starts", error)
            worker.info = result
            return Joined(name, result)
        task_id = worker.tasks.pop(ref)
        self._losses = 0
        return Finished(name, task_id, result) if error is None else Failed(name, task_id, error)

    def _lose(self, name: str, worker: _Worker, fault: Exception) -> Lost:
        del self._workers[name]
        self._losses += 1
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        if self._losses > LOSSES_IN_A_ROW:
            raise WorkersError.of("workers", "workers that stay alive", f"{self._losses} died in a row; {fault}")
        self._start_worker()
        return Lost(name, tuple(worker.tasks.values()), f"{type(fault).__name__}: {reason}")


class _Actor:
    """A worker's process: one task at a time, in the order they came; `stop` gets through while one runs."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._work: Any = None

    def start(self, name: str, threads: int, make_work: MakeWork) -> tuple[WorkerInfo | None, str | None]:
        import ray

        info = WorkerInfo(name, ray.util.get_node_ip_address(), os.getpid(), threads)
        try:
            self._work = make_work(info)
        except PorefieldError as error:
            return None, str(error)
        except Exception:
            return None, traceback.format_exc()
        return ready_info(info, self._work), None

    def run(self, task: Any) -> tuple[Any, str | None]:
        try:
            return self._work.run(task, self._stopping.is_set, lambda _: None), None
        except Exception:
            return None, traceback.format_exc()

    def stop(self) -> None:
        self._stopping.set()


def environment(threads: int, gpus: float) -> dict[str, str]:
    """Environment of a worker's process: its numerics keep to their threads and their share of a GPU."""
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        variables[name] = str(threads)
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        variables["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1".strip()
    if 0 < gpus < 1:
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * gpus:.3f}"
    return variables


def _refs(worker: _Worker) -> list[Any]:
    return [*worker.tasks] if worker.ready is None else [worker.ready, *worker.tasks]


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        expected = "Ray, of the extra: pip install 'porefield[cluster]'"
        raise PorefieldError.of("executor", expected, str(error)) from None
    return ray


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM over when it starts: the driver would end with a stack trace instead of stopping in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    for s, handler in former.items():
        if handler is not None:  # None: not set from Python, and can't be set again from here
            signal.signal(s, handler)


def _init(ray: ModuleType, address: str | None) -> None:
    if address is not None:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        return
    ray.init(
        address="local",  # without it, Ray joins whatever cluster it finds on this machine
        include_dashboard=False,
        num_cpus=os.cpu_count(),
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level="ERROR",
    )
