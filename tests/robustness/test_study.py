"""A whole study of a small plan: its directory, its report, being stopped and gone on with, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porefield.meshes.errors import PlanError
from porefield.workers.publish import OutputExistsError
from porefield.workers.robustness.report import write_robustness_report
from porefield.workers.robustness.run import RobustnessOutcome, run_robustness
from porefield.workers.robustness.settings import load_robustness
from porefield.workers.robustness.summary import RobustnessSummary
from porefield.workers.store.run_store import open_maps, open_result
from porefield.workers.sweep.progress import SweepProgress

from ..sweep.stub import PLAN

SETTINGS: dict[str, Any] = {
    "samples": 4,
    "groups": "kind",
    "placement": {"shift_mm": 0.4, "depth_mm": 0.5, "tilt_deg": 1},
}
POINTS = 4 * (3 + 2)


def settings(**plan: Any) -> Any:
    title = "<needles & errors>"
    return load_robustness(
        {"plan": {**PLAN, "title": title, "avoid": {"liver": {"max_v_per_cm": 900}}, **plan}, **SETTINGS}
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RobustnessOutcome:
    return run_robustness(settings(), tmp_path_factory.mktemp("study") / "study")


def test_the_directory_holds_all_that_is_described(done: RobustnessOutcome) -> None:
    study = Path(done.out)
    names = {path.name for path in study.iterdir()}
    assert names == {"nominal", "sweep", "probability.zarr", "probability.png", "robustness.json", "report.html"}
    summary = RobustnessSummary.model_validate_json((study / "robustness.json").read_text())
    assert summary == done.summary
    assert summary.points == {"total": POINTS, "done": POINTS, "failed": 0, "skipped": 0}
    assert summary.draws == summary.draws_with_result == 8
    with open_maps(study / "probability.zarr") as maps, open_result(study / "nominal") as nominal:
        probability = maps["probability_reversible"]
        assert probability.dims == nominal["zone"].dims
        assert probability.dtype == "float32"
        assert float(probability.max()) == 1
        assert (probability.fillna(0) * 8 % 1 == 0).mean() > 0.9  # shares of eight draws where none is metal
        # never covered far from the needles; the plan's own zone is likely
        assert float(probability.where(nominal["zone"] == 2).mean()) > 0.8
        assert (maps["probability_irreversible"].fillna(0) <= probability.fillna(0)).all()


def test_the_plan_as_it_stands_is_told_beside_the_draws(done: RobustnessOutcome) -> None:
    assert done.summary is not None
    nominal = json.loads((Path(done.out) / "nominal" / "summary.json").read_text())
    measure = done.summary.measure("target_coverage_reversible[lesion]")
    assert measure.planned == pytest.approx(nominal["targets"]["lesion"]["coverage"]["reversible"])
    current = done.summary.measure("generator_current_a[A-B]")
    assert current.planned == pytest.approx(nominal["pulses"][0]["generator_current_a"])
    assert len(current.values) == 8
    assert current.sd is not None
    assert current.sd > 0


def test_the_report_is_one_page_that_says_what_it_rests_on(done: RobustnessOutcome) -> None:
    page = (Path(done.out) / "report.html").read_text()
    assert "&lt;needles &amp; errors&gt;" in page
    assert "<needles" not in page
    for words in (
        "no medical device",
        "Target: lesion",
        "To spare: liver",
        "Probability of coverage",
        "What the spread is due to",
        "How far the estimates have settled",
        "tissues.tumour.threshold_scale",
        "Draws without a result",
    ):
        assert words in page
    assert page.count("<img ") == 4
    assert "http" not in page.split("<body>")[1]
    assert 'class="doubt"' in page  # spreads without a source are marked


def test_a_report_can_be_made_again_from_the_directory(done: RobustnessOutcome) -> None:
    page = Path(done.out) / "report.html"
    before = page.read_text()
    page.unlink()
    write_robustness_report(Path(done.out))
    assert page.read_text() == before


def test_a_stopped_study_goes_on_and_ends_as_an_undisturbed_one(done: RobustnessOutcome, tmp_path: Path) -> None:
    seen: list[SweepProgress] = []
    stopped = run_robustness(
        settings(), tmp_path / "study", on_progress=seen.append, cancelled=lambda: any(p.finished >= 3 for p in seen)
    )
    assert stopped.summary is None
    assert not (tmp_path / "study" / "report.html").exists()
    with pytest.raises(OutputExistsError, match="leave to resume"):
        run_robustness(settings(), tmp_path / "study")
    again = run_robustness(settings(), tmp_path / "study", resume=True)
    assert again.summary is not None
    assert done.summary is not None
    assert again.sweep.computed == POINTS - stopped.sweep.done
    for mine, other in zip(again.summary.measures, done.summary.measures, strict=True):
        assert mine.mean == pytest.approx(other.mean, rel=1e-4, abs=1e-6)
    other_plan = settings(pulses=[{"anode": ["A"], "cathode": ["B"], "voltage_v": 700}])
    with pytest.raises(PlanError, match="plan differ"):
        run_robustness(other_plan, tmp_path / "study", resume=True)


def test_draws_that_can_not_be_placed_are_told_and_not_counted(tmp_path: Path) -> None:
    close = [
        {"name": n, "needle": {"tip_mm": [x, 8, 12], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 8}}
        for n, x in (("A", 7.0), ("B", 8.4))
    ]
    outcome = run_robustness(settings(electrodes=close), tmp_path / "study")
    assert outcome.summary is not None
    summary = outcome.summary
    assert 0 < summary.draws_with_result < summary.draws
    assert any("a gap of at least" in reason for reason in summary.failures)
    assert summary.whole["lesion"].points == summary.draws_with_result
    page = (tmp_path / "study" / "report.html").read_text()
    assert "count in no probability" in page
    assert "a gap of at least" in page


def test_what_can_not_be_studied_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="targets: expected a target"):
        run_robustness(settings(targets=[]), tmp_path / "study")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="holds no study"):
        run_robustness(settings(), tmp_path / "other")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "study").exists()
