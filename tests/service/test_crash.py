"""The whole service as a process: servers and workers killed at random, disks that fill up, orderly stops."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from porefield.meshes.plan import load_plan
from porefield.service.client import Client, ServiceError, ServiceJob
from porefield.workers.run import run_plan

from .conftest import plan
from .server import Server

PLANS, SWEEPS, STUDIES, KILLS = 24, 4, 2, 10
PATIENCE_S = 420.0


@pytest.fixture
def made() -> Iterator[Callable[..., Server]]:
    """Makes servers, and ends those that a test left running."""
    servers: list[Server] = []

    def make(data: Path, **settings: Any) -> Server:
        servers.append(Server(data, **settings))
        return servers[-1]

    yield make
    for server in servers:
        server.end()


def patiently(call: Callable[[], Any]) -> Any:
    """Again until the server answers: submissions carry an idempotency key."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def submissions() -> list[tuple[Any, dict[str, Any]]]:
    """Thirty mixed jobs."""
    axes = [{"name": "voltage", "field": "pulses.*.voltage_v", "values": [600, 700, 800, 900]}]
    studied = {"placement": {"shift_mm": 0.2, "depth_mm": 0, "tilt_deg": 0}, "samples": 4, "groups": "kind"}
    jobs: list[tuple[Any, dict[str, Any]]] = [("plan", plan(700 + 10 * i)) for i in range(PLANS)]
    jobs += [
        ("sweep", {"plan": plan(), "axes": [{**axes[0], "values": [v + i for v in (600, 700, 800)]}]})
        for i in range(SWEEPS)
    ]
    jobs += [("robustness", {"plan": plan(), **studied, "seed": i + 1}) for i in range(STUDIES)]
    return jobs


@pytest.mark.slow
def test_every_accepted_job_ends_well_once_though_servers_and_workers_are_killed(
    made: Callable[..., Server], tmp_path: Path
) -> None:
    rng = random.Random(5)
    server = made(tmp_path / "data")
    server.start()
    wanted = submissions()
    rng.shuffle(wanted)
    with Client(server.url) as client:
        jobs = [
            patiently(lambda p=process, b=body, i=i: client.submit(p, b, idempotency_key=f"job {i}"))
            for i, (process, body) in enumerate(wanted)
        ]
        for _ in range(KILLS):
            wait_for_work(client)
            time.sleep(rng.uniform(0.0, 1.5))
            workers = server.workers()
            if workers and rng.random() < 0.5:
                os.kill(rng.choice(workers), signal.SIGKILL)
            else:
                server.kill()
                server.start()
        again = [
            patiently(lambda p=p, b=b, i=i: client.submit(p, b, idempotency_key=f"job {i}"))
            for i, (p, b) in enumerate(wanted)
        ]
        assert [j.id for j in again] == [j.id for j in jobs]
        deadline = time.monotonic() + PATIENCE_S
        for job in jobs:
            job.wait(deadline - time.monotonic(), progress=False)
        for job, (process, body) in zip(jobs, wanted, strict=True):
            check(job, process, body)
        assert any(job.status["attempts"] > 1 for job in jobs), "no kill hit a job"
    assert server.stop() == 0
    left = [p.name for p in (server.data / "results").iterdir() if p.name.startswith(".")]
    assert left == []
    assert len(list((server.data / "results").iterdir())) == len(jobs)
    assert list((server.data / "work").iterdir()) == []
    assert "Traceback" not in server.log.read_text()


def wait_for_work(client: Client) -> None:
    """Until a job runs: a kill that hits nobody shows nothing."""
    deadline = time.monotonic() + 60
    while not any(patiently(lambda: list(client.jobs(status="running")))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check(job: ServiceJob, process: str, body: dict[str, Any]) -> None:
    """It ended well exactly once, and its result is that of an undisturbed run."""
    ends = [data["status"] for _, kind, data in job.events() if kind == "status" and data["status"] != "running"]
    assert ends.count("successful") == 1
    assert ends[-1] == "successful"
    if process == "plan":
        expected = run_plan(load_plan(body)).summary
        found = job.summary
        for target in expected["targets"]:
            mine, other = (s["targets"][target]["coverage"]["reversible"] for s in (found, expected))
            assert mine == pytest.approx(other, abs=1e-6)
        assert found["pulses"][0]["generator_current_a"] == pytest.approx(
            expected["pulses"][0]["generator_current_a"], rel=2e-6
        )
    elif process == "sweep":
        data = job.dataset()
        assert data.attrs["complete"]
        for voltage_v, current_a in zip(data["voltage"].values, data["generator_current_a"].values[:, 0], strict=True):
            expected = run_plan(load_plan(plan(float(voltage_v)))).summary["pulses"][0]["generator_current_a"]
            assert current_a == pytest.approx(expected, rel=2e-6)
    else:
        assert job.summary["points"] == {"total": 20, "done": 20, "failed": 0, "skipped": 0}


@pytest.mark.slow
def test_a_full_disk_fails_the_job_and_leaves_nothing(made: Callable[..., Server], tmp_path: Path) -> None:
    """A limit on the size of the worker's files stands in for a full disk: a write past it is answered alike."""
    server = made(tmp_path / "data", max_voxels=4_000_000)
    server.start()
    with Client(server.url) as client:
        client.submit("plan", plan()).wait(90, progress=False)
        (worker,) = server.workers()
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (100_000, 2**40))
        job = client.submit("plan", plan(grid={"spacing_mm": 0.25}))
        with pytest.raises(ServiceError) as failed:
            job.wait(180, progress=False)
        assert failed.value.problem["type"] == "/problems/job/resource"
        assert "room to write" in failed.value.problem["detail"]
        assert len(list((server.data / "results").iterdir())) == 1
        assert list((server.data / "work").iterdir()) == []
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (2**40, 2**40))
        again = client.submit("plan", plan(grid={"spacing_mm": 0.25})).wait(60, progress=False)
        assert again.status["cached"] is False
    assert server.stop() == 0


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_gives_its_job_back_and_goes_on_after_its_start(
    made: Callable[..., Server], tmp_path: Path
) -> None:
    server = made(tmp_path / "data", drain_s=0.5, lease_s=60)
    server.start()
    axes = [{"name": "v", "field": "pulses.*.voltage_v", "grid": {"start": 500, "stop": 900, "count": 100}}]
    with Client(server.url) as client:
        job = client.submit("sweep", {"plan": plan(), "axes": axes})
        deadline = time.monotonic() + 90
        while job.refresh().status["detail"].get("done", 0) < 3:
            assert time.monotonic() < deadline, job.status
            time.sleep(0.1)
        assert server.stop() == 0
        server.start()
        # the lease was given back, not left to run out
        assert job.wait(90, progress=False).state == "successful"
        assert job.status["attempts"] == 1  # an orderly stop does not count against the job
        assert job.dataset().sizes["v"] == 100
    assert server.stop() == 0
    log = server.log.read_text()
    assert "Traceback" not in log
