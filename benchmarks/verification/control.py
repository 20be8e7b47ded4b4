"""A pulse whose current is prescribed, against the pulse whose voltage is.

It stands here and not among the kernels' cases, for the search is the workers'.
"""

from __future__ import annotations

from porefield.kernels.cases.case import Case, Figure, Measured, Solved
from porefield.kernels.cases.laws import LIVER
from porefield.kernels.cases.shell import FloatingShell
from porefield.kernels.continuation import Continuation
from porefield.kernels.field import solve_field
from porefield.kernels.iteration import Start
from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import Solution
from porefield.workers.current_control import CURRENT_REACHED, solve_at_current
from porefield.workers.limits import scaled

TOLERANCE = 1e-7


class PrescribedCurrentCase(Case):
    """What the ring between two cylinders draws at 400 V, prescribed: the voltage is to be 400 V again."""

    group, name = "Prescribed currents", "prescribed current"
    title = "ring between cylinders, sigmoid (Sel)"
    source = "the same problem with its voltage given, on the same voxels"
    spacings_mm = (1.0, 0.5)
    voltage_v = 400.0

    def figures(self) -> tuple[Figure, ...]:
        why = "the search ends within 1e-5 of the current, which rises at least as fast as the voltage"
        bars = dict.fromkeys(self.spacings_mm, CURRENT_REACHED)
        return (
            Figure("voltage that drives its current", "V", self.voltage_v, bars=bars, why=why),
            Figure("potential of the ring, difference over V", "", 0.0, scale=1.0, bars=bars, why=why),
        )

    def measure(self, spacing_mm: float) -> Measured:
        problem = FloatingShell(LIVER["sigmoid (Sel)"], self.voltage_v).problem(1e-3 * spacing_mm, (0.13e-3, 0.31e-3))
        given = Solved(problem, TOLERANCE).solution

        def solve(problem: FieldProblem, tolerance: float, start: Start | None) -> Solution:
            return solve_field(problem, tolerance=tolerance, start=start)

        # from 1 V, as a plan's pulse is
        probe = scaled(problem, 1 / self.voltage_v)
        found = solve_at_current(
            probe, given.currents_a[0], 1e4, TOLERANCE, lambda s: s.currents_a[0], solve, Continuation()
        )
        voltage, ring = (f.name for f in self.figures())
        ring_v = found.electrode_potentials_v[1] - given.electrode_potentials_v[1]
        values = {voltage: found.electrode_potentials_v[0], ring: ring_v / self.voltage_v}
        residual = max(given.relative_residual, found.relative_residual)
        return Measured(values, given.converged and found.converged, residual, given.field_v_per_m.size)
