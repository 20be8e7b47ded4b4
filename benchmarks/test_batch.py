"""Eight pulses between two needles, solved in batches of 1, 2, 4 and 8: seconds for each, warm.

Voltages and positions differ, so that members finish at steps of their own. A batch of 1 is `solve_field`. The counts
of Newton steps and CG iterations stand beside the times, as in test_field.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from porefield.kernels.batch_size import lane_bytes, padded_nodes
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import solve_field, solve_fields
from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import Solution

from .test_field import two_needles

POINTS = 8


def points(voxels: int) -> list[FieldProblem]:
    """Both needles moved by up to 0.7 mm along x, 1500 V down to 1080 V."""
    base = two_needles(voxels)
    found: list[FieldProblem] = []
    for i in range(POINTS):
        needles: list[Needle] = []
        for needle in base.electrodes:
            assert isinstance(needle, Needle)
            x, y, z = needle.tip_m
            needles.append(replace(needle, tip_m=(x + 1e-4 * i, y, z)))
        found.append(replace(base, electrodes=tuple(needles), potentials_v=(1500.0 - 60 * i, 0.0)))
    return found


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
@pytest.mark.parametrize("voxels", [32, 64])
def test_batch(benchmark: BenchmarkFixture, voxels: int, batch: int) -> None:
    problems = points(voxels)

    def solve() -> list[Solution]:
        if batch == 1:
            return [solve_field(problem) for problem in problems]
        return [s for i in range(0, POINTS, batch) for s in solve_fields(problems[i : i + batch])]

    solutions = benchmark.pedantic(solve, rounds=3, warmup_rounds=1)
    assert all(solution.converged for solution in solutions)
    assert benchmark.stats is not None
    benchmark.extra_info.update(
        seconds_per_point=benchmark.stats["min"] / POINTS,
        newton_steps=[solution.newton_steps for solution in solutions],
        cg_iterations=[solution.cg_iterations for solution in solutions],
        megabytes_per_point=lane_bytes(padded_nodes(problems[0].grid)) / 1e6,
        device=solutions[0].device,
    )
