"""A process of its own that works at a queue, as tests start it: python worker.py claim|hold URL."""

from __future__ import annotations

import sys
import time

from porefield.service.database.schema import open_database
from porefield.service.jobs.model import JobStatus
from porefield.service.jobs.sql_queue import SqlQueue


def claim_all(queue: SqlQueue, server: str) -> None:
    """Claim and finish until nothing waits; print each job's id."""
    while job := queue.claim(server, 600):
        print(job.id, flush=True)  # noqa: T201
        queue.finish(job.id, server, JobStatus.SUCCESSFUL)


def hold_one(queue: SqlQueue, server: str) -> None:
    """Claim a job, print its id, and renew its lease until killed."""
    job = queue.claim(server, 2)
    if job is None:
        sys.exit("nothing waits")
    print(job.id, flush=True)  # noqa: T201
    for step in range(10_000):
        queue.heartbeat(job.id, server, 2, {"step": step})
        time.sleep(0.05)


if __name__ == "__main__":
    what, url, server = sys.argv[1:]
    {"claim": claim_all, "hold": hold_one}[what](SqlQueue(open_database(url)), server)
