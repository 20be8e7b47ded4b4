"""A tiny plan, and a solver that answers at once with a field known in closed form, for tests of what surrounds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import FieldSamples
from porefield.kernels.solution import Solution, SolveCancelled, SolveStatus, StepReport

TINY_PLAN: dict[str, Any] = {
    "title": "Two needles in a block",
    "anatomy": {
        "phantom": {"size_mm": [16, 12, 12], "tissue": "block"},
        "add": [
            {"tissue": "air", "box": {"from_mm": [0, 0, 0], "to_mm": [16, 12, 1]}},
            {"tissue": "lump", "box": {"from_mm": [6, 4, 4], "to_mm": [10, 8, 8]}},
        ],
    },
    "grid": {"spacing_mm": 1.0},
    "tissues": {
        "block": {
            "conductivity": {"law": "constant", "conductivity_s_per_m": 0.2},
            "reversible_v_per_cm": 400,
            "irreversible_v_per_cm": 800,
        },
        "lump": {
            "conductivity": {"law": "constant", "conductivity_s_per_m": 0.4},
            "reversible_v_per_cm": 600,
            "irreversible_v_per_cm": 1200,
        },
    },
    "electrodes": [
        {"name": "A", "needle": {"tip_mm": [3, 6, 9], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 5}},
        {"name": "B", "needle": {"tip_mm": [13, 6, 9], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 5}},
        {"name": "C", "needle": {"tip_mm": [8, 10, 9], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 5}},
    ],
    "pulses": [
        {"anode": ["A"], "cathode": ["B"], "voltage_v": 1000},
        {"anode": ["A"], "cathode": ["C"], "voltage_v": 500},
    ],
    "targets": ["lump"],
    "avoid": {"block": {"max_v_per_cm": 1500}},
    "thresholds_v_per_cm": [400, 800],
    "generator": {"name": "small", "max_voltage_v": 900, "max_current_a": 4},
}
"""16 x 12 x 12 voxels: a target, an avoided structure, a needle that floats in the first pulse, a layer of air."""


@dataclass
class LinearFieldSolver:
    """Stands in for the solver: |E| grows along x by the same amount in every voxel, whatever the electrodes.

    At 1000 V, |E| is 100 V/cm times x in voxels: 50 V/cm in the middle of the first one. The current is 5 mA per volt.

    Attributes:
        status: of its solutions.
        steps: Newton steps that it pretends to take.
        before_step: called before each, to wait or to send signals.
        calls: potentials of the problems that it was given.
    """

    status: SolveStatus = SolveStatus.CONVERGED
    steps: int = 3
    before_step: Callable[[], None] = lambda: None
    calls: list[tuple[float | None, ...]] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> LinearFieldSolver:
        """Put it in the place of the solver and of its sampling."""
        patch.setattr("porefield.workers.solve.solve_field", self.solve)
        patch.setattr("porefield.workers.run.sample_field", self.sample)
        return self

    def solve(self, problem: FieldProblem, **options: Any) -> Solution:
        self.calls.append(problem.potentials_v)
        for step in range(1, self.steps + 1):
            self.before_step()
            report = StepReport(0, problem.grid.spacing_m, step, 10.0 ** (-2 * step), options["tolerance"])
            if options["on_step"](report) is False:
                raise SolveCancelled
        return self.solution(problem, options["tolerance"])

    def solution(self, problem: FieldProblem, tolerance: float) -> Solution:
        drive = max(v or 0.0 for v in problem.potentials_v)
        nx = problem.grid.shape[0]
        along = (10 * drive * (np.arange(nx) + 0.5)).astype(np.float32)
        potential = drive * np.linspace(1, 0, nx + 1)[:, None, None]
        return Solution(
            potential_v=np.broadcast_to(potential, problem.grid.node_shape).copy(),
            field_v_per_m=np.broadcast_to(along[:, None, None], problem.grid.shape).copy(),
            conductivity_s_per_m=np.full(problem.grid.shape, 0.2, np.float32),
            currents_a=self.currents_a(problem.potentials_v),
            electrode_potentials_v=tuple(0.5 * drive if v is None else v for v in problem.potentials_v),
            status=self.status,
            relative_residual=1e-7 if self.status is SolveStatus.CONVERGED else 1e-2,
            tolerance=tolerance,
            current_imbalance=0.0,
            power_imbalance=0.0,
            dissipated_power_w=0.005 * drive**2,
            newton_steps=(self.steps,),
            cg_iterations=(2 * self.steps,),
            device="test: closed form",
        )

    @staticmethod
    def currents_a(potentials_v: Sequence[float | None]) -> tuple[float, ...]:
        drive = max(v or 0.0 for v in potentials_v)
        anodes = sum(v is not None and v > 0 for v in potentials_v)
        cathodes = sum(v == 0 for v in potentials_v)
        return tuple(
            0.0 if v is None else 0.005 * drive / anodes if v > 0 else -0.005 * drive / cathodes for v in potentials_v
        )

    @staticmethod
    def sample(problems: Sequence[FieldProblem], solutions: Sequence[Solution]) -> FieldSamples:
        """One sample a voxel of tissue; voxels whose centre is in metal are left out."""
        grid = problems[0].grid
        centres = np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1)
        chosen = problems[0].conducts.copy()
        for electrode in problems[0].electrodes:
            chosen &= electrode.distance_m(centres) > 0
        voxel = np.flatnonzero(chosen).astype(np.int32)
        largest = np.max([s.field_v_per_m for s in solutions], axis=0).reshape(-1)[voxel]
        half_voxel = 5 * max(max(v or 0.0 for v in p.potentials_v) for p in problems)
        spread = np.full(len(voxel), half_voxel, np.float32)
        volume = np.full(len(voxel), grid.voxel_volume_m3, np.float32)
        return FieldSamples(voxel, largest, spread, volume)
