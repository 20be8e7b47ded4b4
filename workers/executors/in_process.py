"""One worker in the calling process: for tests and small jobs. A task runs inside `wait`, in the calling thread."""

from __future__ import annotations

import os
import platform
import time
from collections import deque
from typing import Any, Self

from .interface import (
    Event,
    Failed,
    Finished,
    Joined,
    MakeWork,
    Stop,
    Told,
    Work,
    WorkerInfo,
    WorkersError,
    fault_of,
    ready_info,
)

NAME = "local-0"


class InProcess:
    """The executor without processes; `close` and `stop` may be called from a signal handler or another thread.

    Args:
        cancelled: asked by running tasks beside `close`, because nobody can call that while `wait` runs one.
    """

    def __init__(self, make_work: MakeWork, cancelled: Stop = lambda: False) -> None:
        self._make_work, self._cancelled = make_work, cancelled
        self._tasks: deque[tuple[int, int, Any]] = deque()
        self._submitted, self._stopped = 0, 0
        self._events: list[Event] = []
        self._work: Work | None = None
        self._stopping = False

    def __enter__(self) -> Self:
        info = WorkerInfo(NAME, platform.node(), os.getpid(), os.cpu_count() or 1)
        self._work = self._make_work(info)
        self._events.append(Joined(NAME, ready_info(info, self._work)))
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, worker: str, task_id: int, task: Any) -> None:
        if worker != NAME:
            raise ValueError(f"worker: expected {NAME}, got {worker}")
        self._submitted += 1
        self._tasks.append((self._submitted, task_id, task))

    def wait(self, timeout_s: float) -> list[Event]:
        if not self._events and not self._tasks:
            time.sleep(timeout_s)
        if not self._events and self._tasks:
            self._run(*self._tasks.popleft())
        events, self._events = self._events, []
        return events

    def stop(self, worker: str) -> None:
        self._stopped = self._submitted

    def kill(self, worker: str) -> None:
        raise WorkersError.of("executor", "one with processes, to end a worker's", f"{worker}, which is this process")

    def close(self, grace_s: float = 10.0) -> None:
        self._stopping = True
        self._tasks.clear()

    def _run(self, number: int, task_id: int, task: Any) -> None:
        assert self._work is not None, "used outside of its context"

        def stop() -> bool:
            return self._stopping or number <= self._stopped or self._cancelled()

        try:
            result = self._work.run(task, stop, lambda what: self._events.append(Told(NAME, task_id, what)))
        except Exception as error:
            self._events.append(Failed(NAME, task_id, *fault_of(error)))
        else:
            self._events.append(Finished(NAME, task_id, result))
