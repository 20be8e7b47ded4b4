"""Problems side by side in the lanes of one compiled step: the same answers as one by one, whoever else is there."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from porefield.kernels import caches
from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.field import solve_field, solve_fields
from porefield.kernels.iteration import Start, compilations
from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import Solution, SolveCancelled, SolveStatus

from .problems import RAMP, TUMOUR, two_needles

STEEP = ConductivityLaw.logistic(0.05, 0.5, 50_000, 1_000)
LANES = 3
"""Of all batches here but one: each other number compiles another step."""


def same_within_tolerance(one: Solution, other: Solution) -> None:
    """Currents and potentials of two solves to a relative residual of 1e-7 differ by some 1e-7 of their size; ten
    times that is allowed, as in the comparison with SciPy's direct solver."""
    assert one.status is other.status is SolveStatus.CONVERGED
    assert one.currents_a == pytest.approx(other.currents_a, rel=2e-6, abs=2e-6 * max(other.currents_a))
    span_v = np.ptp(other.potential_v)
    np.testing.assert_allclose(one.potential_v, other.potential_v, atol=1e-5 * span_v)
    assert one.electrode_potentials_v == pytest.approx(other.electrode_potentials_v, abs=1e-5 * span_v)


def identical(one: Solution, other: Solution) -> None:
    """Bit for bit."""
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


VOLTS = two_needles(), two_needles(potentials_v=(500.0, 0.0)), two_needles(potentials_v=(0.0, 1100.0))
PLACES = tuple(two_needles(centre_mm=c) for c in ((10.2, 9.7, 10.4), (10.6, 9.9, 10.1), (9.8, 10.3, 10.0)))
LAWS = two_needles(), two_needles(laws=(STEEP, TUMOUR)), two_needles(laws=(ConductivityLaw.constant(0.1), RAMP))


@functools.cache
def batch_of(name: str) -> list[Solution]:
    return solve_fields({"volts": VOLTS, "places": PLACES, "laws": LAWS}[name])


@pytest.mark.parametrize(
    ("name", "problems"), [("volts", VOLTS), ("places", PLACES), ("laws", LAWS)], ids=["volts", "places", "laws"]
)
def test_a_batch_gives_what_single_solves_give(name: str, problems: tuple[FieldProblem, ...]) -> None:
    for problem, solution in zip(problems, batch_of(name), strict=True):
        single = solve_field(problem)
        same_within_tolerance(solution, single)
        # the same steps from the same start: PCG's rounding differs, its count by 2 at most in these problems
        assert solution.newton_steps == single.newton_steps
        assert np.abs(np.subtract(solution.cg_iterations, single.cg_iterations)).max() <= 2


def test_members_finish_at_their_own_step() -> None:
    """The linear tissue is there after two steps and takes no iteration from then on."""
    steps = [s.newton_steps[0] for s in batch_of("laws")]
    assert steps[2] < steps[0] < steps[1]
    assert batch_of("laws")[2].cg_iterations == solve_fields([LAWS[2]], lanes=LANES)[0].cg_iterations


def test_company_and_lane_change_nothing() -> None:
    first, second, third = VOLTS
    reference = batch_of("volts")
    other = solve_fields([third, PLACES[1], first])
    identical(other[0], reference[2])
    identical(other[2], reference[0])
    identical(other[1], batch_of("places")[1])
    identical(solve_fields([second], lanes=LANES)[0], reference[1])


def test_larger_arrays_of_others_change_nothing() -> None:
    """20 laws instead of 2 in the neighbouring lane: another table, another step, but the same numbers."""
    many = tuple(ConductivityLaw.ramp(0.08 + 0.01 * i, 0.4, 35_000, 70_000) for i in range(20))
    found = solve_fields([VOLTS[0], two_needles(laws=many), VOLTS[1]])
    same_within_tolerance(found[0], batch_of("volts")[0])
    assert found[1].converged


def test_one_compilation_for_all_batches_of_a_shape() -> None:
    batch_of("volts")
    before = compilations()
    solve_fields(PLACES)
    solve_fields(VOLTS[:2], lanes=LANES)
    solve_fields(VOLTS, starts=[Start(s.potential_v * 1.02, np.zeros(2)) for s in batch_of("volts")])
    assert compilations() == before


def test_a_floating_needle() -> None:
    """Another electrode floats in each lane."""
    potentials: list[tuple[float | None, ...]] = [(800.0, 0.0, None), (None, 0.0, 600.0), (700.0, None, 0.0)]
    problems = [two_needles(potentials_v=v, third=True) for v in potentials]
    for problem, solution in zip(problems, solve_fields(problems), strict=True):
        same_within_tolerance(solution, solve_field(problem))
        floats = problem.potentials_v.index(None)
        assert abs(solution.currents_a[floats]) < 1e-6 * max(solution.currents_a)


def test_starts_and_none_mix() -> None:
    first, second, third = VOLTS
    near = [Start(s.potential_v * 1.05, np.zeros(2)) for s in batch_of("volts")]
    raised = [replace(p, potentials_v=tuple(1.05 * (v or 0) for v in p.potentials_v)) for p in (first, second, third)]
    warm, cold, also_warm = solve_fields(raised, starts=[near[0], None, near[2]])
    identical(cold, solve_fields([raised[1]], lanes=LANES)[0])
    identical(warm, solve_fields(raised, starts=near)[0])
    for problem, solution in zip(raised, (warm, cold, also_warm), strict=True):
        same_within_tolerance(solution, solve_field(problem))
    assert sum(warm.cg_iterations) < sum(batch_of("volts")[0].cg_iterations)


def test_a_member_that_does_not_converge_hurts_nobody() -> None:
    """A law whose current density falls with the field has no unique solution; Newton's line search gets nowhere."""
    falling = ConductivityLaw.ramp(1.0, 0.01, 20_000, 25_000)
    hopeless = two_needles(laws=(falling, falling))
    good, bad, also_good = solve_fields([VOLTS[0], hopeless, VOLTS[1]], max_newton_steps=15)
    # whether it stagnates before it runs out of steps hangs on the last bits
    assert bad.status in (SolveStatus.STAGNATED, SolveStatus.OUT_OF_ITERATIONS)
    assert not solve_field(hopeless, max_newton_steps=15).converged
    identical(good, batch_of("volts")[0])
    identical(also_good, batch_of("volts")[1])


def test_what_is_not_a_number_stays_in_its_lane() -> None:
    broken = Start(np.full(VOLTS[0].grid.node_shape, np.nan), np.zeros(2))
    good, bad, also_good = solve_fields(VOLTS, starts=[None, broken, None])
    assert bad.status is SolveStatus.STAGNATED
    identical(good, batch_of("volts")[0])
    identical(also_good, batch_of("volts")[2])


def test_each_member_runs_out_of_steps_by_itself() -> None:
    near = Start(batch_of("volts")[0].potential_v, np.zeros(2))
    there, short = solve_fields(VOLTS[:2], starts=[near, None], max_newton_steps=1, lanes=LANES)
    assert there.status is SolveStatus.CONVERGED
    assert short.status is SolveStatus.OUT_OF_ITERATIONS
    assert short.newton_steps == (1,)


def test_cancellation_between_steps() -> None:
    seen = []

    def stop(report):
        seen.append((report.member, report.step))
        return len(seen) < 5

    with pytest.raises(SolveCancelled):
        solve_fields(VOLTS, on_step=stop)
    assert seen == [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2)]


@pytest.mark.slow
def test_nested_grids_and_a_start_on_the_finest() -> None:
    """Two nested grids; the member with a start waits for the finest one."""
    problems = [two_needles(shape=(48, 16, 16), centre_mm=(c, 7.7, 8.4)) for c in (20.2, 21.1, 22.3)]
    singles = [solve_field(p) for p in problems]
    start = Start(singles[1].potential_v, np.asarray(singles[1].electrode_potentials_v))
    found = solve_fields(problems, starts=[None, start, None])
    for solution, single in zip(found, singles, strict=True):
        same_within_tolerance(solution, single)
    assert [len(s.newton_steps) for s in found] == [2, 1, 2]
    assert found[0].newton_steps == singles[0].newton_steps


@pytest.mark.parametrize(
    ("problems", "more", "message"),
    [
        ([], {}, "problems: expected 1 to 0"),
        (list(VOLTS), {"lanes": 2}, "problems: expected 1 to 2, one for each lane, got 3"),
        (list(VOLTS), {"starts": [None]}, "starts: expected one for each of 3"),
        ([VOLTS[0], two_needles(shape=(20, 20, 21))], {}, "expected one grid"),
        ([VOLTS[0], two_needles(third=True, potentials_v=(1.0, 0.0, 0.0))], {}, "number of electrodes"),
        ([VOLTS[0], two_needles(potentials_v=(None, 1.0))], {}, "floating ones"),
    ],
)
def test_problems_that_do_not_fit_together_are_refused(problems, more, message) -> None:
    with pytest.raises(ValueError, match=message):
        solve_fields(problems, **more)


def test_compiled_programs_are_forgotten_before_a_process_runs_out_of_mappings(monkeypatch, tmp_path) -> None:
    """As if the system granted a hundred: a process that has compiled anything has more."""
    solve_field(PLACES[0])
    (tmp_path / "limit").write_text("100\n")
    monkeypatch.setattr(caches, "LIMIT", tmp_path / "limit")
    before = caches.count
    assert caches.make_room() is caches.MAPS.is_file()
    assert solve_field(PLACES[0]).converged
    assert caches.count == before + caches.MAPS.is_file()
