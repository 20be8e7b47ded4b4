"""Fibres, contacts and sheets from a plan to its summary and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porefield.meshes import load_plan
from porefield.workers import run_plan
from porefield.workers.describe import describe_plan
from porefield.workers.report_data import read_result
from porefield.workers.report_tables import series_table, tissues_table
from porefield.workers.sweep.fields import apply_fields


@pytest.fixture
def plates() -> dict[str, Any]:
    """A bar of two tissues of 8 mm each between plates: 100 V, 5 x 5 mm."""
    plate = {"normal": [1, 0, 0], "up": [0, 0, 1], "width_mm": 20, "height_mm": 20, "thickness_mm": 2}
    law = {"law": "constant", "conductivity_s_per_m": 0.1}
    thresholds = {"reversible_v_per_cm": 20, "irreversible_v_per_cm": 2000}
    return {
        "anatomy": {
            "phantom": {"size_mm": [18, 5, 5], "tissue": "left"},
            "add": [{"tissue": "right", "box": {"from_mm": [9, 0, 0], "to_mm": [18, 5, 5]}}],
        },
        "grid": {"spacing_mm": 1.0},
        "tissues": {
            "left": {"conductivity": law, **thresholds, "anisotropy": {"along": [1, 0, 0], "ratio": 4}},
            "right": {"conductivity": law, **thresholds},
        },
        "sheets": [{"between": ["left", "right"], "resistance_ohm_cm2": 300}],
        "electrodes": [
            {"name": "A", "plate": {"centre_mm": [0, 2.5, 2.5], **plate}, "contact_resistance_ohm_cm2": 200},
            {"name": "B", "plate": {"centre_mm": [18, 2.5, 2.5], **plate}},
        ],
        "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 100}],
        "targets": ["left"],
    }


def test_a_bar_with_fibres_contact_and_sheet(plates: dict[str, Any], tmp_path: Path) -> None:
    """100 V over 0.02 (contact) + 0.02 (8 mm along fibres) + 0.03 (sheet) + 0.08 (8 mm) = 0.15 ohm m2: 667 A/m2."""
    result = run_plan(load_plan(plates))
    assert result.converged
    pulse = result.report.pulses[0]
    assert pulse.generator_current_a == pytest.approx(100 / 0.15 * 25e-6, rel=1e-5)
    assert pulse.contact_drops_v == {"A": pytest.approx(100 / 0.15 * 0.02, rel=1e-5)}
    # the true |E| along the fibres: 667 A/m2 over 0.4 S/m = 16.7 V/cm everywhere in the target
    field = result.report.targets["left"].field_v_per_cm
    assert field.min == pytest.approx(100 / 0.15 / 0.4 / 100, rel=1e-3)
    assert field.max == pytest.approx(100 / 0.15 / 0.4 / 100, rel=1e-3)
    assert result.report.contact_resistance_ohm_cm2 == {"A": pytest.approx(200)}
    (sheet,) = result.report.sheets
    assert (sheet.between, sheet.resistance_ohm_cm2) == (["left", "right"], pytest.approx(300))
    fibres = {t["name"]: t["anisotropy"] for t in result.report.tissues}
    assert fibres == {"left": {"along": [1, 0, 0], "ratio": 4}, "right": None}
    found = read_result(result.write(tmp_path / "out"))
    table = series_table(found)
    assert table is not None
    assert "contact of A" in table
    assert "sheet between left and right, in left" in table
    assert "conductivity along the fibres" in tissues_table(found)
    assert "contact of A" in (tmp_path / "out" / "report.html").read_text()


def test_a_plain_result_has_no_such_table(plates: dict[str, Any]) -> None:
    description = describe_plan(load_plan(plates))
    assert [t.anisotropy for t in description.tissues] == [{"along": [1, 0, 0], "ratio": 4}, None]
    del plates["sheets"], plates["electrodes"][0]["contact_resistance_ohm_cm2"], plates["tissues"]["left"]["anisotropy"]
    report = run_plan(load_plan(plates)).report
    assert (report.contact_resistance_ohm_cm2, report.sheets) == ({}, [])
    assert report.pulses[0].contact_drops_v is None


def test_sweeps_reach_them_by_path(plates: dict[str, Any]) -> None:
    plan = load_plan(plates).model_dump(mode="json")
    apply_fields(
        plan,
        {
            "tissues.left.anisotropy.ratio": 6,
            "electrodes.A.contact_resistance_ohm_cm2": 50,
            "sheets[0].resistance_ohm_cm2": 70,
        },
    )
    changed = load_plan(plan)
    assert changed.tissues["left"].anisotropy is not None
    assert changed.tissues["left"].anisotropy.ratio == 6
    assert changed.electrodes[0].contact_resistance_ohm_cm2 == 50
    assert changed.sheets[0].resistance_ohm_cm2 == 70
