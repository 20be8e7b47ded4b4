"""Run by test_spread.py where the CPU is eight devices: eight problems on eight, on two and on one of them.

The answers agree within the solver's tolerance.
"""

from __future__ import annotations

import re
import sys

import jax
import numpy as np

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import solve_fields
from porefield.kernels.grid import Grid
from porefield.kernels.iteration import LaneGrid, Member
from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import Solution

RAMP = ConductivityLaw.ramp(0.08, 0.32, 35_000, 70_000)


def problem(voltage_v: float) -> FieldProblem:
    """10 x 8 x 8 voxels of 1 mm: the fewest with two multigrid levels."""
    grid = Grid((10, 8, 8), (1e-3, 1e-3, 1e-3))
    needles = tuple(Needle((x, 4.2e-3, 2e-3), (0.0, 0.0, -1.0), 0.5e-3, 4e-3) for x in (2.6e-3, 7.4e-3))
    return FieldProblem(grid, np.zeros(grid.shape, np.uint8), (RAMP,), needles, (voltage_v, 0.0))


PROBLEMS = [problem(v) for v in (50, 150, 200, 250, 300, 400, 500, 600)]
"""The first without permeabilised tissue, so that lanes finish at different steps."""


def spread_over(devices: int) -> list[Solution]:
    return solve_fields(PROBLEMS, devices=devices)


def on_one(lanes: int) -> list[Solution]:
    return [s for i in range(0, len(PROBLEMS), lanes) for s in solve_fields(PROBLEMS[i : i + lanes])]


def same(found: list[Solution], wanted: list[Solution], atol_v: float) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.converged
        assert other.converged
        assert one.newton_steps == other.newton_steps
        np.testing.assert_allclose(one.potential_v, other.potential_v, rtol=0, atol=atol_v)


def exchanges_nothing(devices: int) -> None:
    """The compiled program has no message between devices, and holds its arrays in equal parts."""
    with jax.enable_x64(True):
        members = [Member(p, None, 1e-7, 60) for p in PROBLEMS]
        step = LaneGrid(0, members, len(PROBLEMS), "float32", devices).compiled_step()
    assert isinstance(step, jax.stages.Compiled)
    text = step.as_text()
    assert text is not None
    assert not re.search(r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter", text)
    phi = step.input_shardings[0][1]
    assert len(phi.device_set) == devices
    assert phi.shard_shape((len(PROBLEMS), 99)) == (len(PROBLEMS) // devices, 99)


def main() -> None:
    assert len(jax.devices()) == 8
    on_two, on_eight = spread_over(2), spread_over(8)
    assert len({s.newton_steps for s in on_two}) > 1
    allowed_v = 1e-5 * 600  # as tests/kernels/test_batch.py allows for two solves to 1e-7
    same(on_two, on_one(4), allowed_v)
    same(on_eight, on_two, allowed_v)
    for devices in (2, 8):
        exchanges_nothing(devices)
    sys.stdout.write("8 devices: all the same\n")


if __name__ == "__main__":
    main()
