"""One pulse between two needles in a block of liver, warm: what a solve costs beyond compilation.

The counts of Newton steps and CG iterations stand beside the times: on a shared machine, times of the same code differ
by tens of per cent between runs, counts do not.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import sample_field

BLOCK_M = 0.048


def two_needles(voxels: int) -> FieldProblem:
    """A cube of 48 mm at the given resolution; needles of 1.2 mm, 20 mm apart, exposed over 20 mm, at 1500 V."""
    h = BLOCK_M / voxels
    grid = Grid((voxels, voxels, voxels), (h, h, h))
    liver = ConductivityLaw.logistic(0.10, 0.40, midpoint_v_per_m=58e3, width_v_per_m=6e3)
    needles = tuple(
        Needle((x, 0.5 * BLOCK_M, 0.014), (0.0, 0.0, -1.0), 0.6e-3, exposed_m=0.020)
        for x in (0.5 * BLOCK_M - 0.01, 0.5 * BLOCK_M + 0.01)
    )
    return FieldProblem(grid, np.zeros(grid.shape, np.uint8), (liver,), needles, (1500.0, 0.0))


@pytest.mark.parametrize("voxels", [48, 96])
def test_solve(benchmark: BenchmarkFixture, voxels: int) -> None:
    problem = two_needles(voxels)
    solution = benchmark.pedantic(solve_field, (problem,), rounds=3, warmup_rounds=1)
    assert solution.converged
    benchmark.extra_info.update(
        spacing_mm=1e3 * BLOCK_M / voxels,
        newton_steps=solution.newton_steps,
        cg_iterations=solution.cg_iterations,
        relative_residual=solution.relative_residual,
        device=solution.device,
    )


def test_sample(benchmark: BenchmarkFixture) -> None:
    problem = two_needles(48)
    solution = solve_field(problem)
    samples = benchmark.pedantic(sample_field, ([problem], [solution]), rounds=3, warmup_rounds=1)
    benchmark.extra_info["samples"] = len(samples.voxel)
