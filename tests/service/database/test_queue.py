"""What JobQueue promises, on each database: submissions, listings, claims, leases, ends, events."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, func, insert, select

from porefield.meshes.errors import PorefieldError
from porefield.service.database.anatomies import UnknownAnatomyError
from porefield.service.database.tables import EventRow, JobAnatomyRow, JobRow
from porefield.service.jobs.model import BATCH, INTERACTIVE, Job, JobStatus, Process
from porefield.service.jobs.queue import (
    JobQueue,
    KeyReusedError,
    LeaseLostError,
    NotEndedError,
    QueueFullError,
    UnknownJobError,
)
from porefield.service.jobs.rows import MOST_PROGRESS_EVENTS
from porefield.service.jobs.sql_queue import SqlQueue

from .conftest import Clock, NewJobs

ERROR = {"type": "about:blank", "title": "No", "status": 500, "detail": "did not converge"}


def begun(queue: SqlQueue, new_job: NewJobs, server: str = "one", **values: object) -> Job:
    """A job of ours that `server` runs."""
    job, _ = queue.submit(new_job(**values))
    claimed = queue.claim(server, 30)
    assert claimed is not None
    assert claimed.id == job.id
    return claimed


def statuses(queue: SqlQueue, job: Job) -> list[str]:
    return [event.data["status"] for event in queue.events(job.id) if event.kind == "status"]


def test_it_is_a_job_queue(queue: SqlQueue) -> None:
    typed: JobQueue = queue
    assert typed.claim("one", 30) is None
    assert typed.get("0" * 32) is None


# Submissions


def test_a_job_comes_back_as_it_was_submitted(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    inputs = {
        "z": 1.0,
        "a": [1e-300, 0.1 + 0.2, 2**60],
        "text": "Leber \u00e4\u2603\U0001f52c \u0000 \ud800",
        "none": None,
    }
    new = new_job(inputs=inputs, retain_s=60.5, priority=7)
    job, is_new = queue.submit(new)
    assert is_new
    found = queue.get(job.id)
    assert found is not None
    assert found == job
    assert json.dumps(found.inputs) == json.dumps(inputs)  # the order of the keys and the digits, too
    assert (found.owner, found.process, found.inputs_hash) == (new.owner, new.process, new.inputs_hash)
    assert (found.status, found.priority, found.retain_s, found.attempts) == (JobStatus.ACCEPTED, 7, 60.5, 0)
    assert found.created == found.updated == clock.now
    assert found.created.tzinfo is UTC


def test_others_do_not_see_it(queue: SqlQueue, new_job: NewJobs) -> None:
    job, _ = queue.submit(new_job("ann"))
    assert queue.get(job.id, "ann") == job
    assert queue.get(job.id, "bob") is None
    assert queue.list("bob").jobs == ()


def test_the_same_submission_is_one_job(queue: SqlQueue, new_job: NewJobs) -> None:
    new = new_job(idempotency_key="k", body_hash="b")
    job, _ = queue.submit(new)
    again, is_new = queue.submit(new, most_unfinished=1)
    assert not is_new
    assert again == job
    with pytest.raises(KeyReusedError, match="idempotency_key"):
        queue.submit(dataclasses.replace(new, body_hash="other"))
    other, is_new = queue.submit(dataclasses.replace(new, owner="bob", body_hash="other"))
    assert is_new
    assert other.id != job.id
    assert len(queue.list(None).jobs) == 2


def test_no_more_unfinished_jobs_than_allowed(queue: SqlQueue, new_job: NewJobs) -> None:
    for _ in range(2):
        queue.submit(new_job("ann"), most_unfinished=2)
    queue.claim("one", 30)
    with pytest.raises(QueueFullError, match="fewer than 2"):
        queue.submit(new_job("ann"), most_unfinished=2)
    queue.submit(new_job("bob"), most_unfinished=2)
    job = queue.list("ann").jobs[0]
    queue.cancel(job.id)
    assert queue.submit(new_job("ann"), most_unfinished=2)[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputs", {"x": float("nan")}),
        ("inputs", {"x": object()}),
        ("idempotency_key", ""),
        ("idempotency_key", "k" * 256),
        ("idempotency_key", "\0"),
        ("retain_s", -1.0),
        ("retain_s", float("inf")),
    ],
)
def test_what_cannot_be_kept_is_refused(queue: SqlQueue, new_job: NewJobs, field: str, value: object) -> None:
    with pytest.raises(PorefieldError) as refused:
        queue.submit(new_job(**{field: value}))
    assert refused.value.problems[0].field == field
    assert queue.list(None).jobs == ()


@pytest.mark.parametrize(
    "job_id", ["", "\0", "\ud800", "0" * 31, "0" * 33, "A" * 32, "%", "0" * 32 + "\n", "0" * 10**6]
)
def test_ids_of_no_job(queue: SqlQueue, job_id: str) -> None:
    assert queue.get(job_id) is None
    assert queue.events(job_id) == []
    assert not queue.result_in_use(job_id)
    queue.delete(job_id)
    with pytest.raises(UnknownJobError):
        queue.cancel(job_id)
    with pytest.raises(LeaseLostError):
        queue.heartbeat(job_id, "one", 30)


def test_only_own_uploads_are_read(queue: SqlQueue, new_job: NewJobs) -> None:
    with pytest.raises(UnknownAnatomyError, match="anatomies"):
        queue.submit(new_job(anatomies=("a" * 64,)))
    assert queue.list(None).jobs == ()


def test_a_result_that_is_there_is_given_to_everyone(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    first = begun(queue, new_job, inputs_hash="same", retain_s=100)
    early, _ = queue.submit(new_job("bob", inputs_hash="same"))
    assert early.status is JobStatus.ACCEPTED, "the first has no result yet"
    queue.finish(first.id, "one", JobStatus.SUCCESSFUL)
    job, is_new = queue.submit(new_job("bob", inputs_hash="same", retain_s=500))
    assert is_new
    assert (job.status, job.result_of, job.attempts) == (JobStatus.SUCCESSFUL, first.id, 0)
    assert job.finished == clock.now
    assert job.expires == clock.now + timedelta(seconds=500)
    assert statuses(queue, job) == ["accepted", "successful"]
    assert queue.events(job.id)[-1].data["result_of"] == first.id
    assert queue.get(job.id) == job

    clock.move(101)  # the first has expired, the one that answers with its result has not
    third, _ = queue.submit(new_job("cid", inputs_hash="same"))
    assert third.result_of == first.id
    assert queue.submit(new_job(inputs_hash="other"))[0].result_of is None


@pytest.mark.parametrize("end", [JobStatus.FAILED, JobStatus.DISMISSED])
def test_other_ends_are_no_results(queue: SqlQueue, new_job: NewJobs, end: JobStatus) -> None:
    first = begun(queue, new_job, inputs_hash="same")
    queue.finish(first.id, "one", end, ERROR if end is JobStatus.FAILED else None)
    assert queue.submit(new_job(inputs_hash="same"))[0].status is JobStatus.ACCEPTED


def test_an_expired_result_is_computed_again(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    first = begun(queue, new_job, inputs_hash="same", retain_s=100)
    queue.finish(first.id, "one", JobStatus.SUCCESSFUL)
    clock.move(100)
    assert queue.submit(new_job(inputs_hash="same"))[0].status is JobStatus.ACCEPTED


def test_a_result_is_in_use_while_a_job_answers_with_it(queue: SqlQueue, new_job: NewJobs) -> None:
    first = begun(queue, new_job, inputs_hash="same")
    assert queue.result_in_use(first.id)
    queue.finish(first.id, "one", JobStatus.SUCCESSFUL)
    second, _ = queue.submit(new_job("bob", inputs_hash="same"))
    queue.delete(first.id)
    assert queue.result_in_use(first.id)
    assert not queue.result_in_use("0" * 32)
    queue.delete(second.id)
    assert not queue.result_in_use(first.id)


# Listings


def test_ids_sort_by_submission(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    ids = []
    for step in (0, 0, 0.0001, 1, -5, 0):  # also while the clock stands still or is set back
        clock.move(step)
        ids.append(queue.submit(new_job())[0].id)
    assert ids == sorted(ids)
    assert [job.id for job in queue.list(None).jobs] == ids[::-1]


def test_pages_hold_every_job_once_while_others_come_and_go(queue: SqlQueue, new_job: NewJobs) -> None:
    ids = [queue.submit(new_job())[0].id for _ in range(7)]
    seen, cursor = [], None
    for _ in range(4):
        page = queue.list("ann", limit=2, cursor=cursor)
        seen += [job.id for job in page.jobs]
        cursor = page.cursor
        queue.submit(new_job())  # newer than the first page: not on the later ones
        if len(seen) == 2:
            queue.cancel(seen[-1])
            queue.delete(seen[-1])  # the job that the cursor names
    assert seen == ids[::-1]
    assert cursor is None


def test_a_page_that_is_just_full_is_the_last(queue: SqlQueue, new_job: NewJobs) -> None:
    for _ in range(4):
        queue.submit(new_job())
    first = queue.list(None, limit=2)
    last = queue.list(None, limit=2, cursor=first.cursor)
    assert len(last.jobs) == 2
    assert last.cursor is None


def test_listings_are_filtered(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    start = clock.now
    jobs = {}
    for process in Process:
        jobs[process], _ = queue.submit(new_job(process=process))
        clock.move(10)
    queue.cancel(jobs[Process.SWEEP].id)

    def listed(**filters: object) -> set[Process]:
        return {job.process for job in queue.list(None, **filters).jobs}  # type: ignore[arg-type]

    assert listed() == set(Process)
    assert listed(status=[JobStatus.DISMISSED]) == {Process.SWEEP}
    assert listed(status=[JobStatus.DISMISSED, JobStatus.ACCEPTED]) == set(Process)
    assert listed(process=[Process.PLAN, Process.ROBUSTNESS]) == {Process.PLAN, Process.ROBUSTNESS}
    assert listed(process=[Process.PLAN], status=[JobStatus.DISMISSED]) == set()
    assert listed(since=start + timedelta(seconds=10)) == {Process.SWEEP, Process.ROBUSTNESS}
    assert listed(until=start + timedelta(seconds=10)) == {Process.PLAN, Process.SWEEP}
    elsewhere = (start + timedelta(seconds=10)).astimezone(timezone(timedelta(hours=9)))
    assert listed(since=elsewhere, until=elsewhere) == {Process.SWEEP}


def test_wrong_questions_name_the_field(queue: SqlQueue) -> None:
    with pytest.raises(PorefieldError, match="limit"):
        queue.list(None, limit=0)
    with pytest.raises(PorefieldError, match="limit"):
        queue.events("0" * 32, limit=10**6)
    with pytest.raises(PorefieldError, match="since"):
        queue.list(None, since=datetime(2026, 1, 1))
    with pytest.raises(PorefieldError, match="until"):
        queue.list(None, until=datetime(2026, 1, 1))
    with pytest.raises(PorefieldError, match="lease_s"):
        queue.claim("one", 0)


def test_cursors_that_are_not_ours_are_refused(queue: SqlQueue, new_job: NewJobs, engine: Engine) -> None:
    for _ in range(3):
        queue.submit(new_job())
    cursor = queue.list("ann", limit=1).cursor
    assert cursor is not None
    assert SqlQueue(engine).list("ann", limit=5, cursor=cursor).jobs, "another server follows it, with another limit"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = {
        cursor[:place] + letter + cursor[place + 1 :]
        for place in range(len(cursor))
        for letter in (alphabet[(alphabet.index(cursor[place]) + 1) % 64], "+", "\u00e9", " ")
    }
    wrong = {"", "=", "x", "no cursor", cursor[:-1], cursor + "=", cursor + "A", "\u2603", "A" * 43, "A" * 100_000}
    for one in changed | wrong:
        with pytest.raises(PorefieldError, match="cursor"):
            queue.list("ann", cursor=one)
    for owner, status in ((None, []), ("bob", []), ("ann", [JobStatus.ACCEPTED])):
        with pytest.raises(PorefieldError, match="cursor"):
            queue.list(owner, cursor=cursor, status=status)


# Claims


def test_a_claimed_job_runs(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    queue.submit(new_job())
    clock.move(5)
    job = queue.claim("one", 30)
    assert job is not None
    assert (job.status, job.attempts, job.lease_owner) == (JobStatus.RUNNING, 1, "one")
    assert job.started == job.updated == clock.now
    assert job.lease_until == clock.now + timedelta(seconds=30)
    assert queue.get(job.id) == job
    assert queue.claim("two", 30) is None
    assert statuses(queue, job) == ["accepted", "running"]


def test_plans_go_first_then_the_oldest(queue: SqlQueue, new_job: NewJobs) -> None:
    order = [queue.submit(new_job(priority=priority))[0].id for priority in (BATCH, INTERACTIVE, BATCH, INTERACTIVE)]
    claimed = [queue.claim("one", 30) for _ in order]
    assert [job.id for job in claimed if job] == [order[1], order[3], order[0], order[2]]


def test_owners_take_turns(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    """Ann filled the queue first, Bob came later, Cid last."""
    for owner, count in (("ann", 5), ("bob", 2), ("cid", 2)):
        for _ in range(count):
            queue.submit(new_job(owner))

    def served(count: int) -> str:
        claimed = []
        for _ in range(count):
            clock.move(1)
            job = queue.claim("one", 3600)
            assert job is not None
            claimed.append(job)
            running.append(job)
        return " ".join(job.owner for job in claimed)

    running: list[Job] = []
    assert served(3) == "ann bob cid"  # nobody was served yet: the oldest
    assert served(3) == "ann bob cid"  # as many running: who was served longest ago
    for job in [job for job in running if job.owner == "cid"]:
        queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    queue.submit(new_job("bob"))
    queue.submit(new_job("cid"))
    assert served(1) == "cid"  # two of Ann's and two of Bob's run, none of Cid's, who was served last
    for job in [job for job in running if job.owner == "bob"]:
        queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    assert served(1) == "bob"
    queue.submit(new_job("ann", priority=INTERACTIVE))
    queue.submit(new_job("bob"))
    assert served(1) == "ann"  # a plan goes before all sweeps, however many of its owner run
    assert served(4) == "bob ann ann ann"


def test_each_owner_runs_as_much_however_many_wait(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    for owner, count in (("ann", 60), ("bob", 20), ("cid", 20)):
        for _ in range(count):
            queue.submit(new_job(owner))
    owners = []
    for _ in range(30):
        clock.move(1)
        job = queue.claim("one", 3600)
        assert job is not None
        owners.append(job.owner)
        queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    assert {owner: owners.count(owner) for owner in owners} == {"ann": 10, "bob": 10, "cid": 10}


# Leases


def test_a_lease_is_renewed(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    job = begun(queue, new_job)
    for _ in range(5):
        clock.move(20)
        assert queue.heartbeat(job.id, "one", 30) is False
        assert queue.claim("two", 30) is None
    assert queue.get(job.id) == dataclasses.replace(
        job, updated=clock.now, lease_until=clock.now + timedelta(seconds=30)
    )


def test_a_lease_that_ran_out_is_taken_over(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    job = begun(queue, new_job)
    clock.move(29.9)
    assert queue.claim("two", 30) is None
    clock.move(0.1)
    taken = queue.claim("two", 30)
    assert taken is not None
    assert (taken.id, taken.attempts, taken.lease_owner) == (job.id, 2, "two")
    assert taken.started == job.started
    with pytest.raises(LeaseLostError, match="someone else's"):
        queue.heartbeat(job.id, "one", 30, {"point": 3})
    with pytest.raises(LeaseLostError):
        queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    with pytest.raises(LeaseLostError):
        queue.release(job.id, "one", "stopped", 3)
    assert queue.get(job.id) == taken, "the attempt that lost its lease has changed nothing"
    assert statuses(queue, job) == ["accepted", "running", "accepted", "running"]
    assert [event.number for event in queue.events(job.id)] == [1, 2, 3, 4]
    queue.finish(job.id, "two", JobStatus.SUCCESSFUL)


def test_a_late_heartbeat_keeps_a_job_that_nobody_took(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    job = begun(queue, new_job)
    clock.move(300)
    queue.heartbeat(job.id, "one", 30)
    assert queue.claim("two", 30) is None


def test_jobs_taken_back_wait_in_their_old_place(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    old = begun(queue, new_job, "one")
    new, _ = queue.submit(new_job())
    clock.move(31)
    claimed = [queue.claim("two", 30), queue.claim("two", 30)]
    assert [job.id for job in claimed if job] == [old.id, new.id]


# Ends


def test_an_ended_job_never_changes(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    for end in (JobStatus.SUCCESSFUL, JobStatus.FAILED, JobStatus.DISMISSED):
        job = begun(queue, new_job, retain_s=1000)
        clock.move(3)
        ended = queue.finish(job.id, "one", end, ERROR if end is JobStatus.FAILED else None)
        assert (ended.status, ended.finished, ended.lease_owner) == (end, clock.now, None)
        assert ended.expires == clock.now + timedelta(seconds=1000)
        assert ended.error == (ERROR if end is JobStatus.FAILED else None)
        clock.move(40)
        assert queue.claim("two", 30) is None
        with pytest.raises(LeaseLostError, match=end.value):
            queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
        with pytest.raises(LeaseLostError):
            queue.heartbeat(job.id, "one", 30)
        with pytest.raises(LeaseLostError):
            queue.release(job.id, "one", "stopped", 3)
        assert queue.cancel(job.id) == ended
        assert queue.get(job.id) == ended
        assert statuses(queue, job) == ["accepted", "running", end.value]


def test_ends_are_told_in_full(queue: SqlQueue, new_job: NewJobs) -> None:
    job = begun(queue, new_job)
    with pytest.raises(PorefieldError, match="status"):
        queue.finish(job.id, "one", JobStatus.ACCEPTED)
    with pytest.raises(PorefieldError, match="error"):
        queue.finish(job.id, "one", JobStatus.FAILED)
    with pytest.raises(PorefieldError, match="error"):
        queue.finish(job.id, "one", JobStatus.SUCCESSFUL, ERROR)
    failed = queue.finish(job.id, "one", JobStatus.FAILED, ERROR)
    assert failed.message == ERROR["detail"]
    assert queue.events(job.id)[-1].data["error"] == ERROR


def test_a_released_job_is_tried_again_a_bounded_number_of_times(queue: SqlQueue, new_job: NewJobs) -> None:
    job = begun(queue, new_job)
    for attempt in (1, 2):
        released = queue.release(job.id, "one", "the worker died", 3)
        assert (released.status, released.attempts, released.lease_owner) == (JobStatus.ACCEPTED, attempt, None)
        assert released.message == "the worker died"
        assert queue.claim("one", 30) is not None
    failed = queue.release(job.id, "one", "the worker died", 3)
    assert (failed.status, failed.attempts) == (JobStatus.FAILED, 3)
    assert failed.error is not None
    assert "the worker died" in failed.error["detail"]
    assert queue.claim("one", 30) is None
    assert statuses(queue, job) == ["accepted", "running"] * 3 + ["failed"]


def test_cancelling(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    waiting, _ = queue.submit(new_job())
    dismissed = queue.cancel(waiting.id)
    assert (dismissed.status, dismissed.finished) == (JobStatus.DISMISSED, clock.now)
    assert queue.claim("one", 30) is None

    running = begun(queue, new_job)
    asked = queue.cancel(running.id)
    assert (asked.status, asked.cancel_requested) == (JobStatus.RUNNING, True)
    assert queue.cancel(running.id) == asked
    assert len(queue.events(running.id)) == 3, "asked once, however often"
    assert queue.heartbeat(running.id, "one", 30) is True
    assert queue.finish(running.id, "one", JobStatus.DISMISSED).status is JobStatus.DISMISSED

    released = begun(queue, new_job)
    queue.cancel(released.id)
    assert queue.release(released.id, "one", "the worker died", 3).status is JobStatus.DISMISSED

    done = begun(queue, new_job)
    queue.cancel(done.id)
    assert queue.finish(done.id, "one", JobStatus.SUCCESSFUL).status is JobStatus.SUCCESSFUL, "done before it stopped"
    with pytest.raises(UnknownJobError, match="job_id"):
        queue.cancel("0" * 32)


def test_cancelling_what_a_lost_server_ran(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    asked_before, asked_after, asked_both = (begun(queue, new_job) for _ in range(3))
    queue.cancel(asked_before.id)
    queue.cancel(asked_both.id)
    clock.move(31)
    assert queue.cancel(asked_after.id).status is JobStatus.DISMISSED
    assert queue.cancel(asked_both.id).status is JobStatus.DISMISSED
    assert queue.claim("two", 30) is None
    found = queue.get(asked_before.id)
    assert found is not None
    assert found.status is JobStatus.DISMISSED
    for job in (asked_before, asked_after, asked_both):
        with pytest.raises(LeaseLostError):
            queue.finish(job.id, "one", JobStatus.SUCCESSFUL)


def test_deleting_leaves_nothing(queue: SqlQueue, new_job: NewJobs, engine: Engine) -> None:
    job = begun(queue, new_job, idempotency_key="k", body_hash="b")
    with engine.begin() as connection:
        connection.execute(insert(JobAnatomyRow).values(sha256="a" * 64, job_id=job.id))
    with pytest.raises(NotEndedError, match="running"):
        queue.delete(job.id)
    queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    queue.delete(job.id)
    queue.delete(job.id)
    assert queue.get(job.id) is None
    assert queue.events(job.id) == []
    with engine.connect() as connection:
        for table in (JobRow, EventRow, JobAnatomyRow):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
    assert queue.submit(new_job(idempotency_key="k", body_hash="other"))[1]


def test_jobs_expire_after_they_ended(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    start = clock.now
    long = begun(queue, new_job, retain_s=20)
    queue.finish(long.id, "one", JobStatus.SUCCESSFUL)
    short = begun(queue, new_job, retain_s=10)
    queue.finish(short.id, "one", JobStatus.FAILED, ERROR)
    kept = begun(queue, new_job)
    queue.finish(kept.id, "one", JobStatus.SUCCESSFUL)
    begun(queue, new_job, retain_s=0)

    def expired(seconds: float) -> list[str]:
        return [job.id for job in queue.expired(start + timedelta(seconds=seconds))]

    assert expired(9.999) == []
    assert expired(10) == [short.id]
    assert expired(10**6) == [short.id, long.id]


# Events


def test_events_come_in_order_and_go_on_where_a_reader_was(queue: SqlQueue, new_job: NewJobs, clock: Clock) -> None:
    job = begun(queue, new_job)
    for point in range(3):
        clock.move(1)
        queue.heartbeat(job.id, "one", 30, {"points": point + 1}, f"point {point + 1} of 3")
    queue.heartbeat(job.id, "one", 30, {"points": 3}, "point 3 of 3")  # told already
    queue.heartbeat(job.id, "one", 30)
    events = queue.events(job.id)
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.kind for event in events] == ["status"] * 2 + ["progress"] * 3
    assert events[-1].data == {"progress": {"points": 3}, "message": "point 3 of 3"}
    assert events[-1].created == clock.now
    assert queue.events(job.id, after=3) == events[3:]
    assert queue.events(job.id, after=1, limit=2) == events[1:3]
    assert queue.events(job.id, after=5) == []
    found = queue.get(job.id)
    assert found is not None
    assert (found.progress, found.message) == ({"points": 3}, "point 3 of 3")
    with pytest.raises(PorefieldError, match="progress"):
        queue.heartbeat(job.id, "one", 30, {"residual": float("nan")})


def test_a_long_job_keeps_all_its_states_and_its_newest_progress(queue: SqlQueue, new_job: NewJobs) -> None:
    job = begun(queue, new_job)
    told = MOST_PROGRESS_EVENTS + 50
    for point in range(told):
        if point == 10:
            queue.release(job.id, "one", "the server stopped", 3)
            queue.claim("one", 30)
        queue.heartbeat(job.id, "one", 30, {"points": point})
    queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    events = queue.events(job.id, limit=1000)
    assert [e.data["status"] for e in events if e.kind == "status"] == ["accepted", "running"] * 2 + ["successful"]
    progress = [e.data["progress"]["points"] for e in events if e.kind == "progress"]
    assert progress == list(range(told - MOST_PROGRESS_EVENTS, told))
    numbers = [event.number for event in events]
    assert numbers == sorted(set(numbers))


def test_counts(queue: SqlQueue, new_job: NewJobs) -> None:
    assert set(queue.counts().values()) == {0}
    begun(queue, new_job, process=Process.PLAN)
    for _ in range(2):
        queue.submit(new_job(process=Process.SWEEP))
    counts = queue.counts()
    assert len(counts) == len(Process) * len(JobStatus)
    assert {key: count for key, count in counts.items() if count} == {
        (Process.PLAN, JobStatus.RUNNING): 1,
        (Process.SWEEP, JobStatus.ACCEPTED): 2,
    }
