"""One pulse between two needles in a block of liver, warm: what a solve costs beyond compilation.

The counts of Newton steps and CG iterations stand beside the times: on a shared machine, times of the same code differ
by tens of per cent between runs, counts do not.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from porefield.kernels.cases.finite_elements import LIVER, NeedlesInABlock
from porefield.kernels.field import solve_field
from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import sample_field

BLOCK = NeedlesInABlock(LIVER, 1.2, ((14.0, 24.0, 24.0), (34.0, 24.0, 24.0)), 1500.0, length_mm=20.0, box_mm=48.0)
"""A cube of 48 mm; needles of 1.2 mm, 20 mm apart, 20 mm long, at 1500 V."""


def two_needles(voxels: int) -> FieldProblem:
    """The block at the given resolution."""
    return BLOCK.problem(1e-3 * BLOCK.box_mm / voxels)


@pytest.mark.parametrize("voxels", [48, 96])
def test_solve(benchmark: BenchmarkFixture, voxels: int) -> None:
    problem = two_needles(voxels)
    solution = benchmark.pedantic(solve_field, (problem,), rounds=3, warmup_rounds=1)
    assert solution.converged
    benchmark.extra_info.update(
        spacing_mm=BLOCK.box_mm / voxels,
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
