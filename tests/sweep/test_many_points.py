"""Ten thousand points: the driver and the worker keep nothing per point but a count."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from porefield.workers.sweep.drive import run_sweep
from porefield.workers.sweep.progress import SweepProgress
from porefield.workers.sweep.spec import load_sweep

from .stub import PLAN, stub

POINTS, EARLY = 10_000, 2_000
MOST_GROWTH_BYTES = 8_000_000
"""1 kB for each of the points between: a record is larger, so that keeping records would show."""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_points(tmp_path: Path) -> None:
    resident: dict[str, int] = {}

    def watch(progress: SweepProgress) -> None:
        if progress.stage == "run":
            resident.setdefault("early" if progress.finished >= EARLY else "before", resident_bytes())
            resident["late"] = resident_bytes()

    axis = {
        "name": "voltage",
        "field": "pulses.*.voltage_v",
        "grid": {"start": 100, "stop": 900, "count": POINTS},
    }
    outcome = run_sweep(
        load_sweep({"plan": PLAN, "axes": [axis]}), tmp_path / "out", make_evaluator=stub(), on_progress=watch
    )
    assert outcome.done == POINTS
    assert resident["late"] - resident["early"] < MOST_GROWTH_BYTES


def resident_bytes() -> int:
    """Memory that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
