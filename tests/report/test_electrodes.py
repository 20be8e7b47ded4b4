"""Electrodes are drawn where the plan puts them: cut, near or left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from porefield.workers.figures_electrodes import NEAR_MM, Sketch, sketch
from porefield.workers.report_data import DrawnNeedle, DrawnPlate, Result
from porefield.workers.report_planes import Plane, orthogonal_plane

AXIAL, CORONAL = 2, 1


def coronal(torso: Result) -> tuple[Plane, float]:
    """A coronal plane and the y that it lies at."""
    plane = orthogonal_plane(torso, CORONAL, 15)
    return plane, float(plane.corner_mm[1])


def needle(tip: tuple[float, float, float], direction: tuple[float, float, float] = (0.0, 0.0, -1.0)) -> DrawnNeedle:
    unit = np.array(direction) / np.linalg.norm(direction)
    return DrawnNeedle("A", np.array(tip), unit, 1.8, 30.0, 40.0)


def sketched(plane: Plane, electrode: DrawnNeedle | DrawnPlate) -> Sketch:
    found = sketch(plane, electrode)
    assert found is not None
    return found


def length(points: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def test_a_needle_in_the_plane_is_drawn_solid_at_its_patient_position(torso: Result) -> None:
    plane, y = coronal(torso)
    drawn = sketched(plane, needle((14.0, y, -14.0)))
    exposed, shaft = drawn.strokes
    assert exposed.in_plane
    assert shaft.in_plane
    np.testing.assert_allclose(exposed.points[[0, -1]], [[14, -14], [14, 16]])
    np.testing.assert_allclose(shaft.points[[0, -1]], [[14, 16], [14, 56]])
    assert drawn.tip is not None
    np.testing.assert_allclose(drawn.tip, [14, -14])
    assert drawn.tip_in_plane
    assert drawn.crossing is None
    np.testing.assert_allclose(drawn.label, [14, 16])
    np.testing.assert_allclose(drawn.away, [0, 1], atol=1e-9)


def test_a_band_of_a_probe_is_drawn_with_the_insulation_on_both_sides(torso: Result) -> None:
    plane, y = coronal(torso)
    spans = ((4.0, 9.0), (12.0, 30.0))
    band = replace(needle((14.0, y, -14.0)), from_mm=9.0, exposed_mm=3.0, insulated_mm=spans)
    exposed, *shaft = sketched(plane, band).strokes
    np.testing.assert_allclose(exposed.points[[0, -1]], [[14, -5], [14, -2]])
    assert [stroke.part for stroke in shaft] == ["shaft", "shaft"]
    np.testing.assert_allclose([s.points[[0, -1], 1] for s in shaft], [[-10, -5], [-2, 16]])
    # the tip belongs to another band
    assert sketched(plane, band).tip is None


@pytest.mark.parametrize(("tip", "width_mm"), [("flat", 1.8), ("conical", 0.9), ("rounded", 1.8 * math.sqrt(0.75))])
def test_a_plane_through_a_tip_cuts_its_width_there(torso: Result, tip: str, width_mm: float) -> None:
    plane = orthogonal_plane(torso, AXIAL, 15)
    z = float(plane.corner_mm[2])
    # half way down a cone of 2 mm, half a radius down a half ball
    behind, length_mm = (1.0, 2.0) if tip == "conical" else (0.45, 0.9)
    pointed = replace(needle((14.0, 4.0, z - behind)), tip=tip, tip_length_mm=length_mm if tip != "flat" else 0.0)
    crossing = sketched(plane, pointed).crossing
    assert crossing is not None
    np.testing.assert_allclose(np.ptp(crossing, axis=0), width_mm, rtol=5e-3)


@pytest.mark.parametrize(("off_mm", "seen"), [(5.0, True), (NEAR_MM - 0.1, True), (NEAR_MM + 0.1, False)])
def test_a_needle_beside_the_plane_is_projected_until_it_is_too_far(torso: Result, off_mm: float, seen: bool) -> None:
    plane, y = coronal(torso)
    drawn = sketch(plane, needle((14.0, y + off_mm, -14.0)))
    assert (drawn is not None) == seen
    if drawn is not None:
        assert not any(stroke.in_plane for stroke in drawn.strokes)
        assert not drawn.tip_in_plane


def test_a_needle_across_the_plane_is_a_circle_of_its_true_size(torso: Result) -> None:
    plane = orthogonal_plane(torso, AXIAL, 12)
    drawn = sketched(plane, needle((14.0, -2.0, -14.0)))
    assert drawn.crossing is not None
    np.testing.assert_allclose(drawn.crossing.mean(axis=0), [14, -2], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(drawn.crossing - [14, -2], axis=1), 0.9)
    assert drawn.tip is None


def test_a_needle_that_ends_above_the_slice_is_not_drawn_as_cut(torso: Result) -> None:
    plane = orthogonal_plane(torso, AXIAL, 2)
    z = float(plane.corner_mm[2])
    drawn = sketched(plane, needle((14.0, -2.0, z + 4.0)))
    assert drawn.crossing is None
    assert drawn.tip is not None
    assert not drawn.tip_in_plane
    assert sketch(plane, needle((14.0, -2.0, z + NEAR_MM + 1))) is None


def test_a_slanted_needle_is_solid_where_it_passes_and_dashed_beside(torso: Result) -> None:
    plane, y = coronal(torso)
    drawn = sketched(plane, needle((14.0, y - 10.0, -10.0), (0.0, -1.0, -1.0)))
    assert [s.in_plane for s in drawn.strokes if s.part == "exposed"] == [False, True, False]
    total = sum(length(s.points) for s in drawn.strokes if s.part == "exposed")
    assert total == pytest.approx(30 / math.sqrt(2), rel=0.02)
    assert drawn.crossing is not None
    np.testing.assert_allclose(drawn.crossing.mean(axis=0), [14, 0], atol=1e-9)
    assert np.ptp(drawn.crossing[:, 1]) == pytest.approx(1.8 * math.sqrt(2), rel=0.01)


def test_labels_move_towards_the_shaft_as_seen(torso: Result) -> None:
    """A needle pushed in from the patient's right has its name on the left of a coronal picture."""
    plane, y = coronal(torso)
    drawn = sketched(plane, needle((14.0, y, 0.0), (-1.0, 0.0, 0.0)))
    np.testing.assert_allclose(drawn.label, [44, 0])
    np.testing.assert_allclose(drawn.away, [-1, 0], atol=1e-9)


def test_plates_are_outlines_cut_or_projected(torso: Result) -> None:
    plane, y = coronal(torso)
    axes = np.array([[0, 1.0, 0], [0, 0, 1.0], [1.0, 0, 0]])
    plate = DrawnPlate("P", np.array([10.0, y, 2.0]), axes, np.array([20.0, 30.0, 2.0]))
    (outline,) = sketched(plane, plate).strokes
    assert outline.in_plane
    assert outline.closed
    np.testing.assert_allclose([outline.points.min(axis=0), outline.points.max(axis=0)], [[9, -13], [11, 17]])
    beside = replace(plate, centre_mm=plate.centre_mm + np.array([0, 15, 0]))
    (outline,) = sketched(plane, beside).strokes
    assert not outline.in_plane
    np.testing.assert_allclose([outline.points.min(axis=0), outline.points.max(axis=0)], [[9, -13], [11, 17]])
    assert sketch(plane, replace(plate, centre_mm=plate.centre_mm + np.array([0, 40, 0]))) is None
