"""The network's matrix is positive definite however needles lie, although some links are negative."""

import numpy as np
import pytest
from scipy.sparse import diags

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem

from .assembly import Assembly
from .problems import random_turn

TIPS = (("flat", 0.0), ("conical", 2.0), ("conical", 0.7), ("rounded", 0.0))
CONTRAST = 5.0
"""Of the conductivities that voxels get at random: more than any tissue of the library gains by permeabilisation."""


def tiny(seed: int) -> FieldProblem:
    """One or two needles, 0.2 to 1.5 voxels thick, at random in 6 x 7 x 6 voxels of 1 mm."""
    rng = np.random.default_rng(seed)
    shape = (6, 7, 6)
    needles = []
    for _ in range(rng.integers(1, 3)):
        axis = random_turn(rng)[:, 2]
        tip, cone = TIPS[rng.integers(len(TIPS))]
        radius = rng.uniform(0.1, 0.75) * 1e-3
        centre = rng.uniform(2, 4, 3) * 1e-3
        exposed = rng.uniform(2, 4) * 1e-3
        needles.append(
            Needle(
                tuple(centre + 0.5 * exposed * axis),
                tuple(axis),
                radius,
                exposed,
                rng.choice([0.0, 3e-3]),
                tip,  # pyright: ignore[reportArgumentType]
                min(cone * 1e-3, exposed) if tip == "conical" else 0.0,
                rng.choice([0.0, 0.0, 1.2e-3]) if tip == "flat" else 0.0,
            )
        )
    grid = Grid(shape, (1e-3, 1e-3, 1e-3))
    law = ConductivityLaw.constant(1.0)
    volts = (1.0, *(0.0 for _ in needles[1:]))
    return FieldProblem(grid, np.zeros(shape, np.uint8), (law,), tuple(needles), volts)


def least_and_negative(problem: FieldProblem, sigma: np.ndarray) -> tuple[float, float]:
    """Smallest eigenvalue of the matrix, scaled to a diagonal of 1, and the most negative link over the mean edge."""
    assembly = Assembly(problem)
    v = problem.grid.voxel_volume_m3
    full = v * (assembly.b.T @ diags(assembly.s.T @ sigma) @ assembly.b).toarray()
    free = assembly.free[assembly.free < int(np.prod(problem.grid.node_shape))]
    matrix = full[np.ix_(free, free)]
    # nodes cut off by metal and insulation from everything have an empty row
    live = np.diag(matrix) > 1e-9 * np.diag(matrix).max()
    scale = 1 / np.sqrt(np.diag(matrix)[live])
    values = np.linalg.eigvalsh(matrix[np.ix_(live, live)] * np.outer(scale, scale))
    return float(values.min()), float(assembly.couplings.link_g_m.min()) / problem.grid.spacing_m[0]


@pytest.mark.parametrize("start", [0, 20])
def test_smallest_eigenvalue_of_random_poses(start):
    lowest, negative = [], []
    for seed in range(start, start + 20):
        problem = tiny(seed)
        sigma = np.random.default_rng(seed).choice([1.0, CONTRAST], int(np.prod(problem.grid.shape)))
        least, link = least_and_negative(problem, sigma)
        lowest.append(least)
        negative.append(link)
    assert min(lowest) > 0
    # the poses are those that the test is about: some links are as negative as they may be
    assert min(negative) < -0.15
