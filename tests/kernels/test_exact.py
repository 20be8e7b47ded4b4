"""Closed forms against independent evaluations and against one another; what the solver makes of them says
test_cases.py."""

import math

import numpy as np
import pytest

from porefield.kernels.cases.finite_elements import NEEDLES_IN_A_BLOCK
from porefield.kernels.cases.inclusion import FloatingSphere, NonlinearSphere, images, sphere_interior_field
from porefield.kernels.cases.laws import LIVER, TUMOUR
from porefield.kernels.cases.manufactured import Manufactured
from porefield.kernels.cases.needles import NeedlePair, ParallelCylinders
from porefield.kernels.cases.radial import Coaxial, Spherical
from porefield.kernels.cases.shell import FloatingShell
from porefield.kernels.cases.slab import FOLD
from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Plate
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem

LAWS = {
    "constant": LIVER["constant"],
    "ramp": LIVER["ramp"],
    "flc2hs": LIVER["smoothed step"],
    "sel": LIVER["sigmoid (Sel)"],
    "gompertz": LIVER["Gompertz"],
}

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
    assert Coaxial(2e-3, 12e-3, LAWS[law], voltage).current_a() == pytest.approx(current, rel=1e-8)


@pytest.mark.parametrize(("voltage", "law", "current"), SPHERICAL_FIGURES)
def test_spherical_formula(voltage, law, current):
    assert Spherical(3e-3, 12e-3, LAWS[law], voltage).current_a() == pytest.approx(current, rel=1e-8)


def test_contours_and_inclusion_formulas():
    assert Coaxial(2e-3, 12e-3, LAWS["ramp"], 300).contour_m(35e3) == pytest.approx(5.844771e-3, rel=1e-6)
    assert Spherical(3e-3, 12e-3, LAWS["sel"], 300).contour_m(50e3) == pytest.approx(5.310268e-3, rel=1e-6)
    assert np.isnan(Coaxial(2e-3, 12e-3, LAWS["ramp"], 300).contour_m(50e3))
    inside = sphere_interior_field(TUMOUR["smoothed step"], 0.135, 1e5)
    assert inside == pytest.approx(58709.4856, rel=1e-6)


def test_layers():
    """J = 26797.22791 A/m2, fields 653.73 / 3349.65 / 598.31 V/cm of an independent evaluation."""
    assert FOLD.current_density_a_per_m2() == pytest.approx(26797.22791, rel=1e-9)
    np.testing.assert_allclose(FOLD.fields_v_per_m()[:3] / 100, [653.732015, 3349.653489, 598.307248], rtol=1e-8)


def test_two_needles():
    """Independent evaluations of the same formulas; the field's largest on the inner and outer faces."""
    pair = NeedlePair(TUMOUR["constant"])
    assert pair.current_a_per_m() == pytest.approx(160.7289799, rel=1e-9)
    x = np.asarray([0.0, 3.65e-3, 4.35e-3])
    np.testing.assert_allclose(pair.field_v_per_m(x, 0 * x) / 100, [641.982603, 3989.4633, 3347.4807], rtol=1e-7)
    areas = [1e6 * pair.area_m2(1e2 * t) for t in (200, 300, 400, 600, 800)]
    np.testing.assert_allclose(areas, [155.384210, 99.881325, 70.833779, 37.480939, 17.076866], rtol=1e-7)


def test_cylinders_by_multipoles_are_the_closed_form():
    pair = NeedlePair(TUMOUR["constant"])
    half = 0.5 * pair.apart_m
    two = ParallelCylinders(((-half, 0.0), (half, 0.0)), pair.radius_m, (400.0, -400.0))
    assert two.current_a_per_m(0, 0.2) == pytest.approx(pair.current_a_per_m(), rel=1e-12)
    assert two.current_a_per_m(1, 0.2) == pytest.approx(-pair.current_a_per_m(), rel=1e-12)


def test_a_floating_cylinder_is_at_one_potential_and_carries_nothing():
    place = (-2e-3, 1.5e-3)
    three = ParallelCylinders(((-4e-3, 0.0), (4e-3, 0.0), place), 0.35e-3, (400.0, -400.0, None))
    assert abs(three.current_a_per_m(2, 0.2)) < 1e-9
    angle = np.linspace(0, 2 * np.pi, 77)
    rim = three.potential_v(place[0] + 0.35e-3 * np.cos(angle), place[1] + 0.35e-3 * np.sin(angle))
    np.testing.assert_allclose(rim, three.floating_v(), atol=1e-6)
    # the mean of the two needles' potential over its rim, but for what it does to them: some (a / d)^2
    pair = NeedlePair(TUMOUR["constant"])
    r1, r2 = (math.hypot(place[0] - s * pair.focus_m, place[1]) for s in (-1, 1))
    assert three.floating_v() == pytest.approx(400 / pair.u * math.log(r2 / r1), abs=0.01 * 400)


def test_a_floating_ring_divides_the_voltage_by_the_logarithms():
    shell = FloatingShell(LIVER["constant"], 400.0, (2e-3, 5e-3, 8e-3, 12e-3))
    inner, outer = math.log(5 / 2), math.log(12 / 8)
    assert shell.ring_v() == pytest.approx(400 * outer / (inner + outer), rel=1e-8)


def test_sphere_of_the_hosts_own_conductivity_does_nothing():
    sphere = NonlinearSphere(ConductivityLaw.constant(0.135))
    assert sphere.inside_v_per_m() == pytest.approx(1e5, rel=1e-12)
    np.testing.assert_allclose(sphere.axis_v_per_m(np.asarray([5e-3, 15e-3])), 1e5, rtol=1e-12)


def test_images_are_those_of_a_lattice_that_repeats():
    """Plates: the field on the axis is even about the wall, where it meets its own image."""
    x = np.asarray([25e-3, 35e-3])
    left, right = 2 / x**3 + images(x, 60e-3, shells=6)
    assert left == pytest.approx(right, rel=2e-2)
    assert FloatingSphere().axis_v_per_m(np.asarray(10e-3)) > 3 * 2e4


def test_manufactured_gradient_and_load():
    made = Manufactured()
    p = np.random.default_rng(0).uniform(1e-3, 15e-3, (50, 3))
    for axis, step in enumerate(1e-7 * np.eye(3)):
        slope = (made.potential_v(p + step) - made.potential_v(p - step)) / 2e-7
        np.testing.assert_allclose(made.gradient_v_per_m(p)[:, axis], slope, atol=1e-2)
    problem = made.problem(2e-3)
    load = made.load_a(problem)
    assert abs(load.sum()) < 1e-12 * np.abs(load).sum()
    # what enters one plate and comes out of the other, with the load of the nodes between
    assert load[-1].sum() > 0 > load[0].sum()


def test_needles_in_a_block_are_those_of_the_reference(shared_data):
    """Inputs and results as the file of the reference has them."""
    import json

    published = json.loads(shared_data("reference/fem_cases.json").read_text())["cases"]
    for title, ours in NEEDLES_IN_A_BLOCK.items():
        theirs = published[title.split()[0]]
        results, uncertainty = theirs["results"], theirs["uncertainty"]
        assert ours.current_a[0] == pytest.approx(results["current_A"], rel=1e-6)
        assert ours.current_a[1] == pytest.approx(uncertainty["recommended"]["current_rel"], rel=0.1)
        for t, (volume, _) in ours.volumes_mm3.items():
            assert volume == pytest.approx(results["volume_mm3_ge_kVpm"][f"{t // 10}"], rel=3e-6)
        for t, (volume, _) in ours.tumour_mm3.items():
            assert volume == pytest.approx(results["volume_by_material_mm3"]["tumour"][f"{t // 10}"], rel=3e-6)
        for k, e in enumerate(theirs["inputs"]["electrodes"]):
            assert ours.block.centres_mm[k] == pytest.approx(e["centre"])
            assert ours.block.axes[k] == pytest.approx(e["axis"])
            assert ours.block.diameter_mm == e["diameter"]
            assert ours.block.length_mm == e["length"]
            assert (ours.block.voltage_v, 0.0)[k] == e["V"]


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
