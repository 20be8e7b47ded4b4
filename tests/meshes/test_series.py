"""Fibres, contact resistances and sheets of a plan: what they become, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from porefield.meshes import GeometryError, PlanError, build_scene, load_plan

from .conftest import asymmetric_labels, ras_affine, scan_plan

MUSCLE = {"anisotropy": {"along": [0, 3, 0], "ratio": 5}}


def test_a_plan_without_them_is_plain(phantom_plan: dict[str, Any]) -> None:
    assert build_scene(load_plan(phantom_plan)).problem(0).plain


def test_fibres_become_factors_along_the_grid(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["tissues"] = {"liver": MUSCLE}
    scene = build_scene(load_plan(phantom_plan))
    factors = dict(zip((t.name for t in scene.tissues), scene.problem(0).axis_factors or (), strict=True))
    assert factors == {"liver": (1, 5, 1), "tumour": (1, 1, 1)}
    liver = next(t for t in scene.tissues if t.name == "liver")
    assert [v.value for v in liver.values if v.quantity == "anisotropy_ratio"] == [5]


@pytest.mark.parametrize(("turn_deg", "fits"), [(0, True), (1.9, True), (2.1, False), (45, False)])
def test_fibres_must_run_along_an_axis_of_the_grid(phantom_plan: dict[str, Any], turn_deg: float, fits: bool) -> None:
    turn = math.radians(turn_deg)
    phantom_plan["tissues"] = {"liver": {"anisotropy": {"along": [-math.sin(turn), math.cos(turn), 0], "ratio": 5}}}
    plan = load_plan(phantom_plan)
    if fits:
        assert build_scene(plan).axis_factors is not None
        return
    expected = r"tissues\.liver\.anisotropy\.along: expected .* within 2 degrees of an axis of the grid, such as \["
    with pytest.raises(GeometryError, match=expected) as refusal:
        build_scene(plan)
    assert f"{turn_deg:.3g} degrees off" in str(refusal.value)


def test_fibres_on_an_oblique_scan_follow_its_axes(write_nifti: Callable[..., Path]) -> None:
    """Along the scan's second axis, wherever that points in the patient; the patient's own axis is refused."""
    rotation = Rotation.from_euler("xyz", [10, -15, 25], degrees=True).as_matrix()
    affine = ras_affine(rotation)
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine, [1.5, 2, 2.5])
    plan["tissues"] = {"liver": {"anisotropy": {"along": (-7 * rotation[:, 1]).tolist(), "ratio": 3}}}
    scene = build_scene(load_plan(plan))
    liver = [t.name for t in scene.tissues].index("liver")
    axis = int(np.argmax(np.abs(scene.grid.axes.T @ rotation[:, 1])))
    expected = np.ones(3)
    expected[axis] = 3
    np.testing.assert_array_equal((scene.axis_factors or ())[liver], expected)
    plan["tissues"]["liver"]["anisotropy"]["along"] = [0, 1, 0]
    with pytest.raises(GeometryError, match=r"tissues.liver.anisotropy.along"):
        build_scene(load_plan(plan))


def test_contacts_and_sheets_in_si(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["electrodes"][1]["contact_resistance_ohm_cm2"] = 25
    phantom_plan["sheets"] = [{"between": ["tumour", "liver"], "thickness_um": 20, "conductivity_s_per_m": 1e-4}]
    scene = build_scene(load_plan(phantom_plan))
    names = [t.name for t in scene.tissues]
    problem = scene.problem(0)
    assert problem.contact_ohm_m2 == pytest.approx((0, 0.0025))
    (sheet,) = problem.sheets
    assert (sheet.holder, sheet.other) == (names.index("tumour"), names.index("liver"))
    assert sheet.resistance_ohm_m2 == pytest.approx(0.2)
    phantom_plan["sheets"] = [{"between": ["tumour", "liver"], "resistance_ohm_cm2": 2000}]
    assert build_scene(load_plan(phantom_plan)).problem(0).sheets[0].resistance_ohm_m2 == pytest.approx(0.2)


def test_a_sheet_between_tissues_that_never_touch_is_told(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["sheets"] = [{"between": ["kidney", "liver"], "resistance_ohm_cm2": 2000}]
    scene = build_scene(load_plan(phantom_plan))
    assert scene.sheets == ()
    (note,) = [n for n in scene.notes if n.kind == "sheet_absent"]
    assert note.warning
    assert note.message == "sheets[0]: kidney and liver touch nowhere in the solved region, there is no sheet"


LAYER = {"between": ["tumour", "liver"], "resistance_ohm_cm2": 2000}


@pytest.mark.parametrize(
    ("sheets", "problem"),
    [
        ([{**LAYER, "thickness_um": 20}], r"sheets\[0\]: expected exactly one of resistance_ohm_cm2, thickness_um"),
        ([{"between": ["tumour", "liver"], "thickness_um": 20}], r"sheets\[0\].conductivity_s_per_m: expected a value"),
        ([{**LAYER, "conductivity_s_per_m": 1}], r"sheets\[0\].thickness_um: expected a value beside"),
        ([{**LAYER, "between": ["liver", "liver"]}], r"sheets\[0\].between\[1\]: expected another tissue"),
        (
            [LAYER, {**LAYER, "between": ["liver", "tumour"]}],
            r"sheets\[1\].between: expected two tissues that no other",
        ),
        ([{**LAYER, "between": ["liver", "tumor"]}], r"sheets\[0\].between\[1\]: expected a tissue, .*tumour"),
        ([{**LAYER, "resistance_ohm_cm2": 0}], r"sheets\[0\].resistance_ohm_cm2: expected greater than 0"),
    ],
)
def test_sheets_that_make_no_sense_are_refused(phantom_plan: dict[str, Any], sheets: Any, problem: str) -> None:
    phantom_plan["sheets"] = sheets
    with pytest.raises(PlanError, match=problem):
        build_scene(load_plan(phantom_plan))


@pytest.mark.parametrize(
    ("fibres", "field"),
    [
        ({"along": [0, 0, 0], "ratio": 2}, "along: expected a vector that is not zero"),
        ({"along": [0, 0, 1], "ratio": 0}, "ratio: expected greater than 0"),
        ({"along": [0, 0, 1], "ratio": 5000}, "ratio: expected less than or equal to 1000"),
        ({"along": [0, 0, 1]}, "ratio: expected a value"),
    ],
)
def test_fibres_that_make_no_sense_are_refused(phantom_plan: dict[str, Any], fibres: Any, field: str) -> None:
    phantom_plan["tissues"] = {"liver": {"anisotropy": fibres}}
    with pytest.raises(PlanError, match=rf"tissues.liver.anisotropy.{field}"):
        build_scene(load_plan(phantom_plan))


def test_fibres_of_the_library_need_a_direction_and_nothing_else(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["anatomy"]["phantom"]["tissue"] = "muscle_fibres"
    with pytest.raises(GeometryError, match=r"tissues.muscle_fibres.anisotropy.along: expected the direction"):
        build_scene(load_plan(phantom_plan))
    phantom_plan["tissues"] = {"muscle_fibres": {"anisotropy": {"along": [1, 0, 0]}}}
    assert (3.14, 1.0, 1.0) in (build_scene(load_plan(phantom_plan)).axis_factors or ())


def test_layers_of_the_library_are_sheets_by_name(phantom_plan: dict[str, Any]) -> None:
    sheet = {"between": ["tumour", "liver"], "layer": "stratum_corneum"}
    phantom_plan["sheets"] = [sheet]
    scene = build_scene(load_plan(phantom_plan))
    assert scene.sheets[0].resistance_ohm_m2 == pytest.approx(20e-6 / 0.0005)
    assert any("stratum_corneum: unverified thickness_um (recall)" in n.message for n in scene.notes)
    phantom_plan["sheets"] = [{**sheet, "thickness_um": 10}]
    scene = build_scene(load_plan(phantom_plan))
    assert scene.sheets[0].resistance_ohm_m2 == pytest.approx(10e-6 / 0.0005)
    for wrong, told in (
        ({"layer": "stratum"}, r"sheets\[0\].layer: expected a layer of the library.*did you mean stratum_corneum"),
        ({"resistance_ohm_cm2": 5}, r"sheets\[0\]: expected exactly one of resistance_ohm_cm2, layer"),
    ):
        phantom_plan["sheets"] = [{**sheet, **wrong}]
        with pytest.raises(PlanError, match=told):
            load_plan(phantom_plan)


def test_the_bands_of_a_probe_share_its_contact(phantom_plan: dict[str, Any]) -> None:
    bands = [{"name": "tip", "from_mm": 0, "to_mm": 3}, {"name": "ring", "from_mm": 5, "to_mm": 8}]
    probe = {"tip_mm": [7, 10, 4], "direction": [0, 0, -1], "diameter_mm": 1.2, "bands": bands}
    phantom_plan["electrodes"][0] = {"name": "A", "probe": probe, "contact_resistance_ohm_cm2": 10}
    phantom_plan["pulses"][0]["anode"] = ["tip", "ring"]
    scene = build_scene(load_plan(phantom_plan))
    assert list(scene.electrodes) == ["tip", "ring", "B"]
    assert scene.contact_ohm_m2 == pytest.approx((0.001, 0.001, 0))
