"""Needles of any tip, shaft and thickness in any pose: currents against finite elements, and no jumps."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from porefield.kernels.field import solve_field
from porefield.kernels.problem import FieldProblem

from .fem_extra import REFERENCES, law_of, moved, problem_of
from .problems import random_turn

SHAPES = [name for name in REFERENCES if not name.startswith(("ball", "close"))]


def error(name: str, spacing_mm: float) -> float:
    s = solve_field(problem_of(name, spacing_mm))
    assert s.converged
    assert s.current_imbalance < 1e-5
    return s.currents_a[0] / REFERENCES[name]["current_a"] - 1


def test_references_are_sure_enough_to_test_against():
    assert max(r["uncertainty_rel"] for r in REFERENCES.values()) < 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_current_at_one_millimetre(name):
    assert abs(error(name, 1.0)) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_current_at_half_a_millimetre(name):
    assert abs(error(name, 0.5)) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ball_0.7", "ball_1.2", "ball_1.8"])
@pytest.mark.parametrize(("spacing_mm", "spread", "bias", "poses"), [(1.0, 0.007, 0.01, 50), (0.5, 0.003, 0.005, 17)])
def test_current_does_not_depend_on_the_pose(name, spacing_mm, spread, bias, poses):
    """In a ball of tissue all poses about its middle are the same problem. 17 x 3 poses at 0.5 mm."""
    off = pose_currents(problem_of(name, spacing_mm), poses) / REFERENCES[name]["current_a"] - 1
    assert off.std() < spread
    assert abs(off.mean()) < bias


@pytest.mark.slow
@pytest.mark.parametrize(("spacing_mm", "spread"), [(1.0, 0.007), (0.5, 0.003)])
def test_nor_where_conductivity_rises(spacing_mm, spread):
    """A logistic law, thin needles. Some of these poses did not converge while negative leaks could turn a mean square
    negative."""
    problem = problem_of("ball_0.7", spacing_mm)
    rising = law_of(REFERENCES["conical_logistic"]["inputs"]["law"])
    currents = pose_currents(replace(problem, laws=(rising, *problem.laws[1:])), 17)
    assert currents.std() < spread * currents.mean()


def pose_currents(problem: FieldProblem, poses: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    currents = []
    for _ in range(poses):
        turn = random_turn(rng)
        shift = rng.uniform(-0.5, 0.5, 3) * problem.grid.spacing_m[0]
        s = solve_field(moved(problem, turn, shift))
        assert s.converged
        currents.append(s.currents_a[0])
    return np.asarray(currents)


@pytest.mark.slow
def test_current_does_not_jump():
    """A needle of radius 0.2 voxels moved by two voxels in steps of 0.02 mm, across and askew of the grid."""
    problem = problem_of("ball_1.2", 0.5)
    problem = replace(problem, electrodes=tuple(replace(n, radius_m=0.1e-3) for n in problem.electrodes))  # pyright: ignore[reportArgumentType]
    way = np.asarray([0.8, 0.5, 0.33])
    way /= np.linalg.norm(way)
    currents = []
    for step in np.arange(0, 1.0001e-3, 0.02e-3):
        currents.append(solve_field(moved(problem, np.eye(3), (step - 0.5e-3) * way)).currents_a[0])
    steps = [abs(b / a - 1) for a, b in itertools.pairwise(currents)]
    assert max(steps) < 0.002
