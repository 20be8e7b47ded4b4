"""A fixed set of workers that keep state and run tasks: what sweeps and the service are built on.

A worker is made by a factory in its own process and lives until the executor closes or the process dies; compiled
kernels, files that were read and the last solution stay with it. Nothing here knows what the tasks are.

    with InProcess(make_work) as executor:
        for event in executor.wait(1.0): ...     # Joined(worker="local-0", ...)
        executor.submit("local-0", 1, task)
        executor.wait(1.0)                       # [Finished(worker="local-0", task_id=1, result=...)]
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from ...meshes.errors import PorefieldError

Stop = Callable[[], bool]
"""Asked by a task between its steps: True ends it early."""
Tell = Callable[[Any], None]
"""Tells the driver something while a task runs; must be picklable and small."""


@dataclass(frozen=True)
class WorkerInfo:
    """Who a worker is.

    Attributes:
        name: unique within the executor, also among replaced workers.
        node: the machine's name. pid: of its process.
        threads: that its numerics may use.
        batch: how many parts of a task it does at once; fewer leave it idle in part.
    """

    name: str
    node: str
    pid: int
    threads: int
    batch: int = 1


class Work(Protocol):
    """What a worker holds and does. An attribute `batch` tells how many parts of a task it does at once, if not one."""

    def run(self, task: Any, stop: Stop, tell: Tell) -> Any:
        """Run one task; its return value goes to the driver."""
        ...


MakeWork = Callable[[WorkerInfo], Work]
"""Made once per worker, in its process; must be picklable where workers are processes."""


@dataclass(frozen=True)
class Joined:
    """A worker is ready; also the replacement of one that was lost."""

    worker: str
    info: WorkerInfo


def ready_info(info: WorkerInfo, work: Work) -> WorkerInfo:
    """A worker's `info` once its work is made."""
    return replace(info, batch=getattr(work, "batch", 1))


@dataclass(frozen=True)
class Finished:
    """A task returned."""

    worker: str
    task_id: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """A task raised; the worker lives on.

    Attributes:
        error: the exception's type, text and traceback.
        cause: the exception itself, where it is one that a user can mend.
    """

    worker: str
    task_id: int
    error: str
    cause: PorefieldError | None = None


def fault_of(error: Exception) -> tuple[str, PorefieldError | None]:
    """`error` and `cause` of a Failed, within the handler of the exception."""
    return traceback.format_exc(), error if isinstance(error, PorefieldError) else None


@dataclass(frozen=True)
class Told:
    """A task told something while it ran."""

    worker: str
    task_id: int
    what: Any


@dataclass(frozen=True)
class Lost:
    """A worker's process died, or never came up; its unfinished tasks, in order, are to be given to others."""

    worker: str
    task_ids: tuple[int, ...]
    reason: str


Event = Joined | Finished | Failed | Told | Lost


class WorkersError(PorefieldError):
    """No worker comes up, or they die faster than they get anything done."""


class Executor(Protocol):
    """Workers, from entering the context to leaving it.

    `stop` and `kill` of a worker that is gone do nothing: it may have died just before. What a task tells arrives
    before the event that ends it.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...

    def submit(self, worker: str, task_id: int, task: Any) -> None:
        """Queue a task at a worker; it begins a second one without waiting for the driver."""
        ...

    def wait(self, timeout_s: float) -> list[Event]:
        """What happened since the last call: at least one event, or none after the timeout.

        Raises:
            WorkersError: no use to wait any longer.
        """
        ...

    def stop(self, worker: str) -> None:
        """Ask the tasks that a worker has now, running and queued, to end early; later ones run as usual.

        Each still ends with an event of its own. One that never asks is not ended: see `kill`.
        """
        ...

    def kill(self, worker: str) -> None:
        """End a worker's process at once, whatever it does; it is told as lost, and replaced.

        Raises:
            WorkersError: its workers have no processes of their own.
        """
        ...

    def close(self, grace_s: float = 10.0) -> None:
        """Ask running tasks to stop, wait for them, then end the workers whatever they do."""
        ...
