"""The needle's near field against known capacitances and its own boundary conditions."""

import numpy as np
import pytest

from porefield.kernels.electrodes import Needle
from porefield.kernels.nearfield import Proportions, Rings, shape_function, table_of


@pytest.mark.parametrize(("half_length_over_radius", "tolerance"), [(0.5, 0.003), (1.0, 0.003), (4.0, 0.003)])
def test_capacitance_of_a_cylinder(half_length_over_radius, tolerance):
    """C / (eps0 a) = 8 + 6.95 (b/a)^0.76, b the half length: Smythe 1962, J Appl Phys 33:2966, good to 0.2 %."""
    rings = Rings(Proportions(2 * half_length_over_radius, 0.0))
    # far away a ring's kernel is (pi / 2) / distance, and u is C / (4 pi eps0) / distance
    capacitance = 4 * np.pi * rings.charges.sum() * np.pi / 2
    assert capacitance == pytest.approx(8 + 6.95 * half_length_over_radius**0.76, rel=tolerance)


def test_unit_potential_on_metal_and_no_flow_into_the_shaft():
    p = Proportions(30.0, 60.0)
    rings = Rings(p)
    # along the barrel, half a radius off: extrapolated to the surface u is 1
    z = np.linspace(-28, -2, 14)
    u1, u2, u3 = (rings.potential(np.full(z.shape, 1 + d), z) for d in (0.2, 0.4, 0.8))
    slope, curve = np.log(1.2), np.log(1.4)
    extrapolated = u1 + (u1 - u2) * slope / (curve - slope)
    np.testing.assert_allclose(extrapolated, 1, atol=4e-3)
    assert np.all(u2 > u3)
    # on the shaft the radial derivative is far below what it is on the metal
    z = np.linspace(-60, -33, 10)
    flow = (rings.potential(np.full(z.shape, 1.4), z) - rings.potential(np.full(z.shape, 1.2), z)) / 0.2
    metal = (u2 - u1) / 0.2
    assert np.abs(flow).max() < 0.06 * np.abs(metal).min()


def test_table_agrees_with_the_rings():
    p = Proportions(25.0, 0.0)
    rng = np.random.default_rng(3)
    r, z = rng.uniform(0, 8, 400), rng.uniform(-33, 8, 400)
    outside = np.maximum(r - 1, np.abs(z + 12.5) - 12.5) > 0.25
    r, z = r[outside], z[outside]
    table = table_of(p)(r, z)
    exact = 1 - Rings(p).potential(r, z)
    error = np.abs(table / exact - 1)
    assert np.median(error) < 2e-3
    assert error.max() < 0.03


def test_zero_inside_the_metal():
    needle = Needle((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.5e-3, 10e-3, 5e-3)
    points = np.asarray([[0.0, 0.0, -1e-3], [0.4e-3, 0.0, -9e-3]])
    np.testing.assert_array_equal(shape_function(needle, points), 0)
