"""Killing workers and drivers at random moments loses nothing and computes nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from porefield.workers.store.sweep_store import SweepStore, open_sweep
from porefield.workers.sweep.drive import run_sweep
from porefield.workers.sweep.model import PointState
from porefield.workers.sweep.same import is_sweep

from .driver import POINTS, the_sweep
from .stub import logged

ROOT = Path(__file__).parents[2]
KILLS = 5
PATIENCE_S = 240.0


# Ray leaves sockets and log files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_a_sweep_killed_five_times_equals_an_undisturbed_one(cluster: Any, tmp_path: Path) -> None:
    """On a cluster that stays: to start Ray for each driver would take most of the time."""
    out, log = tmp_path / "killed", tmp_path / "log"
    rng = random.Random(7)
    for _ in range(KILLS):
        before, mark = finished(out), begun(log)
        driver = start(out, log, cluster.address)
        try:
            wait_for_points(out, len(before) + 3, driver)
            kill_a_worker(out, driver.pid, rng)
            wait_for_points(out, len(finished(out)) + rng.randint(1, 3), driver)
            time.sleep(rng.uniform(0, 0.3))
        finally:
            driver.kill()
            driver.wait()
        assert not set(begun(log)[len(mark) :]) & before, "a finished point was computed again"
    before, mark = finished(out), begun(log)
    assert len(before) < POINTS, "nothing was left to resume"
    driver = start(out, log, cluster.address)
    assert driver.wait(240) == 0
    assert not set(begun(log)[len(mark) :]) & before

    run_sweep(the_sweep(), tmp_path / "undisturbed", make_evaluator=logged(tmp_path / "other", 0))
    with open_sweep(out) as mine, open_sweep(tmp_path / "undisturbed") as other:
        assert mine.attrs["complete"] is True
        names = [n for n in mine.data_vars if n not in ("seconds", "attempts")]
        xr.testing.assert_identical(mine[names].drop_attrs(), other[names].drop_attrs())
    records = SweepStore.open(out).read_records()
    assert all(record.state is PointState.DONE for record in records.values())
    assert any(record.attempts > 1 for record in records.values())


def start(out: Path, log: Path, address: str) -> subprocess.Popen[bytes]:
    """The driver, in its own process."""
    command = [sys.executable, "-m", "tests.sweep.driver", str(out), str(log), "real", address]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def kill_a_worker(out: Path, driver: int, rng: random.Random) -> None:
    """SIGKILL to one of the actors that work for this sweep."""
    pids = sorted(int(path.name.removeprefix("worker-")) for path in out.parent.glob("worker-*"))
    alive = [pid for pid in pids if pid != driver and Path(f"/proc/{pid}").exists()]
    os.kill(rng.choice(alive), signal.SIGKILL)


def finished(out: Path | str) -> set[float]:
    """Voltages of the points that have a record."""
    if not is_sweep(out):
        return set()
    records = SweepStore.open(out).read_records().values()
    return {record.values["pulses.*.voltage_v"] for record in records}


def begun(log: Path) -> list[float]:
    """Voltages of the points that were begun, in order."""
    return [float(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_for_points(out: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    """Until so many points are finished."""
    deadline = time.monotonic() + PATIENCE_S
    while len(finished(out)) < count:
        assert time.monotonic() < deadline, "the sweep stood still"
        assert driver.poll() is None, "the driver ended by itself"
        time.sleep(0.05)
