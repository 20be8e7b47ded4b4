"""Workers as Ray actors, one process each: on this machine by default, on a running cluster by address.

The only module that knows Ray. An actor's tasks run in one thread, while `stop` can still be called in another. An
actor that dies is never restarted by Ray, but replaced here, so that the driver hears of it; nodes that join the
cluster get workers as the actors that wait for resources are placed.

What tasks tell waits in the actor, numbered, until the driver asks for it (a third thread answers), and comes with the
task's result at the latest: in order, each once. Of what is told faster than it is fetched the oldest is dropped.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

from ...meshes.errors import PorefieldError
from .environment import environment
from .interface import (
    Event,
    Failed,
    Finished,
    Joined,
    Lost,
    MakeWork,
    Told,
    WorkerInfo,
    WorkersError,
    fault_of,
    ready_info,
)

OBJECT_STORE_BYTES = 200_000_000
"""Of an embedded Ray: results go to the store on disk, so next to nothing passes through shared memory."""
LOSSES_IN_A_ROW = 5
"""Workers that may die one after the other without a task being finished in between."""
START_TIMEOUT_S = 300.0
"""Without any worker at all."""
MOST_UNTOLD = 1000
"""What an actor keeps for the driver to fetch."""
NO_NATIVE_HANDLER = "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"
"""Read by Ray when it is imported."""
TELL_WAIT_S, TELL_EVERY_S = 5.0, 0.1
"""How long an actor waits for something to tell when it is asked, and how long it gathers what comes next to it."""


@dataclass
class _Worker:
    """An actor. `tell` is the answer that it owes to who asked what it has to tell; `told` counts what it has told."""

    actor: Any
    ready: Any
    tasks: dict[Any, int] = field(default_factory=dict)
    info: WorkerInfo | None = None
    tell: Any = None
    told: int = 0
    killed: bool = False


class RayCluster:
    """The executor on Ray.

    Args:
        workers: how many; None for as many as the cluster's cores (or GPUs) allow when it starts.
        threads_per_worker: of the numerics on the CPU; each takes one of Ray's CPUs.
        gpus_per_worker: 1 for a GPU of its own, a fraction to share one.
        address: of a running cluster; None starts one here and ends it on closing.
        most_losses: workers that may die one after the other without a task being finished in between; None for any
            number of those that were ready, where the caller gives up on what kills them.
    """

    def __init__(
        self,
        make_work: MakeWork,
        *,
        workers: int | None = None,
        threads_per_worker: int = 1,
        gpus_per_worker: float = 0,
        address: str | None = None,
        most_losses: int | None = LOSSES_IN_A_ROW,
    ) -> None:
        self._make_work = make_work
        self._wanted = workers
        self._threads, self._gpus, self._address = threads_per_worker, gpus_per_worker, address
        self._ray: ModuleType = _ray()
        self._owned = False
        self._workers: dict[str, _Worker] = {}
        self._count, self._submitted = 0, 0
        self._losses, self._stillborn = 0, 0
        self._most_losses = most_losses
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
        self._submitted += 1
        run = entry.actor.run.options(concurrency_group="work")
        entry.tasks[run.remote(self._submitted, task_id, task)] = task_id

    def wait(self, timeout_s: float) -> list[Event]:
        until_s = time.monotonic() + timeout_s
        while True:  # an actor that has nothing to tell answers too
            events = self._wait(max(until_s - time.monotonic(), 0))
            if events or time.monotonic() >= until_s:
                return events

    def _wait(self, timeout_s: float) -> list[Event]:
        for worker in self._workers.values():
            if worker.tasks and worker.tell is None:
                worker.tell = worker.actor.untold.options(concurrency_group="telling").remote(worker.told)
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
                events += self._events(name, worker, ref)
        if any(worker.info for worker in self._workers.values()):
            self._last_alive_s = time.monotonic()
        elif time.monotonic() - self._last_alive_s > START_TIMEOUT_S:
            got = f"none after {START_TIMEOUT_S:g} s; the cluster has {self._ray.available_resources()} free"
            raise WorkersError.of("workers", f"a worker with {self._threads} CPU and {self._gpus:g} GPU", got)
        return events

    def stop(self, worker: str) -> None:
        if entry := self._workers.get(worker):
            entry.actor.stop.options(concurrency_group="control").remote(self._submitted)

    def kill(self, worker: str) -> None:
        if entry := self._workers.get(worker):
            entry.killed = True
            self._ray.kill(entry.actor)

    def close(self, grace_s: float = 10.0) -> None:
        if not self._ray.is_initialized():
            self._workers.clear()
            return
        running = [ref for worker in self._workers.values() for ref in worker.tasks]
        if running:
            for name in self._workers:
                self.stop(name)
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
        # one thread works, in the order of submission; what must get through meanwhile has threads of its own
        groups = {"work": 1, "control": 1, "telling": 1}
        actor = self._ray.remote(concurrency_groups=groups, **options)(_Actor).remote()
        start = actor.start.options(concurrency_group="work")
        self._workers[name] = _Worker(actor, start.remote(name, self._threads, self._handle))

    def _events(self, name: str, worker: _Worker, ref: Any) -> list[Event]:
        try:
            result, error, untold = self._ray.get(ref)
        except self._ray.exceptions.RayError as fault:
            return [self._lose(name, worker, fault)]
        if ref == worker.ready:
            worker.ready = None
            if error is not None:
                raise WorkersError.of("workers", "a worker that starts", error)
            worker.info, self._stillborn = result, 0
            return [Joined(name, result)]
        events: list[Event] = [Told(name, task_id, what) for n, task_id, what in untold if n > worker.told]
        worker.told = max([worker.told, *(n for n, _, _ in untold)])
        if ref == worker.tell:
            worker.tell = None
            return events
        task_id = worker.tasks.pop(ref)
        self._losses = 0
        return [*events, Finished(name, task_id, result) if error is None else Failed(name, task_id, *error)]

    def _lose(self, name: str, worker: _Worker, fault: Exception) -> Lost:
        del self._workers[name]
        self._losses += not worker.killed
        self._stillborn += not worker.killed and worker.info is None
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        given_up = self._most_losses is not None and self._losses > self._most_losses
        if given_up or self._stillborn > LOSSES_IN_A_ROW:
            died = max(self._losses, self._stillborn)
            raise WorkersError.of("workers", "workers that stay alive", f"{died} died in a row; {fault}")
        self._start_worker()
        told = "ended on request" if worker.killed else f"{type(fault).__name__}: {reason}"
        return Lost(name, tuple(worker.tasks.values()), told)


class _Actor:
    """A worker's process: one task at a time, in the order they came; `stop` gets through while one runs.

    `start`, `run` and `untold` give a result, an error, and what was told and not yet fetched: (number, task, what).
    """

    def __init__(self) -> None:
        self._stopped, self._told = 0, 0
        self._untold: deque[tuple[int, int, Any]] = deque(maxlen=MOST_UNTOLD)
        self._news = threading.Condition()
        self._work: Any = None

    def start(self, name: str, threads: int, make_work: MakeWork) -> tuple[WorkerInfo | None, str | None, list[Any]]:
        import ray

        info = WorkerInfo(name, ray.util.get_node_ip_address(), os.getpid(), threads)
        try:
            self._work = make_work(info)
        except PorefieldError as error:
            return None, str(error), []
        except Exception:
            return None, traceback.format_exc(), []
        return ready_info(info, self._work), None, []

    def run(self, number: int, task_id: int, task: Any) -> tuple[Any, tuple[Any, ...] | None, list[Any]]:
        def tell(what: Any) -> None:
            with self._news:
                self._told += 1
                self._untold.append((self._told, task_id, what))
                self._news.notify()

        result, error = None, None
        try:
            result = self._work.run(task, lambda: number <= self._stopped, tell)
        except Exception as fault:
            error = fault_of(fault)
        with self._news:
            return result, error, list(self._untold)

    def untold(self, fetched: int) -> tuple[None, None, list[Any]]:
        """What was told after number `fetched`; waits a while for something."""
        with self._news:
            if self._news.wait_for(lambda: self._told > fetched, TELL_WAIT_S):
                self._news.wait_for(lambda: False, TELL_EVERY_S)
            while self._untold and self._untold[0][0] <= fetched:
                self._untold.popleft()
            return None, None, list(self._untold)

    def stop(self, number: int) -> None:
        """Stop all tasks up to this one, by the driver's count; those that are still on their way too."""
        self._stopped = max(self._stopped, number)


def _refs(worker: _Worker) -> list[Any]:
    return [ref for ref in (worker.ready, worker.tell, *worker.tasks) if ref is not None]


def _ray() -> ModuleType:
    """Ray without its native handler of fatal signals in this process; its workers have it.

    At SIGTERM that handler calls the former one too, but aborts the process three seconds later (ray-project/ray, pull
    request 64830): a server would lose the jobs that it still waits for.
    """
    stated = os.environ.get(NO_NATIVE_HANDLER)
    os.environ[NO_NATIVE_HANDLER] = stated or "1"
    try:
        import ray
    except ImportError as error:
        expected = "Ray, of the extra: pip install 'porefield[cluster]'"
        raise PorefieldError.of("executor", expected, str(error)) from None
    finally:
        if stated is None:
            del os.environ[NO_NATIVE_HANDLER]
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
