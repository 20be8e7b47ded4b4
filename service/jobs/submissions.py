"""Accepting a job: the same submission once, limits, results that are there already."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, or_, select, update

from ...meshes.errors import PorefieldError
from ..clock import Clock
from ..database.anatomies import UnknownAnatomyError, hold_content
from ..database.statements import insert_or_leave
from ..database.tables import AnatomyRow, JobAnatomyRow, JobRow, OwnerRow
from .ids import Ids
from .model import LONGEST_S, Job, JobStatus, NewJob
from .queue import KeyReusedError, QueueFullError
from .rows import Stored, insert_job, move, plain_json, stored

LONGEST_KEY = 255
UNFINISHED = (JobStatus.ACCEPTED.value, JobStatus.RUNNING.value)


def submit(
    connection: Connection, new: NewJob, most_unfinished: int | None, clock: Clock, ids: Ids
) -> tuple[Job, bool]:
    """Accept a job within a writing transaction; see JobQueue.submit."""
    lock_owner(connection, new.owner)
    before = with_same_key(connection, new)
    if before is not None:
        return before.job, False
    if most_unfinished is not None:
        refuse_when_full(connection, new.owner, most_unfinished)
    now = clock()
    job = Job(
        id=ids.make(now),
        owner=new.owner,
        process=new.process,
        inputs=new.inputs,
        inputs_hash=new.inputs_hash,
        status=JobStatus.ACCEPTED,
        priority=new.priority,
        created=now,
        updated=now,
        anatomies=tuple(dict.fromkeys(new.anatomies)),
        retain_s=new.retain_s,
    )
    refer_to_anatomies(connection, job, now)
    accepted = insert_job(connection, job, new)
    for sha256 in job.anatomies:
        connection.execute(insert(JobAnatomyRow).values(sha256=sha256, job_id=job.id))
    result_of = existing_result(connection, job, now)
    if result_of is None:
        return accepted.job, True
    return move(connection, accepted, JobStatus.SUCCESSFUL, now, result_of=result_of).job, True


def check(new: NewJob) -> None:
    """Refuse what no database should be asked to keep.

    Raises:
        PorefieldError: naming the field.
    """
    plain_json("inputs", new.inputs)
    key = new.idempotency_key
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isprintable()):
        expected = f"1 to {LONGEST_KEY} printable characters"
        raise PorefieldError.of("idempotency_key", expected, repr(key[: 2 * LONGEST_KEY]))
    if new.retain_s is not None and not 0 <= new.retain_s <= LONGEST_S:
        raise PorefieldError.of("retain_s", f"a number of seconds, 0 to {LONGEST_S:g}", f"{new.retain_s}")


def lock_owner(connection: Connection, owner: str) -> None:
    """An owner's submissions take turns: the same key twice at once, or one job more than is allowed, can't pass."""
    connection.execute(insert_or_leave(connection, OwnerRow).values(owner=owner, served=None))
    connection.execute(select(OwnerRow.owner).where(OwnerRow.owner == owner).with_for_update())


def with_same_key(connection: Connection, new: NewJob) -> Stored | None:
    """The job that this submission made when it came before."""
    if new.idempotency_key is None:
        return None
    same = (JobRow.owner == new.owner) & (JobRow.idempotency_key == new.idempotency_key)
    row = connection.execute(select(JobRow).where(same)).one_or_none()
    if row is None:
        return None
    if row.body_hash != new.body_hash:
        raise KeyReusedError.of("idempotency_key", "a key that is new, or the same request as before", "another body")
    return stored(row)


def refuse_when_full(connection: Connection, owner: str, most_unfinished: int) -> None:
    unfinished = JobRow.status.in_(UNFINISHED) & (JobRow.owner == owner)
    count = connection.execute(select(func.count()).select_from(JobRow).where(unfinished)).scalar_one()
    if count >= most_unfinished:
        raise QueueFullError.of("owner", f"fewer than {most_unfinished} jobs that have not ended", str(count))


def refer_to_anatomies(connection: Connection, job: Job, now: datetime) -> None:
    """Keep the uploads that a job reads: nobody removes their files before it has ended."""
    for sha256 in sorted(job.anatomies):
        hold_content(connection, sha256, shared=True)
        mine = (AnatomyRow.sha256 == sha256) & (AnatomyRow.owner == job.owner)
        if connection.execute(update(AnatomyRow).where(mine).values(last_used=now)).rowcount != 1:
            raise UnknownAnatomyError.of("anatomies", "uploads of the job's owner", sha256)


def existing_result(connection: Connection, job: Job, now: datetime) -> str | None:
    """Id of the result of the same computation, where a successful job has one that is still kept.

    Its row is locked against removal until this submission can be seen: else the files could go in between.
    """
    alive = or_(JobRow.expires.is_(None), JobRow.expires > now)
    same = (JobRow.inputs_hash == job.inputs_hash) & (JobRow.status == JobStatus.SUCCESSFUL.value)
    newest = select(JobRow.id, JobRow.result_of).where(same, alive).order_by(JobRow.id.desc()).limit(1)
    row = connection.execute(newest.with_for_update(read=True, skip_locked=True)).one_or_none()
    return None if row is None else row.result_of or row.id
