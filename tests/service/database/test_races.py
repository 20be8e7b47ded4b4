"""Many at once: threads, processes, and one that is killed."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, text

from porefield.meshes.errors import PorefieldError
from porefield.service.database.engine import writing
from porefield.service.database.schema import open_database
from porefield.service.database.tables import JobRow
from porefield.service.jobs.claims import next_jobs
from porefield.service.jobs.model import JobStatus, Process
from porefield.service.jobs.queue import KeyReusedError, LeaseLostError, QueueFullError
from porefield.service.jobs.rows import MOST_PROGRESS_EVENTS, locked_job
from porefield.service.jobs.sql_queue import SqlQueue

from .conftest import PATIENCE_S, Clock, NewJobs

WORKER = Path(__file__).with_name("worker.py")
THREADS = 8


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What the calls return, or the PorefieldError that they raise; all begin together, each in a thread."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE_S)
        try:
            return one()
        except PorefieldError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(WORKER), *arguments], stdout=subprocess.PIPE, text=True)


def test_threads_claim_no_job_twice_and_miss_none(queue: SqlQueue, new_job: NewJobs) -> None:
    ids = [queue.submit(new_job(owner))[0].id for owner in ("ann", "bob", "cid") for _ in range(20)]

    def claim_all(server: str) -> list[str]:
        claimed = []
        while job := queue.claim(server, 600):
            claimed.append(job.id)
        return claimed

    claimed = at_once([partial(claim_all, f"{n}") for n in range(THREADS)])
    assert sorted(itertools.chain(*claimed)) == ids
    assert all(job.attempts == 1 for job in queue.list(None, limit=100).jobs)


def test_claims_at_the_same_moment_are_fair(queue: SqlQueue, new_job: NewJobs) -> None:
    for owner in ("ann",) * 8 + ("bob",) * 8 + ("cid",) * 8:
        queue.submit(new_job(owner))
    claimed = at_once([partial(queue.claim, "one", 600) for _ in range(9)])
    assert Counter(job.owner for job in claimed) == {"ann": 3, "bob": 3, "cid": 3}


def test_a_claim_does_not_wait_for_a_job_that_someone_holds(
    queue: SqlQueue, new_job: NewJobs, engine: Engine, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time, and it waits for that one")
    first, second = queue.submit(new_job("ann"))[0], queue.submit(new_job("bob"))[0]
    with writing(engine) as connection:
        assert locked_job(connection, first.id) is not None
        claimed = queue.claim("one", 600)
        assert claimed is not None
        assert claimed.id == second.id
        assert queue.claim("one", 600) is None
    claimed = queue.claim("one", 600)
    assert claimed is not None
    assert claimed.id == first.id


def test_a_claim_reads_the_index_however_many_wait(queue: SqlQueue, new_job: NewJobs, engine: Engine) -> None:
    """Enough jobs that reading them all would be a plan; joined with `jobs`, PostgreSQL 15 did so, 3.6 ms for 6,000."""
    job, _ = queue.submit(new_job())
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with writing(engine) as connection:
        row = connection.execute(select(JobRow).where(JobRow.id == job.id)).one()._asdict()
        connection.execute(insert(JobRow), [row | {"id": f"{number:032x}"} for number in range(3000)])
        connection.execute(text("ANALYZE jobs"))
        statement = next_jobs().compile(engine, compile_kwargs={"literal_binds": True})
        plan = "\n".join(map(str, connection.execute(text(f"{explain} {statement}"))))
    assert "ix_jobs_queue" in plan
    assert not re.search(r"(?i)\bscan (on )?jobs", plan), plan


@pytest.mark.slow
def test_two_processes_claim_no_job_twice(queue: SqlQueue, new_job: NewJobs, database_url: str) -> None:
    ids = [queue.submit(new_job())[0].id for _ in range(150)]
    processes = [start("claim", database_url, name) for name in ("one", "two")]
    told = [process.communicate(timeout=PATIENCE_S)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(itertools.chain(*told)) == ids
    assert {job.status for job in queue.list(None, limit=1000).jobs} == {JobStatus.SUCCESSFUL}


@pytest.mark.slow
def test_a_killed_holder_is_taken_over(engine: Engine, new_job: NewJobs, database_url: str) -> None:
    """With the real clock and SIGKILL: the lease of 2 s is renewed for longer than that, then it runs out."""
    queue = SqlQueue(engine)
    job, _ = queue.submit(new_job())
    holder = start("hold", database_url, "killed")
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == job.id
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert queue.claim("next", 60) is None, "a living holder lost its job"
            time.sleep(0.1)
    finally:
        holder.kill()
        holder.communicate()
    until = time.monotonic() + PATIENCE_S
    while (taken := queue.claim("next", 60)) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (taken.id, taken.attempts, taken.lease_owner) == (job.id, 2, "next")
    assert taken.progress["step"] > 0, "what the killed holder told is kept"
    with pytest.raises(LeaseLostError):
        queue.finish(job.id, "killed", JobStatus.SUCCESSFUL)
    assert queue.finish(job.id, "next", JobStatus.SUCCESSFUL).status is JobStatus.SUCCESSFUL


def test_a_lease_that_ran_out_is_taken_over_once(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    queue.submit(new_job())
    queue.claim("lost", 30)
    clock.move(31)
    taken = at_once([partial(queue.claim, f"{n}", 30) for n in range(THREADS)])
    assert [job.attempts for job in taken if job] == [2]


def test_the_same_submission_at_once_is_one_job(queue: SqlQueue, new_job: NewJobs) -> None:
    new = new_job(idempotency_key="k", body_hash="b")
    other = new_job(idempotency_key="k", body_hash="other")
    answers = at_once([partial(queue.submit, one, most_unfinished=1) for one in [new] * 5 + [other] * 3])
    jobs = [answer for answer in answers if isinstance(answer, tuple)]
    assert [isinstance(answer, tuple | KeyReusedError) for answer in answers] == [True] * 8
    assert sum(is_new for _, is_new in jobs) == 1
    assert len({job.id for job, _ in jobs}) == 1
    assert len(queue.list(None).jobs) == 1


def test_limits_hold_for_submissions_at_once(queue: SqlQueue, new_job: NewJobs) -> None:
    news = [new_job() for _ in range(THREADS)]
    answers = at_once([partial(queue.submit, new, most_unfinished=3) for new in news])
    assert sum(isinstance(answer, QueueFullError) for answer in answers) == THREADS - 3
    assert len(queue.list(None).jobs) == 3


def test_cancel_and_finish_at_once_agree(queue: SqlQueue, new_job: NewJobs) -> None:
    for _ in range(15):
        queue.submit(new_job())
        job = queue.claim("one", 600)
        assert job is not None
        seen, ended = at_once(
            [partial(queue.cancel, job.id), partial(queue.finish, job.id, "one", JobStatus.SUCCESSFUL)]
        )
        assert ended.status is JobStatus.SUCCESSFUL
        assert seen.status in (JobStatus.SUCCESSFUL, JobStatus.RUNNING)
        assert queue.get(job.id) == ended
        told = [event.data["status"] for event in queue.events(job.id)]
        assert told == ["accepted", "running", *(["running"] if seen.cancel_requested else []), "successful"]


def test_cancel_and_claim_at_once_agree(queue: SqlQueue, new_job: NewJobs) -> None:
    for _ in range(15):
        job, _ = queue.submit(new_job())
        cancelled, claimed = at_once([partial(queue.cancel, job.id), partial(queue.claim, "one", 600)])
        found = queue.get(job.id)
        assert found is not None
        if claimed is None:
            assert cancelled.status is found.status is JobStatus.DISMISSED
        else:
            assert (found.status, found.cancel_requested) == (JobStatus.RUNNING, True)
            queue.finish(job.id, "one", JobStatus.DISMISSED)


def test_two_who_finish_at_once(queue: SqlQueue, new_job: NewJobs) -> None:
    for _ in range(10):
        queue.submit(new_job())
        job = queue.claim("one", 600)
        assert job is not None
        answers = at_once(
            [
                partial(queue.finish, job.id, "one", JobStatus.SUCCESSFUL),
                partial(queue.finish, job.id, "one", JobStatus.DISMISSED),
                partial(queue.release, job.id, "one", "stopped", 1),
            ]
        )
        assert sum(isinstance(answer, LeaseLostError) for answer in answers) == 2
        assert len(queue.events(job.id)) == 3


def test_a_result_is_not_lost_between_a_removal_and_a_submission(queue: SqlQueue, new_job: NewJobs) -> None:
    """Either the submission is answered with the result, which then stays in use, or it is computed again."""
    for number in range(15):
        queue.submit(new_job(inputs_hash=f"{number}"))
        job = queue.claim("one", 600)
        assert job is not None
        queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
        new = new_job("bob", inputs_hash=f"{number}")

        def remove(job_id: str = job.id) -> bool:
            queue.delete(job_id)
            return queue.result_in_use(job_id)

        kept, (submitted, _) = at_once([remove, partial(queue.submit, new)])
        assert kept or submitted.result_of is None
        queue.cancel(submitted.id)


def test_event_numbers_grow_whoever_tells_them(queue: SqlQueue, new_job: NewJobs) -> None:
    queue.submit(new_job())
    job = queue.claim("one", 600)
    assert job is not None

    def tell(first: int) -> None:
        for step in range(10):
            queue.heartbeat(job.id, "one", 600, {"step": first + step})

    at_once([partial(tell, 100 * n) for n in range(4)])
    assert [event.number for event in queue.events(job.id)] == list(range(1, 43))


def resident_bytes() -> int:
    """Memory of this process, from Linux."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc to measure memory")
    return int(statm.read_text().split()[1]) * 4096


@pytest.mark.slow
def test_thousands_of_jobs(database_url: str, new_job: NewJobs) -> None:
    """Nothing is left behind in memory: 2,000 inputs of 50 kB are 100 MB, so half of that says that they are kept."""
    count, most_bytes = 2_000, 50_000_000
    engine = open_database(database_url)
    if engine.dialect.name == "sqlite":  # what is asked for is memory; flushing 6,000 times would take a minute

        def hurry(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")

        event.listen(engine, "connect", hurry)
        engine.dispose()
    queue, numbers = SqlQueue(engine), itertools.count()
    try:
        queue.submit(new_job())
        queue.cancel(queue.list(None).jobs[0].id)  # every code path that is loaded late
        before = resident_bytes()
        ids = set()
        for _ in range(count):
            number = next(numbers)
            new = new_job(f"owner{number % 7}", inputs={"text": f"{number:010}" * 5000}, priority=number % 2)
            ids.add(queue.submit(new, most_unfinished=count)[0].id)
        for _ in range(count):
            job = queue.claim("one", 6000)
            assert job is not None
            ids.remove(job.id)
            queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
        assert not ids
        assert queue.claim("one", 6000) is None
        assert queue.counts()[Process.SWEEP, JobStatus.SUCCESSFUL] == count
        assert len(queue.list(None, limit=1000).jobs) == 1000
        assert resident_bytes() - before < most_bytes
    finally:
        engine.dispose()


def test_a_heartbeat_costs_as_much_at_the_end_as_at_the_start(
    queue: SqlQueue, new_job: NewJobs, engine: Engine
) -> None:
    """Statements of a heartbeat, and events kept: neither grows with what was told."""
    queue.submit(new_job())
    job = queue.claim("one", 600)
    assert job is not None
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: statements.append(statement))
    counts = []
    for step in range(MOST_PROGRESS_EVENTS + 20):
        statements.clear()
        queue.heartbeat(job.id, "one", 600, {"step": step})
        counts.append(len(statements))
    assert set(counts) == {counts[0]}
    assert len(queue.events(job.id, limit=1000)) == MOST_PROGRESS_EVENTS + 2
