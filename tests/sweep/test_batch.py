"""Points side by side: the same dataset as one by one, full batches, and faults that stay with their point."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from porefield.kernels import spread
from porefield.kernels.batch_size import RESERVE, lane_bytes, padded_nodes
from porefield.kernels.grid import Grid
from porefield.meshes.errors import ResourceError
from porefield.meshes.memory import in_words
from porefield.meshes.plan import Plan
from porefield.service.sweep_cli import Where, executor_options
from porefield.workers.executors.interface import WorkerInfo
from porefield.workers.progress import RunCancelled, RunControl
from porefield.workers.store.sweep_store import SweepStore, open_sweep
from porefield.workers.sweep import evaluate, pulses
from porefield.workers.sweep.dispatch import Dispatch, Hand
from porefield.workers.sweep.drive import ExecutorSettings, create_sweep, resume_sweep, run_sweep
from porefield.workers.sweep.evaluate import EvaluatorSettings, PlanEvaluator
from porefield.workers.sweep.model import Evaluation, PointState
from porefield.workers.sweep.progress import SweepProgress, Tally
from porefield.workers.sweep.spec import load_sweep
from porefield.workers.sweep.work import PointTask, SweepWork

from .stub import PLAN, Stub, stub, voltages

BY_FOUR = ExecutorSettings(batch=4)
ME = WorkerInfo("me", "here", 0, 1)
GIB = 2**30


class BatchStub(Stub):
    """The stub, several points at once; a line of its log for each batch. 4 at once when nobody says."""

    def choose_batch(self) -> int:
        return 4

    def check_batch(self, batch: int) -> None:
        if batch > 8:
            raise ResourceError.of("batch", "at most 8", str(batch))

    def evaluate_many(self, plans: Sequence[Plan], control: RunControl, batch: int) -> list[Evaluation | Exception]:
        volts = [plan.pulses[0].voltage_v for plan in plans]
        assert len(plans) <= batch
        assert self._log is not None
        with Path(self._log).open("a") as file:
            file.write(" ".join(f"{v:g}" for v in volts) + "\n")
        log, self._log = self._log, None
        try:
            return [pulses.attempt(self.evaluate, plan, control) for plan in plans]
        finally:
            self._log = log


def make_batch_stub(log: str, seconds: float, settings: EvaluatorSettings) -> BatchStub:
    return BatchStub(settings, log, seconds, None)


def batch_stub(log: Path, seconds: float = 0.0) -> partial[BatchStub]:
    return partial(make_batch_stub, str(log), seconds)


def batches(log: Path) -> list[list[float]]:
    return [[float(v) for v in line.split()] for line in log.read_text().splitlines()]


# -- with the solver ---------------------------------------------------------------------------------------------------


def test_a_batched_sweep_gives_the_dataset_of_a_sweep_one_by_one(tmp_path: Path) -> None:
    """Two positions, five voltages: batches of 4, 4 and 2, the second over the end of a chain."""
    axes = [
        {"name": "shift", "field": "electrodes.A.shift_mm.x", "values": [-0.7, 0.2]},
        {"name": "voltage", "field": "pulses.*.voltage_v", "grid": {"start": 600, "stop": 800, "count": 5}},
    ]
    sweep = load_sweep({"plan": PLAN, "axes": axes, "maps": ["zone", "field"]})
    assert run_sweep(sweep, tmp_path / "one").warm == 9  # all but the first, the other position's too
    outcome = run_sweep(sweep, tmp_path / "four", executor=BY_FOUR)
    assert outcome.done == 10
    assert 0 < outcome.warm < 8  # of the first batch none; of the second those where the first one ended
    with open_sweep(tmp_path / "one") as one, open_sweep(tmp_path / "four") as four:
        # as of warm starts against cold ones in test_sweep.py: two solves to a residual of 1e-7
        np.testing.assert_allclose(four["current_a"], one["current_a"], rtol=2e-6)
        np.testing.assert_allclose(four["field"], one["field"], rtol=1e-4, atol=1.0)
        for name in ("volume_reversible_mm3", "target_coverage_reversible"):
            np.testing.assert_allclose(four[name], one[name], rtol=1e-3)
        assert (four["relative_residual"] <= 1e-7).all()
    assert set(pd.read_parquet(tmp_path / "four" / "points.parquet")["batch"]) == {4}
    assert set(pd.read_parquet(tmp_path / "one" / "points.parquet")["batch"]) == {1}


@pytest.mark.slow
def test_a_worker_on_ray_is_handed_whole_batches(tmp_path: Path) -> None:
    """By the command line, in a process of its own. The worker's batch reaches the driver when it joins: each line of
    the journal hands over four points, or eight."""
    pytest.importorskip("ray")
    file, out = tmp_path / "sweep.json", tmp_path / "out"
    file.write_text(json.dumps(voltages(*range(600, 760, 20))))
    script = Path(sys.executable).parent / "porefield"
    command = [str(script), "sweep", "run", str(file), "--out", str(out)]
    subprocess.run([*command, "--on", "ray", "--workers", "1", "--batch", "4", "--quiet"], check=True, timeout=240)
    store = SweepStore.open(out)
    records = store.read_records().values()
    assert [record.state for record in records] == [PointState.DONE] * 8
    assert {record.batch for record in records} == {4}
    handed = [len(event["points"]) for event in store.read_journal() if event["event"] == "begin"]
    assert sum(handed) == 8
    assert all(n % 4 == 0 for n in handed)


def test_a_point_that_fails_in_a_batch_fails_alone_and_says_why(tmp_path: Path) -> None:
    """One voltage that no plan may have, one needle in another, one point with a single Newton step."""
    fields = {
        "pulses.*.voltage_v": [600, 99_000, 650, 700, 750],
        "electrodes.A.shift_mm.x": [0, 0, 0, 7.7, 0],
        "solver.max_newton_steps": [60, 60, 1, 60, 60],
    }
    plan = PLAN | {"solver": {"max_newton_steps": 60}}
    sweep = load_sweep({"plan": plan, "axes": [{"name": "case", "fields": fields}], "warm_starts": False})
    outcome = run_sweep(sweep, tmp_path / "out", executor=BY_FOUR)
    assert (outcome.done, outcome.failed, outcome.skipped) == (2, 2, 1)
    records = SweepStore.open(tmp_path / "out").read_records()
    assert [records[i].state for i in (0, 4)] == [PointState.DONE] * 2
    assert "voltage_v" in (records[1].error or "")
    assert "pulse A-B: expected a relative residual of 1.0e-07" in (records[2].error or "")
    assert "electrodes" in (records[3].error or "")
    alone = run_sweep(load_sweep(voltages(750, warm_starts=False)), tmp_path / "alone")
    assert alone.done == 1
    ours, theirs = records[4].measures, SweepStore.open(tmp_path / "alone").read_records()[0].measures
    assert ours["current_a"][0] == pytest.approx(theirs["current_a"][0], rel=2e-6)


def test_a_fault_of_one_problem_in_the_solver_is_not_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pulses.solve_pulses

    def fault(scenes: Any, *args: Any, **named: Any) -> Any:
        if any(scene.pulses[0].voltage_v == 650 for scene in scenes):
            raise ArithmeticError("as asked")
        return real(scenes, *args, **named)

    monkeypatch.setattr(pulses, "solve_pulses", fault)
    outcome = run_sweep(load_sweep(voltages(600, 650, 700, 750)), tmp_path / "out", executor=BY_FOUR)
    assert (outcome.done, outcome.failed) == (3, 1)
    assert SweepStore.open(tmp_path / "out").read_records()[1].error == "ArithmeticError: as asked"


def test_points_that_differ_in_thresholds_only_are_solved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solved: list[int] = []
    real = pulses.solve_pulses

    def counted(scenes: Any, *args: Any, **named: Any) -> Any:
        solved.append(len(scenes))
        return real(scenes, *args, **named)

    monkeypatch.setattr(pulses, "solve_pulses", counted)
    axes = [
        {"name": "voltage", "field": "pulses.*.voltage_v", "values": [600, 700]},
        {"name": "threshold", "field": "tissues.liver.reversible_v_per_cm", "values": [300, 400]},
    ]
    outcome = run_sweep(load_sweep({"plan": PLAN, "axes": axes}), tmp_path / "out", executor=BY_FOUR)
    assert (outcome.done, outcome.warm) == (4, 2)
    assert solved == [2]
    with open_sweep(tmp_path / "out") as data:
        assert (data["current_a"].diff("threshold") == 0).all()
        assert (data["volume_reversible_mm3"].diff("threshold") < 0).all()


def test_memory_that_runs_out_names_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **named: Any) -> Any:
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(pulses, "solve_pulses", full)
    run_sweep(load_sweep(voltages(600, 650)), tmp_path / "out", executor=BY_FOUR)
    errors = {record.error for record in SweepStore.open(tmp_path / "out").read_records().values()}
    assert errors == {
        "batch: expected as many points as fit into memory; got 2 points of 16 x 16 x 16 voxels side by side, "
        "for which memory ran out"
    }


def test_the_batch_comes_from_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up devices with room for 10 points of 16^3 voxels beside the reserve, or for many."""
    evaluator = PlanEvaluator(EvaluatorSettings(PLAN, None, None))
    each = lane_bytes(padded_nodes(Grid((16, 16, 16), (1e-3, 1e-3, 1e-3))))
    for_ten = int(10.5 * each / (1 - RESERVE))
    assert evaluator.choose_batch() == 1  # a CPU
    monkeypatch.setattr(evaluate, "free_device_bytes", lambda: for_ten)
    assert evaluator.choose_batch() == 8
    evaluator.check_batch(10)
    with pytest.raises(ResourceError, match=rf"expected at most 10: each point takes {in_words(each)}, and"):
        evaluator.check_batch(11)
    monkeypatch.setattr(evaluate, "free_device_bytes", lambda: 60 * GIB)
    assert evaluator.choose_batch() == 64
    for module in (evaluate, spread):
        monkeypatch.setattr(module, "device_count", lambda: 4)
    assert evaluator.choose_batch() == 4 * 64
    monkeypatch.setattr(evaluate, "free_device_bytes", lambda: for_ten)
    evaluator.check_batch(40)
    with pytest.raises(ResourceError, match="at most 10: each point"):  # 41 can't be shared: all on one
        evaluator.check_batch(41)
    monkeypatch.setattr(evaluate, "free_device_bytes", lambda: None)
    monkeypatch.setattr(evaluate, "available_bytes", lambda: for_ten)
    with pytest.raises(ResourceError, match="at most 10"):
        evaluator.check_batch(11)


# -- without it --------------------------------------------------------------------------------------------------------


def test_batches_are_full_up_to_the_last(tmp_path: Path) -> None:
    """Three positions with three voltages each, points of which one is skipped and one fails."""
    axes = [
        {"name": "shift", "field": "electrodes.A.shift_mm.x", "values": [-1, 0, 1]},
        {"name": "voltage", "field": "pulses.*.voltage_v", "values": [100, 200, 9500]},
    ]
    rule = {"require": "shift + voltage != 200", "reason": "left out"}
    sweep = load_sweep({"plan": PLAN, "axes": axes, "constraints": [rule]})
    outcome = run_sweep(sweep, tmp_path / "out", make_evaluator=batch_stub(tmp_path / "log"))
    assert (outcome.done, outcome.failed, outcome.skipped) == (5, 3, 1)
    sizes = [len(batch) for batch in batches(tmp_path / "log")]
    assert sum(sizes) == 8
    assert sizes[0] == 4
    assert len(sizes) <= 3
    records = SweepStore.open(tmp_path / "out").read_records()
    assert {record.batch for record in records.values() if record.state is not PointState.SKIPPED} == {4}
    assert records[5].error == "pulses[0].voltage_v: expected less; got 9500.0"
    assert len({record.worker for record in records.values()}) == 1


def test_a_batch_is_no_larger_than_the_sweep_and_no_larger_than_fits(tmp_path: Path) -> None:
    run_sweep(load_sweep(voltages(100, 200, 300)), tmp_path / "few", make_evaluator=batch_stub(tmp_path / "log"))
    assert {r.batch for r in SweepStore.open(tmp_path / "few").read_records().values()} == {3}
    with pytest.raises(ResourceError, match="batch: expected at most 8; got 9"):
        run_sweep(
            load_sweep(voltages(*range(100, 120))),
            tmp_path / "many",
            executor=ExecutorSettings(batch=9),
            make_evaluator=batch_stub(tmp_path / "log"),
        )


def test_an_evaluator_that_takes_one_point_is_given_one(tmp_path: Path) -> None:
    sweep = load_sweep(voltages(100, 200, 300))
    assert run_sweep(sweep, tmp_path / "one", make_evaluator=stub()).done == 3
    with pytest.raises(ResourceError, match="batch: expected 1 with Stub, which evaluates points one by one; got 2"):
        run_sweep(sweep, tmp_path / "two", executor=ExecutorSettings(batch=2), make_evaluator=stub())


def test_what_a_worker_died_at_runs_by_itself(tmp_path: Path) -> None:
    """Else another point of its batch would be blamed the next time."""
    store, _ = create_sweep(load_sweep(voltages(*range(100, 106))), tmp_path / "out", make_evaluator=stub())
    work = SweepWork(store, batch_stub(tmp_path / "log"), ME)
    tasks = [PointTask(i, 2 if i == 2 else 1) for i in range(6)]
    assert [one.index for one in work.run(tasks, lambda: False, lambda _: None)] == list(range(6))
    assert batches(tmp_path / "log") == [[100, 101], [102], [103, 104, 105]]


def test_a_stop_leaves_nothing_of_the_batch_and_the_rest_is_resumed(tmp_path: Path) -> None:
    seen: list[SweepProgress] = []
    sweep, log = load_sweep(voltages(*range(100, 140))), tmp_path / "log"
    outcome = run_sweep(
        sweep,
        tmp_path / "out",
        make_evaluator=batch_stub(log, seconds=0.05),
        on_progress=seen.append,
        cancelled=lambda: any(p.finished >= 4 for p in seen),
    )
    assert outcome.cancelled
    assert 4 <= outcome.done < 40
    assert outcome.done % 4 == 0
    assert resume_sweep(tmp_path / "out", make_evaluator=batch_stub(log)).complete


def test_a_solve_of_a_batch_is_stopped_between_newton_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = PlanEvaluator(EvaluatorSettings(PLAN, None, None))
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6

    plans = [Plan.model_validate(PLAN | {"pulses": [PLAN["pulses"][0] | {"voltage_v": v}]}) for v in (500, 550, 600)]
    with pytest.raises(RunCancelled):
        evaluator.evaluate_many(plans, RunControl(cancelled=stop), 4)
    assert asked == 7


def test_seconds_of_a_point_are_those_of_its_batch_over_its_points(tmp_path: Path) -> None:
    evaluator = batch_stub(tmp_path / "log", seconds=0.05)  # for each point
    run_sweep(load_sweep(voltages(*range(100, 104))), tmp_path / "out", make_evaluator=evaluator)
    seconds = [record.seconds for record in SweepStore.open(tmp_path / "out").read_records().values()]
    assert all(0.05 <= s < 0.1 for s in seconds)


def dispatch_of(*chains: list[int]) -> Dispatch:
    """Only what `next_slice` looks at."""
    nothing: Any = None
    queue = deque(deque(chain) for chain in chains)
    return Dispatch(nothing, nothing, "", 3, Tally(100), nothing, lambda: False, queue)


def test_a_slice_fills_a_batch_from_several_chains() -> None:
    dispatch = dispatch_of([0, 1, 2], [3, 4, 5], [6, 7, 8])
    hand = Hand(batch=4)
    assert [dispatch.next_slice(hand) for _ in range(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8], []]
    one_by_one = dispatch_of([0, 1], [2])
    hand = Hand()
    assert [one_by_one.next_slice(hand) for _ in range(4)] == [[0], [1], [2], []]


def test_a_slice_of_fast_points_is_whole_batches() -> None:
    for batch, length in ((1, 10), (4, 12)):
        dispatch = dispatch_of(list(range(100)))
        dispatch.seconds, dispatch.tally.computed = 1.0, 10  # a tenth of a second each: 10 in a slice
        assert len(dispatch.next_slice(Hand(batch))) == length


def test_the_command_line_passes_the_batch_on() -> None:
    options = executor_options(Where.PROCESS, None, 1, 0, None, 4)
    assert ExecutorSettings(**options).batch == 4
    assert ExecutorSettings(**executor_options(Where.PROCESS, None, 1, 0, None)).batch is None
