"""One worker in a thread of this process: for a service in tests, and wherever processes are too much.

What it runs shares this process' memory and its interpreter lock. It can be asked to stop, but not be ended.
"""

from __future__ import annotations

import os
import platform
import queue
import threading
import time
from typing import Any, Self

from .interface import (
    Event,
    Failed,
    Finished,
    Joined,
    MakeWork,
    Told,
    Work,
    WorkerInfo,
    WorkersError,
    fault_of,
    ready_info,
)

NAME = "thread-0"


class InThread:
    """The executor with one thread; `submit`, `stop` and `wait` may be called from any."""

    def __init__(self, make_work: MakeWork) -> None:
        self._make_work = make_work
        self._tasks: queue.SimpleQueue[tuple[int, int, Any] | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._submitted, self._stopped = 0, 0
        self._closing = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        info = WorkerInfo(NAME, platform.node(), os.getpid(), os.cpu_count() or 1)
        work = self._make_work(info)
        self._events.put(Joined(NAME, ready_info(info, work)))
        self._thread = threading.Thread(target=self._serve, args=(work,), name=NAME, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, worker: str, task_id: int, task: Any) -> None:
        if worker != NAME:
            raise ValueError(f"worker: expected {NAME}, got {worker}")
        self._submitted += 1
        self._tasks.put((self._submitted, task_id, task))

    def wait(self, timeout_s: float) -> list[Event]:
        until_s = time.monotonic() + timeout_s
        try:
            events = [self._events.get(timeout=max(until_s - time.monotonic(), 0))]
        except queue.Empty:
            return []
        return events + [self._events.get_nowait() for _ in range(self._events.qsize())]

    def stop(self, worker: str) -> None:
        self._stopped = self._submitted

    def kill(self, worker: str) -> None:
        raise WorkersError.of("executor", "one with processes, to end a worker's", f"{worker}, a thread of this one")

    def close(self, grace_s: float = 10.0) -> None:
        self._closing = True
        self._tasks.put(None)
        if self._thread is not None:
            self._thread.join(grace_s)

    def _serve(self, work: Work) -> None:
        while (entry := self._tasks.get()) is not None:
            self._run(work, *entry)

    def _run(self, work: Work, number: int, task_id: int, task: Any) -> None:
        def stop() -> bool:
            return self._closing or number <= self._stopped

        try:
            result = work.run(task, stop, lambda what: self._events.put(Told(NAME, task_id, what)))
        except Exception as error:
            self._events.put(Failed(NAME, task_id, *fault_of(error)))
        else:
            self._events.put(Finished(NAME, task_id, result))
