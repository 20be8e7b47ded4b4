"""`porefield sweep ...` as a user types it: one tiny real sweep through all commands."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from porefield.service.cli import app
from porefield.service.sweep_display import detail_of, duration
from porefield.workers.store.sweep_store import SweepStore
from porefield.workers.sweep.progress import SweepProgress

PLAN = {
    "anatomy": {
        "phantom": {"size_mm": [16, 16, 16], "tissue": "liver"},
        "add": [{"tissue": "tumour", "name": "lesion", "sphere": {"centre_mm": [8, 8, 8], "radius_mm": 3}}],
    },
    "grid": {"spacing_mm": 1.0},
    "electrodes": [
        {"name": "A", "needle": {"tip_mm": [4, 8, 12], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 8}},
        {"name": "B", "needle": {"tip_mm": [12, 8, 12], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 8}},
    ],
    "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 800}],
    "targets": ["lesion"],
}


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    axes = [{"name": "voltage", "field": "pulses.*.voltage_v", "values": [600, 700, 99_000]}]
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({"plan": "plan.yaml", "axes": axes}))
    return path


def call(*arguments: str) -> tuple[int, dict[str, object]]:
    """Exit code and the JSON object of a command."""
    result = CliRunner().invoke(app, ["sweep", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_sweep_from_validation_to_its_table(sweep_file: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    code, told = call("validate", str(sweep_file))
    assert code == 0
    assert told["sweep"]["points"] == 3  # type: ignore[index]
    assert sum(told["sweep"]["skipped"].values()) == 1  # type: ignore[index]

    code, told = call("run", str(sweep_file), "--out", out)
    assert code == 0
    assert told["outcome"]["done"] == 2  # type: ignore[index]

    code, told = call("run", str(sweep_file), "--out", out)
    assert code == 2  # it is there already

    SweepStore.open(out).remove_records([1])
    code, told = call("status", out)
    assert told["status"]["finished"] == 2  # type: ignore[index]
    assert told["status"]["running"] is False  # type: ignore[index]

    code, told = call("resume", out)
    assert told["outcome"]["computed"] == 1  # type: ignore[index]

    code, told = call("cancel", out)
    assert (code, told["running"]) == (0, False)

    code, told = call("export", out)
    assert code == 0
    table = pd.read_parquet(tmp_path / "out" / "points.parquet")
    assert table["state"].tolist() == ["done", "done", "skipped"]
    assert table["target_coverage_reversible[lesion]"].notna().tolist() == [True, True, False]


def test_errors_name_the_field(sweep_file: Path, tmp_path: Path) -> None:
    text = sweep_file.read_text().replace("voltage_v", "volts")
    sweep_file.write_text(text)
    code, told = call("run", str(sweep_file), "--out", str(tmp_path / "out"))
    assert code == 3
    assert "volts" in told["error"]["problems"][0]["field"]  # type: ignore[index]
    assert not (tmp_path / "out").exists()
    code, told = call("status", str(tmp_path / "nothing"))
    assert code == 3
    assert told["error"]["problems"][0]["field"] == "sweep"  # type: ignore[index]


def test_progress_in_words() -> None:
    progress = SweepProgress("run", 100, done=10, failed=2, rate_per_s=0.5, seconds_left=176, workers=2)
    assert detail_of(progress) == "0.5 points/s, 2.9 min left, 2 failed, 2 workers"
    assert duration(90_000) == "25.0 h"
