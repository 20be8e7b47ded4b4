"""A device moves as one body, with the voltages that were planned for where it should have been."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from porefield.meshes.conductors import Wire
from porefield.meshes.errors import PlanError
from porefield.meshes.plan import Plan, load_plan
from porefield.workers.sweep.fields import apply_fields, expand

HEX = {"name": "hexagonal_needles", "tip_mm": [30, 30, 10], "direction": [0.2, 0, -1], "roll_deg": 20}
PLAN = {
    "anatomy": {"phantom": {"size_mm": [60, 60, 40], "tissue": "liver"}},
    "grid": {"spacing_mm": 1.0},
    "electrodes": [{"name": "hex", "device": HEX}],
    "protocol": {"name": "deep_pairs", "electrodes": ["hex.1", "hex.4"]},
}


def moved(values: dict[str, float], plan: dict[str, Any] = PLAN) -> Plan:
    table = copy.deepcopy(plan)
    apply_fields(table, values)
    return load_plan(table)


def needles(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Tips (mm) and directions."""
    poses = [c.solid.pose for c in plan.conductors if isinstance(c.solid, Wire)]
    return np.asarray([pose.tip_mm for pose in poses]), np.asarray([pose.unit_direction for pose in poses])


def test_shift_and_depth_carry_every_needle() -> None:
    tips, way = needles(load_plan(PLAN))
    np.testing.assert_allclose(needles(moved({"electrodes.hex.shift_mm.y": 2}))[0], tips + np.asarray([0, 2, 0]))
    np.testing.assert_allclose(needles(moved({"electrodes.hex.depth_mm": 3}))[0], tips + 3 * way)


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize(
    "place", [{}, {"tip_mm": None, "centre_mm": [30, 30, 20]}, {"direction": None, "entry_mm": [22, 30, 50]}]
)
def test_tilting_is_a_rotation_about_the_far_end(axis: str, place: dict[str, Any]) -> None:
    plan = {**PLAN, "electrodes": [{"name": "hex", "device": {**HEX, **place}}]}
    tips, way = needles(load_plan(plan))
    turned_tips, turned_way = needles(moved({f"electrodes.hex.tilt_deg.{axis}": 50}, plan))
    turn = Rotation.from_euler(axis, 50, degrees=True).as_matrix()
    pivot = tips[0] - 20 * way[0]  # hexagonal_needles are bare over 20 mm, without a shaft
    np.testing.assert_allclose(turned_tips, (tips - pivot) @ turn.T + pivot, atol=1e-9)
    np.testing.assert_allclose(turned_way, way @ turn.T, atol=1e-12)


def test_two_devices_move_as_one_body() -> None:
    plan = copy.deepcopy(PLAN)
    plan["electrodes"].append(
        {"name": "B", "device": {"name": "long_needle", "tip_mm": [45, 30, 10], "entry_mm": [45, 30, 90]}}
    )
    tips, _ = needles(load_plan(plan))
    turned, _ = needles(moved({"electrodes.all.tilt_deg.z": 90}, plan))
    middle = np.asarray([37.5, 30, 10])
    np.testing.assert_allclose(
        turned, (tips - middle) @ np.asarray([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + middle, atol=1e-9
    )


def test_voltages_stay_as_planned_where_electrodes_do_not() -> None:
    plan = copy.deepcopy(PLAN)
    plan["electrodes"] = [
        {"name": n, "device": {"name": "long_needle", "tip_mm": [x, 30, 5], "direction": [0, 0, -1]}}
        for n, x in (("A", 20), ("B", 40))
    ]
    plan["protocol"] = {"name": "deep_pairs"}
    assert moved({}, plan).trains[0].pulse.voltage_v == 2000
    elsewhere = moved({"electrodes.A.shift_mm.x": 5}, plan)
    assert elsewhere.protocol is None
    assert elsewhere.trains[0].pulse.voltage_v == 2000
    # another plan, not another outcome of this one: the protocol follows
    assert moved({"electrodes.A.device.tip_mm[0]": 25}, plan).trains[0].pulse.voltage_v == 1500
    both = moved({"electrodes.A.shift_mm.x": 5, "protocol.set.ratio_v_per_cm": 800}, plan)
    assert both.trains[0].pulse.voltage_v == 1600


def test_numbers_of_the_library_are_fields() -> None:
    plan = moved({"electrodes.hex.device.set.pitch_mm": 8, "protocol.set.count": 4})
    assert plan.trains[0].spacing_mm == pytest.approx(16)
    assert plan.trains[0].pulse.count == 4
    with pytest.raises(PlanError, match=r"set\.pitch"):
        moved({"electrodes.hex.device.set.pitch": 8})


def test_a_star_stands_for_devices() -> None:
    assert expand(copy.deepcopy(PLAN), "electrodes.*.depth_mm") == ["electrodes.hex.depth_mm"]
