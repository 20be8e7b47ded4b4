"""Samples near conductors are the points of `PointSet`, evaluated voxel by voxel."""

from __future__ import annotations

import numpy as np

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle, Plate, Tube
from porefield.kernels.grid import Grid
from porefield.kernels.near_samples import NearSamples, offsets
from porefield.kernels.points import PointSet
from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import near_voxels

from .problems import solution_of


def test_samples_see_what_points_see():
    """A rough potential, two tissues, anisotropic voxels, an oblique needle with a shaft, a thin plate and a tube."""
    rng = np.random.default_rng(3)
    grid = Grid((20, 18, 16), (1e-3, 1.1e-3, 0.9e-3))
    direction = np.asarray([0.3, 0.2, -1.0]) / np.linalg.norm([0.3, 0.2, -1.0])
    needle = Needle((6.3e-3, 7.1e-3, 4e-3), tuple(direction), 0.6e-3, 6e-3, 5e-3)
    plate = Plate((15e-3, 9e-3, 7e-3), ((0.0, 1, 0), (0, 0, 1.0), (1.0, 0, 0)), (8e-3, 8e-3, 0.5e-3))
    tube = Tube((10e-3, 15e-3, 7e-3), (0.0, 0.0, 1.0), 1e-3, 1.6e-3, 6e-3)
    laws = (ConductivityLaw.constant(0.1), ConductivityLaw.constant(0.3), ConductivityLaw.constant(0.0))
    tissue = rng.integers(0, 3, grid.shape).astype(np.uint8)
    problem = FieldProblem(grid, tissue, laws, (needle, plate, tube), (100.0, 0.0, None))
    solution = solution_of(problem, rng.normal(size=grid.node_shape))
    chosen = near_voxels(problem)
    chosen[0, 0, 0] = chosen[-1, -1, -1] = True  # voxels at the grid's ends have one neighbour only
    samples = NearSamples(problem, chosen)
    points = (np.argwhere(chosen)[:, None, :] + offsets()) * grid.spacing_m
    wanted = PointSet(problem, points).field_v_per_m(solution)
    found = samples.field_v_per_m(solution)
    assert samples.outside.sum() > 20_000
    np.testing.assert_allclose(found[samples.outside], wanted[samples.outside], rtol=1e-5)
