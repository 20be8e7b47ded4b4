"""Tubes are drawn where the plan puts them: rings across the axis, bars along it, and what lies between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from porefield.kernels.electrodes import Tube
from porefield.workers import figures_style
from porefield.workers.figures import coverage_figure
from porefield.workers.figures_electrodes import NEAR_MM, Sketch, sketch
from porefield.workers.figures_panel import draw_panel, layers_of
from porefield.workers.report_data import DrawnTube, Result, drawn_electrode
from porefield.workers.report_planes import Plane, electrode_plane, orthogonal_plane
from porefield.workers.tube_outlines import cut_tube

AXIAL, CORONAL = 2, 1
Z = (0.0, 0.0, 1.0)


def tube(
    centre: tuple[float, float, float], axis: tuple[float, float, float] = Z, bore: float = 12.0, length: float = 20.0
) -> DrawnTube:
    unit = np.array(axis) / np.linalg.norm(axis)
    return DrawnTube("T", np.array(centre), unit, bore, 16.0, length)


def sketched(plane: Plane, electrode: DrawnTube) -> Sketch:
    found = sketch(plane, electrode)
    assert found is not None
    return found


def radii(points: NDArray[np.float64], middle: tuple[float, float]) -> NDArray[np.float64]:
    return np.linalg.norm(points - middle, axis=1)


def test_across_the_axis_a_tube_is_a_ring_and_a_rod_a_disc(torso: Result) -> None:
    plane = orthogonal_plane(torso, AXIAL, 12)
    z = float(plane.corner_mm[2])
    (ring,) = sketched(plane, tube((14.0, -2.0, z + 3.0))).strokes
    assert ring.in_plane
    assert ring.closed
    assert ring.hole is not None
    np.testing.assert_allclose(radii(ring.points, (14.0, -2.0)), 8)
    np.testing.assert_allclose(radii(ring.hole, (14.0, -2.0)), 6)
    (disc,) = sketched(plane, tube((14.0, -2.0, z + 3.0), bore=0.0)).strokes
    assert disc.hole is None
    np.testing.assert_allclose(radii(disc.points, (14.0, -2.0)), 8)


def test_along_the_axis_a_tube_is_two_bars_and_a_rod_one(torso: Result) -> None:
    plane = orthogonal_plane(torso, CORONAL, 15)
    y = float(plane.corner_mm[1])
    bars = sketched(plane, tube((14.0, y, 2.0))).strokes
    assert [bar.hole for bar in bars] == [None, None]
    spans = sorted((*bar.points.min(axis=0), *bar.points.max(axis=0)) for bar in bars)
    np.testing.assert_allclose(spans, [(6, -8, 8, 12), (20, -8, 22, 12)])
    (rod,) = sketched(plane, tube((14.0, y, 2.0), bore=0.0)).strokes
    np.testing.assert_allclose([rod.points.min(axis=0), rod.points.max(axis=0)], [[6, -8], [22, 12]])
    # off the axis by 7.0 mm, outside the bore of 6: one strip of half width sqrt(64 - 49)
    (strip,) = sketched(plane, tube((14.0, y + 7.0, 2.0))).strokes
    assert np.ptp(strip.points[:, 0]) == pytest.approx(2 * np.sqrt(15))


def test_the_outline_holds_the_metal_in_any_plane() -> None:
    """Its area is that of the points in the plane where the kernels find metal."""
    rng = np.random.default_rng(5)
    kinds = set()
    steps = np.arange(-20, 20, 0.1)
    for _ in range(60):
        axis, normal = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
        drawn = DrawnTube("T", rng.uniform(-3, 3, 3), axis, 7.0, 10.0, float(rng.uniform(2, 16)))
        cuts = cut_tube(drawn, np.zeros(3), normal)
        right = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
        right /= np.linalg.norm(right)
        down = np.cross(normal, right)
        points = steps[:, None, None] * right + steps[None, :, None] * down
        metal = Tube(tuple(drawn.centre_mm), tuple(axis), 3.5, 5.0, drawn.length_mm).distance_m(points) <= 0
        area = sum(
            area_mm2(outline, right, down) - (0 if hole is None else area_mm2(hole, right, down))
            for outline, hole in cuts
        )
        assert area == pytest.approx(0.01 * np.count_nonzero(metal), rel=0.02, abs=0.3)
        kinds.add((len(cuts), any(hole is not None for _, hole in cuts)))
    assert kinds >= {(1, False), (2, False), (1, True)}


def area_mm2(outline: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64]) -> float:
    x, y = outline @ right, outline @ down
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def test_a_tube_beside_the_plane_is_projected_until_it_is_too_far(torso: Result) -> None:
    plane = orthogonal_plane(torso, AXIAL, 12)
    z = float(plane.corner_mm[2])
    for off_mm in (1.0, NEAR_MM - 0.1):
        (ring,) = sketched(plane, tube((14.0, -2.0, z + 10 + off_mm))).strokes
        assert not ring.in_plane
        assert ring.hole is not None
        np.testing.assert_allclose(radii(ring.hole, (14.0, -2.0)), 6)
    assert sketch(plane, tube((14.0, -2.0, z + 10 + NEAR_MM + 0.1))) is None
    (lying,) = sketched(plane, tube((14.0, -2.0, z + 9.0), (1.0, 0.0, 0.0))).strokes
    assert lying.hole is None
    assert np.ptp(lying.points, axis=0) == pytest.approx((20, 16), rel=0.01)


def test_a_tube_that_sticks_out_has_its_name_in_the_picture(torso: Result) -> None:
    plane = orthogonal_plane(torso, CORONAL, 15)
    left, right, bottom, top = plane.extent
    label = sketched(plane, tube((14.0, float(plane.corner_mm[1]), 2.0), length=900.0)).label
    assert min(left, right) <= label[0] <= max(left, right)
    assert min(bottom, top) <= label[1] <= max(bottom, top)


def test_coaxial_tubes_are_cut_along_their_axis(torso: Result) -> None:
    inner = replace(tube((24.0, 3.0, 2.0), (1.0, 0.0, 4.0), bore=0.0), name="in", outer_diameter_mm=3.0)
    outer = replace(tube((24.0, 3.0, 2.0), (1.0, 0.0, 4.0)), name="out")
    plane = electrode_plane(replace(torso, electrodes=(inner, outer)))
    assert plane is not None
    assert plane.normal @ inner.axis == pytest.approx(0, abs=1e-9)
    assert [len(sketched(plane, electrode).strokes) for electrode in (inner, outer)] == [1, 2]


@pytest.mark.usefixtures("small_pictures")
def test_the_wall_is_filled_and_the_bore_is_not(torso: Result) -> None:
    plane = orthogonal_plane(torso, AXIAL, 12)
    drawn = tube((14.0, -2.0, float(plane.corner_mm[2])))
    result = replace(torso, electrodes=(drawn,))
    figure = figures_style.new_figure(6, 6)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_panel(axes, plane, layers_of(result), labels=False)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3] / 255

    def colour(x_mm: float, y_mm: float) -> NDArray[np.float64]:
        column, row = axes.transData.transform((x_mm, y_mm))
        return picture[picture.shape[0] - 1 - int(row), int(column)]

    metal = to_rgb(figures_style.PLATE)
    np.testing.assert_allclose([colour(14 - 7, -2), colour(14, -2 - 7)], [metal, metal], atol=0.02)
    assert np.abs(colour(14, -2) - metal).max() > 0.1
    assert np.abs(colour(14 + 10, -2) - metal).max() > 0.1


@pytest.mark.usefixtures("small_pictures")
def test_a_report_with_tubes_is_drawn(torso: Result) -> None:
    stored = {"name": "R", "kind": "tube", "centre_mm": [14, -2, 2], "axis": [0, 1, 9]}
    stored |= {"inner_diameter_mm": 6.0, "outer_diameter_mm": 9.0, "length_mm": 12.0}
    ring = drawn_electrode(stored)
    assert isinstance(ring, DrawnTube)
    assert np.linalg.norm(ring.axis) == pytest.approx(1)
    rod = replace(ring, name="S", inner_diameter_mm=0.0, centre_mm=np.array([34.0, -2.0, 2.0]))
    words = [t.get_text() for a in coverage_figure(replace(torso, electrodes=(ring, rod))).axes for t in a.texts]
    assert {"R", "S"} <= set(words)
