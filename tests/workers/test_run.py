"""A run from plan to result: progress, cancellation, statuses, warnings, and the directory it writes."""

from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from porefield.kernels.solution import SolveStatus
from porefield.meshes import Note, PlanError, ResourceError, Scene, load_plan
from porefield.workers import (
    OutputExistsError,
    RunCancelled,
    RunProgress,
    RunResult,
    RunSummary,
    open_result,
    read_summary,
    run_plan,
    run_scene,
)

from .linear_field import LinearFieldSolver

write_whole = pytest.mark.usefixtures("no_pictures")


def test_progress_tells_each_newton_step_of_each_pulse(
    tiny_plan: dict[str, Any], linear_field: LinearFieldSolver
) -> None:
    seen: list[RunProgress] = []
    tiny_plan["generator"] = None
    run_plan(load_plan(tiny_plan), on_progress=seen.append)
    stages = [p.stage for p in seen]
    assert stages == ["prepare", *["solve"] * 8, "sample", "measure"]
    solving = [p for p in seen if p.step is not None]
    assert [(p.pulse_index, p.pulse_name, p.step) for p in solving] == [
        (i, name, step) for i, name in enumerate(("A-B", "A-C")) for step in (1, 2, 3)
    ]
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)


@pytest.mark.parametrize("as_event", [True, False])
def test_cancelling_stops_between_newton_steps(scene: Scene, linear_field: LinearFieldSolver, as_event: bool) -> None:
    event = threading.Event()
    linear_field.before_step = lambda: event.set() if len(linear_field.calls) == 2 else None
    with pytest.raises(RunCancelled, match="nothing was written"):
        run_scene(scene, cancelled=event if as_event else event.is_set)
    assert len(linear_field.calls) == 2


def test_currents_potentials_and_certificate(result: RunResult) -> None:
    first, second = result.summary["pulses"]
    assert first["currents_a"] == pytest.approx({"A": 5.0, "B": -5.0, "C": 0.0})
    assert first["electrode_potentials_v"] == {"A": 1000.0, "B": 0.0, "C": 500.0}
    assert (first["generator_current_a"], first["peak_power_w"]) == (5.0, 5000.0)
    assert second["currents_a"] == pytest.approx({"A": 2.5, "B": 0.0, "C": -2.5})
    assert first["solver"]["status"] == "converged"
    assert first["solver"]["newton_steps"] == [3]


def test_summary_is_its_schema_and_plain_json(result: RunResult) -> None:
    text = json.dumps(result.summary, allow_nan=False)
    assert RunSummary.model_validate_json(text) == result.report
    assert set(result.summary["versions"]) >= {"porefield", "jax", "python", "zarr"}
    assert result.summary["device"] == "test: closed form"
    assert result.summary["timings_s"]["total"] >= 0
    tissue = next(t for t in result.summary["tissues"] if t["name"] == "lump")
    assert {v["name"]: v["value"] for v in tissue["values"]}["reversible_v_per_cm"] == 600


def test_what_did_not_converge_says_so_first(scene: Scene, linear_field: LinearFieldSolver) -> None:
    linear_field.status = SolveStatus.STAGNATED
    result = run_scene(scene)
    assert not result.converged
    assert result.summary["status"] == "stagnated"
    assert result.summary["warnings"][0].startswith(
        "pulse A-B: the solver did not converge (stagnated, residual 1.0e-02"
    )
    assert result.summary["targets"]["lump"]["coverage"]["reversible"] is not None


def test_warnings_name_limits_and_the_plans_own(scene: Scene, linear_field: LinearFieldSolver) -> None:
    notes = (Note("small", "of no weight"), Note("grave", "think again", warning=True))
    scene = replace(scene, notes=notes, avoid={"block": 1200.0})
    report = run_scene(scene).report
    assert report.warnings[0] == "pulse A-B: 5 A exceeds the 4 A of small; about 800 V would draw what it delivers"
    assert report.warnings[1].startswith("block: 1550 V/cm exceeds its limit of 1200 V/cm")
    assert report.warnings[2:] == ["think again"]
    assert [n.kind for n in report.notes] == ["small", "grave"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")])
def test_memory_that_runs_out_names_the_grid(scene: Scene, linear_field: LinearFieldSolver, error: Exception) -> None:
    def fail() -> None:
        raise error

    linear_field.before_step = fail
    with pytest.raises(ResourceError, match=r"grid.spacing_mm: expected .* got 16 x 12 x 12 voxels"):
        run_scene(scene)


def test_other_errors_of_the_solver_are_not_disguised(scene: Scene, linear_field: LinearFieldSolver) -> None:
    def fail() -> None:
        raise RuntimeError("INTERNAL: something else")

    linear_field.before_step = fail
    with pytest.raises(RuntimeError, match="INTERNAL"):
        run_scene(scene)


def test_an_invalid_plan_fails_before_any_solve(tiny_plan: dict[str, Any], linear_field: LinearFieldSolver) -> None:
    tiny_plan["anatomy"]["phantom"]["tissue"] = "granite"
    with pytest.raises(PlanError, match=r"anatomy.phantom.tissue"):
        run_plan(load_plan(tiny_plan))
    assert not linear_field.calls


@write_whole
def test_written_directory_is_whole_and_reads_back(result: RunResult, tmp_path: Path) -> None:
    out = result.write(tmp_path / "out")
    assert sorted(os.listdir(out)) == ["coverage.png", "report.html", "result.zarr", "summary.json"]
    assert os.listdir(tmp_path) == ["out"]
    assert read_summary(out) == result.summary
    np.testing.assert_array_equal(open_result(out)["zone"], result.dataset()["zone"])
    assert open_result(out).attrs["porefield"]["summary"] == result.summary


@write_whole
def test_overwriting_replaces_results_only(result: RunResult, tmp_path: Path) -> None:
    out = result.write(tmp_path / "out")
    with pytest.raises(OutputExistsError):
        result.write(out)
    result.write(out, overwrite=True)
    (out / "my notes").write_text("mine")
    with pytest.raises(OutputExistsError, match="no run has written"):
        result.write(out, overwrite=True)
    assert (out / "my notes").exists()


@write_whole
def test_cancelling_the_writing_leaves_nothing(result: RunResult, tmp_path: Path) -> None:
    calls = iter([False] * 5 + [True] * 100)
    with pytest.raises(RunCancelled):
        result.write(tmp_path / "out", cancelled=lambda: next(calls))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("where", ["store", "report"])
def test_a_disk_that_fills_up_leaves_nothing(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(directory: Path | str, **_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "report":
        monkeypatch.setattr("porefield.workers.report.write_report", full)
    else:
        monkeypatch.setattr("porefield.workers.store.run_store.zarr.consolidate_metadata", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        result.write(tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_real_solve_of_two_needles(tiny_plan: dict[str, Any]) -> None:
    tiny_plan["generator"] = {"max_voltage_v": 900, "max_current_a": 1}
    result = run_plan(load_plan(tiny_plan))
    assert result.converged
    first, second = result.report.pulses
    currents = {name: a for name, a in first.currents_a.items() if a is not None}
    assert sum(currents.values()) == pytest.approx(0, abs=1e-5 * currents["A"])
    assert currents["C"] == pytest.approx(0, abs=1e-5 * currents["A"])  # floats
    assert currents["A"] > 0 > currents["B"]
    assert second.currents_a["C"] == pytest.approx(-(second.currents_a["A"] or 0), rel=1e-4)
    # constant conductivities: current is in proportion to voltage
    assert first.voltage_at_current_limit_v == pytest.approx(1000 / currents["A"], rel=0.01)
    volumes = result.summary["volumes_mm3"]
    assert 0 < volumes["irreversible"] < volumes["reversible"] < 16 * 12 * 12
    # air aside, what is not tissue is three needles of 1.2 mm, 5 mm bare, told from tissue by 4 x 4 x 4 points a voxel
    fraction = result.dataset()["tissue_fraction"].values[:, :, 1:]
    assert np.sum(1 - fraction) == pytest.approx(3 * np.pi * 0.6**2 * 5, rel=0.15)
