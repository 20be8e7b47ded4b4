"""Each command's output and exit code, for people and for machines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from porefield.kernels.solution import SolveStatus
from porefield.meshes import Plan, load_plan
from porefield.service.cli import app
from porefield.workers import RunSummary

from ..workers.linear_field import TINY_PLAN, LinearFieldSolver


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def edited(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(TINY_PLAN | changes))
    return path


def test_version_and_help() -> None:
    assert call("--version").output.strip() == "0.1.0"
    text = " ".join(call("--help").output.split())
    for word in ("run", "validate", "report", "schema", "tissues", "Exit codes", "not a medical device"):
        assert word in text
    assert call().exit_code == 2


def test_run_writes_and_tells_in_tables(plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver) -> None:
    done = call("run", plan_file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(os.listdir(tmp_path / "out")) == ["coverage.png", "report.html", "result.zarr", "summary.json"]
    for words in (
        "A-B",
        "exceeded, about 800 V would fit",
        "lump",
        "100.0 %",
        "warning: pulse A-B",
        "volumes: reversible",
    ):
        assert words in done.output
    assert sorted(os.listdir(tmp_path)) == ["out", "plan.json"]


def test_run_json_is_one_object_with_progress_lines_beside_it(
    plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver
) -> None:
    done = call("run", plan_file, "--out", tmp_path / "out", "--json")
    told = json.loads(done.stdout)
    assert (told["ok"], told["exit_code"], told["out"]) == (True, 0, str(tmp_path / "out"))
    assert RunSummary.model_validate(told["summary"]).status is SolveStatus.CONVERGED
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {e["event"] for e in events} == {"progress"}
    assert [e["stage"] for e in events][-1] == "write"
    assert any(e["pulse_name"] == "A-C" and e["step"] == 3 and 0 < e["fraction"] <= 1 for e in events)


def test_quiet_prints_nothing(plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver) -> None:
    done = call("run", plan_file, "--out", tmp_path / "out", "--quiet")
    assert (done.exit_code, done.output) == (0, "")


def test_not_converged_is_written_and_has_its_own_exit_code(
    plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver
) -> None:
    linear_field.status = SolveStatus.OUT_OF_ITERATIONS
    done = call("run", plan_file, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["ok"] is False
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "out_of_iterations"
    assert "out_of_iterations" in call("run", plan_file, "--out", tmp_path / "again").output


def test_existing_output_is_refused_before_solving(
    plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("")
    for options in ((), ("--overwrite",)):
        done = call("run", plan_file, "--out", tmp_path / "out", *options)
        assert done.exit_code == 2
        assert "error: out: expected" in done.stderr
    assert not linear_field.calls
    assert os.listdir(tmp_path / "out") == ["precious"]


def test_overwrite_replaces_a_result(plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver) -> None:
    assert call("run", plan_file, "--out", tmp_path / "out").exit_code == 0
    (tmp_path / "out" / "report.html").write_text("old")
    assert call("run", plan_file, "--out", tmp_path / "out").exit_code == 2
    assert call("run", plan_file, "--out", tmp_path / "out", "--overwrite").exit_code == 0
    assert (tmp_path / "out" / "report.html").read_text() != "old"


@pytest.mark.parametrize("command", ["run", "validate"])
def test_an_invalid_plan_is_told_by_field(plan_file: Path, tmp_path: Path, command: str) -> None:
    edited(plan_file, pulses=[{"anode": ["A"], "cathode": ["Z"], "voltage_v": -5}])
    options = ("--out", tmp_path / "out") if command == "run" else ()
    for_people = call(command, plan_file, *options)
    assert for_people.exit_code == 3
    assert "error: pulses[0].voltage_v: expected" in for_people.stderr
    for_machines = call(command, plan_file, *options, "--json")
    assert for_machines.exit_code == 3
    told = json.loads(for_machines.stdout)
    assert (told["ok"], told["exit_code"], told["error"]["kind"]) == (False, 3, "PlanError")
    problem = next(p for p in told["error"]["problems"] if p["field"] == "pulses[0].voltage_v")
    assert problem["expected"]
    assert "-5" in problem["got"]
    assert not (tmp_path / "out").exists()


def test_a_missing_plan_and_a_missing_anatomy_are_told(plan_file: Path, tmp_path: Path) -> None:
    assert call("validate", tmp_path / "none.yaml").exit_code == 3
    anatomy = {"label_map": {"path": "none.nii.gz", "names": "totalsegmentator", "background": "fat"}}
    edited(plan_file, anatomy=anatomy, targets=[], avoid={})
    done = call("validate", plan_file, "--json")
    assert done.exit_code == 3
    assert "none.nii.gz" in done.stdout


def test_unexpected_errors_are_json_too_and_keep_their_traceback(
    plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by chance")

    linear_field.before_step = fail
    done = call("run", plan_file, "--out", tmp_path / "out", "--json")
    assert isinstance(done.exception, ZeroDivisionError)
    assert json.loads(done.stdout)["error"] == {"kind": "ZeroDivisionError", "message": "by chance", "problems": []}
    assert not (tmp_path / "out").exists()


def test_memory_that_runs_out_has_its_exit_code(
    plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver
) -> None:
    def fail() -> None:
        raise MemoryError

    linear_field.before_step = fail
    done = call("run", plan_file, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 5
    assert json.loads(done.stdout)["error"]["problems"][0]["field"] == "grid.spacing_mm"


def test_validate_says_what_was_understood(plan_file: Path) -> None:
    text = " ".join(call("validate", plan_file).output.split())
    for words in (
        "16 x 12 x 12 = 2,304 voxels",
        "lump target 64",
        "block avoid",
        "1500",
        "tip at (3, 6, 9)",
        "A-B A B C 1000",
    ):
        assert words in text
    told = json.loads(call("validate", plan_file, "--json").stdout)
    plan = told["plan"]
    assert plan["memory_bytes"] > 0
    assert plan["grid"]["shape"] == [16, 12, 12]
    assert {s["name"]: s["role"] for s in plan["structures"]} == {"lump": "target", "block": "avoid"}
    assert next(t for t in plan["tissues"] if t["name"] == "air")["reversible_v_per_cm"] is None
    assert plan["pulses"][0]["floating"] == ["C"]


def test_plans_in_yaml_with_paths_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(TINY_PLAN))
    assert call("validate", path, "--json").exit_code == 0


def test_schema_is_a_json_schema_of_plans_and_summaries() -> None:
    plan_schema = json.loads(call("schema").stdout)
    assert plan_schema == json.loads(json.dumps(Plan.model_json_schema()))
    assert {"anatomy", "electrodes", "pulses"} <= set(plan_schema["properties"])
    assert "volumes_mm3" in json.loads(call("schema", "--summary").stdout)["properties"]


def test_tissues_lists_the_library_with_sources() -> None:
    library = json.loads(call("tissues", "--json").stdout)
    value = library["liver"]["values"]["reversible_v_per_cm"]
    assert {"value", "unit", "source", "status", "confidence"} <= set(value)
    text = call("tissues").output
    assert all(name in text for name in library)


def test_one_tissue_is_shown_with_ranges_sources_and_its_law(tmp_path: Path) -> None:
    shown = call("tissues", "--show", "liver").stdout
    for words in ("320 to 460", "Go-Smart", "unverified", "reversible, 320 to 460", "868 V/cm", "metabolic_heat"):
        assert words in shown
    assert all(line.count("|") == 1 for line in shown.splitlines() if "\N{BRAILLE PATTERN BLANK}" in line)
    picture = tmp_path / "liver.png"
    call("tissues", "--show", "liver", "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "20 um" in call("tissues", "--show", "stratum_corneum").stdout
    told = json.loads(call("tissues", "--show", "liver", "--json").stdout)
    assert told["liver"]["values"]["irreversible_v_per_cm"]["range"]["high"] == 723
    for wrong in (("--show", "livr"), ("--plot", str(picture)), ("--show", "liver", "--plot", str(tmp_path / "a.txt"))):
        assert call("tissues", *wrong).exit_code == 2


def test_report_makes_the_pages_again(
    plan_file: Path, tmp_path: Path, linear_field: LinearFieldSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("run", plan_file, "--out", tmp_path / "out")
    (tmp_path / "out" / "report.html").unlink()
    (tmp_path / "out" / "notes.txt").write_text("a reader's own file is no obstacle")
    done = call("report", tmp_path / "out")
    assert done.exit_code == 0
    assert done.output.strip() == str(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "report.html").exists()
    refused = call("report", tmp_path)
    assert refused.exit_code == 2
    assert "porefield run" in " ".join(refused.output.split())


def test_the_same_plan_gives_the_same_numbers_from_python(plan_file: Path, linear_field: LinearFieldSolver) -> None:
    from porefield.workers import run_plan

    summary = run_plan(load_plan(plan_file)).summary
    told = json.loads(call("run", plan_file, "--out", plan_file.parent / "out", "--json").stdout)["summary"]
    for part in ("volumes_mm3", "targets", "avoid", "pulses", "warnings"):
        assert told[part] == summary[part]
