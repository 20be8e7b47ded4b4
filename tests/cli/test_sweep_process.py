"""`porefield sweep` as a process with worker processes: a signal keeps what is finished, and `resume` goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from porefield.workers.store.sweep_store import SweepStore, open_sweep

from ..sweep.stub import PLAN

pytestmark = pytest.mark.slow
POREFIELD = Path(sys.executable).parent / "porefield"
START_TIMEOUT_S = 180
POINTS = 100
"""Of some 50 ms each: at the signal, after three of them, many are left."""


def start(on: str, *arguments: object) -> subprocess.Popen[str]:
    command = [str(POREFIELD), "sweep", *map(str, arguments), "--json", "--on", on, "--workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_points(process: subprocess.Popen[str], out: Path, points: int) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        if len(list(out.glob("records/*/[0-9]*.json"))) >= points:
            return
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"no {points} points: {process.communicate()}")


@pytest.mark.parametrize("on", ["processes", "ray"])
def test_a_signal_stops_in_order_and_resume_finishes(tmp_path: Path, on: str) -> None:
    axis = {"name": "voltage", "field": "pulses.*.voltage_v", "grid": {"start": 400, "stop": 600, "count": POINTS}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"plan": PLAN, "axes": [axis]}))
    out = tmp_path / "out"
    process = start(on, "run", tmp_path / "sweep.yaml", "--out", out)
    wait_for_points(process, out, 3)
    process.send_signal(signal.SIGTERM)  # Ray has a handler of its own for this one
    told, lines = process.communicate(timeout=60)
    assert process.returncode == 130, lines
    assert json.loads(told)["outcome"]["cancelled"] is True
    assert "stopping at the next step" in lines
    with open_sweep(out) as data:  # packed although it is not complete
        assert data.attrs["complete"] is False
        assert int((data["state"] == 1).sum()) == len(SweepStore.open(out).read_records()) < POINTS

    kept = {i: record.started for i, record in SweepStore.open(out).read_records().items()}
    process = start(on, "resume", out)
    told, lines = process.communicate(timeout=START_TIMEOUT_S)
    assert process.returncode == 0, lines
    assert json.loads(told)["outcome"]["computed"] == POINTS - len(kept)
    after = SweepStore.open(out).read_records()
    assert {i: after[i].started for i in kept} == kept
