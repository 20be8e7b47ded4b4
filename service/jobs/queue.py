"""What the service asks of its database; sql_queue.py is the one implementation, for SQLite and PostgreSQL.

Every method is one transaction. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ...meshes.errors import PorefieldError
from .model import Job, JobEvent, JobStatus, NewJob, Process


class LeaseLostError(PorefieldError):
    """The job is not this server's any more: someone else took it over, or it has ended."""


class KeyReusedError(PorefieldError):
    """An idempotency key came again with another body."""


class QueueFullError(PorefieldError):
    """The owner has as many unfinished jobs as it may have."""


class UnknownJobError(PorefieldError):
    """There is no such job."""


class NotEndedError(PorefieldError):
    """The job has not ended, and only ended ones can be removed."""


@dataclass(frozen=True)
class Page:
    """A page of a listing; `cursor` leads to the next, None on the last."""

    jobs: tuple[Job, ...]
    cursor: str | None


class JobQueue(Protocol):
    """Jobs, their leases and their events."""

    def submit(self, new: NewJob, *, most_unfinished: int | None = None) -> tuple[Job, bool]:
        """Accept a job; the job and whether it is new (False: the same idempotency key and body came before). Where an
        unexpired successful job of any owner with the same inputs_hash exists, the job is successful at once, with
        `result_of` set to it.

        Raises:
            KeyReusedError: the same idempotency key with another body.
            QueueFullError: the owner has `most_unfinished` jobs that have not ended.
        """
        ...

    def get(self, job_id: str, owner: str | None = None) -> Job | None:
        """A job; None when there is none, or it is not this owner's (None: any owner's)."""
        ...

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
        """Newest first. Raises PorefieldError naming `cursor` when it is not one of ours."""
        ...

    def claim(self, server: str, lease_s: float) -> Job | None:
        """The next job, now running and leased to `server`: lower priority number first, then owners with fewer running
        jobs, then owners served longest ago, then the oldest. Jobs whose lease ran out count as accepted again (their
        attempt ended without them). A job is never claimed by two servers at once."""
        ...

    def heartbeat(
        self, job_id: str, server: str, lease_s: float, progress: dict[str, Any] | None = None, message: str = ""
    ) -> bool:
        """Renew a lease and note progress (also as an event, when there is some); whether the job is to be cancelled.

        Raises:
            LeaseLostError: stop working on it, write nothing.
        """
        ...

    def finish(self, job_id: str, server: str, status: JobStatus, error: dict[str, Any] | None = None) -> Job:
        """End a job, from its running state.

        Raises:
            LeaseLostError: it is not ours to end.
        """
        ...

    def release(self, job_id: str, server: str, reason: str, most_attempts: int, *, blameless: bool = False) -> Job:
        """Give a job back after its attempt ended without it: accepted again, or failed with `reason` after
        `most_attempts`; dismissed where that was asked for. A `blameless` attempt, ended by an orderly stop, does not
        count.

        Raises:
            LeaseLostError: it is not ours to give back.
        """
        ...

    def cancel(self, job_id: str) -> Job:
        """Dismiss an accepted job at once, ask for it where it runs, leave an ended one alone.

        Raises:
            UnknownJobError: there is no such job.
        """
        ...

    def delete(self, job_id: str) -> None:
        """Remove an ended job and its events; nothing happens when it is gone. The files are the caller's: first see
        `result_in_use`.

        Raises:
            NotEndedError: it is accepted or running.
        """
        ...

    def result_in_use(self, result_id: str) -> bool:
        """Whether a job answers with the result in the directory of this id: the job of that id, or one whose
        `result_of` it is. Once False it stays False, so that after `delete` the directory of
        `job.result_of or job.id` may go."""
        ...

    def expired(self, now: datetime) -> Sequence[Job]:
        """Ended jobs that need not be kept any longer, at most 1000, those that ran out first."""
        ...

    def events(self, job_id: str, after: int = 0, limit: int = 200) -> Sequence[JobEvent]:
        """Events of a job in order, from the one after number `after`."""
        ...

    def counts(self) -> dict[tuple[Process, JobStatus], int]:
        """How many jobs there are, for metrics."""
        ...
