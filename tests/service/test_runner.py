"""The runner against workers that die, hang, will not stop, and a lease that is lost; without any process or solve."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from porefield.service import runner
from porefield.service.database.engine import make_engine
from porefield.service.database.schema import upgrade
from porefield.service.jobs.model import BATCH, INTERACTIVE, Job, JobStatus, NewJob, Process
from porefield.service.jobs.sql_queue import SqlQueue
from porefield.service.metrics import Metrics
from porefield.service.runner import Runner
from porefield.workers.executors.interface import Event, Finished, Joined, Lost, Told, WorkerInfo, WorkersError

from .server import settings

PATIENCE_S = 60.0


class Workers:
    """An executor whose workers do what a test tells them to."""

    def __init__(self, count: int = 1) -> None:
        self.events: list[Event] = [self._joined(f"w{i}") for i in range(count)]
        self.tasks: dict[str, tuple[int, Any]] = {}
        self.stopped: list[str] = []
        self.killed: list[str] = []
        self.on_stop: Callable[[str], None] = lambda worker: None
        self._count = count
        self._lock = threading.Lock()

    @staticmethod
    def _joined(name: str) -> Joined:
        return Joined(name, WorkerInfo(name, "here", 1, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, worker: str, task_id: int, task: Any) -> None:
        self.tasks[worker] = (task_id, task)

    def wait(self, timeout_s: float) -> list[Event]:
        time.sleep(0.005)
        with self._lock:
            events, self.events = self.events, []
        if any(isinstance(event, WorkersError) for event in events):
            raise WorkersError.of("workers", "some", "none")
        return events

    def stop(self, worker: str) -> None:
        self.stopped.append(worker)
        self.on_stop(worker)

    def kill(self, worker: str) -> None:
        self.killed.append(worker)
        self.die(worker, "killed")

    def close(self, grace_s: float = 10.0) -> None:
        pass

    def tell(self, *events: Any) -> None:
        with self._lock:
            self.events += events

    def finish(self, worker: str, state: str = "successful", **outcome: Any) -> None:
        task_id, _ = self.tasks.pop(worker)
        self.tell(Finished(worker, task_id, {"state": state, **outcome}))

    def die(self, worker: str, reason: str = "signal 9") -> None:
        task = self.tasks.pop(worker, None)
        self._count += 1
        self.tell(Lost(worker, () if task is None else (task[0],), reason), self._joined(f"w{self._count}"))


class Bench:
    """A queue, a runner and its workers."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.settings = settings(folder, **{"lease_s": 1.0, "heartbeat_s": 0.2, "cancel_grace_s": 0.4, **more})
        folder.mkdir(parents=True, exist_ok=True)
        upgrade(self.settings.database)
        self._engine = make_engine(self.settings.database)
        self.queue = SqlQueue(self._engine)
        self.workers = Workers()
        self.ended: list[Job] = []
        self.runner = Runner(
            self.settings,
            self.queue,
            Metrics(self.queue),
            open_executor=lambda: self.workers,
            task_of=lambda job: job.id,
            finished=lambda job, outcome: self.ended.append(job),
        )

    def stop(self) -> None:
        self.runner.stop()
        self._engine.dispose()

    def submit(self, number: int = 0, process: Process = Process.PLAN) -> str:
        priority = INTERACTIVE if process is Process.PLAN else BATCH
        new = NewJob("ada", process, {"n": number}, f"hash {number}", priority)
        return self.queue.submit(new)[0].id

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def status(self, job_id: str) -> JobStatus:
        job = self.queue.get(job_id)
        assert job is not None
        return job.status


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.runner.start()
    yield made
    made.stop()


def test_a_job_runs_and_its_progress_is_told(bench: Bench) -> None:
    job = bench.submit()
    bench.until(lambda: "w0" in bench.workers.tasks)
    assert bench.workers.tasks["w0"][1] == job
    bench.workers.tell(Told("w0", bench.workers.tasks["w0"][0], {"stage": "solve", "fraction": 0.4}))
    bench.until(lambda: (bench.queue.get(job) or pytest.fail("gone")).progress.get("fraction") == 0.4)
    bench.workers.finish("w0")
    bench.until(lambda: bench.status(job) is JobStatus.SUCCESSFUL)
    bench.until(lambda: [j.id for j in bench.ended] == [job])


def test_a_failed_job_tells_its_problem(bench: Bench) -> None:
    job = bench.submit()
    bench.until(lambda: "w0" in bench.workers.tasks)
    problems = [{"field": "electrodes[1]", "expected": "a gap", "got": "none"}]
    error = {"kind": "GeometryError", "message": "they touch", "problems": problems}
    bench.workers.finish("w0", "failed", error=error)
    bench.until(lambda: bench.status(job) is JobStatus.FAILED)
    found = bench.queue.get(job)
    assert found is not None
    assert found.error is not None
    assert found.error["type"] == "/problems/job/geometry"
    assert found.error["errors"][0]["pointer"] == "/inputs/electrodes/1"


def test_a_job_whose_worker_dies_is_tried_again_a_bounded_number_of_times(bench: Bench) -> None:
    job = bench.submit()
    for attempt in range(1, bench.settings.most_attempts + 1):
        bench.until(lambda: bool(bench.workers.tasks))
        found = bench.queue.get(job)
        assert found is not None
        assert found.attempts == attempt
        bench.workers.die(next(iter(bench.workers.tasks)))
    bench.until(lambda: bench.status(job) is JobStatus.FAILED)
    found = bench.queue.get(job)
    assert found is not None
    assert found.error is not None
    assert "its worker died (signal 9)" in str(found.error)


def test_a_worker_that_tells_nothing_is_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, hang_s=0.3, most_attempts=1)
    bench.runner.start()
    job = bench.submit()
    bench.until(lambda: bench.status(job) is JobStatus.FAILED)
    assert bench.workers.killed == ["w0"]
    found = bench.queue.get(job)
    assert found is not None
    assert "told nothing for 0.3 s" in str(found.error)
    bench.stop()


def test_a_cancelled_job_is_stopped_or_else_its_worker_is_ended(bench: Bench) -> None:
    gentle, stubborn = bench.submit(1), bench.submit(2)
    bench.until(lambda: bool(bench.workers.tasks))
    bench.workers.on_stop = lambda worker: bench.workers.finish(worker, "stopped")
    bench.queue.cancel(gentle)
    bench.until(lambda: bench.status(gentle) is JobStatus.DISMISSED)
    assert bench.workers.killed == []
    bench.until(lambda: bool(bench.workers.tasks))
    bench.workers.on_stop = lambda worker: None
    bench.queue.cancel(stubborn)
    bench.until(lambda: bench.status(stubborn) is JobStatus.DISMISSED)
    assert bench.workers.killed == ["w0"]


def test_a_sweep_makes_way_for_a_plan_and_goes_on_after_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LEAST_TURN_S", 0.2)
    sweep = bench.submit(1, Process.SWEEP)
    bench.until(lambda: bool(bench.workers.tasks))
    bench.workers.on_stop = lambda worker: bench.workers.finish(worker, "stopped")
    plan = bench.submit(2)
    bench.until(lambda: bench.status(plan) is JobStatus.RUNNING)
    assert bench.status(sweep) is JobStatus.ACCEPTED
    another = bench.submit(3)
    bench.workers.finish("w0")
    bench.until(lambda: bench.status(another) is JobStatus.RUNNING)  # plans do not stop plans
    bench.workers.finish("w0")
    bench.until(lambda: bench.status(sweep) is JobStatus.RUNNING)
    found = bench.queue.get(sweep)
    assert found is not None
    assert found.attempts == 1  # making way does not count
    bench.workers.finish("w0")
    bench.until(lambda: bench.status(sweep) is JobStatus.SUCCESSFUL)


def test_a_job_that_someone_else_took_over_is_let_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = bench.submit()
    bench.runner.start()
    bench.until(lambda: bool(bench.workers.tasks))
    # a server that was frozen for longer than its lease: another one claims the job meanwhile
    bench.queue.release(job, bench.runner.server, "frozen", 9)
    taken = bench.queue.claim("other", 60)
    assert taken is not None
    bench.until(lambda: bench.workers.killed == ["w0"])
    bench.runner.stop()
    found = bench.queue.get(job)
    assert found is not None
    assert (found.status, found.lease_owner) == (JobStatus.RUNNING, "other")
    bench.stop()


def test_a_stopped_server_gives_its_jobs_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drain_s=0.2)
    bench.runner.start()
    job = bench.submit()
    bench.until(lambda: bool(bench.workers.tasks))
    bench.workers.on_stop = lambda worker: bench.workers.finish(worker, "stopped")
    bench.runner.stop()
    found = bench.queue.get(job)
    assert found is not None
    assert (found.status, found.attempts) == (JobStatus.ACCEPTED, 0)  # it does not count against the job
    bench.stop()


def test_a_draining_server_lets_jobs_finish_and_takes_no_new_ones(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drain_s=10)
    bench.runner.start()
    first, second = bench.submit(1), bench.submit(2)
    bench.until(lambda: bool(bench.workers.tasks))
    stopping = threading.Thread(target=bench.runner.stop)
    stopping.start()
    time.sleep(0.2)
    bench.workers.finish("w0")
    stopping.join(10)
    assert bench.status(first) is JobStatus.SUCCESSFUL
    assert bench.status(second) is JobStatus.ACCEPTED
    bench.stop()


def test_workers_that_do_not_stay_alive_are_told_by_readiness(bench: Bench) -> None:
    bench.until(lambda: "workers" not in bench.runner.trouble)
    bench.workers.tell(WorkersError.of("workers", "some", "none"))
    bench.until(lambda: "workers" in bench.runner.trouble)
