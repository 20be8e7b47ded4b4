"""Coverage measures on samples by hand, and sub-voxel volumes of a field known in closed form."""

import numpy as np
import pytest

from porefield.kernels import coverage
from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Plate
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.points import PointSet
from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import FieldSamples, sample_field

from .problems import solution_of


def samples(field, spread, volume, voxel=None):
    voxel = np.arange(len(field)) if voxel is None else voxel
    return FieldSamples(
        *(np.asarray(a, t) for a, t in ((voxel, np.int32), (field, "f4"), (spread, "f4"), (volume, "f4")))
    )


def test_measures_by_hand():
    s = samples([100, 200, 300, 400], [0, 50, 0, 0], [1, 2, 3, 4])
    assert coverage.volume_m3(s) == 10
    assert coverage.volume_at_or_above_m3(s, 300) == pytest.approx(
        3 * 0.5 + 4, abs=1e-4
    )  # half of a sample on the line
    assert coverage.volume_at_or_above_m3(s, 175) == pytest.approx(7 + 2 * 0.75)
    assert coverage.fraction_at_or_above(s, 175, np.asarray([True, True, False, False])) == pytest.approx(0.5)
    assert np.isnan(coverage.fraction_at_or_above(s, 175, np.zeros(4, bool)))
    np.testing.assert_allclose(coverage.quantiles_v_per_m(s, [0, 0.45, 1]), [100, 300, 400])
    np.testing.assert_allclose(coverage.cumulative_histogram(s, [0, 99, 250, 399, 401]), [1, 1, 0.7, 0.4, 0], atol=1e-7)


def test_thresholds_may_differ_by_voxel():
    s = samples([100, 300, 300], [0, 0, 0], [1, 1, 2], voxel=[0, 0, 3])
    fraction = coverage.voxel_fraction(s, (2, 2, 1), np.asarray([200, 0, 0, 400.0]).reshape(2, 2, 1))
    np.testing.assert_allclose(fraction.reshape(-1), [0.5, 0, 0, 0])
    grid = Grid((2, 2, 1), (1.0, 1.0, 2.0))
    np.testing.assert_allclose(coverage.tissue_fraction(s, grid).reshape(-1), [1, 0, 0, 1])


@pytest.fixture
def far_plate():
    """A block of 12 x 10 x 8 anisotropic voxels, the only electrode outside of it."""
    grid = Grid((12, 10, 8), (1e-3, 1.2e-3, 0.8e-3))
    plate = Plate((-1.0, 0.0, 0.0), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), (0.1, 0.1, 0.1))
    laws = (ConductivityLaw.constant(0.1),)
    return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, (plate,), (0.0,))


def test_volume_of_a_quadratic_potential_is_second_order(far_plate):
    """phi = k x^2 / 2: |E| = k x, so the volume above a threshold ends at a plane between the voxels' faces."""
    grid = far_plate.grid
    x = grid.node_coordinates_m()[0]
    potential = np.broadcast_to(0.5 * 1e7 * x[:, None, None] ** 2, grid.node_shape).copy()
    s = sample_field([far_plate], [solution_of(far_plate, potential)])
    area = grid.size_m[1] * grid.size_m[2]
    for plane in (3.1e-3, 4.5e-3, 6.73e-3):
        volume = coverage.volume_at_or_above_m3(s, 1e7 * plane)
        assert volume == pytest.approx((12e-3 - plane) * area, rel=5e-3)
    assert coverage.volume_m3(s) == pytest.approx(np.prod(grid.size_m), rel=1e-6)


def test_largest_field_over_pulses_counts(far_plate):
    grid = far_plate.grid
    x, y, _ = np.meshgrid(*grid.node_coordinates_m(), indexing="ij")
    first, second = solution_of(far_plate, 1e4 * x), solution_of(far_plate, 3e4 * y)
    s = sample_field([far_plate, far_plate], [first, second])
    np.testing.assert_allclose(s.field_v_per_m, 3e4, rtol=1e-4)


def test_points_see_all_components(far_plate):
    """A linear potential has the same |E| everywhere; a bilinear one is interpolated exactly."""
    grid = far_plate.grid
    x, y, z = np.meshgrid(*grid.node_coordinates_m(), indexing="ij")
    points = np.random.default_rng(0).uniform(0.2, 0.8, (50, 3)) * grid.size_m
    at = PointSet(far_plate, points)
    np.testing.assert_allclose(at.field_v_per_m(solution_of(far_plate, 3e4 * x - 4e4 * y)), 5e4, rtol=1e-9)
    twisted = solution_of(far_plate, 1e6 * y * z)
    np.testing.assert_allclose(at.field_v_per_m(twisted), 1e6 * np.hypot(points[:, 1], points[:, 2]), rtol=1e-9)
    np.testing.assert_allclose(at.potential_v(twisted), 1e6 * points[:, 1] * points[:, 2], rtol=1e-9)


def test_field_keeps_its_jump_at_a_tissue_interface():
    """Two media in series: E = 1 and 3 on the two sides of a voxel face, nothing in between."""
    grid = Grid((8, 4, 4), (1e-3, 1e-3, 1e-3))
    tissue = np.zeros(grid.shape, np.uint8)
    tissue[4:] = 1
    laws = (ConductivityLaw.constant(0.3), ConductivityLaw.constant(0.1))
    plate = Plate((-1.0, 0.0, 0.0), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), (0.1, 0.1, 0.1))
    problem = FieldProblem(grid, tissue, laws, (plate,), (0.0,))
    x = grid.node_coordinates_m()[0]
    line = np.where(x <= 4e-3, 1e4 * x, 40 + 3e4 * (x - 4e-3))
    potential = np.broadcast_to(line[:, None, None], grid.node_shape).copy()
    s = sample_field([problem], [solution_of(problem, potential)])
    first = s.voxel < 4 * 16
    np.testing.assert_allclose(s.field_v_per_m[first], 1e4, rtol=1e-4)
    np.testing.assert_allclose(s.field_v_per_m[~first], 3e4, rtol=1e-4)


@pytest.mark.parametrize("thickness_mm", [0.5, 3.0])
@pytest.mark.parametrize("face_mm", [4.3, 4.55, 4.75])
def test_uniform_field_between_plates_is_uniform_in_all_samples(thickness_mm, face_mm):
    """Plates of any thickness, anywhere between the nodes: every sample between the faces sees V / gap."""
    grid = Grid((24, 6, 6), (1e-3, 1e-3, 1e-3))
    axes = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    half = 0.5 * thickness_mm
    plates = tuple(
        Plate((x * 1e-3, 3e-3, 3e-3), axes, (0.1, 0.1, thickness_mm * 1e-3)) for x in (face_mm - half, 19.2 + half)
    )
    laws = (ConductivityLaw.constant(0.2),)
    problem = FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, plates, (100.0, 0.0))
    s = sample_field([problem], [solve_field(problem, tolerance=1e-9)])
    x = s.voxel // 36 + 0.5
    between = (x > face_mm + 0.5) & (x < 18.7)
    np.testing.assert_allclose(s.field_v_per_m[between], 100 / ((19.2 - face_mm) * 1e-3), rtol=1e-4)
