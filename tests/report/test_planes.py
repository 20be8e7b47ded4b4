"""Slices show the right part of the patient the right way round, whatever order the scan's axes came in."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from porefield.workers.report_data import DrawnNeedle, DrawnPlate, Result, read_result
from porefield.workers.report_planes import (
    direction_letters,
    electrode_plane,
    fit_plane,
    grid_coordinates_mm,
    is_oblique,
    oblique_plane,
    orthogonal_plane,
    take,
    take_field,
)

from .torso import MARK_MM, straight_affine, tissue_at, write_torso

BONE = 6
SHAPE = (34, 28, 24)
ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((False, True), repeat=3))
AXIAL, CORONAL, SAGITTAL = 2, 1, 0


def reordered(order: tuple[int, ...], flips: tuple[bool, ...]) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """The same grid with its axes permuted and flipped: affine and shape."""
    affine = straight_affine()
    turned, shape = np.eye(4), [SHAPE[a] for a in order]
    turned[:3, 3] = affine[:3, 3]
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        column = affine[:3, old]
        turned[:3, new] = -column if flip else column
        turned[:3, 3] += column * (SHAPE[old] - 1) if flip else 0
    return turned, (shape[0], shape[1], shape[2])


def mark_index(result: Result) -> list[int]:
    return [round(float(i)) for i in result.index_of(np.array(MARK_MM))]


def mark_pixels(result: Result, axis: int) -> NDArray[np.float64]:
    """Mean (row, column) of the mark in the slice through it, as shares of the picture's height and width."""
    plane = orthogonal_plane(result, axis, mark_index(result)[axis])
    tissue = take(result, plane, result.tissue)
    near = plane.project(np.array(MARK_MM))[0]
    rows, columns = np.nonzero(tissue == BONE)
    at = np.stack([plane.across.centres(plane.shape[1])[columns], plane.along.centres(plane.shape[0])[rows]], axis=-1)
    mine = np.linalg.norm(at - near, axis=1) < 9
    assert mine.any()
    return np.array([rows[mine].mean() / plane.shape[0], columns[mine].mean() / plane.shape[1]])


@pytest.mark.parametrize(("axis", "letters"), [(AXIAL, "RLPA"), (CORONAL, "RLIS"), (SAGITTAL, "APIS")])
def test_the_right_anterior_superior_corner_is_top_left_in_every_view(torso: Result, axis: int, letters: str) -> None:
    row, column = mark_pixels(torso, axis)
    assert row < 0.35
    assert column < 0.35
    edges = orthogonal_plane(torso, axis, 0).edges
    assert (edges.left, edges.right, edges.bottom, edges.top) == tuple(letters)


@pytest.mark.parametrize("order", ORDERS)
def test_axis_order_and_direction_of_the_scan_do_not_change_the_picture(
    torso: Result, tmp_path: Path, order: tuple[int, ...]
) -> None:
    flips = FLIPS[ORDERS.index(order) + 1]
    other = read_result(write_torso(tmp_path / "other", *reordered(order, flips)))
    assert other.shape == torso.shape
    np.testing.assert_allclose(other.affine, torso.affine)
    assert other.centre_index == torso.centre_index
    for axis in range(3):
        mine, theirs = (orthogonal_plane(r, axis, torso.centre_index[axis]) for r in (torso, other))
        np.testing.assert_array_equal(take(other, theirs, other.tissue), take(torso, mine, torso.tissue))
        np.testing.assert_allclose(theirs.extent, mine.extent)
        assert theirs.edges == mine.edges
    np.testing.assert_array_equal(other.field_max_v_per_cm, torso.field_max_v_per_cm)


@pytest.mark.parametrize("axis", range(3))
def test_pixels_lie_where_the_rulers_say(torso: Result, axis: int) -> None:
    plane = orthogonal_plane(torso, axis, torso.centre_index[axis])
    tissue = take(torso, plane, torso.tissue)
    level = torso.position_mm(torso.centre_index)[axis]
    rows, columns = np.indices(plane.shape)
    shown = plane.across.centres(plane.shape[1])[columns], plane.along.centres(plane.shape[0])[rows]
    points = np.insert(np.stack(shown, axis=-1), axis, level, axis=-1)
    np.testing.assert_array_equal(tissue, tissue_at(points))
    back, distance = plane.project(points)
    np.testing.assert_allclose(back, np.stack(shown, axis=-1), atol=1e-9)
    np.testing.assert_allclose(distance, 0, atol=1e-9)


def test_the_extent_runs_from_right_to_left_and_from_bottom_to_top(torso: Result) -> None:
    left, right, bottom, top = orthogonal_plane(torso, AXIAL, 3).extent
    corner = torso.affine[:3, 3] - 1.5
    assert (left, right) == pytest.approx((corner[0] + 34 * 3.0, corner[0]))
    assert (bottom, top) == pytest.approx((corner[1], corner[1] + 28 * 3.0))


def turned_torso(path: Path, degrees: float) -> Result:
    affine = straight_affine()
    affine[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    return read_result(write_torso(path, affine))


def test_an_oblique_grid_is_labelled_with_its_own_axes(tmp_path: Path) -> None:
    result = turned_torso(tmp_path / "oblique", 20.0)
    plane = orthogonal_plane(result, AXIAL, 4)
    assert is_oblique(result)
    assert (plane.across.label, plane.along.label) == ("grid x (mm)", "grid y (mm)")
    assert plane.place.startswith("grid z = ")
    assert plane.edges == ("RA", "LP", "PR", "AL")
    assert grid_coordinates_mm(result)[0][0] == 0
    needle = result.electrodes[0]
    assert isinstance(needle, DrawnNeedle)
    shown, _ = plane.project(needle.tip_mm)
    assert shown[0] == pytest.approx(result.index_of(needle.tip_mm)[0] * 3.0)


def test_half_a_degree_is_not_oblique(tmp_path: Path) -> None:
    result = turned_torso(tmp_path / "nearly", 0.5)
    assert not is_oblique(result)
    assert orthogonal_plane(result, AXIAL, 4).across.label == "x (mm)"


@pytest.mark.parametrize(
    ("direction", "letters"),
    [((1, 0, 0), "R"), ((-1, 0.05, 0), "L"), ((0, 0, -2), "I"), ((0.8, 0.6, 0), "RA"), ((0.5, -0.6, 0.62), "SPR")],
)
def test_direction_letters(direction: tuple[float, float, float], letters: str) -> None:
    assert direction_letters(np.array(direction)) == letters


def test_an_oblique_plane_shows_what_is_there(torso: Result) -> None:
    """Each pixel has the tissue of the voxel it lies in, and the front of the patient is not behind."""
    plane = oblique_plane(torso, np.array([24.0, 3.0, 2.0]), np.array([0.3, 0.9, 0.2]), "test", pixel_mm=2.0)
    tissue = take(torso, plane, torso.tissue)
    rows, columns = np.indices(plane.shape)
    points = plane.corner_mm + 2.0 * (columns[..., None] * plane.right + rows[..., None] * plane.down)
    index = np.floor((points - torso.affine[:3, 3]) / 3.0 + 0.5)
    inside = np.all((index >= 0) & (index < torso.shape), axis=-1)
    assert inside.mean() > 0.8
    np.testing.assert_array_equal(tissue[inside], tissue_at(torso.affine[:3, 3] + 3.0 * index[inside]))
    assert plane.edges.left.startswith("R")
    assert plane.edges.top.startswith("S")


def test_a_window_keeps_to_its_size_and_to_the_grid(torso: Result) -> None:
    whole = oblique_plane(torso, np.array(MARK_MM), np.array([0.0, 1.0, 0.0]), "whole", pixel_mm=1.0)
    part = oblique_plane(
        torso, np.array(MARK_MM), np.array([0.0, 1.0, 0.0]), "part", window_mm=(50.0, 30.0), pixel_mm=1.0
    )
    assert whole.shape == (72, 102)
    assert part.shape == (30, 50)
    shown, distance = part.project(np.array(MARK_MM))
    assert distance == pytest.approx(0)
    left, right, bottom, top = whole.extent
    assert left <= part.extent[0] < part.extent[1] <= right
    assert bottom <= part.extent[2] < part.extent[3] <= top
    assert shown[1] > 0


def test_a_linear_field_is_interpolated_exactly_and_hidden_where_nothing_conducts(torso: Result) -> None:
    points = np.moveaxis(np.indices(torso.shape), 0, -1) * 3.0 + torso.affine[:3, 3]
    field = (points @ np.array([1.0, 2.0, -1.5]) + 500).astype(np.float32)
    plane = oblique_plane(torso, np.array([24.0, 3.0, 2.0]), np.array([0.2, 0.1, 1.0]), "test", pixel_mm=1.0)
    seen = take_field(torso, plane, field)
    assert np.isnan(seen[0, 0])
    rows, columns = (np.array([d]) for d in np.argwhere(take(torso, plane, torso.tissue) == 3).mean(axis=0).astype(int))
    at = plane.corner_mm + columns[:, None] * plane.right + rows[:, None] * plane.down
    np.testing.assert_allclose(seen[rows, columns], at @ np.array([1.0, 2.0, -1.5]) + 500, rtol=1e-4)


def test_refined_planes_cover_the_same_rectangle(torso: Result) -> None:
    plane = orthogonal_plane(torso, CORONAL, 5)
    fine = plane.refined(3)
    np.testing.assert_allclose(fine.extent, plane.extent)
    np.testing.assert_array_equal(take(torso, fine, torso.tissue)[1::3, 1::3], take(torso, plane, torso.tissue))


def needle(name: str, x: float, y: float, z: float = -14.0) -> DrawnNeedle:
    return DrawnNeedle(name, np.array([x, y, z]), np.array([0.0, 0.0, -1.0]), 1.8, 30.0, 40.0)


def with_electrodes(result: Result, *electrodes: DrawnNeedle | DrawnPlate) -> Result:
    return replace(result, electrodes=electrodes)


def test_two_needles_span_the_plane_they_lie_in(torso: Result) -> None:
    result = with_electrodes(torso, needle("A", 14, -2), needle("B", 30, 10))
    plane = electrode_plane(result)
    assert plane is not None
    assert plane.place == "plane of A and B"
    for electrode in result.electrodes:
        np.testing.assert_allclose(plane.project(electrode.spine_mm)[1], 0, atol=1e-9)
    assert plane.edges.top == "S"
    assert plane.right[0] < 0


def test_four_needles_in_a_square_are_cut_along_the_diagonal_through_the_target(torso: Result) -> None:
    square = [("A", 14, -7), ("B", 34, -7), ("C", 34, 13), ("D", 14, 13)]
    plane = electrode_plane(with_electrodes(torso, *(needle(*corner) for corner in square)))
    assert plane is not None
    assert plane.place in ("plane of A and C", "plane of B and D")


def test_needles_in_a_row_share_one_plane(torso: Result) -> None:
    plane = electrode_plane(with_electrodes(torso, *(needle(n, 10 + 8 * i, 3) for i, n in enumerate("ABC"))))
    assert plane is not None
    assert plane.place == "plane of A, B and C"


def test_one_electrode_spans_no_plane(torso: Result) -> None:
    assert electrode_plane(with_electrodes(torso, needle("A", 14, -2))) is None


def test_two_needles_on_one_line_still_get_a_plane_along_them() -> None:
    segments = [np.array([[0.0, 0, 0], [0, 0, 10]]), np.array([[0.0, 0, 20], [0, 0, 30]])]
    through, normal, miss = fit_plane(segments)
    assert miss == pytest.approx(0, abs=1e-9)
    assert abs(normal[2]) < 1e-9
    assert np.linalg.norm(normal) == pytest.approx(1)
    np.testing.assert_allclose(through, [0, 0, 15])


def test_opposite_plates_are_cut_along_their_height(torso: Result) -> None:
    axes = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    plates = [
        DrawnPlate(n, np.array([24.0, y, 2.0]), axes, np.array([20.0, 30.0, 1.0])) for n, y in (("P", -9), ("Q", 15))
    ]
    plane = electrode_plane(with_electrodes(torso, *plates))
    assert plane is not None
    assert abs(plane.normal[0]) == pytest.approx(1)
