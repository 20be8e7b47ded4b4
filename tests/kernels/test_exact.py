"""Closed forms: figures of the validation notes, and the order at which the voxel solver approaches them."""

import numpy as np
import pytest

from porefield.kernels.cases.inclusion import sphere_interior_field
from porefield.kernels.cases.radial import Coaxial, Spherical
from porefield.kernels.cases.slab import LayeredSlab
from porefield.kernels.conductivity import ConductivityLaw, conductivity
from porefield.kernels.electrodes import Plate
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem

LIVER = {
    "constant": ConductivityLaw.constant(0.08),
    "ramp": ConductivityLaw.ramp(0.08, 0.32, 35e3, 70e3),
    "flc2hs": ConductivityLaw.smoothed_step(0.08, 0.32, 35e3, 70e3),
    "sel": ConductivityLaw.sel(0.08, 0.32, 35e3, 70e3),
    "gompertz": ConductivityLaw.gompertz(0.08, 0.32, 3.053, 0.00233e-2),
}
TUMOUR = (0.2, 0.7, 40e3, 80e3)
LAYERS = (
    (1e-3, ConductivityLaw.ramp(0.008, 0.8, 40e3, 90e3)),
    (1e-3, ConductivityLaw.ramp(0.02, 0.08, 10e3, 40e3)),
    (4e-3, ConductivityLaw.ramp(*TUMOUR)),
    (1e-3, ConductivityLaw.ramp(0.02, 0.08, 10e3, 40e3)),
    (1e-3, ConductivityLaw.ramp(0.008, 0.8, 40e3, 90e3)),
)

# independent evaluations of the same formulas: A/m for coaxial a = 2 mm, b = 12 mm; A for spheres a = 3 mm, b = 12 mm
COAXIAL_FIGURES = [
    (300, "constant", 84.16109972),
    (300, "ramp", 102.82658845),
    (300, "flc2hs", 97.45451823),
    (300, "sel", 91.39834233),
    (300, "gompertz", 148.45248985),
    (600, "ramp", 506.45981438),
    (600, "sel", 368.56773007),
]
SPHERICAL_FIGURES = [
    (300, "ramp", 1.979785486),
    (300, "gompertz", 2.430215705),
    (600, "flc2hs", 7.307993914),
    (600, "sel", 6.253566551),
]


@pytest.mark.parametrize(("voltage", "law", "current"), COAXIAL_FIGURES)
def test_coaxial_formula(voltage, law, current):
    assert Coaxial(2e-3, 12e-3, LIVER[law], voltage).current_a() == pytest.approx(current, rel=1e-8)


@pytest.mark.parametrize(("voltage", "law", "current"), SPHERICAL_FIGURES)
def test_spherical_formula(voltage, law, current):
    assert Spherical(3e-3, 12e-3, LIVER[law], voltage).current_a() == pytest.approx(current, rel=1e-8)


def test_contours_and_inclusion_formulas():
    assert Coaxial(2e-3, 12e-3, LIVER["ramp"], 300).contour_m(35e3) == pytest.approx(5.844771e-3, rel=1e-6)
    assert Spherical(3e-3, 12e-3, LIVER["sel"], 300).contour_m(50e3) == pytest.approx(5.310268e-3, rel=1e-6)
    assert np.isnan(Coaxial(2e-3, 12e-3, LIVER["ramp"], 300).contour_m(50e3))
    inside = sphere_interior_field(ConductivityLaw.smoothed_step(*TUMOUR), 0.135, 1e5)
    assert inside == pytest.approx(58709.4856, rel=1e-6)


def test_layered_slab_is_exact_on_aligned_voxels():
    """Kinked laws, contrast 100: J = 26797.22791 A/m2, fields 653.73 / 3349.65 / 598.31 V/cm."""
    slab = LayeredSlab(LAYERS, 1040.0)
    assert slab.current_density_a_per_m2() == pytest.approx(26797.22791, rel=1e-9)
    problem = slab.problem(0.5e-3)
    s = solve_field(problem, tolerance=1e-9)
    assert s.converged
    area = (2 * 0.5e-3) ** 2
    assert s.currents_a[0] / area == pytest.approx(26797.22791, rel=1e-6)
    fields = s.field_v_per_m[1:-1, 0, 0]
    expected = np.repeat(slab.fields_v_per_m(), [2, 2, 8, 2, 2])
    np.testing.assert_allclose(fields, expected, rtol=1e-5)


def errors(problem_class, law, voltage, spacings, offset):
    """Relative current error and root mean square potential error over V, at each spacing."""
    inner = 2e-3 if problem_class is Coaxial else 3e-3
    exact = problem_class(inner, 12e-3, law, voltage)
    current, potential = [], []
    for h in spacings:
        problem = exact.problem(h, offset_m=offset)
        s = solve_field(problem)
        assert s.converged
        axes = problem.grid.node_coordinates_m()
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        r = inner + problem.electrodes[0].distance_m(points)
        tissue = (r > inner) & (r < 12e-3)
        length = problem.grid.size_m[2] if problem_class is Coaxial else 1.0
        current.append(s.currents_a[0] / (exact.current_a() * length) - 1)
        difference = s.potential_v[tissue] - exact.potential_v(r[tissue])
        potential.append(float(np.sqrt(np.mean(difference**2))) / voltage)
    return np.abs(current), np.asarray(potential)


def order(spacings, error) -> float:
    return float(np.polyfit(np.log(spacings), np.log(error), 1)[0])


@pytest.mark.slow
@pytest.mark.parametrize("law", ["constant", "flc2hs"])
def test_coaxial_converges_at_second_order(law):
    spacings = [1e-3, 0.5e-3, 0.25e-3]
    runs = [errors(Coaxial, LIVER[law], 400.0, spacings, offset) for offset in ((0.13e-3, 0.31e-3), (0.4e-3, -0.2e-3))]
    current, potential = (np.sqrt(np.mean(np.square(e), axis=0)) for e in zip(*runs, strict=True))
    assert order(spacings, current) > 1.8
    assert order(spacings, potential) > 1.8
    assert current[-1] < 0.0005
    assert potential[-1] < 0.0003


@pytest.mark.slow
@pytest.mark.parametrize("law", ["constant", "flc2hs"])
def test_spheres_converge_at_second_order(law):
    spacings = [1.5e-3, 1e-3, 0.6e-3]
    current, potential = errors(Spherical, LIVER[law], 400.0, spacings, (0.2e-3, 0.1e-3, -0.3e-3))
    assert order(spacings, current) > 1.6
    assert order(spacings, potential) > 1.6
    assert current[-1] < 0.01


@pytest.mark.slow
def test_nonlinear_sphere_in_a_uniform_field():
    """Ten voxels per radius, interior mean within 1 % of the exact uniform field.

    The box, 6 radii wide between plates and insulating walls, mirrors the sphere into a cubic lattice of volume share
    f: each sits in the mean field divided by 1 - f (s - 1) / (s + 2), s the contrast (Maxwell Garnett; the next term
    is of order f^(10/3), 2e-6 here).
    """
    law = ConductivityLaw.smoothed_step(*TUMOUR)
    share = 4 / 3 * np.pi / 6**3
    far = 1e5
    for _ in range(20):
        contrast = float(conductivity(law, sphere_interior_field(law, 0.135, far))) / 0.135
        far = 1e5 / (1 - share * (contrast - 1) / (contrast + 2))
    assert interior_mean(law) == pytest.approx(sphere_interior_field(law, 0.135, far), rel=0.01)


def interior_mean(law) -> float:
    n, radius = 60, 10e-3
    grid = Grid((n, n, n), (1e-3, 1e-3, 1e-3))
    centres = np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1)
    r = np.linalg.norm(centres - 30e-3, axis=-1)
    tissue = (r < radius).astype(np.uint8)
    axes = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    plates = tuple(Plate((x, 0.03, 0.03), axes, (0.2, 0.2, 1e-9)) for x in (0.0, 60e-3))
    problem = FieldProblem(grid, tissue, (ConductivityLaw.constant(0.135), law), plates, (1e5 * 60e-3, 0.0))
    s = solve_field(problem)
    assert s.converged
    deep = r < 0.8 * radius
    return float(np.mean(s.field_v_per_m[deep]))


def test_plate_between_nodes_is_placed_exactly():
    """Moving a thin oblique plate by a fraction of a voxel moves the current as d(1/gap): no staircase."""
    grid = Grid((16, 6, 6), (1e-3, 1e-3, 1e-3))
    law = ConductivityLaw.constant(0.2)
    axes = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    current = []
    for shift in np.linspace(0, 1e-3, 9):
        plates = tuple(Plate((x, 3e-3, 3e-3), axes, (0.1, 0.1, 0.3e-3)) for x in (3.2e-3 + shift, 12.6e-3))
        problem = FieldProblem(grid, np.zeros(grid.shape, np.uint8), (law,), plates, (100.0, 0.0))
        current.append(solve_field(problem, tolerance=1e-9).currents_a[0])
    gaps = 12.6e-3 - 3.2e-3 - np.linspace(0, 1e-3, 9) - 0.3e-3
    np.testing.assert_allclose(current, 0.2 * 36e-6 * 100 / gaps, rtol=1e-6)
