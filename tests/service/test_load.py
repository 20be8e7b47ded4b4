"""Many clients at once: nothing refused, nothing lost, nothing twice. Seconds are measured in benchmarks/."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from porefield.service.client import Client

from .conftest import plan
from .load import load
from .server import Server, service

CLIENTS, SUBMISSIONS, READS, LISTENERS = 50, 500, 2000, 200


@pytest.mark.slow
def test_submissions_and_reads_of_fifty_clients_at_once_while_a_worker_solves(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    try:
        server.start()
        with Client(server.url) as client:
            first = client.submit("plan", plan()).wait(
                120, progress=False
            )  # its worker is there, its kernels are compiled
        found = load(server.url, plan(), clients=CLIENTS, submissions=SUBMISSIONS, reads=READS)
        assert (len(set(found.jobs)), len(found.status_s)) == (SUBMISSIONS, READS)
        with Client(server.url) as client:
            states = {job.id: job.state for job in client.jobs(limit=500)}
        assert sorted(states) == sorted([first.id, *found.jobs])
        assert set(states.values()) <= {"accepted", "running", "successful"}
        assert any(states[job] != "accepted" for job in found.jobs), "no worker was at work"
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
    finally:
        server.end()


@pytest.mark.slow
def test_two_hundred_listeners_hear_of_the_end(tmp_path: Path) -> None:
    with service(tmp_path / "data", workers=0) as url, Client(url) as client:
        job = client.submit("plan", plan())
        heard = asyncio.run(listen(url, job.id, client))
        assert heard == ["accepted", "dismissed"] * LISTENERS


async def listen(url: str, job_id: str, client: Client) -> list[str]:
    """What all listeners hear of a job that is dismissed once they are there."""
    limits = httpx.Limits(max_connections=LISTENERS + 10)
    ready: list[int] = []
    async with httpx.AsyncClient(base_url=f"{url}/v1", limits=limits, timeout=60) as http:

        async def one(number: int) -> list[str]:
            found: list[str] = []
            async with http.stream("GET", f"/jobs/{job_id}/events") as answer:
                assert answer.status_code == 200
                ready.append(number)
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        found.append(status_of(line))
            return found

        async def end() -> list[str]:
            while len(ready) < LISTENERS:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(client.job(job_id).cancel)
            return []

        heard = await asyncio.gather(end(), *map(one, range(LISTENERS)))
    return [state for one_heard in heard for state in one_heard]


def status_of(line: str) -> Any:
    return json.loads(line.removeprefix("data:"))["status"]
