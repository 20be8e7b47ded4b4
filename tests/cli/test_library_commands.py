"""`porefield electrodes` and `porefield protocols`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from porefield.meshes.devices import load_devices
from porefield.meshes.protocols import load_protocols
from porefield.service.cli import app
from porefield.service.electrode_drawing import COLUMNS, drawing


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_lists_name_everything() -> None:
    listed = call("electrodes").output
    assert all(name in listed for name in load_devices())
    listed = call("protocols").output
    assert all(name in listed for name in (*load_protocols(), "cliniporator_vitae", "max_voltage_v 3000"))


def test_one_device_is_shown_with_names_sources_and_a_drawing() -> None:
    shown = call("electrodes", "--show", "hexagonal_needles").output
    for words in (
        "NAME.centre, NAME.1",
        "14.6 x 12.6 mm",
        "0.73 cm apart",
        "5, 10, 20, 30",
        "unverified (recall, medium)",
    ):
        assert words in shown
    assert "700 to 1000 are used" in call("protocols", "--show", "get_hv_lv").output
    assert "unverified (recall, high)" in call("protocols", "--show", "nanoknife").output


def test_machines_get_json() -> None:
    told = json.loads(call("electrodes", "--json").output)
    assert set(told) == set(load_devices())
    one = json.loads(call("electrodes", "--show", "needle_rows", "--json").output)["needle_rows"]
    assert one["groups"] == {"a": ["a1", "a2", "a3", "a4"], "b": ["b1", "b2", "b3", "b4"]}
    assert one["parameters"]["row_gap_mm"]["verified"] is False
    told = json.loads(call("protocols", "--json").output)
    assert set(told["protocols"]) == set(load_protocols())
    assert told["generators"]["nanoknife"]["values"]["channels"]["value"] == 6


@pytest.mark.parametrize("command", ["electrodes", "protocols"])
def test_unknown_names_are_refused_with_the_nearest(command: str) -> None:
    done = call(command, "--show", "hexagonal_needle" if command == "electrodes" else "esope_plate")
    assert done.exit_code == 2
    assert "did you mean" in " ".join(done.output.replace("│", " ").split())


def test_drawings_keep_the_places() -> None:
    lines = drawing(load_devices()["needle_rows"].layout({}))
    rows = [line for line in lines if "a1" in line or "a4" in line]
    assert rows[0].index("b1") > rows[0].index("a1")
    assert lines.index(rows[0]) < lines.index(rows[1])
    (side,) = [line for line in drawing(load_devices()["bipolar_probe"].layout({})) if line.startswith("=")]
    # 7 of 35.2 mm, a gap of 8, 7 again; the rest is insulated and goes on
    scale = COLUMNS / 35.2
    assert side.startswith("=" * round(7 * scale) + "-")
    assert side.endswith("- ...")
