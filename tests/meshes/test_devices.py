"""Devices of the electrode library: where their needles and plates lie, what pulses call them, what is refused."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from porefield.meshes.conductors import Wire, conductors
from porefield.meshes.devices import load_devices
from porefield.meshes.errors import GeometryError, PlanError
from porefield.meshes.layouts import LAYOUTS
from porefield.meshes.plan import load_plan
from porefield.meshes.plan_electrodes import ElectrodeSettings, PlateSettings
from porefield.meshes.scene import build_scene

HEX = {"name": "hexagonal_needles", "tip_mm": [20, 20, 5], "direction": [0, 0, -1]}
ROWS = {"name": "needle_rows", "tip_mm": [20, 20, 5], "direction": [0, 0, -1], "set": {"exposed_mm": 10}}
PLAN = {
    "anatomy": {"phantom": {"size_mm": [40, 40, 30], "tissue": "liver"}},
    "grid": {"spacing_mm": 1.0},
    "electrodes": [{"name": "hex", "device": HEX}],
    "pulses": [{"anode": ["hex.centre"], "cathode": ["hex.1", "hex.4"], "voltage_v": 730}],
}


def plan_of(device: dict[str, Any], pulses: list[dict[str, Any]] | None = None, name: str = "hex") -> dict[str, Any]:
    plan = copy.deepcopy(PLAN)
    plan["electrodes"] = [{"name": name, "device": device}]
    return plan if pulses is None else {**plan, "pulses": pulses}


def places(device: dict[str, Any], name: str = "hex") -> dict[str, np.ndarray]:
    """Tips of needles and middles of plates, by conductor."""
    settings = ElectrodeSettings.model_validate({"name": name, "device": device})
    return {
        c.name: np.asarray(c.solid.pose.tip_mm if isinstance(c.solid, Wire) else c.solid.centre_mm)
        for c in conductors([settings])
    }


def refusal(plan: dict[str, Any]) -> str:
    with pytest.raises(PlanError) as caught:
        load_plan(plan)
    return str(caught.value)


@pytest.mark.parametrize("name", load_devices())
def test_every_device_can_be_placed_by_name_alone(name: str) -> None:
    device = load_devices()[name]
    assert device.kind in LAYOUTS
    for parameter in device.parameters.values():
        value = parameter.value
        assert value.value is not None
        assert parameter.lowest <= value.value <= parameter.highest
        assert not parameter.sizes or value.value in parameter.sizes
        assert value.source
    found = places({"name": name, "tip_mm": [1, 2, 3], "direction": [1, 2, 2]}, "E")
    assert len(found) == len(device.layout({}).parts)
    assert all(conductor == "E" or conductor.startswith("E.") for conductor in found)


def test_the_library_verifies_what_was_read_and_no_more() -> None:
    parameters = load_devices()["hexagonal_needles"].parameters
    assert parameters["pitch_mm"].value.verified
    assert not parameters["diameter_mm"].value.verified
    assert not load_devices()["hexagonal_needles"].verified


def test_a_hexagon_has_six_needles_round_one_at_the_pitch() -> None:
    found = places(HEX)
    assert list(found) == ["hex.centre", *(f"hex.{i}" for i in range(1, 7))]
    rim = [found[f"hex.{i}"] for i in range(1, 7)]
    for i, tip in enumerate(rim):
        assert math.dist(tip, found["hex.centre"]) == pytest.approx(7.3)
        assert math.dist(tip, rim[i - 1]) == pytest.approx(7.3)
    # needle 1 is across, the patient's x by default; 2 follows by the right-hand rule about the direction, here -z
    np.testing.assert_allclose(rim[0], [27.3, 20, 5])
    np.testing.assert_allclose(rim[1], [20 + 3.65, 20 - 7.3 * math.sin(math.pi / 3), 5])


def test_roll_turns_by_the_right_hand_rule_about_the_direction() -> None:
    up = places({**HEX, "direction": [0, 0, 1], "roll_deg": 90})
    np.testing.assert_allclose(up["hex.1"], [20, 27.3, 5], atol=1e-12)
    stated = places({**HEX, "direction": [0, 0, 1], "across": [0, 3, 7]})
    np.testing.assert_allclose(stated["hex.1"], up["hex.1"], atol=1e-12)


def test_directions_near_x_take_y_for_across() -> None:
    np.testing.assert_allclose(places({**HEX, "direction": [5, 0, 0]})["hex.1"], [20, 27.3, 5], atol=1e-12)


def test_the_centre_is_the_middle_of_the_bare_metal() -> None:
    placed = places({"name": "hexagonal_needles", "centre_mm": [20, 20, 15], "direction": [0, 0, -1]})
    np.testing.assert_allclose(placed["hex.centre"], HEX["tip_mm"])
    # plates of 30 mm: their foremost edges are 15 mm ahead of their middle
    plates = places({"name": "plates", "tip_mm": [0, 0, 0], "entry_mm": [0, 0, 9]}, "P")
    np.testing.assert_allclose(plates["P.a"], [-4.35, 0, 15])
    np.testing.assert_allclose(plates["P.b"], [4.35, 0, 15])


def test_plates_leave_their_gap_between_faces() -> None:
    device = {"name": "plates", "tip_mm": [0, 0, 0], "direction": [0, 0, -1], "set": {"gap_mm": 6}}
    a, b = (c.solid for c in conductors([ElectrodeSettings.model_validate({"name": "P", "device": device})]))
    assert isinstance(a, PlateSettings)
    assert isinstance(b, PlateSettings)
    apart = math.dist(a.centre_mm, b.centre_mm)
    assert apart - 0.5 * (a.thickness_mm + b.thickness_mm) == pytest.approx(6)
    assert (a.width_mm, a.height_mm) == (10, 30)


def test_a_single_needle_goes_by_the_electrode_s_own_name() -> None:
    device = {"name": "bone_needle", "tip_mm": [20, 20, 5], "entry_mm": [20, 20, 90], "set": {"exposed_mm": 20}}
    settings = ElectrodeSettings.model_validate({"name": "A", "device": device})
    (needle,) = conductors([settings])
    assert needle.name == "A"
    assert isinstance(needle.solid, Wire)
    assert (needle.solid.to_mm, needle.solid.length_mm) == (20, 200)
    assert (needle.solid.pose.tip, needle.solid.pose.tip_length_mm) == ("conical", 3)


def test_bipolar_poles_know_each_other() -> None:
    settings = {"name": "P", "device": {"name": "bipolar_probe", "tip_mm": [0, 0, 0], "direction": [0, 0, -1]}}
    distal, proximal = (c.solid for c in conductors([ElectrodeSettings.model_validate(settings)]))
    assert isinstance(distal, Wire)
    assert isinstance(proximal, Wire)
    assert ((distal.from_mm, distal.to_mm), distal.others_mm) == ((0, 7), ((15, 22),))
    assert ((proximal.from_mm, proximal.to_mm), proximal.others_mm) == ((15, 22), ((0, 7),))
    # the middle between the poles lies 11 mm behind the tip, as the library's source has it
    assert 0.25 * (0 + 7 + 15 + 22) == 11


def test_pulses_may_name_a_row() -> None:
    plan = load_plan(plan_of(ROWS, [{"anode": ["r.a"], "cathode": ["r.b"], "voltage_v": 400}], "r"))
    (train,) = plan.trains
    assert train.pulse.anode == ("r.a1", "r.a2", "r.a3", "r.a4")
    assert train.pulse.name == "r.a-r.b"
    scene = build_scene(plan)
    assert list(scene.electrodes) == [f"r.{row}{i}" for row in "ab" for i in range(1, 5)]
    assert scene.pulses[0].potentials_v == (400,) * 4 + (0,) * 4
    close = [note.message for note in scene.notes if note.kind == "electrodes_close"]
    assert close == [
        "r: 6 of its pairs are as little as 1.3 mm apart, 1.3 voxels: "
        "the current between them may be several per cent too high"
    ]


def test_unverified_numbers_and_unlisted_sizes_are_noted_once_for_electrodes_alike() -> None:
    plan = copy.deepcopy(PLAN)
    plan["electrodes"] = [
        {
            "name": n,
            "device": {"name": "long_needle", "tip_mm": [x, 20, 5], "direction": [0, 0, -1], "set": {"exposed_mm": 15}},
        }
        for n, x in (("A", 12), ("B", 28))
    ]
    plan["pulses"] = [{"anode": ["A"], "cathode": ["B"], "voltage_v": 1600}]
    notes = build_scene(load_plan(plan)).notes
    unverified = [note.message for note in notes if note.kind == "unverified_device"]
    assert len(unverified) == 1
    assert unverified[0].startswith(
        "A, B, Long single needle of variable geometry: unverified diameter_mm 1.2 (recall)"
    )
    assert "exposed_mm" not in unverified[0]
    sizes = [note.message for note in notes if note.kind == "size_not_listed"]
    assert sizes[0] == (
        "electrodes[0].device.set.exposed_mm is 15; Long single needle of variable geometry is listed with 20, 30, 40"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"name": "hexagonal_needle"},
            "electrodes[0].device.name: expected a device of the library, one of hexagonal_needles",
        ),
        (
            {"set": {"pitch": 8}},
            "electrodes[0].device.set.pitch: expected a number of hexagonal_needles, one of pitch_mm",
        ),
        ({"set": {"pitch_mm": 400}}, "electrodes[0].device.set.pitch_mm: expected a number between 1 and 40; got 400"),
        ({"set": {"tip_length_mm": 19, "exposed_mm": 10}}, "device.set.tip_length_mm: expected at most the 10 mm"),
        ({"centre_mm": [0, 0, 0]}, "electrodes[0].device: expected exactly one of tip_mm, centre_mm"),
        ({"direction": None}, "electrodes[0].device: expected exactly one of direction, entry_mm; got none"),
        ({"direction": [0, 0, 0]}, "electrodes[0].device.direction: expected a vector that is not zero"),
        ({"across": [0, 0, 2]}, "electrodes[0].device.across: expected a vector that does not point along direction"),
        (
            {"entry_mm": [20, 20, 5], "direction": None},
            "electrodes[0].device.entry_mm: expected a point apart from tip_mm",
        ),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(plan_of({**HEX, **changes}))


def test_counts_are_whole() -> None:
    assert "needles_per_row: expected a whole number" in refusal(plan_of({**ROWS, "set": {"needles_per_row": 2.5}}))


@pytest.mark.parametrize(
    ("pulse", "said"),
    [
        ({"anode": ["hex"]}, "pulses[0].anode[0]: expected an electrode, one of hex."),
        ({"anode": ["hex.7"]}, "pulses[0].anode[0]: expected an electrode, one of hex."),
        ({"anode": ["hex.rim"]}, "pulses[0].cathode[0]: expected each conductor once in a pulse"),
    ],
)
def test_pulses_name_conductors_or_groups(pulse: dict[str, Any], said: str) -> None:
    assert said in refusal({**PLAN, "pulses": [{**PLAN["pulses"][0], **pulse}]})


def test_names_of_conductors_are_taken() -> None:
    plan = copy.deepcopy(PLAN)
    needle = {"tip_mm": [5, 5, 5], "direction": [0, 0, -1], "diameter_mm": 1, "exposed_mm": 6}
    plan["electrodes"].append({"name": "hex.3", "needle": needle})
    assert "electrodes[1].name: expected a name that no other electrode has; got hex.3" in refusal(plan)
    plan["electrodes"][1] = {"name": "hex", "device": HEX}
    assert "electrodes[1].name" in refusal(plan)


def test_devices_do_not_explode() -> None:
    rows = {**ROWS, "set": {"needles_per_row": 12}}
    plan = {**PLAN, "electrodes": [{"name": f"r{i}", "device": rows} for i in range(21)]}
    assert "electrodes: expected at most 500 needles and plates of devices; got 504" in refusal(plan)


def test_a_needle_outside_is_told_by_its_name_and_the_pose_s_field() -> None:
    with pytest.raises(GeometryError) as caught:
        build_scene(load_plan(plan_of({**HEX, "tip_mm": [36, 20, 5]})))
    (problem,) = caught.value.problems
    assert problem.field == "electrodes[0].device.tip_mm"
    assert problem.got == "(43.3, 20, 5) of hex.1"


def test_needles_that_touch_are_refused() -> None:
    touching = {**HEX, "set": {"pitch_mm": 1, "diameter_mm": 1}}
    with pytest.raises(
        GeometryError, match=r"electrodes\[0\]: expected a gap .* hex\.centre and hex\.1; got they touch"
    ):
        build_scene(load_plan(plan_of(touching)))


def test_a_plan_written_out_is_the_same_plan() -> None:
    plan = load_plan(PLAN)
    assert load_plan(plan.model_dump(mode="json")).model_dump() == plan.model_dump()


def test_a_line_of_slicer_places_a_device() -> None:
    line = {"points_mm": [[-20, -20, 5], [-20, -20, 40]], "space": "LPS", "tip": "first"}
    placed = {"name": "hexagonal_needles", "line": line}
    for name, place in places(placed).items():
        np.testing.assert_allclose(place, places(HEX)[name], atol=1e-12)
    said = refusal(plan_of({**HEX, "line": line}))
    assert "electrodes[0].device.tip_mm: expected none beside line" in said
