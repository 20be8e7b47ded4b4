"""Needles from 3D Slicer's markups files and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from porefield.meshes import PlanError, load_plan
from porefield.meshes.conductors import Conductor, Wire
from porefield.meshes.electrode_markups import electrode_markups
from porefield.meshes.plan_needles import Pose

TIP, ENTRY = [7.1, 10.25, 4.0], [3.0, -12.5, 21.75]


def control(label: str, position: Any, **more: Any) -> dict[str, Any]:
    """In LPS, as Slicer writes it, of a RAS position."""
    x, y, z = position
    return {"id": "1", "label": label, "position": [-x, -y, z], "positionStatus": "defined", **more}


def line(*points: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A line as Slicer 5 writes it: without a name."""
    return {"type": "Line", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": list(points), **more}


def plan_with(plan: dict[str, Any], folder: Path, needle: dict[str, Any], *markups: Any) -> Path:
    """The plan's first needle from markups, in a folder with both files."""
    (folder / "needles.mrk.json").write_text(json.dumps({"@schema": "...", "markups": list(markups)}))
    plan["electrodes"][0]["needle"] = {"diameter_mm": 1.2, "exposed_mm": 8, **needle}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder / "plan.json"


def needle_of(path: Path) -> Pose:
    needle = load_plan(path).electrodes[0].needle
    assert needle is not None
    return needle


L1 = line(control("L1-1", TIP), control("L1-2", ENTRY))
L2 = line(control("x", ENTRY), control("y", TIP), name="Second line", coordinateSystem="RAS")
for _point in L2["controlPoints"]:
    _point["position"] = [-_point["position"][0], -_point["position"][1], _point["position"][2]]
POINTS = {"type": "Fiducial", "controlPoints": [control("F-1", [1, 2, 3]), control("T", TIP), control("E", ENTRY)]}
FILE = {"path": "needles.mrk.json"}

GOOD = {
    "nameless, by its labels": {"line": {**FILE, "name": "L1", "tip": "first"}},
    "named, RAS, last": {"line": {**FILE, "name": "Second line", "tip": "last"}},
    "two points": {"fiducials": {**FILE, "tip": "T", "entry": "E"}},
    "points in the plan": {
        "line": {"points_mm": [[-3.0, 12.5, 21.75], [-7.1, -10.25, 4]], "space": "LPS", "tip": "last"}
    },
}


@pytest.mark.parametrize("needle", GOOD.values(), ids=GOOD.keys())
def test_a_needle_lies_on_its_markup(phantom_plan: dict[str, Any], tmp_path: Path, needle: Any) -> None:
    found = needle_of(plan_with(phantom_plan, tmp_path, needle, L1, L2, POINTS))
    assert (list(found.tip_mm), list(found.entry_mm or ())) == (TIP, ENTRY)
    way = np.subtract(TIP, ENTRY)
    np.testing.assert_allclose(found.unit_direction, way / np.linalg.norm(way), rtol=1e-15)


def test_the_only_line_needs_no_name_and_the_file_is_told(phantom_plan: dict[str, Any], tmp_path: Path) -> None:
    only = line(control("", TIP), control("", ENTRY))
    path = plan_with(phantom_plan, tmp_path, {"line": {**FILE, "tip": "first"}}, only)
    assert list(needle_of(path).tip_mm) == TIP
    phantom_plan["electrodes"][0]["needle"]["line"]["name"] = "needles"  # as the file
    path.write_text(json.dumps(phantom_plan))
    plan = load_plan(path)
    assert [(entry["file"], len(entry["sha256"])) for entry in plan.markups] == [("needles.mrk.json", 64)]
    again = load_plan(plan.model_dump(mode="json"))  # a plan that was read stands by itself
    assert again.electrodes == plan.electrodes


def metal_ends(conductor: Conductor) -> np.ndarray:
    wire = conductor.solid
    assert isinstance(wire, Wire)
    behind = np.array([[wire.from_mm], [wire.to_mm]])
    return np.asarray(wire.pose.tip_mm) - behind * np.asarray(wire.pose.unit_direction)


def test_a_plan_comes_back_from_its_markups(phantom_plan: dict[str, Any], tmp_path: Path) -> None:
    shape = {"diameter_mm": 1.2}
    phantom_plan["electrodes"] = [
        {"name": "A", "needle": {"tip_mm": TIP, "direction": [0.3, -1, 7], **shape, "exposed_mm": 8, "shaft_mm": 50}},
        {"name": "B", "needle": {"tip_mm": [1 / 3, -0.0, 1e-7], "entry_mm": ENTRY, **shape, "exposed_mm": 5}},
        {"name": "P", "probe": {"tip_mm": ENTRY, "direction": [-1, 2, 0.7], **shape, "bands": [
            {"name": "p1", "from_mm": 0, "to_mm": 3}, {"name": "p2", "from_mm": 6, "to_mm": 9}]}},
    ]  # fmt: skip
    plan = load_plan(phantom_plan)
    for space in ("LPS", "RAS"):
        table = plan.model_dump(mode="json")
        for electrode in table["electrodes"]:
            pose = electrode["needle"] or electrode["probe"]
            for name in ("tip_mm", "direction", "entry_mm"):
                del pose[name]
            pose["line"] = {"path": "out.mrk.json", "name": electrode["name"], "tip": "first"}
        (tmp_path / "out.mrk.json").write_text(json.dumps(electrode_markups(plan.electrodes, space)))
        (tmp_path / "plan.json").write_text(json.dumps(table))
        again = load_plan(tmp_path / "plan.json")
        for one, other in zip(plan.conductors, again.conductors, strict=True):
            assert one.name == other.name
            np.testing.assert_allclose(metal_ends(one), metal_ends(other), rtol=0, atol=1e-9)


def test_plates_and_tubes_are_written_where_they_are(phantom_plan: dict[str, Any]) -> None:
    tube = {"centre_mm": [1, 2, 3], "axis": [0, 0, 2], "outer_diameter_mm": 2, "length_mm": 10}
    plate = {"centre_mm": [5, 2, 3], "normal": [1, 0, 0], "up": [0, 0, 1]}
    plate |= {"width_mm": 4, "height_mm": 6, "thickness_mm": 1}
    phantom_plan["electrodes"] = [{"name": "A", "tube": tube}, {"name": "B", "plate": plate}]
    markups = electrode_markups(load_plan(phantom_plan).electrodes, "RAS")["markups"]
    assert [point["position"] for point in markups[0]["controlPoints"]] == [[1, 2, -2], [1, 2, 8]]
    corners = np.array([point["position"] for point in markups[1]["controlPoints"]])
    np.testing.assert_allclose(corners.mean(axis=0), [5, 2, 3])
    np.testing.assert_allclose(np.ptp(corners, axis=0), [0, 4, 6], atol=1e-12)


BY_NAME = {"line": {**FILE, "name": "L1", "tip": "first"}}
UNPLACED = line(control("L1-1", TIP), control("L1-2", ENTRY, positionStatus="undefined"))
TWO_NUMBERS = line(control("L1-1", TIP), {"label": "L1-2", "position": [1, 2]})
NAN = line(control("L1-1", TIP), {"label": "L1-2", "position": [1, 2, float("nan")]})
BAD: dict[str, Any] = {
    "no such line": ({"line": {**FILE, "name": "L3", "tip": "first"}}, [L1, L2], "line.name", "one of L1, Second line"),
    "which line": ({"line": {**FILE, "tip": "first"}}, [L1, L2], "line.name", "the name of a line"),
    "no line": ({"line": {**FILE, "tip": "first"}}, [POINTS], "line.path", "a file with a line"),
    "twice": (BY_NAME, [L1, L1], "line.name", "a name that one line"),
    "three points": (BY_NAME, [line(*[control(f"L1-{i}", TIP) for i in range(3)])], "line.name", "two points"),
    "no tip": ({"line": {**FILE, "name": "L1"}}, [L1], "line.tip", "a value"),
    "no file": ({"line": {"path": "no.mrk.json", "tip": "first"}}, [L1], "line.path", "a file"),
    "both": ({**BY_NAME, "tip_mm": TIP}, [L1], "tip_mm", "none beside line"),
    "not placed": (BY_NAME, [UNPLACED], "line.path", "points that are placed"),
    "two numbers": (BY_NAME, [TWO_NUMBERS], "line.path", "three finite numbers"),
    "not a number": (BY_NAME, [NAN], "line.path", "three finite numbers"),
    "system": (BY_NAME, [{**L1, "coordinateSystem": "IJK"}], "line.path", "coordinateSystem LPS or RAS"),
    "units": (BY_NAME, [{**L1, "coordinateUnits": "um"}], "line.path", "coordinateUnits mm"),
    "no label": ({"fiducials": {**FILE, "tip": "T", "entry": "e"}}, [POINTS], "fiducials.entry", "the label of"),
    "labels": ({"fiducials": {**FILE, "tip": "T", "entry": "E"}}, [POINTS] * 2, "fiducials.tip", "a label that one"),
    "no space": ({"line": {"points_mm": [TIP, ENTRY], "tip": "first"}}, [], "line.space", "LPS or RAS"),
    "no points": (BY_NAME, [{**L1, "controlPoints": 3}], "line.name", "a line of needles.mrk.json"),
    "no markups": (BY_NAME, [3], "line.path", "a markups file of 3D Slicer"),
    "not a table": ({"line": [1]}, [], "line", "a table of keys and values"),
}  # fmt: skip


@pytest.mark.parametrize(("needle", "markups", "field", "expected"), BAD.values(), ids=BAD.keys())
def test_markups_that_say_no_needle(
    phantom_plan: dict[str, Any], tmp_path: Path, needle: Any, markups: Any, field: str, expected: str
) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(plan_with(phantom_plan, tmp_path, needle, *markups))
    (problem,) = caught.value.problems
    assert problem.field == f"electrodes[0].needle.{field}"
    assert expected in problem.expected


@pytest.mark.parametrize("content", [b"hello", b"[" * 100_000, b"\xff\xfe", b"{}", b" " * (17 << 20)])
def test_files_that_are_no_markups(phantom_plan: dict[str, Any], tmp_path: Path, content: bytes) -> None:
    path = plan_with(phantom_plan, tmp_path, BY_NAME, L1)
    (tmp_path / "needles.mrk.json").write_bytes(content)
    with pytest.raises(PlanError, match=r"electrodes\[0\]\.needle\.line\.path: expected a markups file"):
        load_plan(path)


def test_a_plan_from_outside_reads_no_file(phantom_plan: dict[str, Any], tmp_path: Path) -> None:
    path = plan_with(phantom_plan, tmp_path, {"line": {"path": "/etc/passwd", "tip": "first"}}, L1)
    with pytest.raises(PlanError, match=r"no files are read here; got '/etc/passwd'"):
        load_plan(json.loads(path.read_text()), markups=False)
