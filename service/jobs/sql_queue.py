"""The queue in an SQL database. Every method is one transaction, and nothing is remembered between them: any number of
threads, processes and servers share a queue.

On PostgreSQL rows are locked before they are changed; SQLite has one writer at a time anyway. No two transactions wait
for each other: who holds an owner's row (a submission) waits for no job's row, and who holds a job's row waits for
nothing but, in a claim, its owner's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, or_, select

from ...meshes.errors import PorefieldError
from ..clock import Clock, utc_now
from ..database.engine import reading, writing
from ..database.secrets import shared_secret
from ..database.tables import EventRow, JobRow
from . import claims, submissions
from .cursors import make_cursor, read_cursor
from .ids import Ids, is_id
from .model import Job, JobEvent, JobStatus, NewJob, Process
from .queue import LeaseLostError, NotEndedError, Page, UnknownJobError
from .rows import PROGRESS, STATUS, Stored, change, event_of, locked_job, move, plain_json, stored

MOST_LISTED = 1000


class SqlQueue:
    """JobQueue on SQLite or PostgreSQL.

    Args:
        engine: of database/engine.py, its schema up to date.
        clock: the time, in UTC. Servers that share a database need clocks that agree much better than leases are long.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._clock = clock
        self._ids = Ids()
        self._cursor_secret: bytes | None = None

    def submit(self, new: NewJob, *, most_unfinished: int | None = None) -> tuple[Job, bool]:
        submissions.check(new)
        with writing(self._engine) as connection:
            return submissions.submit(connection, new, most_unfinished, self._clock, self._ids)

    def get(self, job_id: str, owner: str | None = None) -> Job | None:
        if not is_id(job_id):
            return None
        with reading(self._engine) as connection:
            row = connection.execute(select(JobRow).where(JobRow.id == job_id)).one_or_none()
        return stored(row).job if row is not None and owner in (None, row.owner) else None

    def list(
        self,
        owner: str | None,
        *,
        status: Sequence[JobStatus] = (),
        process: Sequence[Process] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """As JobQueue.list; `since` and `until` are meant inclusively."""
        _check_limit(limit)
        begin, end = _utc("since", since), _utc("until", until)
        listing = json.dumps([owner, sorted({*status}), sorted({*process}), begin and str(begin), end and str(end)])
        wanted = select(JobRow)
        if owner is not None:
            wanted = wanted.where(JobRow.owner == owner)
        if status:
            wanted = wanted.where(JobRow.status.in_([one.value for one in status]))
        if process:
            wanted = wanted.where(JobRow.process.in_([one.value for one in process]))
        if begin is not None:
            wanted = wanted.where(JobRow.created >= begin)
        if end is not None:
            wanted = wanted.where(JobRow.created <= end)
        if cursor is not None:
            wanted = wanted.where(JobRow.id < read_cursor(self._secret(), listing, cursor))
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(JobRow.id.desc()).limit(limit + 1)).all()
        jobs = tuple(stored(row).job for row in rows[:limit])
        more = len(rows) > limit
        return Page(jobs, make_cursor(self._secret(), listing, jobs[-1].id) if more else None)

    def claim(self, server: str, lease_s: float) -> Job | None:
        with writing(self._engine) as connection:
            claimed = claims.claim(connection, server, _positive(lease_s), self._clock)
        return None if claimed is None else claimed.job

    def heartbeat(
        self, job_id: str, server: str, lease_s: float, progress: dict[str, Any] | None = None, message: str = ""
    ) -> bool:
        """As JobQueue.heartbeat. A lease that ran out is renewed where nobody has taken the job back. Progress that was
        told already makes no event."""
        changes: dict[str, Any] = {"message": message} if message else {}
        if progress is not None:
            changes["progress"] = plain_json("progress", progress)
        with writing(self._engine) as connection:
            held = _held(connection, job_id, server)
            now = self._clock()
            changes["lease_until"] = now + timedelta(seconds=_positive(lease_s))
            news = bool(progress) and (progress, message) != (held.job.progress, held.job.message)
            event = (PROGRESS, {"progress": progress, "message": message}) if news else None
            change(connection, held, now, event, **changes)
        return held.job.cancel_requested

    def finish(self, job_id: str, server: str, status: JobStatus, error: dict[str, Any] | None = None) -> Job:
        """As JobQueue.finish. What is told here counts, whether or not the job was to be cancelled: a job that was done
        before its worker could stop is successful.

        Raises:
            LeaseLostError: it is not ours to end.
            PorefieldError: `status` is none that ends a job, or a failed job has no `error`, or another one has.
        """
        if not status.final:
            raise PorefieldError.of("status", "successful, failed or dismissed", status.value)
        if (error is not None) != (status is JobStatus.FAILED):
            raise PorefieldError.of("error", "problem details of a failed job, and only of one", f"{status}, {error}")
        details = None if error is None else plain_json("error", error)
        message = "" if details is None else str(details.get("detail") or details.get("title") or "")
        with writing(self._engine) as connection:
            held = _held(connection, job_id, server)
            return move(connection, held, status, self._clock(), error=details, message=message).job

    def release(self, job_id: str, server: str, reason: str, most_attempts: int, *, blameless: bool = False) -> Job:
        with writing(self._engine) as connection:
            held = _held(connection, job_id, server)
            now = self._clock()
            if held.job.cancel_requested:
                return move(connection, held, JobStatus.DISMISSED, now, message=reason).job
            if blameless:
                attempts = held.job.attempts - 1
                return move(connection, held, JobStatus.ACCEPTED, now, message=reason, attempts=attempts).job
            if held.job.attempts < most_attempts:
                return move(connection, held, JobStatus.ACCEPTED, now, message=reason).job
            detail = f"{reason} (attempts: {held.job.attempts})"
            error = {"type": "about:blank", "title": "The job could not be completed", "status": 500, "detail": detail}
            return move(connection, held, JobStatus.FAILED, now, error=error, message=detail).job

    def cancel(self, job_id: str) -> Job:
        """As JobQueue.cancel; where it runs on a server that fell silent, there is nobody to ask: dismissed at once."""
        with writing(self._engine) as connection:
            found = locked_job(connection, job_id)
            if found is None:
                raise UnknownJobError.of("job_id", "the id of a job", repr(job_id))
            job, now = found.job, self._clock()
            if job.status.final or (job.cancel_requested and not _run_out(job, now)):
                return job
            if job.status is JobStatus.ACCEPTED or _run_out(job, now):
                return move(connection, found, JobStatus.DISMISSED, now, cancel_requested=True, message="").job
            told = {"status": job.status.value, "attempts": job.attempts, "cancel_requested": True}
            return change(connection, found, now, (STATUS, told), cancel_requested=True).job

    def delete(self, job_id: str) -> None:
        with writing(self._engine) as connection:
            found = locked_job(connection, job_id)
            if found is None:
                return
            if not found.job.status.final:
                raise NotEndedError.of("job_id", "a job that has ended", f"{job_id}, which is {found.job.status.value}")
            connection.execute(delete(JobRow).where(JobRow.id == job_id))

    def result_in_use(self, result_id: str) -> bool:
        if not is_id(result_id):
            return False
        uses = or_(JobRow.id == result_id, JobRow.result_of == result_id)
        with reading(self._engine) as connection:
            return connection.execute(select(JobRow.id).where(uses).limit(1)).first() is not None

    def expired(self, now: datetime) -> Sequence[Job]:
        old = select(JobRow).where(JobRow.expires <= _utc("now", now)).order_by(JobRow.expires, JobRow.id)
        with reading(self._engine) as connection:
            return [stored(row).job for row in connection.execute(old.limit(MOST_LISTED))]

    def events(self, job_id: str, after: int = 0, limit: int = 200) -> Sequence[JobEvent]:
        _check_limit(limit)
        if not is_id(job_id):
            return []
        later = select(EventRow).where(EventRow.job_id == job_id, EventRow.number > after)
        with reading(self._engine) as connection:
            return [event_of(row) for row in connection.execute(later.order_by(EventRow.number).limit(limit))]

    def counts(self) -> dict[tuple[Process, JobStatus], int]:
        """As JobQueue.counts, zeros included: a metric that vanishes looks like one that is missing."""
        counted = select(JobRow.process, JobRow.status, func.count()).group_by(JobRow.process, JobRow.status)
        counts = {(process, status): 0 for process in Process for status in JobStatus}
        with reading(self._engine) as connection:
            for process, status, count in connection.execute(counted):
                counts[Process(process), JobStatus(status)] = count
        return counts

    def _secret(self) -> bytes:
        if self._cursor_secret is None:
            self._cursor_secret = shared_secret(self._engine, "cursors")
        return self._cursor_secret


def _held(connection: Connection, job_id: str, server: str) -> Stored:
    """A running job that is leased to this server, locked."""
    found = locked_job(connection, job_id)
    if found is None or found.job.lease_owner != server:
        state = "gone" if found is None else found.job.status.value if found.job.status.final else "someone else's"
        raise LeaseLostError.of("job_id", f"a job that {server} has a lease of", f"{job_id}, which is {state}")
    return found


def _run_out(job: Job, now: datetime) -> bool:
    return job.lease_until is not None and job.lease_until <= now


def _utc(field: str, time: datetime | None) -> datetime | None:
    if time is not None and time.tzinfo is None:
        raise PorefieldError.of(field, "a time with its offset from UTC", time.isoformat())
    return None if time is None else time.astimezone(UTC)


def _positive(lease_s: float) -> float:
    if not lease_s > 0:
        raise PorefieldError.of("lease_s", "more than 0 seconds", str(lease_s))
    return lease_s


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_LISTED:
        raise PorefieldError.of("limit", f"1 to {MOST_LISTED}", str(limit))
