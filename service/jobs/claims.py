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

MOST_LOOKED_AT = 20
"""Owners whose first job is tried, where those before are locked."""
FELL_SILENT = "the server that ran it fell silent"


def claim(connection: Connection, server: str, lease_s: float, clock: Clock) -> Stored | None:
    """The next job, made running and leased; None when none waits.

    Claims take turns: two that count running jobs at the same time would both serve the same owner.
    """
    lock(connection, "claim")
    now = clock()
    take_back(connection, now)
    job = lock_next(connection)
    if job is None:
        return None
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


def lock_next(connection: Connection) -> Stored | None:
    """The first of `next_jobs` that nobody holds, locked. A locked one is being cancelled: nothing to wait for."""
    for job_id in connection.execute(next_jobs()).scalars().all():
        # The state again: a row that changed since is looked at anew when it is locked.
        waiting = (JobRow.id == job_id) & (JobRow.status == JobStatus.ACCEPTED.value)
        row = connection.execute(select(JobRow).where(waiting).with_for_update(skip_locked=True)).one_or_none()
        if row is not None:
            return stored(row)
    return None


@cache
def next_jobs() -> Select[str]:
    """Ids by priority, then owners with fewer running jobs, then owners served longest ago, then the oldest.

    Of each owner only the first job matters, so the index is asked for one per owner however many wait; joined with the
    jobs, PostgreSQL would read them all. Kept: writing the statement takes longer than running it.
    """
    waiting, running = aliased(JobRow), aliased(JobRow)
    first = (
        select(waiting.id)
        .where(waiting.status == JobStatus.ACCEPTED.value, waiting.owner == OwnerRow.owner)
        .order_by(waiting.priority, waiting.id)
        .limit(1)
        .correlate(OwnerRow)
    )
    at_work = (
        select(func.count())
        .select_from(running)
        .where(running.status == JobStatus.RUNNING.value, running.owner == OwnerRow.owner)
        .correlate(OwnerRow)
    )
    of_owners = select(
        OwnerRow.served,
        first.scalar_subquery().label("id"),
        first.with_only_columns(waiting.priority).scalar_subquery().label("priority"),
        at_work.scalar_subquery().label("running"),
    ).subquery()
    order = (of_owners.c.priority, of_owners.c.running, of_owners.c.served.nulls_first(), of_owners.c.id)
    return select(of_owners.c.id).where(of_owners.c.id.is_not(None)).order_by(*order).limit(MOST_LOOKED_AT)
