"""Two servers, each a process with its workers, on one database and one data folder."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from porefield.service.client import Client, ServiceError, ServiceJob

from ..conftest import plan
from ..server import Server

PATIENCE_S = 120.0
ENDLESS = 1000
"""Pulses of a plan that outlasts a test."""
Pair = tuple[Server, Server]


@pytest.fixture
def pair(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Starts two servers that can do their work."""
    servers: list[Server] = []

    def start(**settings: Any) -> Pair:
        for name in ("one", "two"):
            server = Server(tmp_path / "data", database_url=database_url, **settings)
            server.log = tmp_path / f"{name}.log"
            servers.append(server)
        with ThreadPoolExecutor() as threads:
            list(threads.map(Server.start, servers))
        for server in servers:
            wait_for(lambda url=server.url: httpx.get(f"{url}/health/ready").status_code == 200)
            wait_for(lambda url=server.url: "porefield_workers 1.0" in httpx.get(f"{url}/metrics").text)
        return servers[0], servers[1]

    yield start
    for server in servers:
        server.end()


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def told(server: Server, what: str) -> list[str]:
    """Jobs of which a server's log says so: job begun, job ended."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", server.log.read_text())
    return re.findall(rf"{what} .*?job=([0-9a-f]{{32}})", text)


def sweep(voltage_v: float, count: int) -> dict[str, Any]:
    axis = {"name": "voltage", "field": "pulses.*.voltage_v"}
    grid = {"start": voltage_v, "stop": voltage_v + 100, "count": count}
    return {"plan": plan(), "axes": [{**axis, "grid": grid}], "maps": ["zone"]}


def endless(voltage_v: float) -> dict[str, Any]:
    pulse = plan()["pulses"][0]
    return plan(grid={"spacing_mm": 0.5}, pulses=[{**pulse, "voltage_v": voltage_v + i} for i in range(ENDLESS)])


@pytest.mark.slow
def test_two_servers_do_each_job_once_and_answer_alike(pair: Callable[..., Pair]) -> None:
    one, two = pair(lease_s=30)
    with Client(one.url) as first, Client(two.url) as second:
        jobs = [(first, second)[i % 2].submit("plan", plan(700 + i), idempotency_key=f"{i}") for i in range(6)]
        jobs.append(second.submit("sweep", sweep(500, 6)))
        again = [(second, first)[i % 2].submit("plan", plan(700 + i), idempotency_key=f"{i}") for i in range(6)]
        assert [job.id for job in again] == [job.id for job in jobs[:6]]
        ids = sorted(job.id for job in jobs)
        assert [sorted(job.id for job in client.jobs()) for client in (first, second)] == [ids, ids]
        for job in jobs:
            job.wait(PATIENCE_S, progress=False)
            states = [data["status"] for _, kind, data in job.events() if kind == "status"]
            assert states == ["accepted", "running", "successful"]
            assert job.status["attempts"] == 1
        for job in (jobs[0], jobs[1], jobs[-1]):
            assert_alike(first.job(job.id), second.job(job.id))
        begun = [told(server, "job begun") for server in (one, two)]
        assert sorted(begun[0] + begun[1]) == ids
        assert all(begun), "one of them did nothing"
        assert sorted(told(one, "job ended") + told(two, "job ended")) == ids
        dismiss_through_the_other((one, first), (two, second))
    assert (one.stop(), two.stop()) == (0, 0)
    assert "Traceback" not in one.log.read_text() + two.log.read_text()


def assert_alike(here: ServiceJob, there: ServiceJob) -> None:
    """A job's status, events, result and files are the same at both servers, but for their addresses."""

    def without_links(data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in data.items() if name not in ("links", "store", "files")}

    assert without_links(here.status) == without_links(there.status)
    assert list(here.events()) == list(there.events())
    assert without_links(here.results) == without_links(there.results)
    files = [{link["title"]: httpx.get(link["href"]).content for link in job.results["files"]} for job in (here, there)]
    assert files[0] == files[1]
    mine, theirs = here.dataset(), there.dataset()
    assert list(mine.variables) == list(theirs.variables)
    small = [str(name) for name in mine.variables if mine[name].ndim == 1]
    assert small
    for name in small:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


def dismiss_through_the_other(one: tuple[Server, Client], two: tuple[Server, Client]) -> None:
    """Two jobs, one at each server, that are dismissed through the server that does not run them."""
    before = {*told(one[0], "job begun"), *told(two[0], "job begun")}
    jobs = [one[1].submit("plan", endless(400)), one[1].submit("plan", endless(500))]
    wait_for(lambda: all(job.refresh().state == "running" for job in jobs))
    theirs = {*told(two[0], "job begun")} - before
    assert len(theirs) == len({*told(one[0], "job begun")} - before) == 1
    for job in jobs:
        (one if job.id in theirs else two)[1].job(job.id).cancel()
        with pytest.raises(ServiceError, match="dismissed"):
            job.wait(PATIENCE_S, progress=False)


@pytest.mark.slow
def test_the_other_server_finishes_what_a_killed_one_ran(pair: Callable[..., Pair]) -> None:
    one, two = pair(lease_s=4)
    with Client(one.url) as first, Client(two.url) as second:
        jobs = [first.submit("sweep", sweep(400 + 10 * i, 40)) for i in range(2)]
        jobs += [first.submit("plan", plan(900 + i)) for i in range(2)]
        wait_for(lambda: running(one) != [])
        wait_for(lambda: any(second.job(i).status["detail"].get("stage") for i in running(one)))
        one.kill()
        orphans = running(one)
        assert orphans
        for job in jobs:
            found = second.job(job.id).wait(PATIENCE_S, progress=False)
            states = [data["status"] for _, kind, data in found.events() if kind == "status"]
            assert states.count("successful") == 1
            assert states[-1] == "successful"
            if found.id in orphans:
                assert found.status["attempts"] == 2
                assert found.id in told(two, "job ended")
            if found.status["processID"] == "sweep":
                assert found.summary["points"] == {"total": 40, "done": 40, "failed": 0, "skipped": 0}
                assert found.dataset().sizes["voltage"] == 40
            else:
                assert found.summary["status"] == "converged"
    results = two.data / "results"
    assert sorted(path.name for path in results.iterdir()) == sorted(job.id for job in jobs)
    assert list((two.data / "work").iterdir()) == []
    assert two.stop() == 0
    assert "Traceback" not in two.log.read_text()


def running(server: Server) -> list[str]:
    """Jobs that a server has begun and not ended."""
    return sorted({*told(server, "job begun")} - {*told(server, "job ended")})
