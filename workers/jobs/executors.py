"""Workers that run jobs, wherever they are."""

from __future__ import annotations

from typing import Literal

from ..executors.in_thread import InThread
from ..executors.interface import Executor
from ..executors.local_processes import LocalProcesses
from .work import MakeJobWork


def open_executor(
    *,
    kind: Literal["processes", "ray", "in_process"] = "processes",
    workers: int = 1,
    threads_per_worker: int = 1,
    gpus_per_worker: float = 0,
    address: str | None = None,
    niceness: int = 0,
) -> Executor:
    """The executor for jobs; its workers start when it is entered.

    A job that takes its workers down with it never ends the executor: to give up on it is the caller's.

    Args:
        kind: child processes of this one, Ray, or a thread of this process (one worker, which can't be ended).
        address: of a running Ray cluster; None starts one here.
        niceness: of child processes: how far they stand back behind this one for a core, 0 to 19.

    Raises:
        PorefieldError: Ray is not installed.
    """
    make_work = MakeJobWork()
    if kind == "in_process":
        return InThread(make_work)
    if kind == "processes":
        return LocalProcesses(
            make_work,
            workers=workers,
            threads_per_worker=threads_per_worker,
            gpus_per_worker=gpus_per_worker,
            most_losses=None,
            niceness=niceness,
        )
    from ..executors.ray_cluster import RayCluster  # Ray takes seconds to import, and is an extra

    return RayCluster(
        make_work,
        workers=workers,
        threads_per_worker=threads_per_worker,
        gpus_per_worker=gpus_per_worker,
        address=address,
        most_losses=None,
    )
