"""Jobs in the database's rows: read, locked, changed, and their events told.

A change goes from a row that the transaction has locked (`locked_job`): nobody else can change it in between, and its
events' numbers grow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from ...meshes.errors import PorefieldError
from ..database.tables import EventRow, JobRow
from .ids import is_id
from .model import Job, JobEvent, JobStatus, NewJob, Process

STATUS, PROGRESS = "status", "progress"
"""Kinds of events: the state has changed (or is asked to), and how far a running job is."""
MOST_PROGRESS_EVENTS = 100
"""Kept of a job, the newest; a sweep of ten hours tells thousands. Events of its state are always kept."""
ALLOWED: Mapping[JobStatus, frozenset[JobStatus]] = {
    # Successful without running: the result was there.
    JobStatus.ACCEPTED: frozenset({JobStatus.RUNNING, JobStatus.SUCCESSFUL, JobStatus.DISMISSED}),
    JobStatus.RUNNING: frozenset(JobStatus) - {JobStatus.RUNNING},
}
"""What may follow; nothing follows the states that end a job."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """A job and what only the queue needs of its row."""

    job: Job
    last_event: int
    body_hash: str


def stored(row: Row[Any]) -> Stored:
    """Of a row of `select(JobRow)`."""
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(Job)}
    values |= {
        "process": Process(row.process),
        "status": JobStatus(row.status),
        "anatomies": tuple(row.anatomies),
    }
    return Stored(Job(**values), row.last_event, row.body_hash)


def event_of(row: Row[Any]) -> JobEvent:
    """Of a row of `select(EventRow)`."""
    return JobEvent(row.job_id, row.number, row.kind, row.created, row.data)


def locked_job(connection: Connection, job_id: str) -> Stored | None:
    """A job, which nobody else changes until the transaction ends."""
    if not is_id(job_id):
        return None
    row = connection.execute(select(JobRow).where(JobRow.id == job_id).with_for_update()).one_or_none()
    return None if row is None else stored(row)


def insert_job(connection: Connection, job: Job, new: NewJob) -> Stored:
    """Write a new job, with the event that it was accepted."""
    values = {field.name: getattr(job, field.name) for field in dataclasses.fields(Job)}
    values |= {"process": job.process.value, "status": job.status.value, "anatomies": list(job.anatomies)}
    values |= {"idempotency_key": new.idempotency_key, "body_hash": new.body_hash, "last_event": 1}
    connection.execute(insert(JobRow), values)  # `.values()` took five times as long
    _tell(connection, job.id, 1, STATUS, job.created, {"status": job.status.value})
    return Stored(job, 1, new.body_hash)


def move(connection: Connection, before: Stored, to: JobStatus, now: datetime, **changes: Any) -> Stored:
    """Change a job's state, with an event that says so.

    Args:
        before: as locked in this transaction.
        to: the new state; an ended job has none.
        changes: other fields of the job.
    """
    job = before.job
    if to not in ALLOWED.get(job.status, ()):
        raise PorefieldError.of("status", f"a state that follows {job.status.value}", to.value)
    if to is not JobStatus.RUNNING:
        changes |= {"lease_owner": None, "lease_until": None}
    if to.final:
        expires = None if job.retain_s is None else now + timedelta(seconds=job.retain_s)
        changes |= {"finished": now, "expires": expires}
    after = dataclasses.replace(job, status=to, **changes)
    data: dict[str, Any] = {"status": to.value, "attempts": after.attempts, "message": after.message}
    if after.error is not None:
        data["error"] = after.error
    if after.result_of is not None:
        data["result_of"] = after.result_of
    return change(connection, before, now, (STATUS, data), status=to, **changes)


def change(
    connection: Connection, before: Stored, now: datetime, event: tuple[str, dict[str, Any]] | None, **changes: Any
) -> Stored:
    """Change fields of a job, with an event (kind, data) or without.

    Args:
        before: as locked in this transaction.
    """
    job, number = before.job, before.last_event + (event is not None)
    values = changes | {"updated": now, "last_event": number}
    if "status" in values:
        values["status"] = values["status"].value
    # The state again: should a lock ever fail to hold, a job that has ended still does not change.
    whose = (JobRow.id == job.id) & (JobRow.status == job.status.value) & (JobRow.last_event == before.last_event)
    if connection.execute(update(JobRow).where(whose), values).rowcount != 1:
        raise PorefieldError.of("status", f"job {job.id} unchanged since it was locked", "another state")
    if event is not None:
        _tell(connection, job.id, number, event[0], now, event[1])
        if event[0] == PROGRESS:
            _prune(connection, job.id, number)
    return Stored(dataclasses.replace(job, updated=now, **changes), number, before.body_hash)


def plain_json(field: str, value: dict[str, Any]) -> dict[str, Any]:
    """The value, if it is plain JSON data.

    Raises:
        PorefieldError: naming the field.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PorefieldError.of(field, "plain JSON data with finite numbers", str(error)) from None
    return value


def _tell(connection: Connection, job_id: str, number: int, kind: str, now: datetime, data: dict[str, Any]) -> None:
    values = {"job_id": job_id, "number": number, "kind": kind, "created": now, "data": data}
    connection.execute(insert(EventRow), values)


def _prune(connection: Connection, job_id: str, number: int) -> None:
    """Each call adds one event, so those that are left, of the last numbers, are at most as many as these."""
    old = (EventRow.job_id == job_id) & (EventRow.number <= number - MOST_PROGRESS_EVENTS)
    connection.execute(delete(EventRow).where(old, EventRow.kind == PROGRESS))
