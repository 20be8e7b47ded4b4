"""`porefield sweep ...` as a user types it: one tiny real sweep through all commands."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from porefield.meshes.plan import Plan
from porefield.service.cli import app
from porefield.service.sweep_cli import Where, executor_options
from porefield.service.sweep_display import detail_of, duration
from porefield.workers.progress import RunControl
from porefield.workers.store.sweep_store import SweepStore
from porefield.workers.sweep import drive
from porefield.workers.sweep.evaluate import EvaluatorSettings
from porefield.workers.sweep.model import Evaluation
from porefield.workers.sweep.progress import SweepProgress

from ..sweep.stub import Stub

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


@pytest.mark.slow
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


class Interrupted(Stub):
    """Sends its process a Ctrl-C while it computes a point."""

    def evaluate(self, plan: Plan, control: RunControl) -> Evaluation:
        os.kill(os.getpid(), signal.SIGINT)
        return super().evaluate(plan, control)


def stub_drive(monkeypatch: pytest.MonkeyPatch, kind: type[Stub]) -> None:
    """Let the commands compute points with a stub that costs nothing."""

    def make(settings: EvaluatorSettings) -> Stub:
        return kind(settings, None, 0.0, None)

    for name in ("run_sweep", "resume_sweep"):
        monkeypatch.setattr(drive, name, partial(getattr(drive, name), make_evaluator=make))


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    stub_drive(monkeypatch, Stub)


def test_run_with_resume_begins_or_goes_on_with_the_same_sweep(stubbed: None, sweep_file: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    again = ("run", str(sweep_file), "--out", out, "--resume")
    code, told = call(*again)
    assert (code, told["outcome"]["computed"]) == (0, 3)  # type: ignore[index]
    SweepStore.open(out).remove_records([0])
    code, told = call(*again)
    assert (code, told["outcome"]["computed"]) == (0, 1)  # type: ignore[index]

    sweep_file.write_text(sweep_file.read_text().replace("700", "750"))
    code, told = call(*again)
    assert code == 3
    assert "axes differ" in told["error"]["problems"][0]["got"]  # type: ignore[index]


def test_failed_points_have_their_exit_code_unless_accepted(stubbed: None, sweep_file: Path, tmp_path: Path) -> None:
    sweep_file.write_text(sweep_file.read_text().replace("700", "9500"))
    out = str(tmp_path / "out")
    code, told = call("run", str(sweep_file), "--out", out)
    assert (code, told["ok"]) == (4, False)
    assert told["outcome"]["failed"] == 1  # type: ignore[index]
    code, told = call("resume", out, "--accept-failed", "--retry-failed")
    assert (code, told["ok"]) == (0, True)
    assert told["outcome"]["computed"] == 1  # type: ignore[index]


def test_another_driver_is_a_matter_of_usage(stubbed: None, sweep_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("run", str(sweep_file), "--out", str(out))[0] == 0
    with SweepStore.open(out).lease("somebody"):
        code, told = call("resume", str(out))
        assert code == 2
        assert "somebody" in told["error"]["message"]  # type: ignore[index]
        assert call("cancel", str(out))[1]["running"] is True
        assert SweepStore.open(out).cancel_requested()


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, sweep_file: Path, tmp_path: Path
) -> None:
    stub_drive(monkeypatch, Interrupted)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["sweep", "run", str(sweep_file), "--out", str(out)])
    assert done.exit_code == 130
    text = " ".join(done.output.split())
    assert "1 of 3 points finished: 1 done" in text
    assert "porefield sweep resume" in text
    stub_drive(monkeypatch, Stub)
    code, told = call("resume", str(out))
    assert (code, told["outcome"]["computed"]) == (0, 2)  # type: ignore[index]


def test_options_without_effect_are_refused(sweep_file: Path, tmp_path: Path) -> None:
    arguments = ["sweep", "run", str(sweep_file), "--out", str(tmp_path / "out"), "--workers", "2"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "--on ray" in " ".join(done.output.split())
    for more, expected in ((["--address", "auto"], "--on ray"), (["--gpus", "1"], "--workers beside --gpus")):
        done = CliRunner().invoke(app, [*arguments[:-2], "--on", "processes", *more])
        assert done.exit_code == 2
        assert expected in " ".join(done.output.replace("│", " ").split())
    options = executor_options(Where.PROCESSES, 2, 1, 0, None)
    assert (options["kind"], options["workers"]) == ("processes", 2)


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
