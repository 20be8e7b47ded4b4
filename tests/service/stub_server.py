"""`porefield serve` whose workers solve nothing: everything round a solve is as it is, in the same processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from porefield.service import cli, compose
from porefield.workers.executors.interface import WorkerInfo
from porefield.workers.executors.local_processes import LocalProcesses
from porefield.workers.jobs.progress import Reporter
from porefield.workers.jobs.task import JobTask
from porefield.workers.jobs.work import JobProcess, JobWork
from porefield.workers.progress import RunProgress

from .conftest import plan
from .load import load
from .server import Server

CLIENTS = 2
"""More only get into each other's way: the server's interpreter is what limits, with 6.5 ms for each job."""
PATIENCE_S = 600.0


class StubServer(Server):
    """It, as a process."""

    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
        "from tests.service.stub_server import main; main()"
    )


def run(server: StubServer, count: int, tag: str) -> list[str]:
    """Submit jobs, and wait until all have ended well; their ids."""
    before = successful(server)
    found = load(server.url, plan(), clients=CLIENTS, submissions=count, reads=count // 10, tag=tag)
    deadline = time.monotonic() + PATIENCE_S
    while successful(server) < before + count:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found.jobs


def successful(server: StubServer) -> int:
    """Jobs, as the metrics count them."""
    wanted = 'porefield_jobs{process="plan",status="successful"}'
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return int(float(next(line.split()[-1] for line in lines if line.startswith(wanted))))


@dataclass(frozen=True)
class MakeStubWork:
    """Makes the work in its process."""

    def __call__(self, info: WorkerInfo) -> JobWork:
        return JobWork({"plan": JobProcess(publish_nothing, lambda directory: {"converged": True})})


def publish_nothing(task: JobTask, reporter: Reporter) -> None:
    """A result with an empty summary."""
    reporter.run(RunProgress("prepare"))
    task.result_dir.mkdir()
    (task.result_dir / "summary.json").write_text("{}")


def open_stub_executor(*, workers: int, niceness: int, **options: Any) -> LocalProcesses:
    """In place of workers.jobs.executors.open_executor."""
    return LocalProcesses(MakeStubWork(), workers=workers, most_losses=None, niceness=niceness)


def main() -> None:
    """The command line, with other workers."""
    compose.open_executor = open_stub_executor
    cli.main()
