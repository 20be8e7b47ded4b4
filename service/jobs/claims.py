"""Which job is next, and taking back those whose server fell silent."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, Select, func, select, update
from sqlalchemy.orm import aliased

from ..clock import Clock
from ..database.engine import lock
from ..database.tables import JobRow, OwnerRow
from .model import JobStatus
from .rows import Stored, move, stored

FELL_SILENT = "the server that ran it fell silent"


def claim(connection: Connection, server: str, lease_s: float, clock: Clock) -> Stored | None:
    """The next job, made running and leased; None when none waits.

    Claims take turns: two that count running jobs at the same time would both serve the same owner. Rows are locked
    all the same, and locked ones skipped: a job that is just being cancelled is nothing to wait for.
    """
    lock(connection, "claim")
    now = clock()
    take_back(connection, now)
    row = connection.execute(next_job()).one_or_none()
    if row is None:
        return None
    job = stored(row)
    connection.execute(update(OwnerRow).where(OwnerRow.owner == job.job.owner).values(served=now))
    return move(
        connection,
        job,
        JobStatus.RUNNING,
        now,
        attempts=job.job.attempts + 1,
        started=job.job.started or now,
        message="",
        lease_owner=server,
        lease_until=now + timedelta(seconds=lease_s),
    )


def take_back(connection: Connection, now: datetime) -> None:
    """Make jobs accepted again whose lease ran out, or dismissed where that was asked for."""
    run_out = (JobRow.status == JobStatus.RUNNING.value) & (JobRow.lease_until <= now)
    locked = select(JobRow).where(run_out).order_by(JobRow.id).with_for_update(skip_locked=True)
    for row in connection.execute(locked).all():
        job = stored(row)
        to = JobStatus.DISMISSED if job.job.cancel_requested else JobStatus.ACCEPTED
        move(connection, job, to, now, message=FELL_SILENT)


@cache
def next_job() -> Select[JobRow]:
    """By priority, then owners with fewer running jobs, then owners served longest ago, then the oldest.

    Of each owner only the first job matters, so the index is asked for one per owner however many wait. Kept: writing
    the statement takes longer than running it.
    """
    waiting, running = aliased(JobRow), aliased(JobRow)
    first_of_owner = (
        select(waiting.id)
        .where(waiting.status == JobStatus.ACCEPTED.value, waiting.owner == OwnerRow.owner)
        .order_by(waiting.priority, waiting.id)
        .limit(1)
        .correlate(OwnerRow)
        .scalar_subquery()
    )
    at_work = (
        select(func.count())
        .select_from(running)
        .where(running.status == JobStatus.RUNNING.value, running.owner == OwnerRow.owner)
        .correlate(OwnerRow)
        .scalar_subquery()
    )
    return (
        select(JobRow)
        .select_from(OwnerRow)
        .join(JobRow, JobRow.id == first_of_owner)
        # Stated again: PostgreSQL looks at this, not at the subquery, when the row changed before it was locked.
        .where(JobRow.status == JobStatus.ACCEPTED.value)
        .order_by(JobRow.priority, at_work, OwnerRow.served.nulls_first(), JobRow.id)
        .limit(1)
        .with_for_update(of=JobRow, skip_locked=True)
    )
