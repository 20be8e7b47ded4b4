"""The needle's near field against known capacitances and its own boundary conditions."""

import numpy as np
import pytest

from porefield.kernels.electrodes import Needle
from porefield.kernels.nearfield import Proportions, Rings, shape_function, table_of
from porefield.kernels.profiles import Solid


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


SHAPES = {
    "flat": Proportions(25.0, 0.0),
    "conical": Proportions(25.0, 0.0, tip="conical", cone=4.0),
    "blunt": Proportions(25.0, 0.0, tip="conical", cone=0.6),
    "rounded": Proportions(25.0, 0.0, tip="rounded"),
    "shaft": Proportions(10.0, 30.0, tip="conical", cone=3.0),
    "band": Proportions(8.0, 30.0, ahead=9.0, tip="conical", cone=3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_table_agrees_with_the_rings(name):
    p = SHAPES[name]
    rng = np.random.default_rng(3)
    r, z = rng.uniform(0, 8, 600), rng.uniform(-33, 8, 600)
    outside = Solid(p.profile, 0.0, p.length).distance(r, z) > 0.25
    r, z = r[outside], z[outside]
    error = np.abs(table_of(p)(r, z) / (1 - Rings(p).potential(r, z)) - 1)
    assert np.median(error) < 2e-3
    assert error.max() < 0.03


@pytest.mark.parametrize("name", SHAPES)
def test_conditions_on_the_surface(name):
    """u = 1 on the metal of every shape, no flow into its insulation; extrapolated from 0.04 and 0.08 radii off."""
    p = SHAPES[name]
    rings = Rings(p)
    tip = p.profile.tip_length
    behind = np.concatenate([np.linspace(0.3, 0.8, 5) * tip, np.linspace(tip + 0.5, p.length - 0.5, 60)])
    metal = (behind > p.ahead + 0.5) & (behind < p.ahead + p.exposed - 0.5)
    insulated = (behind < p.ahead - 0.5) | (behind > p.ahead + p.exposed + 0.5)
    surface = np.stack([p.profile.radius_at(behind), -behind], axis=1)
    slope = (p.profile.radius_at(behind + 1e-4) - p.profile.radius_at(behind - 1e-4)) / 2e-4
    normal = np.stack([np.ones_like(slope), slope], axis=1) / np.hypot(1, slope)[:, None]
    near, far = (rings.influence(surface + d * normal, graded=True) @ rings.density for d in (0.04, 0.08))
    np.testing.assert_allclose((2 * near - far)[metal], 1, atol=0.01)
    if insulated.any():
        flow = np.abs(far - near) / 0.04
        assert flow[insulated].max() < 0.08 * np.median(flow[metal])


def test_zero_inside_the_metal():
    needle = Needle((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.5e-3, 10e-3, 5e-3)
    points = np.asarray([[0.0, 0.0, -1e-3], [0.4e-3, 0.0, -9e-3]])
    np.testing.assert_array_equal(shape_function(needle, points), 0)
