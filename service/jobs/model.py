"""A job as the service sees it: frozen data, an enum of states, and the transitions that are allowed.

    accepted -> running -> successful | failed | dismissed
    accepted -> dismissed                  asked for before it began
    running  -> accepted                   its attempt ended without it (worker lost, server stopped); tried again

`accepted ... dismissed` are the states of OGC API - Processes, Part 1 (18-062r2), statusCode.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobStatus(StrEnum):
    """States of OGC API - Processes."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    DISMISSED = "dismissed"

    @property
    def final(self) -> bool:
        return self in (JobStatus.SUCCESSFUL, JobStatus.FAILED, JobStatus.DISMISSED)


class Process(StrEnum):
    """What can be executed."""

    PLAN = "plan"
    SWEEP = "sweep"
    ROBUSTNESS = "robustness"


INTERACTIVE, BATCH = 0, 1
"""Priorities: plans go before sweeps and studies."""
LONGEST_S = 100 * 365.25 * 86400
"""How long a result may be kept, s: a hundred years; dates end with the year 9999."""


@dataclass(frozen=True)
class NewJob:
    """What a submission brings.

    Attributes:
        owner: id of the API key that submitted it; 'local' on an unprotected server.
        inputs: validated inputs of the process, plain JSON data.
        inputs_hash: SHA-256 of all that the result depends on: process, inputs, hashes of the anatomy, version.
        anatomies: SHA-256 of the uploads that it reads.
        idempotency_key: of the submission, unique for an owner; body_hash: SHA-256 of its body.
        retain_s: how long its result is kept after it ended.
    """

    owner: str
    process: Process
    inputs: dict[str, Any]
    inputs_hash: str
    priority: int
    anatomies: tuple[str, ...] = ()
    idempotency_key: str | None = None
    body_hash: str = ""
    retain_s: float | None = None


@dataclass(frozen=True)
class Job:
    """A job as the database has it.

    Attributes:
        id: 32 hexadecimal digits; grows with time, so that sorting by it is sorting by submission.
        progress: the last that was told (stage, Newton step, pulse, points), plain data.
        message: one line for people.
        attempts: how often it was begun.
        error: RFC 9457 problem details of a failed job.
        result_of: id of the job whose result this is, where the result came from the cache.
        cancel_requested: dismissed as soon as its worker has stopped.
        lease_owner, lease_until: which server runs it, and until when that server is believed to live.
    """

    id: str
    owner: str
    process: Process
    inputs: dict[str, Any]
    inputs_hash: str
    status: JobStatus
    priority: int
    created: datetime
    updated: datetime
    started: datetime | None = None
    finished: datetime | None = None
    expires: datetime | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    attempts: int = 0
    error: dict[str, Any] | None = None
    result_of: str | None = None
    cancel_requested: bool = False
    lease_owner: str | None = None
    lease_until: datetime | None = None
    anatomies: tuple[str, ...] = ()
    retain_s: float | None = None


@dataclass(frozen=True)
class JobEvent:
    """One event of a job's stream; `number` grows within the job and serves as the id of server-sent events."""

    job_id: str
    number: int
    kind: str
    created: datetime
    data: dict[str, Any]
