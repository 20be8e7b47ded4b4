"""Runs jobs: claims them, gives them to worker processes, renews their leases, and puts an end to what hangs.

One thread per server does all of it, between the queue (database) and an executor (worker processes). Whatever dies,
the job is claimed again when its lease has run out: by another server, or by this one after its restart.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..meshes.errors import PorefieldError
from ..workers.executors.interface import Event, Executor, Failed, Finished, Joined, Lost, Told, WorkersError
from .database.engine import DatabaseError
from .jobs.model import BATCH, Job, JobStatus, Process
from .jobs.queue import JobQueue, LeaseLostError
from .log import logger
from .metrics import Metrics
from .problems import job_problem
from .settings import ServiceSettings

OUT_OF_REACH = (DatabaseError, SQLAlchemyError)
POLL_S = 0.05
TELL_EVERY_S = 0.5
"""Progress is noted, and a cancellation looked for, so often."""
LEAST_TURN_S = 3.0
"""A sweep or a study runs for so long before it makes way for a plan: less would be spent on starting it."""
TIDY_EVERY_S = 60.0
RESTART_AFTER_S = 5.0
"""After an executor that can't keep its workers alive."""


@dataclass
class Running:
    """A job in a worker's hands."""

    job: Job
    worker: str
    task_id: int
    began_s: float
    heard_s: float
    renewed_s: float
    progress: dict[str, Any] = field(default_factory=dict)
    told: bool = True
    stopped_s: float | None = None
    paused: bool = False
    killed: str | None = None


class Runner:
    """The jobs of one server.

    Args:
        open_executor: makes the workers; called again after one that broke down.
        task_of: what a worker is handed for a job.
        finished: called with a job that ended and what its worker told of it.
        tidy: called every minute: results to delete.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        queue: JobQueue,
        metrics: Metrics,
        *,
        open_executor: Callable[[], Executor],
        task_of: Callable[[Job], Any],
        finished: Callable[[Job, Mapping[str, Any]], None] = lambda job, outcome: None,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._queue, self._metrics = settings, queue, metrics
        self._open_executor, self._task_of, self._finished, self._tidy = open_executor, task_of, finished, tidy
        self.server = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._workers: dict[str, Running | None] = {}
        self._task_ids = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._tidied_s = self._looked_s = 0.0
        self.trouble: dict[str, str] = {}

    # -- from outside --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to claim jobs, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more; running jobs may finish within `drain_s`, then they go back to the queue."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(self._settings.drain_s + self._settings.cancel_grace_s + 30)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._open_executor() as executor:
                    self._loop(executor)
            except WorkersError as error:
                self.trouble["workers"] = str(error)
                logger().error("workers do not stay alive", reason=str(error))
                self._give_all_back("its workers do not stay alive")
                self._stopping.wait(RESTART_AFTER_S)
            except Exception as error:
                self.trouble["workers"] = f"{type(error).__name__}: {error}"
                logger().error("the runner failed and starts again", exc_info=error)
                self._give_all_back("the server's runner failed")
                self._stopping.wait(RESTART_AFTER_S)

    def _loop(self, executor: Executor) -> None:
        draining_s: float | None = None
        while True:
            for event in executor.wait(POLL_S):
                self._handle(event)
            now_s = time.monotonic()
            try:
                for running in self._running():
                    self._watch(executor, running, now_s)
                if not self._stopping.is_set():
                    self._claim(executor)
                    self._make_way(executor, now_s)
                    self._tidy_now_and_then(now_s)
                self.trouble.pop("database", None)
            except OUT_OF_REACH as error:
                self._without_database(executor, error, now_s)
            if not self._stopping.is_set():
                continue
            draining_s = draining_s or now_s
            if not self._running() or now_s - draining_s > self._settings.drain_s:
                self._drain(executor)
                return

    def _running(self) -> list[Running]:
        return [running for running in self._workers.values() if running is not None]

    def _claim(self, executor: Executor) -> None:
        for worker, running in list(self._workers.items()):
            if running is not None:
                continue
            job = self._queue.claim(self.server, self._settings.lease_s)
            if job is None:
                return
            kept = next((r for r in self._running() if r.job.id == job.id), None)
            if kept is not None:  # our own lease had run out, and nobody was quicker: it goes on where it is
                kept.job, kept.renewed_s = job, time.monotonic()
                continue
            self._begin(executor, worker, job)

    def _make_way(self, executor: Executor, now_s: float) -> None:
        """Let a plan go before the points of a sweep or a study.

        Where all workers are at those and a plan waits, the job that began last is stopped and given back. It keeps its
        finished points, and goes on with the others later.
        """
        if not self._workers or any(r is None or r.job.priority < BATCH or r.paused for r in self._workers.values()):
            return
        if now_s - self._looked_s < TELL_EVERY_S:
            return
        self._looked_s = now_s
        if not self._queue.counts().get((Process.PLAN, JobStatus.ACCEPTED)):
            return
        last = max(self._running(), key=lambda running: running.began_s)
        if last.stopped_s is None and last.killed is None and now_s - last.began_s > LEAST_TURN_S:
            last.paused = True
            logger().info("job makes way for a plan", job=last.job.id, worker=last.worker)
            executor.stop(last.worker)

    def _begin(self, executor: Executor, worker: str, job: Job) -> None:
        if job.attempts > self._settings.most_attempts:  # its attempts ended with the servers that ran them
            self._end(job, JobStatus.FAILED, {"kind": "AttemptsError", "message": self._attempts_words(job)})
            return
        try:
            task = self._task_of(job)
        except PorefieldError as error:
            problems = [problem._asdict() for problem in error.problems]
            told = {"kind": type(error).__name__, "message": str(error), "problems": problems}
            self._end(job, JobStatus.FAILED, told)
            return
        now_s = time.monotonic()
        self._task_ids += 1
        self._workers[worker] = Running(job, worker, self._task_ids, now_s, now_s, now_s)
        logger().info("job begun", job=job.id, process=job.process, worker=worker, attempt=job.attempts)
        executor.submit(worker, self._task_ids, task)

    def _attempts_words(self, job: Job) -> str:
        return f"The job was begun {job.attempts - 1} times, and each time its server or worker was lost."

    def _handle(self, event: Event) -> None:
        match event:
            case Joined():
                self._workers[event.worker] = None
                self.trouble.pop("workers", None)
            case Told():
                running = self._workers.get(event.worker)
                if running is not None and running.task_id == event.task_id:
                    running.heard_s, running.progress, running.told = time.monotonic(), dict(event.what), False
            case Finished():
                self._finish(event.worker, event.task_id, event.result)
            case Failed():
                logger().error("a worker's task raised", worker=event.worker, error=event.error)
                failed = {
                    "state": "failed",
                    "error": {"kind": "Unexpected", "message": "The worker failed; see the log."},
                }
                self._finish(event.worker, event.task_id, failed)
            case Lost():
                self._lose(event)
        self._metrics.workers.set(len(self._workers))

    def _finish(self, worker: str, task_id: int, outcome: Mapping[str, Any]) -> None:
        running = self._workers.get(worker)
        if running is None or running.task_id != task_id:
            return
        self._workers[worker] = None
        job, state = running.job, outcome["state"]
        if state == "stopped" and running.stopped_s is None:
            why = "made way for a plan" if running.paused else "the server was stopped"
            self._release(job, why, blameless=True)
            return
        statuses = {"successful": JobStatus.SUCCESSFUL, "failed": JobStatus.FAILED, "stopped": JobStatus.DISMISSED}
        error = outcome.get("error") if state == "failed" else None
        ended = self._end(job, statuses[state], error)
        if ended is not None:
            seconds = time.monotonic() - running.began_s
            self._metrics.job_seconds.labels(job.process, ended.status).observe(seconds)
            logger().info("job ended", job=job.id, status=ended.status, seconds=round(seconds, 2))
            self._finished(ended, outcome)

    def _end(self, job: Job, status: JobStatus, error: Mapping[str, Any] | None = None) -> Job | None:
        problem = None if error is None else job_problem(error, f"/v1/jobs/{job.id}", job.inputs)
        if error is not None:
            self._metrics.failures.labels(job.process, error.get("kind", "unknown")).inc()
        try:
            return self._queue.finish(job.id, self.server, status, problem)
        except LeaseLostError as lost:
            logger().warning("a job ended that is not ours any more", job=job.id, reason=str(lost))
            return None

    def _lose(self, event: Lost) -> None:
        running = self._workers.pop(event.worker, None)
        reason = "lost" if running is None or running.killed is None else running.killed
        self._metrics.attempts_lost.labels(reason).inc()
        logger().warning("worker lost", worker=event.worker, reason=event.reason, killed=reason)
        if running is None:
            return
        words = {
            "hang": f"its worker told nothing for {self._settings.hang_s:g} s",
            "cancel": "its worker did not stop when asked",
        }.get(reason, f"its worker died ({event.reason})")
        self._release(running.job, words)

    def _release(self, job: Job, reason: str, *, blameless: bool = False) -> None:
        """Give a job back; `blameless` where the attempt ended for no fault of the job, and does not count."""
        try:
            given = self._queue.release(job.id, self.server, reason, self._settings.most_attempts, blameless=blameless)
        except LeaseLostError as lost:
            logger().warning("a job is not ours to give back", job=job.id, reason=str(lost))
            return
        logger().warning("attempt ended without its job", job=job.id, reason=reason, status=given.status)
        if given.status.final:
            self._finished(given, {})

    def _watch(self, executor: Executor, running: Running, now_s: float) -> None:
        """Renew a lease, pass progress on, stop what is cancelled, end what hangs."""
        settings = self._settings
        if running.killed is not None:
            return
        if now_s - running.heard_s > settings.hang_s:
            self._kill(executor, running, "hang")
        elif running.stopped_s is not None and now_s - running.stopped_s > settings.cancel_grace_s:
            self._kill(executor, running, "cancel")
        wanted_s = TELL_EVERY_S if not running.told or running.stopped_s is None else settings.heartbeat_s
        if now_s - running.renewed_s < wanted_s:
            return
        progress = None if running.told else running.progress
        try:
            cancel = self._queue.heartbeat(
                running.job.id, self.server, settings.lease_s, progress, str(running.progress.get("message", ""))
            )
        except LeaseLostError:
            logger().warning("lease lost, its worker is ended", job=running.job.id)
            self._workers[running.worker] = None
            self._forget(executor, running)
            return
        running.renewed_s, running.told = now_s, True
        if cancel and running.stopped_s is None:
            running.stopped_s = now_s
            executor.stop(running.worker)

    def _kill(self, executor: Executor, running: Running, why: str) -> None:
        running.killed = why
        logger().warning("worker is ended", job=running.job.id, worker=running.worker, why=why)
        executor.kill(running.worker)

    def _forget(self, executor: Executor, running: Running) -> None:
        """End a worker whose job someone else has by now."""
        self._workers.pop(running.worker, None)
        executor.kill(running.worker)

    def _without_database(self, executor: Executor, error: Exception, now_s: float) -> None:
        """Go on for as long as our leases hold; what outlives its lease may be someone else's by now."""
        if "database" not in self.trouble:
            logger().error("database out of reach", reason=type(error).__name__)
        self.trouble["database"] = type(error).__name__
        for running in self._running():
            if now_s - running.renewed_s > self._settings.lease_s:
                self._forget(executor, running)
        self._stopping.wait(0.5)

    def _drain(self, executor: Executor) -> None:
        """Stop what still runs, and give it back so that another server can take it at once."""
        for running in self._running():
            executor.stop(running.worker)
        deadline = time.monotonic() + self._settings.cancel_grace_s
        while self._running() and time.monotonic() < deadline:
            for event in executor.wait(POLL_S):
                self._handle(event)
        self._give_all_back("the server was stopped", blameless=True)

    def _give_all_back(self, reason: str, *, blameless: bool = False) -> None:
        for running in self._running():
            with suppress(*OUT_OF_REACH):
                self._release(running.job, reason, blameless=blameless)
        self._workers.clear()

    def _tidy_now_and_then(self, now_s: float) -> None:
        if now_s - self._tidied_s < TIDY_EVERY_S:
            return
        self._tidied_s = now_s
        try:
            self._tidy()
        except OSError as error:
            logger().error("tidying failed", reason=str(error), at=datetime.now(UTC).isoformat())
