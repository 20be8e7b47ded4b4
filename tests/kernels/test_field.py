"""Whole solves: balance, symmetry, hard laws, floating needles, cancellation, statuses."""

from dataclasses import replace

import numpy as np
import pytest

from porefield.kernels.certificate import audit, conductivity_of
from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.coupling import couple
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.iteration import LOOSEST_FORCING, Start, compilations, next_forcing
from porefield.kernels.nested import NestedGrid
from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import SolveCancelled, SolveStatus

from .problems import two_needles

NEAR_STEP = ConductivityLaw.logistic(0.05, 1.0, 50e3, 100.0)
SKIN = ConductivityLaw.ramp(0.008, 0.8, 40e3, 90e3)


@pytest.fixture(scope="module")
def solved():
    problem = two_needles()
    return problem, solve_field(problem)


def test_converges_and_balances(solved):
    _, s = solved
    assert s.status is SolveStatus.CONVERGED
    assert s.relative_residual <= s.tolerance
    assert s.current_imbalance < 1e-6
    assert s.power_imbalance < 1e-6
    assert s.currents_a[0] > 0 > s.currents_a[1]
    assert s.dissipated_power_w == pytest.approx(800 * s.currents_a[0], rel=1e-5)
    assert sum(s.newton_steps) < 12
    assert sum(s.cg_iterations) < 80


def test_residual_in_the_solution_is_recomputed(solved):
    """The reported residual is that of the reported potential, not the solver's word."""
    problem, s = solved
    c = couple(problem.grid, problem.electrodes)
    found = audit(problem, c, s.potential_v, np.asarray(s.electrode_potentials_v))
    scale = NestedGrid(problem).scale_a
    assert found.residual_norm(np.zeros(2, bool)) / scale == pytest.approx(s.relative_residual, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_problem_gives_the_mirrored_field(solved, axis):
    problem, s = solved
    size = problem.grid.size_m[axis]

    def mirror(needle: Needle) -> Needle:
        tip, direction = list(needle.tip_m), list(needle.direction)
        tip[axis], direction[axis] = size - tip[axis], -direction[axis]
        return replace(needle, tip_m=tuple(tip), direction=tuple(direction))

    mirrored = replace(
        problem,
        tissue=np.ascontiguousarray(np.flip(problem.tissue, axis)),
        electrodes=tuple(mirror(n) for n in problem.electrodes),
    )
    m = solve_field(mirrored)
    assert m.currents_a == pytest.approx(s.currents_a, rel=1e-6)
    np.testing.assert_allclose(np.flip(m.potential_v, axis), s.potential_v, atol=800e-5)


@pytest.mark.parametrize("law", [NEAR_STEP, SKIN], ids=["width 100 V/m, contrast 20", "ramp of contrast 100"])
def test_newton_converges_where_picard_does_not(law):
    problem = two_needles(laws=(law, law))
    s = solve_field(problem)
    assert s.status is SolveStatus.CONVERGED
    assert not picard_converges(problem, steps=20)


def picard_converges(problem: FieldProblem, steps: int) -> bool:
    """Undamped fixed-point iteration from tissue at rest: each step solves with the last field's conductivity."""
    last = conductivity_of(problem, np.zeros(problem.grid.shape))
    for _ in range(steps):
        sigma = audit_conductivity(problem, solve_field(with_conductivity(problem, last), tolerance=1e-5))
        if np.abs(sigma / last - 1).max() < 1e-2:
            return True
        last = sigma
    return False


def audit_conductivity(problem: FieldProblem, s) -> np.ndarray:
    c = couple(problem.grid, problem.electrodes)
    return audit(problem, c, s.potential_v, np.asarray(s.electrode_potentials_v)).conductivity_s_per_m


def with_conductivity(problem: FieldProblem, sigma: np.ndarray) -> FieldProblem:
    base = ConductivityLaw.constant(1.0)
    return replace(problem, laws=(base, base), warmth=sigma.astype(np.float32))


def test_floating_needle_carries_no_net_current():
    """A third needle between the driven two takes a potential between theirs, where its net current vanishes."""
    problem = two_needles(potentials_v=(800.0, 0.0, None), third=True)
    s = solve_field(problem)
    assert s.status is SolveStatus.CONVERGED
    assert abs(s.currents_a[2]) < 1e-6 * s.currents_a[0]
    assert 250 < s.electrode_potentials_v[2] < 550
    driven = replace(problem, potentials_v=(800.0, 0.0, s.electrode_potentials_v[2]))
    same = solve_field(driven)
    assert same.currents_a[0] == pytest.approx(s.currents_a[0], rel=1e-5)
    assert abs(same.currents_a[2]) < 1e-4 * s.currents_a[0]


def test_two_pulses_of_one_shape_compile_once():
    problem = two_needles(potentials_v=(800.0, 0.0, None), third=True)
    solve_field(problem)
    before = compilations()
    solve_field(replace(problem, potentials_v=(None, 0.0, 500.0)))
    solve_field(two_needles(potentials_v=(700.0, 0.0, None), third=True, centre_mm=(10.4, 9.9, 10.1)))
    assert compilations() == before


def test_cancellation_between_steps(solved):
    seen = []

    def stop(report):
        seen.append(report)
        return len(seen) < 2

    with pytest.raises(SolveCancelled):
        solve_field(solved[0], on_step=stop)
    assert len(seen) == 2


def test_too_few_steps_is_a_status_not_a_map_of_lies(solved):
    s = solve_field(solved[0], max_newton_steps=1)
    assert s.status is SolveStatus.OUT_OF_ITERATIONS
    assert s.relative_residual > s.tolerance


def test_an_unreachable_tolerance_stagnates(solved):
    s = solve_field(solved[0], tolerance=1e-30)
    assert s.status is not SolveStatus.CONVERGED
    assert s.relative_residual < 1e-7


def test_air_carries_no_current():
    """The upper half is air: the needles' current comes from tissue alone, and air voxels add nothing to the power."""
    problem = two_needles(laws=(ConductivityLaw.constant(0.1), ConductivityLaw.constant(0.0)))
    tissue = np.zeros(problem.grid.shape, np.uint8)
    tissue[:, :, 16:] = 1
    s = solve_field(replace(problem, tissue=tissue))
    assert s.status is SolveStatus.CONVERGED
    assert not s.conductivity_s_per_m[:, :, 16:].any()


def test_warmth_scales_the_conductivity():
    problem = two_needles(laws=(ConductivityLaw.constant(0.1),) * 2)
    cold = solve_field(problem)
    warm = solve_field(replace(problem, warmth=np.full(problem.grid.shape, 1.3, np.float32)))
    assert warm.currents_a[0] == pytest.approx(1.3 * cold.currents_a[0], rel=1e-6)


def test_start_from_a_solution_saves_steps(solved):
    problem, s = solved
    again = solve_field(replace(problem, potentials_v=(840.0, 0.0)), start=Start(s.potential_v * 1.05, np.zeros(2)))
    fresh = solve_field(replace(problem, potentials_v=(840.0, 0.0)))
    assert again.currents_a == pytest.approx(fresh.currents_a, rel=1e-5)
    assert sum(again.cg_iterations) < sum(fresh.cg_iterations)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tissue": np.zeros((3, 3, 3), np.uint8)}, "tissue: expected uint8 of shape"),
        ({"potentials_v": (1.0,)}, "potentials_v: expected one for each of 2"),
        ({"potentials_v": (None, None)}, "at least one driven"),
        ({"laws": (NEAR_STEP,)}, "expected indices below 1"),
    ],
)
def test_problems_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(two_needles(), **change)


def test_unequal_spacing_gives_the_same_current(solved):
    """The same needles on voxels of 1 x 0.8 x 1.25 mm: within what the spacing itself costs."""
    problem, s = solved
    grid = Grid((20, 25, 16), (1e-3, 0.8e-3, 1.25e-3))
    centres = np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1)
    low, high = np.asarray([9, 6, 8]) * 1e-3, np.asarray([15, 12, 16]) * 1e-3
    block = np.all((centres > low) & (centres < high), axis=-1).astype(np.uint8)
    other = solve_field(replace(problem, grid=grid, tissue=block))
    assert other.converged
    assert other.currents_a[0] == pytest.approx(s.currents_a[0], rel=0.02)


def test_a_residual_of_nothing_asks_for_no_accuracy():
    """At voltages so small that all squares of the residual underflow."""
    assert next_forcing(0.0, 1.0, 1e-7) == next_forcing(0.0, 0.0, 1e-7) == LOOSEST_FORCING
    assert next_forcing(3e-3, 1e-2, 1e-7) == pytest.approx(0.9 * (3e-3 / 1e-2) ** 2)


def test_an_astray_coarse_grid_does_not_spoil_the_fine_one():
    """Voxels of 1 x 1 x 2 mm leave the coarse nested grid too coarse along the needles to converge."""
    problem = two_needles(shape=(48, 24, 20), centre_mm=(20.2, 11.7, 20.4))
    grid = Grid((48, 24, 20), (1e-3, 1e-3, 2e-3))
    s = solve_field(replace(problem, grid=grid))
    assert s.converged
    assert s.newton_steps[0] <= 12


def test_needles_less_than_two_voxels_apart():
    """A gap of 0.8 mm between 1.2 mm needles; the finest grid, converged to 1e-3, stands for the truth."""
    current = []
    for h in (1.0e-3, 0.5e-3, 0.25e-3):
        n = round(24e-3 / h)
        grid = Grid((n, n, n), (h, h, h))
        needles = tuple(Needle((x, 12.1e-3, 17e-3), (0.0, 0.0, 1.0), 0.6e-3, 10e-3) for x in (11.1e-3, 13.1e-3))
        law = ConductivityLaw.constant(0.2)
        s = solve_field(FieldProblem(grid, np.zeros(grid.shape, np.uint8), (law,), needles, (100.0, 0.0)))
        assert s.converged
        current.append(s.currents_a[0])
    assert current[0] == pytest.approx(current[2], rel=0.08)
    assert current[1] == pytest.approx(current[2], rel=0.003)
