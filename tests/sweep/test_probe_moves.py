"""A probe moves with all its bands, in sweeps and studies as a needle does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from porefield.workers.sweep.fields import apply_fields

BANDS = [{"name": "far", "from_mm": 0, "to_mm": 7}, {"name": "near", "from_mm": 12, "to_mm": 19}]
PROBE = {"tip_mm": [10, 20, 30], "direction": [0, 0, -1], "diameter_mm": 1.6, "bands": BANDS, "shaft_mm": 11}


def moved(field: str, value: float) -> dict[str, Any]:
    plan = {"electrodes": [{"name": "P", "probe": copy.deepcopy(PROBE)}]}
    apply_fields(plan, {f"electrodes.P.{field}": value})
    return plan["electrodes"][0]["probe"]


def test_shift_and_depth_move_the_tip_and_leave_the_bands() -> None:
    assert moved("shift_mm.y", 2)["tip_mm"] == pytest.approx([10, 22, 30])
    pushed = moved("depth_mm", 3)
    assert pushed["tip_mm"] == pytest.approx([10, 20, 27])
    assert pushed["bands"] == BANDS


def test_it_tilts_about_its_far_end() -> None:
    turned = moved("tilt_deg.x", 90)
    # the end of the shaft, 30 mm behind the tip, stays at z = 60
    assert turned["direction"] == pytest.approx([0, 1, 0])
    assert turned["tip_mm"] == pytest.approx([10, 50, 60])


def test_a_band_is_a_field() -> None:
    assert moved("probe.bands[1].to_mm", 25)["bands"][1]["to_mm"] == 25
