"""Sweeps in this process, with evaluators that cost nothing: what is stored, skipped, failed, cancelled and resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from porefield.meshes.errors import PlanError, PorefieldError, ResourceError
from porefield.workers.publish import OutputExistsError
from porefield.workers.store.files import BusyError
from porefield.workers.store.sweep_store import SweepStore, open_sweep
from porefield.workers.sweep.drive import resume_sweep, run_sweep
from porefield.workers.sweep.model import PointRecord, PointState
from porefield.workers.sweep.points import Points
from porefield.workers.sweep.progress import SweepProgress
from porefield.workers.sweep.spec import load_sweep

from .stub import PLAN, stub, voltages


def test_crossed_axes_become_labelled_dimensions(tmp_path: Path) -> None:
    sweep = load_sweep(
        {
            "plan": PLAN,
            "axes": [
                {"name": "shift", "field": "electrodes.A.shift_mm.x", "grid": {"start": -1, "stop": 1, "count": 3}},
                {"name": "voltage", "field": "pulses.*.voltage_v", "values": [900, 500]},
            ],
            "maps": ["zone"],
        }
    )
    outcome = run_sweep(sweep, tmp_path / "out", make_evaluator=stub())
    assert outcome.complete
    assert outcome.done == outcome.computed == 6
    with open_sweep(tmp_path / "out") as data:
        assert data["coverage"].dims == ("shift", "voltage", "target")
        assert data["voltage"].values.tolist() == [900, 500]
        assert data["coverage"].sel(shift=1, voltage=500, target="tumour").item() == 0.05
        assert (data["double_v"].sel(voltage=900) == 1800).all()
        assert data["zone"].dims == ("shift", "voltage", "x", "y", "z")
        assert (data["zone"].sel(voltage=900) == 900 % 200).all()
        assert data.attrs["complete"]
    table = pd.read_parquet(tmp_path / "out" / "points.parquet")
    assert table["state"].tolist() == ["done"] * 6
    assert table.loc[3, "coverage[tumour]"] == 0.05
    assert table.loc[3, "shift"] == 0


def test_a_point_that_fails_or_is_skipped_says_why_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    rule = {"require": "voltage != 700", "reason": "an unlucky number"}
    sweep = load_sweep(voltages(600, 700, 9500, 99_000, 800, constraints=[rule]))
    outcome = run_sweep(sweep, tmp_path / "out", make_evaluator=stub())
    assert (outcome.done, outcome.failed, outcome.skipped) == (2, 1, 2)
    records = SweepStore.open(tmp_path / "out").read_records()
    assert "an unlucky number" in (records[1].error or "")
    assert records[2].state is PointState.FAILED
    assert "pulses[0].voltage_v: expected less; got 9500" in (records[2].error or "")
    assert "voltage_v" in (records[3].error or "")
    with open_sweep(tmp_path / "out") as data:
        assert np.isnan(data["double_v"].values).tolist() == [False, True, True, True, False]


def test_a_cancelled_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    seen: list[SweepProgress] = []
    sweep, log = load_sweep(voltages(*range(100, 140))), tmp_path / "log"
    outcome = run_sweep(
        sweep,
        tmp_path / "out",
        make_evaluator=stub(log, seconds=0.05),
        on_progress=seen.append,
        cancelled=lambda: any(p.finished >= 3 for p in seen),
    )
    assert outcome.cancelled
    assert 3 <= outcome.done < 40
    with open_sweep(tmp_path / "out") as data:
        assert data.attrs["complete"] is False
    outcome = resume_sweep(tmp_path / "out", make_evaluator=stub(log))
    assert outcome.complete
    begun = [float(line) for line in log.read_text().splitlines()]
    assert len(begun) - len(set(begun)) <= 1  # the one that was stopped half way
    assert resume_sweep(tmp_path / "out", make_evaluator=stub(log)).computed == 0


def test_the_example_is_a_sweep() -> None:
    sweep = load_sweep(Path(__file__).parents[2] / "examples" / "sweep.yaml")
    points = Points.of(sweep)
    assert points.n == 20
    assert {points.skipped(i) is None for i in range(points.n)} == {True, False}


def test_failed_points_can_be_tried_again(tmp_path: Path) -> None:
    run_sweep(load_sweep(voltages(500, 9500)), tmp_path / "out", make_evaluator=stub())
    outcome = resume_sweep(tmp_path / "out", make_evaluator=stub(), retry_failed=True)
    assert outcome.computed == outcome.failed == 1


def test_a_half_written_record_does_not_count(tmp_path: Path) -> None:
    run_sweep(load_sweep(voltages(500, 600)), tmp_path / "out", make_evaluator=stub())
    record = tmp_path / "out" / "records" / "000" / "000001.json"
    record.write_bytes(record.read_bytes()[:40])
    assert resume_sweep(tmp_path / "out", make_evaluator=stub()).computed == 1


def test_a_point_that_kills_its_process_is_given_up_after_its_attempts(tmp_path: Path) -> None:
    out, evaluator = tmp_path / "out", stub(deadly_v=600)
    for _ in range(2):
        command = [sys.executable, "-m", "tests.sweep.driver", str(out)]
        assert subprocess.run(command, cwd=Path(__file__).parents[2]).returncode == -9
    outcome = resume_sweep(out, make_evaluator=evaluator)
    assert (outcome.done, outcome.failed) == (2, 1)
    record = SweepStore.open(out).read_record(1)
    assert record is not None
    assert record.attempts == 2
    assert "died" in (record.error or "")


def test_only_one_driver_at_a_time(tmp_path: Path) -> None:
    run_sweep(load_sweep(voltages(500)), tmp_path / "out", make_evaluator=stub())
    store = SweepStore.open(tmp_path / "out")
    with store.lease("someone"), pytest.raises(BusyError, match="run by someone"):
        resume_sweep(tmp_path / "out", make_evaluator=stub())
    assert not store.running()


def test_a_store_without_room_ends_a_sweep_with_that_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: SweepStore, record: PointRecord) -> None:
        raise ResourceError.of("out", "room to write a record", "none")

    monkeypatch.setattr(SweepStore, "write_record", full)
    with pytest.raises(ResourceError, match="room to write a record"):
        run_sweep(load_sweep(voltages(500)), tmp_path / "out", make_evaluator=stub())


def test_changed_inputs_are_refused(tmp_path: Path) -> None:
    run_sweep(load_sweep(voltages(500)), tmp_path / "out", make_evaluator=stub())
    with pytest.raises(ResourceError, match="start a new sweep"):
        resume_sweep(tmp_path / "out")  # the real evaluator's inputs are others than the stub's


def test_what_can_not_be_run_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="electrodes"):
        run_sweep(
            load_sweep({"plan": PLAN, "axes": [{"name": "a", "field": "electrodes.C.shift_mm.x", "values": [1]}]}),
            tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()
    run_sweep(load_sweep(voltages(500)), tmp_path / "out", make_evaluator=stub())
    with pytest.raises(OutputExistsError):
        run_sweep(load_sweep(voltages(500)), tmp_path / "out", make_evaluator=stub())
    with pytest.raises(PorefieldError, match="sweep"):
        resume_sweep(tmp_path / "nothing")


def test_a_design_has_a_point_dimension(tmp_path: Path) -> None:
    fields = {"pulses.*.voltage_v": {"uniform": [500, 1000]}, "electrodes.*.shift_mm.x": {"normal": {"sd": 0.1}}}
    sweep = load_sweep({"plan": PLAN, "design": {"method": "sobol", "points": 8, "fields": fields}})
    run_sweep(sweep, tmp_path / "out", make_evaluator=stub())
    with open_sweep(tmp_path / "out") as data:
        assert data["coverage"].dims == ("point", "target")
        assert data["electrodes.B.shift_mm.x"].dims == ("point",)
        drawn = data["pulses.0.voltage_v"]
        np.testing.assert_allclose(data["double_v"], 2 * drawn)
        assert 500 <= drawn.min() < 600 < 900 < drawn.max() <= 1000


def test_warm_starts_stay_within_the_tolerance_of_cold_ones(tmp_path: Path) -> None:
    volts = [600, 650, 700, 750]
    for name, warm in (("warm", True), ("cold", False)):
        outcome = run_sweep(load_sweep(voltages(*volts, warm_starts=warm, maps=["zone", "field"])), tmp_path / name)
        assert outcome.done == 4
        assert outcome.warm == (3 if warm else 0)
    with open_sweep(tmp_path / "warm") as warm_data, open_sweep(tmp_path / "cold") as cold_data:
        np.testing.assert_allclose(warm_data["current_a"], cold_data["current_a"], rtol=2e-6)
        np.testing.assert_allclose(warm_data["field"], cold_data["field"], rtol=1e-4, atol=1.0)
        assert (warm_data["newton_steps"][1:] < cold_data["newton_steps"][1:]).all()
