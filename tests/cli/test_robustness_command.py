"""`porefield robustness` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from porefield.service.cli import app

from ..sweep.stub import PLAN

OPTIONS = ("--samples", "4", "--groups", "kind", "--shift-mm", "0.3", "--depth-mm", "0", "--tilt-deg", "0")


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    return path


def call(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object of a command."""
    result = CliRunner().invoke(app, ["robustness", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.slow
def test_a_plan_is_studied_and_its_report_is_there(plan_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    code, told = call(str(plan_file), "--out", str(out), *OPTIONS)
    assert code == 0
    assert told["ok"] is True
    summary = told["summary"]
    assert summary == json.loads((out / "robustness.json").read_text())
    assert summary["settings"]["placement"] == {"shift_mm": 0.3, "depth_mm": 0, "tilt_deg": 0, "together": False}
    assert summary["points"]["total"] == told["sweep"]["total"] == 20
    assert (out / "report.html").exists()

    code, told = call(str(plan_file), "--out", str(out), *OPTIONS)
    assert code == 2
    assert "resume" in told["error"]["message"]
    words = CliRunner().invoke(app, ["robustness", str(plan_file), "--out", str(out), *OPTIONS, "--resume"])
    assert words.exit_code == 0
    assert "lesion: covered whole in" in words.stdout
    assert f"look at {out}/report.html" in words.stdout


def test_wrong_settings_end_with_the_field_and_nothing_written(plan_file: Path, tmp_path: Path) -> None:
    code, told = call(str(plan_file), "--out", str(tmp_path / "study"), "--samples", "9")
    assert code == 3
    assert told["error"]["problems"][0]["field"] == "samples"
    code, told = call(str(plan_file), "--out", str(tmp_path / "study"), "--groups", "none")
    assert code == 3
    assert not (tmp_path / "study").exists()


def test_options_of_ray_without_ray_are_refused(plan_file: Path, tmp_path: Path) -> None:
    command = ["robustness", str(plan_file), "--out", str(tmp_path / "study"), "--workers", "2"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "--on ray" in result.output


def test_the_schema_of_robustness_files() -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema", "--robustness"]).stdout)
    assert {"plan", "placement", "conductivity", "threshold", "samples"} <= set(schema["properties"])
