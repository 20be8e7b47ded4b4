"""The service's own cost: time over a plain run, and how long answers take while many ask and a solve runs."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from porefield.meshes.plan import load_plan
from porefield.service.app import create_app
from porefield.service.client import Client
from porefield.service.environment import configure_numerics
from porefield.service.settings import load_settings
from porefield.workers.run import run_plan
from tests.service.load import load
from tests.service.server import Server, serving
from tests.service.stub_server import StubServer, run

from .test_sweep import PLAN

CLIENTS, SUBMISSIONS, READS = 50, 500, 2000
STUBS = 1000
ROUNDS = 8

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def plan(voltage_v: float) -> dict[str, Any]:
    """The 64^3 plan of the sweeps' benchmark."""
    return {**PLAN, "pulses": [{**PLAN["pulses"][0], "voltage_v": voltage_v}]}


def app(folder: Path, **more: Any) -> Any:
    return create_app(load_settings(data_dir=folder, port=0, requests_per_minute=10**6, **more))


def test_overhead_over_a_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """A warm 64^3 plan by the service, from the request to the result, less the same plan run and written here."""
    configure_numerics()
    run_plan(load_plan(plan(1000))).write(tmp_path / "warm")
    with serving(app(tmp_path / "data", threads_per_worker=2)) as url, httpx.Client(base_url=url, timeout=200) as http:

        def by_service(voltage_v: float) -> float:
            start = time.perf_counter()
            headers = {"Prefer": "wait=60"}
            answer = http.post("/v1/processes/plan/execution", json={"inputs": plan(voltage_v)}, headers=headers)
            assert answer.status_code == 200
            return time.perf_counter() - start

        def by_itself(voltage_v: float) -> float:
            start = time.perf_counter()
            run_plan(load_plan(plan(voltage_v))).write(tmp_path / f"{voltage_v:g}")
            return time.perf_counter() - start

        for warm in (900, 910):
            by_service(warm)
        pairs = [(by_itself(1100 + i), by_service(1100 + i)) for i in range(ROUNDS)]
        benchmark.pedantic(lambda: by_service(1300), rounds=1, iterations=1)
    runs, services = zip(*pairs, strict=True)
    run_s, service_s = statistics.median(runs), statistics.median(services)
    benchmark.extra_info.update(run_s=run_s, service_s=service_s, overhead_ms=1e3 * (service_s - run_s))


def test_answers_while_many_ask_and_a_worker_solves(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """500 submissions and 2,000 status reads of 50 clients; server, worker and clients in processes of their own."""
    server = Server(tmp_path / "data", threads_per_worker=2)
    try:
        server.start()
        with Client(server.url) as client:
            client.submit("plan", plan(1000)).wait(200)
        found = benchmark.pedantic(
            lambda: load(server.url, plan(1100), clients=CLIENTS, submissions=SUBMISSIONS, reads=READS),
            rounds=1,
            iterations=1,
        )
    finally:
        server.end()
    requests_per_s = (SUBMISSIONS + READS) / found.wall_s
    benchmark.extra_info.update(found.percentiles_ms(), requests_per_s=requests_per_s)


def test_jobs_that_solve_nothing(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What the service itself costs a job: 1,000 of them over HTTP, on a disk."""
    server = StubServer(tmp_path / "data", max_unfinished_jobs=2 * STUBS)
    try:
        server.start()
        run(server, 100, "warm")
        start = time.perf_counter()
        benchmark.pedantic(lambda: run(server, STUBS, "stub"), rounds=1, iterations=1)
        benchmark.extra_info["jobs_per_s"] = STUBS / (time.perf_counter() - start)
    finally:
        server.end()
