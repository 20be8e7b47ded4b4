"""Tubes in plans: where they lie, what they may touch, and when the voxels are too large for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from porefield.kernels.electrodes import Needle, Plate, Tube
from porefield.meshes import GeometryError, PlanError, Scene, build_scene, load_plan
from porefield.meshes.placement import gap_mm

from .conftest import asymmetric_labels, ras_affine, scan_plan


def tube(name: str = "T", **settings: Any) -> dict[str, Any]:
    given = {"centre_mm": [12, 10, 8], "axis": [0, 0, 2], "outer_diameter_mm": 4, "length_mm": 40, **settings}
    return {"name": name, "tube": given}


def coaxial(**outer: Any) -> dict[str, Any]:
    """A solid rod in a ring, both longer than the phantom of 24 x 20 x 16 mm."""
    shell = {"inner_diameter_mm": 12, "outer_diameter_mm": 18, **outer}
    return {
        "anatomy": {"phantom": {"size_mm": [24, 20, 16], "tissue": "liver"}},
        "grid": {"spacing_mm": 1.0},
        "electrodes": [tube("inner"), tube("outer", **shell)],
        "pulses": [{"anode": ["inner"], "cathode": ["outer"], "voltage_v": 400}],
    }


def scene_of(plan: dict[str, Any]) -> Scene:
    return build_scene(load_plan(plan))


def tubes_notes(scene: Scene) -> dict[str, str]:
    return {note.kind: note.message for note in scene.notes if note.kind.startswith("tube")}


BAD = [
    ({"inner_diameter_mm": 4}, "tube.outer_diameter_mm", "more than inner_diameter_mm 4", "4.0"),
    ({"inner_diameter_mm": 5}, "tube.outer_diameter_mm", "more than inner_diameter_mm 5", "4.0"),
    ({"inner_diameter_mm": -1}, "tube.inner_diameter_mm", "greater than or equal to 0", "-1"),
    ({"outer_diameter_mm": 0}, "tube.outer_diameter_mm", "greater than 0", "0"),
    ({"axis": [0, 0, 0]}, "tube.axis", "not zero", "(0.0, 0.0, 0.0)"),
    ({"length_mm": -3}, "tube.length_mm", "greater than 0", "-3"),
    ({"diameter_mm": 3}, "tube.diameter_mm", "inner_diameter_mm", "unknown key 'diameter_mm'"),
]


@pytest.mark.parametrize(("settings", "field", "expected", "got"), BAD, ids=[str(bad[0]) for bad in BAD])
def test_bad_tubes_are_refused_by_field(settings: dict[str, Any], field: str, expected: str, got: str) -> None:
    plan = coaxial()
    plan["electrodes"][0]["tube"].update(settings)
    with pytest.raises(PlanError) as caught:
        load_plan(plan)
    (problem,) = caught.value.problems
    assert problem.field == f"electrodes[0].{field}"
    assert expected in problem.expected
    assert got in problem.got


def test_one_kind_only() -> None:
    plan = coaxial()
    plate = {"centre_mm": [1, 1, 1], "normal": [1, 0, 0], "up": [0, 1, 0]}
    plan["electrodes"][0]["plate"] = plate | {"width_mm": 1, "height_mm": 1, "thickness_mm": 1}
    with pytest.raises(PlanError, match="exactly one of needle, probe, plate, tube"):
        load_plan(plan)


def test_a_rod_in_the_bore_of_a_tube_is_fine_and_both_may_stick_out() -> None:
    scene = scene_of(coaxial())
    assert scene.electrodes["inner"] == Tube((12e-3, 10e-3, 8e-3), (0.0, 0.0, 1.0), 0.0, 2e-3, 40e-3)
    outer = scene.electrodes["outer"]
    assert isinstance(outer, Tube)
    assert (outer.inner_radius_m, outer.outer_radius_m, outer.length_m) == pytest.approx((6e-3, 9e-3, 40e-3))
    assert [note.kind for note in scene.notes if note.warning] == []


TOUCHING = [
    ({"centre_mm": [16, 10, 8]}, "they touch", "rod of 2 mm radius, 4 mm off in a bore of 6 mm radius"),
    ({"centre_mm": [17, 10, 8]}, "overlap by 1 mm", "rod partly in the wall"),
    ({"centre_mm": [12, 17.5, 8]}, "overlap by 1.8 mm", "rod's axis in the middle of the wall"),
    ({"inner_diameter_mm": 3}, "overlap by 0.5 mm", "rod thicker than the bore, on one axis"),
    ({"axis": [1, 0, 0]}, "overlap", "rod through the wall"),
]


@pytest.mark.parametrize(("settings", "got", "case"), TOUCHING, ids=[case[2] for case in TOUCHING])
def test_metal_in_anothers_wall_is_refused(settings: dict[str, Any], got: str, case: str) -> None:
    with pytest.raises(GeometryError) as caught:
        scene_of(coaxial(**settings))
    (problem,) = caught.value.problems
    assert problem.field == "electrodes[1]"
    assert "between the metal of inner and outer" in problem.expected
    assert got in problem.got


def test_a_needle_in_the_bore_is_beside_the_tube_and_in_the_wall_is_not() -> None:
    plan = coaxial()
    needle = {"tip_mm": [12, 10, 2], "direction": [0, 0, -1], "diameter_mm": 0.6, "exposed_mm": 10}
    plan["electrodes"][0] = {"name": "inner", "needle": needle}
    assert isinstance(scene_of(plan).electrodes["inner"], Needle)
    needle["tip_mm"] = [12, 17.4, 2]
    with pytest.raises(GeometryError, match="overlap"):
        scene_of(plan)


def metre(*point_mm: float) -> tuple[float, float, float]:
    x, y, z = (1e-3 * p for p in point_mm)
    return (x, y, z)


Z, X, Y = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
SHELL = Tube(metre(0, 0, 0), Z, 12e-3, 14e-3, 40e-3)
GAPS = [
    (SHELL, Tube(metre(1.234, 2.345, 0), Z, 0.0, 1e-3, 30e-3), 12 - 1 - np.hypot(1.234, 2.345), "eccentric rod"),
    (SHELL, Tube(metre(17.111, -11, 0), Z, 0.0, 2e-3, 8e-3), np.hypot(17.111, 11) - 16, "rod outside"),
    (SHELL, Tube(metre(0.7, 18.05, 3.31), X, 0.0, 4e-3, 77e-3), 0.05, "rod across, outside"),
    (Tube(metre(0, 0, 0), Z, 0.0, 1e-3, 60e-3), Tube(metre(9.3, 2.02, 7.77), X, 0.0, 1e-3, 60e-3), 0.02, "crossed"),
    (SHELL, Tube(metre(0, 0, 30.5), Z, 12e-3, 14e-3, 20e-3), 0.5, "end to end"),
    (SHELL, Plate(metre(0, 0, 21), (X, Y, Z), (60e-3, 60e-3, 1e-3)), 0.5, "plate on an end"),
    (SHELL, Needle(metre(13, 0, -3), Z, 0.4e-3, 9e-3), -1.0, "needle within the wall"),
]


@pytest.mark.parametrize(("one", "other", "expected", "case"), GAPS, ids=[gap[3] for gap in GAPS])
def test_gaps_by_hand(one: Any, other: Any, expected: float, case: str) -> None:
    """Never smaller than the truth, and larger by 2 um for each of the two curved surfaces at most."""
    assert gap_mm(one, other) >= expected - 1e-9
    assert gap_mm(one, other) <= expected + 0.004


NOWHERE = [
    ({"centre_mm": [12, 10, 40], "length_mm": 8}, "within the anatomy", "(12, 10, 40)"),
    ({"centre_mm": [60, 10, 8], "length_mm": 8}, "within the anatomy", "(60, 10, 8)"),
    # the box round a wide ring meets the anatomy, the ring does not
    (
        {"inner_diameter_mm": 60, "outer_diameter_mm": 64, "length_mm": 8},
        "a tube in the solved region, from (0, 0, 0) to (24, 20, 16)",
        "(12, 10, 8)",
    ),
    ({"centre_mm": [12, 10, 14], "length_mm": 2}, "a tube that touches tissue", "all in air"),
]


@pytest.mark.parametrize(("settings", "expected", "got"), NOWHERE)
def test_tubes_without_tissue_are_refused(settings: dict[str, Any], expected: str, got: str) -> None:
    plan = coaxial(**settings)
    plan["electrodes"][0]["tube"]["centre_mm"][2] = -2
    plan["anatomy"]["add"] = [{"tissue": "air", "box": {"from_mm": [0, 0, 11], "to_mm": [24, 20, 16]}}]
    with pytest.raises(GeometryError) as caught:
        scene_of(plan)
    (problem,) = caught.value.problems
    assert problem.field == "electrodes[1].tube.centre_mm"
    assert expected in problem.expected
    assert got in problem.got


def test_a_rod_thinner_than_a_voxel_is_refused_by_its_diameter() -> None:
    plan = coaxial()
    plan["electrodes"][0]["tube"]["outer_diameter_mm"] = 0.9
    with pytest.raises(GeometryError) as caught:
        scene_of(plan)
    (problem,) = caught.value.problems
    assert problem.field == "electrodes[0].tube.outer_diameter_mm"
    assert "needle" in problem.expected
    assert "0.9 voxels" in problem.got
    plan["grid"]["spacing_mm"] = [0.6, 0.6, 4]  # across the rod's axis it is 1.5 voxels thick
    assert "inner is 1.5 voxels thick" in tubes_notes(scene_of(plan))["tube_thin"]


def test_a_ring_is_as_thick_as_the_larger_of_wall_and_length() -> None:
    ring = {"inner_diameter_mm": 12, "outer_diameter_mm": 13, "length_mm": 0.8}
    with pytest.raises(GeometryError, match=r"electrodes\[1\].tube.length_mm") as caught:
        scene_of(coaxial(**ring))
    assert "0.8 voxels" in caught.value.problems[0].got
    for wide in ({"outer_diameter_mm": 18}, {"length_mm": 3.0}):
        scene_of(coaxial(**{**ring, **wide}))


NOTES = [
    ({}, set()),
    ({"outer_diameter_mm": 16}, set()),
    ({"outer_diameter_mm": 13.8}, {"tube_wall_thin"}),
    ({"outer_diameter_mm": 16, "length_mm": 10}, {"tube_rim"}),
    ({"outer_diameter_mm": 18.2, "length_mm": 10}, set()),
    ({"outer_diameter_mm": 14, "length_mm": 2}, {"tube_thin", "tube_rim"}),
]


@pytest.mark.parametrize(("settings", "kinds"), NOTES)
def test_notes_on_thin_tubes(settings: dict[str, Any], kinds: set[str]) -> None:
    scene = scene_of(coaxial(**settings))
    assert set(tubes_notes(scene)) == kinds
    assert all(note.warning for note in scene.notes if note.kind in kinds)


def with_tubes(plan: dict[str, Any], affine: np.ndarray, length_mm: float) -> dict[str, Any]:
    """The scan's needles replaced by two rods at the same voxels, along the scan's third axis."""
    for electrode, at in zip(plan["electrodes"], ([6.6, 6, 6], [10, 10, 6]), strict=True):
        needle = electrode.pop("needle")
        centre = (affine @ [*at, 1.0])[:3].tolist()
        electrode["tube"] = {"centre_mm": centre, "axis": needle["direction"], "outer_diameter_mm": 4}
        electrode["tube"]["length_mm"] = length_mm
    return plan


@pytest.mark.parametrize("length_mm", [10.0, 400.0])
def test_a_scan_is_cropped_round_what_of_a_tube_lies_in_it(write_nifti: Callable[..., Path], length_mm: float) -> None:
    affine = ras_affine()
    plan = with_tubes(scan_plan(write_nifti(asymmetric_labels(), affine), affine), affine, length_mm)
    scene = scene_of(plan)
    corner = affine[:3, 3] - [0.75, 1, 1.25]
    extent = np.array([18, 15, 12]) * [1.5, 2, 2.5]
    low, high = scene.grid.corner_mm - corner, scene.grid.corner_mm + scene.grid.size_mm - corner
    # across: the rod at x = 7.1 voxels, less its radius and the margin of 3 mm, but the target's voxels begin at 3
    assert low[0] == pytest.approx(3 * 1.5 - 3, abs=1)
    assert high[1] == pytest.approx(10.5 * 2 + 2 + 3, abs=1)
    if length_mm == 400:
        assert (low[2], high[2]) == pytest.approx((0, extent[2]), abs=1e-6)
    else:
        assert high[2] == pytest.approx(6.5 * 2.5 + 5 + 3, abs=1)
    cut = [note.message for note in scene.notes if note.kind == "cut_by_edge"]
    # of the 185 mm that stick out nothing is said: only the margin is missing
    assert cut == (
        []
        if length_mm == 10
        else ["the margin of 3 mm is cut by the edge of the scan by up to 3 mm; no current leaves through that face"]
    )
