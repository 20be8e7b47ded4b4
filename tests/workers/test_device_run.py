"""Devices and protocols through a run: what summary and report say of them, in a field known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porefield.meshes import build_scene, load_plan
from porefield.workers import run_scene
from porefield.workers.describe import describe_plan
from porefield.workers.report import _generator
from porefield.workers.report_data import read_result
from porefield.workers.report_devices import devices_table, protocol_table
from porefield.workers.report_tables import currents_table

POSE = {"tip_mm": [8, 6, 9], "direction": [0, 0, 1]}


@pytest.fixture
def plan(tiny_plan: dict[str, Any]) -> dict[str, Any]:
    """Rows of one needle each, 6 mm apart, 1500 V/cm of that: 900 V."""
    device = {"name": "needle_rows", **POSE, "set": {"needles_per_row": 1, "row_gap_mm": 6, "exposed_mm": 5}}
    tiny_plan["electrodes"] = [{"name": "rows", "device": device}]
    del tiny_plan["pulses"]
    tiny_plan["protocol"] = {"name": "ire_pairs", "set": {"width_us": 100}}
    return tiny_plan


def test_a_summary_holds_the_pulses_and_where_all_numbers_come_from(plan: dict[str, Any], linear_field: Any) -> None:
    report = run_scene(build_scene(load_plan(plan))).report
    (pulse,) = report.pulses
    assert (pulse.name, pulse.anodes, pulse.cathodes) == ("rows.a1-rows.b1", ["rows.a1"], ["rows.b1"])
    assert (pulse.voltage_v, pulse.count, pulse.width_us, pulse.frequency_hz) == (900, 90, 100, 1.5)
    assert pulse.spacing_mm == pytest.approx(6)
    # 5 mA/V: 4.5 A of 4 A, which 800 V draw
    assert pulse.within_generator_limits is False
    assert pulse.voltage_at_current_limit_v == pytest.approx(800, rel=0.01)
    assert any("rows.a1-rows.b1: 4.5 A exceeds the 4 A" in warning for warning in report.warnings)
    (device,) = report.devices
    values = {value["name"]: value for value in device["values"]}
    assert (device["name"], device["device"]) == ("rows", "needle_rows")
    assert (values["row_gap_mm"]["source"], values["row_gap_mm"]["verified"]) == ("plan", True)
    assert values["diameter_mm"]["verified"] is False
    assert report.protocol is not None
    assert {v["name"]: v["value"] for v in report.protocol["values"]}["ratio_v_per_cm"] == 1500
    said = {note.kind: note.message for note in report.notes}
    assert "diameter_mm 0.7 (recall)" in said["unverified_device"]
    assert "width_us" not in said["unverified_protocol"]
    assert "spacings of 10 to 25 mm: rows.a1-rows.b1 6 mm" in said["spacing_unusual"]


def test_a_report_tells_the_same(plan: dict[str, Any], linear_field: Any, no_pictures: None, tmp_path: Path) -> None:
    plan["generator"] = {"max_voltage_v": 3000, "max_current_a": 4, "max_width_us": 100, "channels": 6}
    run_scene(build_scene(load_plan(plan))).write(tmp_path / "out")
    result = read_result(tmp_path / "out")
    devices, protocol = devices_table(result), protocol_table(result)
    assert devices is not None
    assert protocol is not None
    assert "rows: Two rows of needles (type II)" in devices
    assert "gap between rows" in devices
    assert devices.count("unverified") == 4
    assert "voltage over spacing" in protocol
    assert "Radiol Oncol 49:234" in protocol
    currents = currents_table(result)
    assert "6 mm apart" in currents
    assert "would fit" in currents
    assert "100 \N{MICRO SIGN}s, 6 channels" in _generator(result)


def test_plans_without_devices_have_no_such_tables(
    tiny_plan: dict[str, Any], linear_field: Any, no_pictures: None, tmp_path: Path
) -> None:
    run_scene(build_scene(load_plan(tiny_plan))).write(tmp_path / "out")
    result = read_result(tmp_path / "out")
    assert devices_table(result) is None
    assert protocol_table(result) is None


def test_validate_tells_the_pulses_of_a_protocol(plan: dict[str, Any]) -> None:
    told = describe_plan(load_plan(plan))
    assert [(pulse.name, pulse.voltage_v) for pulse in told.pulses] == [("rows.a1-rows.b1", 900)]
    assert told.protocol is not None
    assert told.protocol["name"] == "ire_pairs"
    assert [device["device"] for device in told.devices] == ["needle_rows"]
