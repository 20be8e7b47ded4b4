"""One suite for all executors: order, kept state, errors, telling, stopping; and for processes, what happens when they
die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from porefield.meshes.errors import PlanError, Problem
from porefield.workers.executors.in_process import InProcess
from porefield.workers.executors.in_thread import InThread
from porefield.workers.executors.interface import (
    Executor,
    Failed,
    Finished,
    Joined,
    Lost,
    MakeWork,
    Told,
    WorkersError,
)
from porefield.workers.executors.local_processes import LocalProcesses
from porefield.workers.executors.ray_cluster import RayCluster

from .works import counting, gather, unable, until

# Ray leaves sockets and log files to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
Make = Callable[[MakeWork], Executor]
MAKERS: dict[str, Make] = {
    "in_process": InProcess,
    "in_thread": InThread,
    "processes": lambda make_work: LocalProcesses(make_work, workers=1),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("processes", "ray")]


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """Of a cluster that all tests here join: to start one takes longer than most of them."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield str(cluster.address)
    cluster.shutdown()


def maker(request: pytest.FixtureRequest) -> Make:
    """Of the executor that a fixture's parameter names."""
    if request.param != "ray":
        return MAKERS[request.param]
    address: str = request.getfixturevalue("ray_address")
    return lambda make_work: RayCluster(make_work, workers=1, address=address)


@pytest.fixture(params=["in_process", "in_thread", *SLOW])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with maker(request)(counting) as made:
        yield made


@pytest.fixture(params=SLOW)
def make(request: pytest.FixtureRequest) -> Make:
    """Executors whose workers are processes."""
    return maker(request)


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


def test_what_a_task_tells_comes_in_order_and_before_its_end(executor: Executor) -> None:
    (joined,) = gather(executor, 1)
    assert isinstance(joined, Joined)
    for task_id, many in ((4, 300), (5, 0), (6, 7)):
        executor.submit(joined.worker, task_id, ("tell", many))
    events = gather(executor, 300 + 7 + 3)
    told = [(e.task_id, e.what) for e in events if isinstance(e, Told)]
    assert told == [(4, i) for i in range(300)] + [(6, i) for i in range(7)]
    assert [e.task_id for e in events[300:302]] == [4, 5]  # type: ignore[union-attr]
    assert isinstance(events[-1], Finished)
    assert events[-1].task_id == 6
    assert executor.wait(0.2) == []


def test_stopping_a_worker_ends_the_tasks_that_it_has_and_no_later_ones(executor: Executor) -> None:
    (joined,) = gather(executor, 1)
    assert isinstance(joined, Joined)
    executor.submit(joined.worker, 1, "wait")
    executor.submit(joined.worker, 2, "wait")
    executor.stop(joined.worker)
    executor.submit(joined.worker, 3, "later")
    start = time.monotonic()
    events = gather(executor, 3)
    assert time.monotonic() - start < 10
    assert [e.result if e.task_id < 3 else e.result[0] for e in events if isinstance(e, Finished)] == [
        "stopped",
        "stopped",
        "later",
    ]
    executor.stop("nobody")


def test_what_a_user_can_mend_comes_as_it_was_raised(executor: Executor) -> None:
    (joined,) = gather(executor, 1)
    assert isinstance(joined, Joined)
    for task_id, task in ((1, "refuse"), (2, "fail")):
        executor.submit(joined.worker, task_id, task)
    refused, failed = gather(executor, 2)
    assert isinstance(refused, Failed)
    assert isinstance(refused.cause, PlanError)
    assert refused.cause.problems == [Problem("task", "another", "refuse")]
    assert isinstance(failed, Failed)
    assert failed.cause is None


@pytest.mark.parametrize("kind", [InProcess, InThread])
def test_a_worker_that_can_not_be_made_says_why(kind: Make) -> None:
    with pytest.raises(PlanError, match="one that can be read"), kind(unable):
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


@pytest.mark.parametrize("kind", [InProcess, InThread])
def test_this_process_is_not_ended(kind: Make) -> None:
    with kind(counting) as executor:
        (joined,) = gather(executor, 1)
        with pytest.raises(WorkersError, match="one with processes"):
            executor.kill(joined.worker)


def test_a_thread_tells_while_its_task_runs_and_ends_with_its_executor() -> None:
    with InThread(counting) as executor:
        gather(executor, 1)
        executor.submit("thread-0", 1, "wait and tell")
        assert not any(isinstance(e, Finished) for e in until(executor, Told))
        start = time.monotonic()
    assert time.monotonic() - start < 3


def test_a_process_that_can_not_make_its_work_says_why(make: Make) -> None:
    with pytest.raises(WorkersError, match="one that can be read"), make(unable) as executor:
        gather(executor, 1)


def test_processes_that_die_are_told_and_replaced(make: Make) -> None:
    with make(counting) as executor:
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


def test_running_tasks_tell_are_stopped_and_killed(make: Make) -> None:
    with make(counting) as executor:
        (joined,) = gather(executor, 1)
        assert isinstance(joined, Joined)
        executor.submit(joined.worker, 1, "wait and tell")
        events = until(executor, Told)  # while it runs
        assert not any(isinstance(e, Finished) for e in events)
        executor.stop(joined.worker)
        start = time.monotonic()
        finished = until(executor, Finished)[-1]
        assert isinstance(finished, Finished)
        assert finished.result == "stopped"
        assert time.monotonic() - start < 3

        executor.submit(joined.worker, 2, "deaf")
        executor.submit(joined.worker, 3, "next")
        time.sleep(0.5)
        executor.stop(joined.worker)
        assert executor.wait(1) == []  # nobody listens
        executor.kill(joined.worker)
        lost, again = gather(executor, 2)
        assert isinstance(lost, Lost)
        assert lost.task_ids == (2, 3)
        assert lost.reason == "ended on request"
        assert isinstance(again, Joined)
        executor.kill(joined.worker)  # gone already
        executor.submit(again.worker, 3, "next")
        (event,) = gather(executor, 1)
        assert isinstance(event, Finished)
        executor.submit(again.worker, 4, "deaf")
        time.sleep(0.5)
        start = time.monotonic()
        executor.close(grace_s=1)
        assert time.monotonic() - start < 10
