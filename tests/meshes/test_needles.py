"""Needles with tips and probes with bands, from the plan to the kernels' geometry."""

import copy
import math

import numpy as np
import pytest

from porefield.kernels.electrodes import Needle
from porefield.meshes.conductors import Wire
from porefield.meshes.errors import GeometryError, PlanError
from porefield.meshes.plan import load_plan
from porefield.meshes.scene import build_scene

PROBE = {
    "tip_mm": [10, 10, 4],
    "direction": [0, 0, -2],
    "diameter_mm": 1.6,
    "tip": "conical",
    "tip_angle_deg": 60,
    "bands": [{"name": "far", "from_mm": 0, "to_mm": 4}, {"name": "near", "from_mm": 7, "to_mm": 11}],
    "shaft_mm": 20,
}
PLAN = {
    "anatomy": {"phantom": {"size_mm": [20, 20, 20], "tissue": "liver"}},
    "grid": {"spacing_mm": 1.0},
    "electrodes": [{"name": "P", "probe": PROBE}],
    "pulses": [{"anode": ["far"], "cathode": ["near"], "voltage_v": 800}],
}


def plan_with(*electrodes, **probe):
    plan = copy.deepcopy(PLAN)
    plan["electrodes"][0]["probe"].update(probe)
    plan["electrodes"] += electrodes
    return plan


def refusal(plan) -> str:
    with pytest.raises(PlanError) as caught:
        load_plan(plan)
    return str(caught.value)


def test_bands_are_electrodes_on_one_shaft():
    scene = build_scene(load_plan(PLAN))
    assert list(scene.electrodes) == ["far", "near"]
    far, near = scene.electrodes.values()
    assert isinstance(far, Needle)
    assert isinstance(near, Needle)
    assert scene.pulses[0].potentials_v == (800, 0)
    assert far.cone_m == pytest.approx(0.8e-3 / math.tan(math.radians(30)))
    # on the surface, 2, 5.5, 9 and 15 mm behind the tip: metal, gap, metal, shaft
    points = np.asarray([[10.8, 10, 4 + z] for z in (2, 5.5, 9, 15)]) * 1e-3
    np.testing.assert_allclose(far.distance_m(points)[:3], [0, 1.5e-3, 5e-3], atol=1e-12)
    np.testing.assert_allclose(near.distance_m(points)[1:3], [1.5e-3, 0], atol=1e-12)
    assert far.insulation == near.insulation
    # across the shaft's axis insulation is as deep as its nearest surface
    inside = np.asarray([[10, 10, 4 + z] for z in (2, 5.5, 9, 15)]) * 1e-3
    np.testing.assert_allclose(far.shaft_distance_m(inside), [2e-3, -0.8e-3, 2e-3, -0.8e-3], atol=1e-12)


def test_a_needle_is_measured_from_its_foremost_point():
    needle = {"tip_mm": [4, 4, 4], "direction": [0, 0, -1], "diameter_mm": 2, "exposed_mm": 6}
    for tip, extra, middle in (("rounded", {}, 1 - math.sqrt(0.75)), ("conical", {"tip_length_mm": 3}, 1.5)):
        plan = load_plan(plan_with({"name": "A", "needle": {**needle, "tip": tip, **extra}}))
        wire = plan.conductors[-1].solid
        assert isinstance(wire, Wire)
        metal = build_scene(plan).electrodes["A"]
        # the tip, half the radius out at the height where the tip is that wide, and the far end
        points = np.asarray([[4, 4, 4], [4.5, 4, 4 + middle], [4, 4, 10]]) * 1e-3
        np.testing.assert_allclose(metal.distance_m(points), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tip_length_mm": 2}, "exactly one of tip_length_mm, tip_angle_deg"),
        ({"tip": "rounded"}, "none, unless tip is conical"),
        ({"tip": "pointed"}, "probe.tip"),
        ({"tip_angle_deg": 10}, "at least the length of the conical tip, 9.144 mm"),
        ({"bands": PROBE["bands"][:1]}, "at least 2"),
        ({"bands": [PROBE["bands"][0], {"name": "near", "from_mm": 4, "to_mm": 6}]}, "bands[1].from_mm"),
        ({"bands": [PROBE["bands"][0], {"name": "near", "from_mm": 6, "to_mm": 6}]}, "more than from_mm 6"),
        ({"bands": [PROBE["bands"][0], {"name": "P", "from_mm": 6, "to_mm": 8}]}, "bands[1].name"),
        ({"direction": None}, "exactly one of direction, entry_mm"),
        ({"diameter_mm": 1e-4}, "bands[0].to_mm: expected at most 10000 times diameter_mm"),
    ],
)
def test_refusals_name_the_field(changes, said):
    assert said in refusal(plan_with(**changes))


def test_pulses_name_bands_not_probes():
    plan = copy.deepcopy(PLAN)
    plan["pulses"][0]["anode"] = ["P"]
    assert "pulses[0].anode[0]" in refusal(plan)


def test_a_single_needle_is_no_plan():
    plan = copy.deepcopy(PLAN)
    plan["electrodes"] = [
        {"name": "A", "needle": {"tip_mm": [4, 4, 4], "direction": [0, 0, -1], "diameter_mm": 1, "exposed_mm": 6}}
    ]
    plan["pulses"][0].update(anode=["A"], cathode=["B"])
    assert "electrodes: expected at least 2 of them" in refusal(plan)


def test_a_probe_outside_is_refused_once():
    with pytest.raises(GeometryError) as caught:
        build_scene(load_plan(plan_with(tip_mm=[10, 10, -3])))
    assert str(caught.value).count("electrodes[0].probe.tip_mm") == 1


def test_a_band_outside_is_refused_by_its_name():
    bands = [PROBE["bands"][0], {"name": "near", "from_mm": 15, "to_mm": 20}]
    with pytest.raises(GeometryError, match=r"electrodes\[0\]\.probe\.bands\[1\]"):
        build_scene(load_plan(plan_with(bands=bands)))


def test_a_narrow_gap_is_noted():
    bands = [PROBE["bands"][0], {"name": "near", "from_mm": 5.5, "to_mm": 9}]
    notes = build_scene(load_plan(plan_with(bands=bands))).notes
    assert any(n.kind == "electrodes_close" and "far and near are 1.5 mm apart" in n.message for n in notes)
    assert not any(n.kind == "electrodes_close" for n in build_scene(load_plan(PLAN)).notes)


def test_metal_that_crosses_a_probe_is_refused():
    other = {"tip_mm": [14, 10, 9.5], "direction": [1, 0, 0], "diameter_mm": 1, "exposed_mm": 8}
    with pytest.raises(GeometryError, match="inside the shaft"):
        build_scene(load_plan(plan_with({"name": "A", "needle": other})))
