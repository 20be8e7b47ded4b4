"""What a sweep may do to a tube: shift and tilt it about its middle, not push it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from porefield.meshes import PlanError
from porefield.workers.sweep.fields import apply_fields

RING = {"centre_mm": [10, 20, 30], "axis": [0, 0, 1], "inner_diameter_mm": 8, "outer_diameter_mm": 12, "length_mm": 4}
ROD = {"centre_mm": [10, 20, 50], "axis": [0, 1, 0], "outer_diameter_mm": 3, "length_mm": 9}


def moved(**fields: float) -> list[dict[str, Any]]:
    plan = {"electrodes": [{"name": "ring", "tube": copy.deepcopy(RING)}, {"name": "rod", "tube": copy.deepcopy(ROD)}]}
    apply_fields(plan, {f"electrodes.{path.replace('__', '.')}": value for path, value in fields.items()})
    return [electrode["tube"] for electrode in plan["electrodes"]]


def test_a_shift_moves_the_middle() -> None:
    ring, rod = moved(ring__shift_mm__x=1.5, ring__shift_mm__z=-2)
    assert ring["centre_mm"] == pytest.approx([11.5, 20, 28])
    assert ring["axis"] == RING["axis"]
    assert rod == ROD


def test_a_tilt_turns_the_axis_about_the_middle() -> None:
    ring, _ = moved(ring__tilt_deg__x=30)
    assert ring["centre_mm"] == pytest.approx(RING["centre_mm"])
    assert ring["axis"] == pytest.approx([0, -0.5, math.sqrt(0.75)])
    assert {k: v for k, v in ring.items() if k.endswith("_mm") and k != "centre_mm"} == {
        k: v for k, v in RING.items() if k.endswith("_mm") and k != "centre_mm"
    }


def test_all_turn_as_one_body_about_the_middle_of_all() -> None:
    ring, rod = moved(all__tilt_deg__y=90)
    np.testing.assert_allclose([ring["centre_mm"], rod["centre_mm"]], [[0, 20, 40], [20, 20, 40]], atol=1e-12)
    np.testing.assert_allclose([ring["axis"], rod["axis"]], [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_sizes_are_fields_as_the_plan_has_them() -> None:
    _, rod = moved(rod__tube__outer_diameter_mm=4.5, rod__tube__inner_diameter_mm=2)
    assert (rod["outer_diameter_mm"], rod["inner_diameter_mm"]) == (4.5, 2)


def test_a_tube_has_no_depth() -> None:
    with pytest.raises(PlanError, match="a needle") as caught:
        moved(ring__depth_mm=1)
    assert caught.value.problems[0].field == "electrodes.ring.depth_mm"
    assert "ring" in caught.value.problems[0].got
