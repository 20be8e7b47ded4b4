"""One suite for all executors: order, kept state, errors, stopping; and for processes, what happens when they die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from porefield.meshes.errors import PlanError
from porefield.workers.executors.in_process import InProcess
from porefield.workers.executors.interface import (
    Event,
    Executor,
    Failed,
    Finished,
    Joined,
    Lost,
    Stop,
    Tell,
    Work,
    WorkerInfo,
    WorkersError,
)
from porefield.workers.executors.ray_cluster import RayCluster

# Ray leaves sockets and log files to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def counting(info: WorkerInfo) -> Work:
    """Makes a worker that counts its tasks; defined within, so that it travels to other processes by value."""

    class Counting:
        def __init__(self) -> None:
            self.count = 0

        def run(self, task: Any, stop: Stop, tell: Tell) -> Any:
            self.count += 1
            if task == "fail":
                raise ValueError("as asked")
            if task == "wait":
                deadline = time.monotonic() + 30
                while not stop() and time.monotonic() < deadline:
                    time.sleep(0.01)
                return "stopped" if stop() else "waited in vain"
            return (task, self.count, os.getpid())

    return Counting()


def unable(info: WorkerInfo) -> Work:
    raise PlanError.of("plan", "one that can be read", "none")


@pytest.fixture(params=["in_process", pytest.param("ray", marks=pytest.mark.slow)])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made = InProcess(counting) if request.param == "in_process" else RayCluster(counting, workers=1)
    with made:
        yield made


def gather(executor: Executor, count: int, patience_s: float = 60.0) -> list[Event]:
    """The next so many events."""
    events: list[Event] = []
    deadline = time.monotonic() + patience_s
    while len(events) < count:
        assert time.monotonic() < deadline, f"only {events}"
        events += executor.wait(0.5)
    return events


def test_tasks_run_in_order_on_a_worker_that_keeps_its_state(executor: Executor) -> None:
    (joined,) = gather(executor, 1)
    assert isinstance(joined, Joined)
    for i in range(3):
        executor.submit(joined.worker, i, f"task {i}")
    events = gather(executor, 3)
    assert [e.result[:2] for e in events if isinstance(e, Finished)] == [("task 0", 1), ("task 1", 2), ("task 2", 3)]
    assert [e.task_id for e in events if isinstance(e, Finished)] == [0, 1, 2]
    assert joined.info.pid == events[0].result[2]  # type: ignore[union-attr]

    executor.submit(joined.worker, 7, "fail")
    (failed,) = gather(executor, 1)
    assert isinstance(failed, Failed)
    assert "ValueError: as asked" in failed.error
    executor.submit(joined.worker, 8, "after")
    (after,) = gather(executor, 1)
    assert isinstance(after, Finished)
    assert after.result[1] == 5
    assert executor.wait(0.01) == []


def test_a_worker_that_can_not_be_made_says_why() -> None:
    with pytest.raises(PlanError, match="one that can be read"), InProcess(unable):
        pass


def test_a_running_task_hears_that_it_is_to_stop() -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with InProcess(counting, cancelled) as executor:
        gather(executor, 1)
        executor.submit("local-0", 1, "wait")
        (event,) = gather(executor, 1)
    assert isinstance(event, Finished)
    assert event.result == "stopped"


@pytest.mark.slow
def test_processes_that_die_are_told_and_replaced() -> None:
    with RayCluster(counting, workers=1) as executor:
        (joined,) = gather(executor, 1)
        assert isinstance(joined, Joined)
        executor.submit(joined.worker, 1, "wait")
        executor.submit(joined.worker, 2, "next")
        time.sleep(1)
        os.kill(joined.info.pid, signal.SIGKILL)
        lost, again = gather(executor, 2)
        assert isinstance(lost, Lost)
        assert lost.task_ids == (1, 2)
        assert isinstance(again, Joined)
        assert again.worker != joined.worker
        executor.submit(again.worker, 2, "next")
        (event,) = gather(executor, 1)
        assert isinstance(event, Finished)
        executor.submit(again.worker, 3, "wait")
        time.sleep(0.5)
        start = time.monotonic()
        executor.close(grace_s=20)
        assert time.monotonic() - start < 10  # the task heard of it
    with pytest.raises(WorkersError, match="one that can be read"), RayCluster(unable, workers=1) as executor:
        gather(executor, 1)
