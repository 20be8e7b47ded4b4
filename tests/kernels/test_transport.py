"""Potentials carried along with needles that moved."""

from dataclasses import replace

import numpy as np
import pytest

from porefield.kernels.continuation import Continuation
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.transport import carry_along

from .problems import two_needles

GRID = Grid((20, 24, 16), (1e-3, 0.5e-3, 2e-3))
"""Unequal in all ways, so that no mistaken axis goes unseen."""


def needle(x_mm: float, y_mm: float, direction: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Needle:
    return Needle((1e-3 * x_mm, 1e-3 * y_mm, 24e-3), direction, 0.6e-3, 14e-3)


def places() -> np.ndarray:
    axes = [np.arange(n) * h for n, h in zip(GRID.node_shape, GRID.spacing_m, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def linear() -> np.ndarray:
    return places() @ np.asarray([3e3, -5e3, 7e2])


def test_a_needle_by_itself_takes_everything_along() -> None:
    """By 1.3 mm along x and -0.7 mm along y; beyond the grid's end the end's value counts."""
    before, now = needle(8, 6), needle(9.3, 5.3)
    carried = carry_along(GRID, linear(), [before], [now])
    inside = (slice(2, -1), slice(2, -3), slice(None))
    np.testing.assert_allclose(carried[inside], (linear() - 3e3 * 1.3e-3 + 5e3 * -0.7e-3)[inside], atol=2e-3)


def test_the_field_at_a_needle_that_stays_stays() -> None:
    before, stays, now = needle(6, 6), needle(14, 6), needle(7, 6)
    carried = carry_along(GRID, linear(), [before, stays], [now, stays])
    moved = linear() - carried
    assert moved[7, 12, 8] == pytest.approx(3e3 * 1e-3, rel=1e-3)
    assert moved[14, 12, 8] == pytest.approx(0, abs=1e-3)
    assert 0.3 < moved[10, 12, 8] / 3 < 0.7


def test_a_needle_that_turns_takes_its_shallow_end_further() -> None:
    """About its tip at z = 24 mm: at 10 mm its axis lies 14 tan(0.1) = 1.4 mm further along x than before."""
    turned = needle(8, 6, (-np.sin(0.1), 0.0, np.cos(0.1)))
    moved = linear() - carry_along(GRID, linear(), [needle(8, 6)], [turned])
    assert moved[8, 12, 12] == pytest.approx(0, abs=1e-2)
    assert moved[9, 12, 5] / 3e3 == pytest.approx(1.4e-3, rel=0.1)


def test_a_solve_starts_nearer_and_ends_at_the_same() -> None:
    problem = two_needles((40, 32, 28))
    first = problem.electrodes[0]
    assert isinstance(first, Needle)
    x, y, z = first.tip_m
    moved = replace(problem, electrodes=(replace(first, tip_m=(x + 0.6e-3, y, z)), *problem.electrodes[1:]))
    near = Continuation()
    near.add(problem, solve_field(problem))
    start = near.start(moved)
    assert start is not None
    scratch, warm = solve_field(moved), solve_field(moved, start=start)
    assert warm.converged
    assert sum(warm.newton_steps) <= scratch.newton_steps[-1]
    assert warm.currents_a == pytest.approx(scratch.currents_a, rel=1e-6)


def test_needles_that_moved_far_are_not_followed() -> None:
    problem = two_needles((40, 32, 28))
    first = problem.electrodes[0]
    assert isinstance(first, Needle)
    x, y, z = first.tip_m
    far = replace(problem, electrodes=(replace(first, tip_m=(x, y + 5e-3, z)), *problem.electrodes[1:]))
    near = Continuation()
    near.add(problem, solve_field(problem, tolerance=1e-4))
    assert near.start(far) is None
