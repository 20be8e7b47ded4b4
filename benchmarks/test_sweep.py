"""Throughput of a sweep on Ray against single solves, in one run: 10 positions x 20 voltages of a 64^3 plan.

`porefield`'s own cost a point is measured with an evaluator that does nothing. Ray's start is not counted: the clock
starts when the first worker is ready.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from porefield.meshes.plan import load_plan
from porefield.meshes.scene import build_scene
from porefield.service.environment import configure_numerics
from porefield.workers.executors.environment import environment
from porefield.workers.progress import RunControl
from porefield.workers.run import run_plan
from porefield.workers.solve import solve_pulse
from porefield.workers.store.sweep_store import SweepStore
from porefield.workers.sweep.drive import ExecutorSettings, run_sweep
from porefield.workers.sweep.evaluate import EvaluatorSettings
from porefield.workers.sweep.model import Evaluation, Layout, Variable
from porefield.workers.sweep.spec import load_sweep

CORES = len(os.sched_getaffinity(0))
NEEDLE = {"direction": [0, 0, -1], "diameter_mm": 1.2, "exposed_mm": 30, "shaft_mm": 10}
PLAN: dict[str, Any] = {
    "anatomy": {
        "phantom": {"size_mm": [64, 64, 64], "tissue": "liver", "origin_mm": [-32, -32, -32]},
        "add": [{"tissue": "tumour", "name": "lesion", "sphere": {"centre_mm": [0, 0, 0], "radius_mm": 6}}],
    },
    "grid": {"spacing_mm": 1.0},
    "electrodes": [
        {"name": "A", "needle": {"tip_mm": [-7.3, 0.2, -15], **NEEDLE}},
        {"name": "B", "needle": {"tip_mm": [7.4, 0.3, -15], **NEEDLE}},
    ],
    "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 1200}],
    "targets": ["lesion"],
}


def sweep_of(positions: int, voltages: int) -> dict[str, Any]:
    """Needle A moved along x over 4 mm, each time from 800 to 1800 V."""
    return {
        "plan": PLAN,
        "axes": [
            {
                "name": "shift",
                "field": "electrodes.A.shift_mm.x",
                "grid": {"start": -2, "stop": 2, "count": positions},
            },
            {"name": "voltage", "field": "pulses.*.voltage_v", "grid": {"start": 800, "stop": 1800, "count": voltages}},
        ],
    }


# Ray starts its processes by fork and exec, which JAX warns of; it leaves sockets to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_two_hundred_points_on_ray(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Points a second over the machine's own ideal, cores / (time of one warm solve), in three readings of that time:
    a solve that has all cores, one that has one core while the others rest, and one on every core at the same time
    (what is left where cores share caches, memory or a physical core); and over the same points one by one from
    scratch.

    Workers compile during their first point; `share_of...` is of all points, `..._once_compiled` without the time until
    the last worker has its first point done. Single solves are timed before and after the sweep, because a machine may
    grow faster or slower meanwhile.
    """
    configure_numerics()  # workers read compiled steps instead of compiling them
    plan = load_plan(PLAN)
    scene = build_scene(plan)
    solve_pulse(scene, 0, RunControl())  # compiles
    volts = [800, 1000, 1200, 1400, 1600, 1800]
    variants = [load_plan({**PLAN, "pulses": [{**PLAN["pulses"][0], "voltage_v": v}]}) for v in volts]
    run_plan(variants[0])
    sweep = load_sweep(sweep_of(10, 20))

    def singles() -> tuple[list[float], ...]:
        solves_s = [_seconds(lambda: solve_pulse(scene, 0, RunControl())) for _ in range(5)]
        from_scratch_s = [_seconds(lambda one=one: run_plan(one)) for one in variants]
        return solves_s, from_scratch_s, solves_on_one_core(1), solves_on_one_core(CORES)

    def run() -> float:
        outcome = run_sweep(sweep, tmp_path / "out", executor=ExecutorSettings("ray", workers=CORES))
        assert outcome.done == 200
        benchmark.extra_info["warm_points"] = outcome.warm
        return outcome.done / outcome.computing_s

    before = singles()
    points_per_s = benchmark.pedantic(run, rounds=1, iterations=1)
    after = singles()
    solve_s, one_s, core_s, at_once_s = (statistics.median(a + b) for a, b in zip(before, after, strict=True))
    steady_per_s = points_per_s_once_compiled(tmp_path / "out")
    benchmark.extra_info.update(
        cores=CORES,
        points_per_s=points_per_s,
        points_per_s_once_compiled=steady_per_s,
        warm_solve_on_all_cores_s=solve_s,
        warm_solve_on_one_core_s=core_s,
        warm_solve_on_each_core_at_once_s=at_once_s,
        from_scratch_s=one_s,
        share_of_ideal_on_all_cores=points_per_s * solve_s / CORES,
        share_of_ideal_on_one_core=points_per_s * core_s / CORES,
        share_of_ideal_at_once=points_per_s * at_once_s / CORES,
        share_of_ideal_on_all_cores_once_compiled=steady_per_s * solve_s / CORES,
        over_from_scratch=points_per_s * one_s,
    )


def points_per_s_once_compiled(sweep: Path) -> float:
    """Points a second after each worker's first one."""
    records = SweepStore.open(sweep).read_records().values()
    ends = {r.index: datetime.fromisoformat(r.started).timestamp() + r.seconds for r in records}
    first = {w: min(ends[r.index] for r in records if r.worker == w) for w in {r.worker for r in records}}
    start = max(first.values())
    later = [end for end in ends.values() if end > start]
    return len(later) / (max(later) - start)


def solves_on_one_core(processes: int) -> list[float]:
    """Seconds of warm solves in processes whose numerics have one thread, as a sweep's workers have; all at once."""
    command = [sys.executable, "-m", "benchmarks.test_sweep"]
    settings, folder = {**os.environ, **environment(1, 0)}, Path(__file__).parents[1]
    running = [subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, cwd=folder) for _ in range(processes)]
    answers = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return [seconds for answer in answers for seconds in json.loads(answer)]


class Nothing:
    """An evaluator that does nothing."""

    def __init__(self, settings: EvaluatorSettings) -> None:
        self.layout, self.inputs = Layout({"volts": Variable("V", "voltage")}), "nothing"

    def evaluate(self, plan: Any, control: Any) -> Evaluation:
        return Evaluation({"volts": plan.pulses[0].voltage_v})


def test_ten_thousand_points_of_nothing(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What the framework itself costs for each point."""
    sweep = load_sweep(sweep_of(1, 10_000))

    def run() -> float:
        outcome = run_sweep(sweep, tmp_path / "out", make_evaluator=Nothing)
        assert outcome.done == 10_000
        return outcome.seconds

    seconds = benchmark.pedantic(run, rounds=1, iterations=1)
    benchmark.extra_info["milliseconds_per_point"] = seconds / 10_000 * 1e3


def _seconds(what: Any) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    configure_numerics()
    THE_SCENE = build_scene(load_plan(PLAN))
    solve_pulse(THE_SCENE, 0, RunControl())  # compiles
    # long enough that processes started together overlap; the first and last may not
    SECONDS = [_seconds(lambda: solve_pulse(THE_SCENE, 0, RunControl())) for _ in range(24)]
    print(json.dumps(SECONDS[8:16]))  # noqa: T201
