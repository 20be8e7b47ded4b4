"""Workers for tests of executors; importable by worker processes."""

from __future__ import annotations

import os
import pickle
import signal
import time
from typing import Any

from porefield.meshes.errors import PlanError
from porefield.workers.executors.interface import Event, Executor, Stop, Tell, Work, WorkerInfo

PATIENCE_S = 180.0


class Counting:
    """Counts its tasks, and does what each says."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, task: Any, stop: Stop, tell: Tell) -> Any:
        self.count += 1
        match task:
            case "refuse":
                raise PlanError.of("task", "another", "refuse")
            case "fail":
                raise ValueError("as asked")
            case "wait" | "wait and tell":
                deadline = time.monotonic() + 30
                while not stop() and time.monotonic() < deadline:
                    if task == "wait and tell":
                        tell({"count": self.count})
                    time.sleep(0.05)
                return "stopped" if stop() else "waited in vain"
            case "tell", many:
                for i in range(many):
                    tell(i)
                return "told"
            case "deaf":
                time.sleep(600)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(3)
            case "huge", size:
                return b"x" * size
            case "odd":
                return Odd("a", "b")
            case "environment":
                return dict(os.environ)
        return (task, self.count, os.getpid())


class Odd(Exception):
    """Can be pickled, but not made again."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def counting(info: WorkerInfo) -> Work:
    return Counting()


def unable(info: WorkerInfo) -> Work:
    raise PlanError.of("plan", "one that can be read", "none")


def stillborn(info: WorkerInfo) -> Work:
    os._exit(5)


def gather(executor: Executor, count: int, patience_s: float = PATIENCE_S) -> list[Event]:
    """The next so many events."""
    events: list[Event] = []
    deadline = time.monotonic() + patience_s
    while len(events) < count:
        assert time.monotonic() < deadline, f"only {events}"
        events += executor.wait(0.5)
    return events


def until(executor: Executor, kind: type[Event], patience_s: float = PATIENCE_S) -> list[Event]:
    """All events up to the first of a kind, which is the last one."""
    events: list[Event] = []
    deadline = time.monotonic() + patience_s
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < deadline, f"only {events}"
        events += executor.wait(0.5)
    return events


def refuses(value: Any) -> bool:
    """Whether a value can't be made again from its pickle."""
    try:
        pickle.loads(pickle.dumps(value))
    except TypeError:
        return True
    return False
