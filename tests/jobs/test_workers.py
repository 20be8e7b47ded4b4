"""Jobs in worker processes: stopped, killed in the middle and gone on with; and memory over very many of them."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from porefield.kernels.nested import couplings_of
from porefield.workers.executors.interface import Executor, Finished, Joined, Lost, Told
from porefield.workers.jobs.executors import open_executor
from porefield.workers.jobs.memory import Keeper, evict_caches, resident_bytes
from porefield.workers.jobs.progress import Reporter, of_run, of_sweep
from porefield.workers.jobs.work import JobProcess, JobWork
from porefield.workers.progress import RunProgress
from porefield.workers.store.sweep_store import SweepStore
from porefield.workers.sweep.progress import SweepProgress
from porefield.workers.sweep.same import is_sweep

from ..executors.works import gather, until
from ..sweep.stub import PLAN
from .jobs import execute, job, long_sweep, remains

MANY = 10_000
MOST_GROWTH_BYTES = 20_000_000
"""2 kB for each of 10,000 jobs: below what one result kept of each would take (a plan's outcome is 5 kB as objects)."""


def kept(folder: Path) -> int:
    """Finished points in the work folder of a sweep."""
    out = folder / "work/0123abcd/sweep"
    return int((SweepStore.open(out).read_states() > 0).sum()) if is_sweep(out) else 0


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_sweep_loses_nothing(tmp_path: Path) -> None:
    task = job(tmp_path / "killed", "sweep", long_sweep())
    with open_executor(kind="processes") as executor:
        (joined,) = gather(executor, 1)
        assert isinstance(joined, Joined)
        executor.submit(joined.worker, 1, task)
        deadline = time.monotonic() + 60
        while not 2 < (before := kept(tmp_path / "killed")) < 50:
            assert time.monotonic() < deadline
            assert not any(isinstance(e, Finished) for e in executor.wait(0.02)), "too fast to be killed"
        os.kill(joined.info.pid, signal.SIGKILL)
        (again,) = [e for e in until(executor, Joined) if isinstance(e, Joined)]
        executor.submit(again.worker, 2, task)
        events = until(executor, Finished)
        assert isinstance(events[-1], Finished)
        assert events[-1].result["points"] == {"total": 60, "done": 60, "failed": 0, "skipped": 0}
        told = [e.what for e in events if isinstance(e, Told)]
        assert any(t["done"] >= before for t in told)
    outcome, _ = execute(job(tmp_path / "calm", "sweep", long_sweep()))
    assert outcome["state"] == "successful"
    for name in ("result.zarr", "maps.zarr"):
        killed, calm = (
            xr.open_zarr(tmp_path / which / "results/0123abcd" / name).load() for which in ("killed", "calm")
        )
        names = [n for n in killed.data_vars if n not in ("seconds", "attempts")]
        assert len(names) > 0
        xr.testing.assert_identical(killed[names].drop_attrs(), calm[names].drop_attrs())
        if name == "result.zarr":
            assert int(killed["attempts"].max()) == 2
    assert remains(tmp_path / "killed") == ["results/0123abcd"]


@pytest.mark.parametrize("kind", ["in_process", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_plan_in_a_worker_stops_within_two_seconds_and_the_next_one_runs(tmp_path: Path, kind: Any) -> None:
    pulses = [{**PLAN["pulses"][0], "voltage_v": 500 + i} for i in range(400)]  # solved in 20 s at least
    slow = {**PLAN, "grid": {"spacing_mm": 0.5}, "pulses": pulses}
    with open_executor(kind=kind) as executor:
        (joined,) = gather(executor, 1)
        assert isinstance(joined, Joined)
        executor.submit(joined.worker, 1, job(tmp_path, "plan", slow))
        wait_for_step(executor)
        executor.stop(joined.worker)
        start = time.monotonic()
        finished = until(executor, Finished)[-1]
        assert isinstance(finished, Finished)
        assert finished.result == {"state": "stopped"}
        assert time.monotonic() - start < 2
        assert remains(tmp_path) == []
        executor.submit(joined.worker, 2, job(tmp_path, "plan"))
        finished = until(executor, Finished)[-1]
        assert isinstance(finished, Finished)
        assert finished.result["converged"] is True
        json.dumps(finished.result)


def wait_for_step(executor: Executor) -> None:
    """Until a plan is between Newton steps."""
    deadline = time.monotonic() + 60
    while True:
        for event in executor.wait(0.02):
            if isinstance(event, Told) and event.what["step"] is not None:
                return
            assert not isinstance(event, Finished | Lost)
        assert time.monotonic() < deadline


@pytest.mark.slow
def test_memory_does_not_grow_over_ten_thousand_jobs(tmp_path: Path) -> None:
    def publish(task: Any, reporter: Any) -> None:
        reporter.run(RunProgress("solve", step=1))
        task.result_dir.mkdir(parents=True)
        (task.result_dir / "summary.json").write_text("{}")

    stub = JobWork({"plan": JobProcess(publish, lambda directory: {"size": [0.0] * 100})})
    real = JobWork()
    bad = {**PLAN, "pulses": [{"anode": ["C"], "cathode": ["B"], "voltage_v": 800}]}
    good, wrong = job(tmp_path, "plan"), job(tmp_path, "plan", bad)

    def run(count: int) -> None:
        for _ in range(count):
            assert stub.run(good, lambda: False, lambda _: None)["state"] == "successful"
            (good.result_dir / "summary.json").unlink()
            good.result_dir.rmdir()
            assert real.run(wrong, lambda: False, lambda _: None)["state"] == "failed"

    run(500)
    gc.collect()
    before, objects = resident_bytes(), len(gc.get_objects())
    run(MANY // 2)
    gc.collect()
    assert resident_bytes() - before < MOST_GROWTH_BYTES
    assert len(gc.get_objects()) - objects < 1000


@pytest.mark.slow
def test_caches_are_emptied_when_they_have_grown() -> None:
    script = """
import copy
from porefield.meshes.plan import load_plan
from porefield.workers.jobs.memory import Keeper, resident_bytes
from porefield.workers.run import run_plan
from tests.sweep.stub import PLAN

keeper, freed = Keeper(spare_bytes=60_000_000), []
for n in range(14, 22):
    plan = copy.deepcopy(PLAN)
    plan["anatomy"]["phantom"]["size_mm"] = [16, 16, n]
    run_plan(load_plan(plan))
    before = resident_bytes()
    if keeper.settle():
        freed.append((before - resident_bytes()) / 1e6)
print(*freed)
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300)
    freed_mb = [float(word) for word in done.stdout.split()]
    assert freed_mb
    assert min(freed_mb) > 30, freed_mb  # half of what had to come together


def test_evicting_forgets_couplings(tmp_path: Path) -> None:
    execute(job(tmp_path, "plan"))
    assert couplings_of.cache_info().currsize > 0
    evict_caches()
    assert couplings_of.cache_info().currsize == 0
    assert Keeper(spare_bytes=10**15).settle() is False


def test_progress_is_told_at_most_five_times_a_second_and_at_least_now_and_then() -> None:
    now_s, told = [0.0], list[tuple[float, int]]()
    reporter = Reporter(lambda what: told.append((now_s[0], what["n"])), lambda: False, lambda: now_s[0])
    reporter.stop()  # nothing to tell yet
    assert told == []
    for n in range(1000):
        reporter.tell({"n": n})
        now_s[0] += 0.003
    reporter.flush()
    times = [t for t, _ in told]
    assert told[-1][1] == 999
    assert max(sum(t <= u < t + 1 for u in times) for t in times) <= 5
    before = len(told)
    for _ in range(70):
        now_s[0] += 0.5
        assert reporter.stop() is False
    assert len(told) - before == 3  # in 35 s
    reporter.tell({"n": 1000})
    reporter.tell({"n": 1001})
    now_s[0] += 0.3
    reporter.stop()
    assert told[-1][1] == 1001


def test_progress_is_json_whatever_the_numbers() -> None:
    nan, inf = float("nan"), float("inf")
    for progress in (
        RunProgress("prepare"),
        RunProgress("solve", 1, 3, "A-B", 0, 4, nan, 1e-7),
        RunProgress("solve", 1, 3, "A-B", 0, 4, inf, 1e-7),
        RunProgress("limits", 2, 3, "A-B", 0, 4, 1e-3, 1e-7),
    ):
        told = json.loads(json.dumps(of_run(progress), allow_nan=False))
        assert 0 <= told["fraction"] <= 1
        assert told["relative_residual"] in (None, 1e-3)
    for sweep in (SweepProgress("prepare", 0), SweepProgress("run", 9, done=3, rate_per_s=inf, seconds_left=nan)):
        told = json.loads(json.dumps(of_sweep(sweep), allow_nan=False))
        assert told["rate_per_s"] is None
        assert told["fraction"] == pytest.approx(sweep.finished / max(sweep.total, 1))
