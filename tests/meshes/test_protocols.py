"""Protocols: the pulses that they stand for, what caps them, what is noted and what is refused."""

from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from porefield.meshes.devices import load_devices
from porefield.meshes.errors import PlanError
from porefield.meshes.generators import load_generators
from porefield.meshes.plan import Plan, load_plan
from porefield.meshes.protocols import load_protocols
from porefield.meshes.scene import build_scene

BASE = {
    "anatomy": {"phantom": {"size_mm": [60, 60, 40], "tissue": "liver"}},
    "grid": {"spacing_mm": 2.0},
    "electrodes": [
        {"name": n, "device": {"name": "long_needle", "tip_mm": [x, y, 5], "direction": [0, 0, -1]}}
        for n, x, y in (("A", 20, 20), ("B", 40, 20), ("C", 20, 35))
    ],
}
AT = {"tip_mm": [30, 30, 10], "direction": [0, 0, -1]}


def plan_of(protocol: Any, *devices: dict[str, Any], **more: Any) -> dict[str, Any]:
    plan = {**copy.deepcopy(BASE), "protocol": protocol, **more}
    if devices:
        plan["electrodes"] = [{"name": f"E{i}", "device": device} for i, device in enumerate(devices)]
    return plan


def told(plan: Plan) -> list[tuple[str | None, float | None]]:
    return [(train.pulse.name, train.pulse.voltage_v) for train in plan.trains]


def refusal(plan: dict[str, Any]) -> str:
    with pytest.raises(PlanError) as caught:
        load_plan(plan)
    return str(caught.value)


def notes(plan: dict[str, Any], kind: str) -> list[str]:
    return [note.message for note in build_scene(load_plan(plan)).notes if note.kind == kind]


@pytest.mark.parametrize("name", load_protocols())
def test_every_number_of_the_library_is_sound(name: str) -> None:
    protocol = load_protocols()[name]
    for prefix in protocol.trains:
        stated = {q.removeprefix(prefix) for q in protocol.parameters if q.startswith(prefix)}
        assert {"count", "width_us", "frequency_hz"} <= stated
        assert len({"voltage_v", "ratio_v_per_cm"} & stated) == 1
    for parameter in protocol.parameters.values():
        assert parameter.value.value is not None
        assert parameter.lowest <= parameter.value.value <= parameter.highest
        assert parameter.value.source


def test_all_pairs_get_their_own_voltage() -> None:
    plan = load_plan(plan_of({"name": "deep_pairs"}))
    assert told(plan) == [("A-B", 2000), ("A-C", 1500), ("B-C", 2500)]
    assert [train.spacing_mm for train in plan.trains] == pytest.approx([20, 15, 25])
    pulse = plan.trains[0].pulse
    assert (pulse.count, pulse.width_us, pulse.frequency_hz) == (8, 100, 1)


def test_the_order_is_that_of_the_list() -> None:
    plan = load_plan(plan_of({"name": "ire_pairs", "electrodes": ["C", "A"], "set": {"count": 70, "width_us": 70}}))
    (train,) = plan.trains
    assert (train.pulse.anode, train.pulse.cathode) == (("C",), ("A",))
    assert (train.pulse.voltage_v, train.pulse.count, train.pulse.width_us) == (2250, 70, 70)


def test_a_generator_caps_the_voltage_and_a_note_says_what_is_left() -> None:
    plan = plan_of({"name": "ire_pairs"}, generator="nanoknife")
    assert told(load_plan(plan)) == [("A-B", 3000), ("A-C", 2250), ("B-C", 3000)]
    assert notes(plan, "voltage_capped") == [
        "pulse B-C: 3750 V asked for, capped at the 3000 V of NanoKnife (AngioDynamics): 1200 V/cm over 25 mm"
    ]
    low = plan_of({"name": "ire_pairs"}, generator={"max_voltage_v": 1000, "max_current_a": 16})
    assert {voltage for _, voltage in told(load_plan(low))} == {1000}


def test_without_a_generator_the_protocol_has_its_own_cap() -> None:
    plan = plan_of({"name": "esope_plates"}, {"name": "plates", **AT})
    assert told(load_plan(plan)) == [("E0.a-E0.b", 1000)]
    assert "1040 V asked for, capped at the 1000 V that the protocol goes to" in notes(plan, "voltage_capped")[0]
    six = plan_of({"name": "esope_plates"}, {"name": "plates", **AT, "set": {"gap_mm": 6}})
    assert told(load_plan(six)) == [("E0.a-E0.b", 780)]


def test_rows_are_pulsed_against_each_other() -> None:
    (train,) = load_plan(plan_of({"name": "esope_rows"}, {"name": "needle_rows", **AT})).trains
    assert train.pulse.voltage_v == 400
    assert train.pulse.cathode == ("E0.b1", "E0.b2", "E0.b3", "E0.b4")
    assert train.spacing_mm == pytest.approx(4)


def test_a_hexagon_is_pulsed_in_its_twelve_pairs_of_neighbours() -> None:
    plan = load_plan(plan_of({"name": "esope_hexagonal"}, {"name": "hexagonal_needles", **AT}))
    pairs = [(train.pulse.anode[0], train.pulse.cathode[0]) for train in plan.trains]
    assert len(set(map(frozenset, pairs))) == 12
    assert all(train.pulse.voltage_v == 730 for train in plan.trains)
    assert [train.spacing_mm for train in plan.trains] == pytest.approx([7.3] * 12)
    assert sum("E0.centre" in pair for pair in pairs) == 6


def test_two_trains_of_each_pair() -> None:
    plan = load_plan(plan_of({"name": "get_hv_lv", "electrodes": ["A", "B"], "set": {"lv_voltage_v": 180}}))
    assert told(plan) == [("A-B hv", 2000), ("A-B lv", 180)]
    assert [train.pulse.width_us for train in plan.trains] == [100, 400_000]


def test_a_voltage_takes_the_place_of_a_ratio_and_the_reverse() -> None:
    assert {v for _, v in told(load_plan(plan_of({"name": "deep_pairs", "set": {"voltage_v": 900}})))} == {900}
    rows = plan_of({"name": "esope_rows", "set": {"ratio_v_per_cm": 500}}, {"name": "needle_rows", **AT})
    assert told(load_plan(rows)) == [("E0.a-E0.b", 200)]
    assert "voltage_v" not in [value.quantity for value in load_plan(rows).protocol.values]  # type: ignore[union-attr]


def test_spacing_of_needles_that_are_askew_is_the_mean_distance_of_their_bare_parts() -> None:
    plan = plan_of({"name": "deep_pairs", "electrodes": ["A", "B"]})
    plan["electrodes"][1]["device"].update(tip_mm=[40, 20, 5], entry_mm=[50, 20, 105], direction=None)
    (train,) = load_plan(plan).trains
    # 30 mm of B lean outwards by 5.71 degrees: it is 20 mm off at the tip and 20 + 30 sin 5.71 deg = 22.99 at the end;
    # A's points see B at right angles to B, 0.5 % nearer
    assert train.spacing_mm == pytest.approx(21.47, abs=0.05)


def test_unusual_spacings_are_noted() -> None:
    plan = plan_of({"name": "ire_pairs"})
    plan["electrodes"][2]["device"]["tip_mm"] = [20, 28, 5]
    said = notes(plan, "spacing_unusual")
    assert said == ["protocol ire_pairs is for spacings of 10 to 25 mm: A-C 8 mm"]
    assert "unverified count 90 (recall)" in notes(plan, "unverified_protocol")[0]
    assert "ratio_v_per_cm" not in notes(plan, "unverified_protocol")[0]


def test_what_a_generator_can_not_do_is_noted() -> None:
    asked = {"name": "ire_pairs", "set": {"count": 120, "width_us": 200}}
    said = notes(plan_of(asked, generator="nanoknife"), "beyond_generator")
    assert said == [
        "the plan asks for pulses as wide as 200 us; NanoKnife (AngioDynamics) goes to 100 us",
        "the plan asks for trains of 120 pulses; NanoKnife (AngioDynamics) goes to 100 pulses",
    ]
    hexagon = plan_of({"name": "esope_hexagonal"}, {"name": "hexagonal_needles", **AT}, generator="cliniporator_vitae")
    said = notes(hexagon, "beyond_generator")
    assert said == ["the plan asks for connections to 7 conductors; Cliniporator VITAE (IGEA) goes to 6 conductors"]
    # two rows of four needles are two wires
    rows = plan_of({"name": "esope_rows"}, {"name": "needle_rows", **AT}, generator="cliniporator")
    assert notes(rows, "beyond_generator") == []


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"name": "esope"}, "protocol.name: expected a protocol of the library, one of esope"),
        (
            {"name": "deep_pairs", "set": {"width": 1}},
            "protocol.set.width: expected a number of deep_pairs, one of width_us",
        ),
        ({"name": "deep_pairs", "set": {"count": 0}}, "protocol.set.count: expected a number between 1 and 100000"),
        (
            {"name": "deep_pairs", "set": {"voltage_v": 1, "ratio_v_per_cm": 1}},
            "protocol.set.voltage_v: expected one of",
        ),
        (
            {"name": "deep_pairs", "electrodes": ["A", "Z"]},
            "protocol.electrodes[1]: expected an electrode, one of A, B, C",
        ),
        ({"name": "deep_pairs", "electrodes": ["A", "A"]}, "protocol.electrodes[1]: expected each electrode once"),
        ({"name": "deep_pairs", "electrodes": ["A"]}, "protocol.electrodes: expected at least 2 electrodes"),
        ({"name": "esope_hexagonal"}, "protocol.electrodes: expected devices with several needles"),
        ({"name": "esope_plates"}, "protocol.electrodes: expected devices with two sides"),
    ],
)
def test_refusals_name_the_field(protocol: dict[str, Any], said: str) -> None:
    assert said in refusal(plan_of(protocol))


def test_shared_conductors_and_undefined_spacings_are_refused() -> None:
    hexagon = {"name": "hexagonal_needles", **AT}
    assert "share no conductor" in refusal(plan_of({"name": "deep_pairs", "electrodes": ["E0", "E0.1"]}, hexagon))
    tube = {"name": "T", "tube": {"centre_mm": [30, 50, 20], "axis": [0, 0, 1], "outer_diameter_mm": 4, "length_mm": 8}}
    plan = plan_of({"name": "deep_pairs"})
    plan["electrodes"].append(tube)
    assert "needles, or plates that face one another: deep_pairs is in V per cm of spacing" in refusal(plan)
    plan["protocol"]["set"] = {"voltage_v": 800}
    assert len(load_plan(plan).trains) == 6


def test_pulses_or_a_protocol() -> None:
    pulses = [{"anode": ["A"], "cathode": ["B"], "voltage_v": 1000}]
    assert "protocol: expected pulses or a protocol; got both" in refusal(
        plan_of({"name": "deep_pairs"}, pulses=pulses)
    )
    assert "pulses: expected at least 1 of them" in refusal({**BASE})
    plan = load_plan(plan_of({"name": "deep_pairs"}))
    assert load_plan(plan.model_dump(mode="json")).trains == plan.trains


def test_a_protocol_does_not_explode() -> None:
    rows = {"name": "needle_rows", **AT, "set": {"needles_per_row": 12}}
    plan = plan_of({"name": "deep_pairs"}, *(rows for _ in range(2)))
    assert "protocol.electrodes: expected at most 1000 pulse trains; got 1128" in refusal(plan)
    assert len(list(itertools.combinations(range(48), 2))) == 1128


def test_the_schema_asks_for_pulses_or_a_protocol() -> None:
    schema = Plan.model_json_schema()
    assert schema["oneOf"] == [{"required": ["pulses"]}, {"required": ["protocol"]}]
    assert "pulses" not in schema["required"]
    assert schema["properties"]["pulses"]["minItems"] == 1
    assert schema["$defs"]["DeviceSettings"]["properties"]["name"]["enum"] == list(load_devices())
    assert schema["$defs"]["ProtocolSettings"]["properties"]["name"]["enum"] == list(load_protocols())


@pytest.mark.parametrize(("page", "volts"), [("protocols.md", {1500, 2000, 2500}), ("electrodes.md", {730})])
def test_the_pages_examples_are_plans(page: str, volts: set[float]) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "protocol:" in b)
    plan = load_plan({**BASE, **yaml.safe_load(block)})
    assert {voltage for _, voltage in told(plan)} == volts


@pytest.mark.parametrize("page", ["protocols.md", "electrodes.md"])
def test_the_pages_tell_the_whole_library(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    library = {**load_protocols(), **load_generators()} if page == "protocols.md" else load_devices()
    assert [name for name in library if f"`{name}`" not in text] == []
