"""Two Ray nodes on this machine share a sweep; one of them is stopped half-way, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from porefield.workers.store.sweep_store import SweepStore, open_sweep
from porefield.workers.sweep.drive import run_sweep
from porefield.workers.sweep.same import is_sweep

from .driver import POINTS, the_sweep
from .stub import stub

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0

# Ray leaves sockets and log files to the garbage collector
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


def test_a_node_that_is_stopped_half_way_takes_nothing_with_it(cluster: Any, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1)
    out, log = tmp_path / "out", tmp_path / "log"
    command = [sys.executable, "-m", "tests.sweep.driver", str(out), str(log), "stub", cluster.address]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        wait_until(lambda: len(shares(out)) == 2 and sum(shares(out).values()) >= POINTS // 2, driver)
        before = set(SweepStore.open(out).read_records())
        cluster.remove_node(second, allow_graceful=False)
        told, _ = driver.communicate(timeout=PATIENCE_S)
    finally:
        driver.kill()
    outcome = json.loads(told.splitlines()[-1])  # Ray tells of the lost node on the same stream
    assert len(before) < POINTS, "nothing was left to do"
    assert outcome["done"] == POINTS
    # each node has one CPU, so the two workers were on different ones, and one of them went with its node
    assert outcome["workers_lost"] == 1
    assert sorted(shares(out).values())[0] >= POINTS // 8
    begun = log.read_text().splitlines()
    assert len(begun) - len(set(begun)) <= 1, "a finished point was computed again"

    run_sweep(the_sweep(), tmp_path / "undisturbed", make_evaluator=stub())
    with open_sweep(out) as mine, open_sweep(tmp_path / "undisturbed") as other:
        names = [n for n in mine.data_vars if n not in ("seconds", "attempts")]
        xr.testing.assert_identical(mine[names].drop_attrs(), other[names].drop_attrs())


def shares(out: Path) -> Counter[str]:
    """Finished points by worker."""
    if not is_sweep(out):
        return Counter()
    return Counter(record.worker for record in SweepStore.open(out).read_records().values())


def wait_until(holds: Callable[[], bool], driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "the sweep stood still"
        assert driver.poll() is None, "the driver ended by itself"
        time.sleep(0.05)
