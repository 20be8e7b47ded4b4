"""One pulse between two needles in a block of liver, warm: what a solve costs beyond compilation.

The counts of Newton steps and CG iterations stand beside the times: on a shared machine, times of the same code differ
by tens of per cent between runs, counts do not.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import jax
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from porefield.kernels.caches import forget_couplings
from porefield.kernels.cases.finite_elements import LIVER, NeedlesInABlock
from porefield.kernels.field import solve_field
from porefield.kernels.nested import nested_grids
from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import sample_field
from porefield.kernels.solution import Solution
from porefield.meshes import load_plan
from porefield.workers import run_plan

from . import problems
from .measure import compilations, counted, machine, of_step, passes, peak_rss_bytes, triad_bytes_per_s
from .parts import Parts

BLOCK = NeedlesInABlock(LIVER, 1.2, ((14.0, 24.0, 24.0), (34.0, 24.0, 24.0)), 1500.0, length_mm=20.0, box_mm=48.0)
"""A cube of 48 mm; needles of 1.2 mm, 20 mm apart, 20 mm long, at 1500 V."""
SWEPT_V = (1000.0, 1200.0, 1400.0, 1600.0)
SHIFTS_MM = (0.0, 0.3, 0.7, 1.3)


def two_needles(voxels: int) -> FieldProblem:
    """The block at the given resolution."""
    return problems.on_grid(BLOCK, voxels)


@pytest.fixture(scope="module")
def triad() -> float:
    """The machine's own rate, before; counting of compilations begins."""
    compilations()
    return triad_bytes_per_s()


def note(benchmark: BenchmarkFixture, problem: FieldProblem, triad: float, **more: Any) -> None:
    """What every record carries; passes are of the fastest round."""
    assert benchmark.stats is not None
    voxels = math.prod(problem.grid.shape)
    benchmark.extra_info.update(
        device=machine()["device"],
        processor=machine()["processor"],
        dtype="float64 residuals, float32 linear solves",
        grid=problem.grid.shape,
        triad_gb_per_s=round(triad / 1e9, 2),
        passes=round(passes(benchmark.stats["min"], voxels, triad), 1),
        process_peak_bytes=peak_rss_bytes(),
        **of_step(problem),
        **more,
    )


def counts(solution: Solution) -> dict[str, Any]:
    return {
        "newton_steps": solution.newton_steps,
        "cg_iterations": solution.cg_iterations,
        "relative_residual": solution.relative_residual,
    }


@pytest.mark.parametrize("voxels", [64, 96, 128, 192])
def test_solve(benchmark: BenchmarkFixture, triad: float, voxels: int) -> None:
    problem = problems.two_needles(voxels)
    with counted() as compiled:
        solve_field(problem)
    rounds = 1 if voxels > 128 else 3
    solution = benchmark.pedantic(solve_field, (problem,), rounds=rounds)
    assert solution.converged
    note(benchmark, problem, triad, compilations=compiled[0], **counts(solution))


def solve_all(members: list[FieldProblem]) -> list[Solution]:
    return [solve_field(problem) for problem in members]


@pytest.mark.parametrize("swept", ["voltage", "position"])
def test_sweep(benchmark: BenchmarkFixture, triad: float, swept: str) -> None:
    """Four points, one after another; those of a position find their couplings anew."""
    base = problems.two_needles(64)
    members = [problems.at_voltage(base, v) for v in SWEPT_V]
    if swept == "position":
        members = [problems.moved(base, shift) for shift in SHIFTS_MM]
    with counted() as first:
        solve_all(members[:1])
    with counted() as others:
        solve_all(members[1:])
    solutions = benchmark.pedantic(solve_all, (members,), setup=forget_couplings, rounds=3)
    assert all(solution.converged for solution in solutions)
    assert benchmark.stats is not None
    note(
        benchmark,
        base,
        triad,
        points=len(members),
        seconds_per_point=benchmark.stats["min"] / len(members),
        compilations=first[0],
        compilations_of_others=others[0],
        newton_steps=[solution.newton_steps for solution in solutions],
        cg_iterations=[solution.cg_iterations for solution in solutions],
        relative_residual=max(solution.relative_residual for solution in solutions),
    )


@pytest.mark.parametrize("voxels", [64, 128])
def test_assembly(benchmark: BenchmarkFixture, triad: float, voxels: int) -> None:
    """Couplings of the electrodes, and the networks of all nested grids."""
    problem = problems.two_needles(voxels)

    def assemble() -> int:
        forget_couplings()
        return sum(grid.network.tissue.size for grid in nested_grids(problem, coarse=True))

    with jax.enable_x64(True):
        assert benchmark.pedantic(assemble, rounds=3, warmup_rounds=1) >= voxels**3
    note(benchmark, problem, triad)


@pytest.mark.parametrize("part", ["evaluation", "cycle", "newton_step"])
@pytest.mark.parametrize("voxels", [64, 128])
def test_part(benchmark: BenchmarkFixture, triad: float, voxels: int, part: str) -> None:
    """Of the finest grid: the network's state, one V-cycle, one Newton step from the solution for 10 % less voltage."""
    problem = problems.two_needles(voxels)
    parts = Parts(problem)
    found = benchmark.pedantic(
        getattr(parts, part), setup=getattr(parts, f"for_{part}"), rounds=3 if part == "newton_step" else 10
    )
    more = {} if part != "newton_step" else {"cg_iterations": int(found.cg_iterations)}
    note(benchmark, problem, triad, **more)


def test_sample(benchmark: BenchmarkFixture) -> None:
    problem = two_needles(48)
    solution = solve_field(problem)
    samples = benchmark.pedantic(sample_field, ([problem], [solution]), rounds=3, warmup_rounds=1)
    benchmark.extra_info["samples"] = len(samples.voxel)


@pytest.mark.skipif("POREFIELD_SHARED_DATA" not in os.environ, reason="POREFIELD_SHARED_DATA names no segmented CT")
def test_plan_in_a_segmented_liver(benchmark: BenchmarkFixture, triad: float) -> None:
    """A whole plan: anatomy, all pulses, sampling, measures; warm."""
    plan = load_plan(Path(__file__).parents[1] / "examples" / "liver_metastasis.yaml")
    result = benchmark.pedantic(run_plan, (plan,), rounds=1, warmup_rounds=1)
    solves = result.summary["pulses"]
    benchmark.extra_info.update(
        device=machine()["device"],
        triad_gb_per_s=round(triad / 1e9, 2),
        grid=result.summary["grid"]["shape"],
        pulses=len(solves),
        process_peak_bytes=peak_rss_bytes(),
    )
