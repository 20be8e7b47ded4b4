"""Pulses whose current is prescribed: the voltage that drives it.

The current rises with the voltage (the energy is convex), so that the voltage is unique. It is found by secants on log
I over log V, kept between the voltages already known to be too low and too high; each solve starts from the last ones.
Solves on the way are loose; the last ones are as accurate as the plan asks for, and only they are held against the
current.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from ..kernels.continuation import Continuation, proportion, same_network, span_v
from ..kernels.iteration import Start
from ..kernels.problem import FieldProblem
from ..kernels.solution import Solution, SolveStatus
from .limits import SEARCH_TOLERANCE, SLOPES, scaled

CURRENT_REACHED = 1e-5
"""Relative difference from the wanted current that counts as reached: a tenth of what any generator regulates to, and
well above the imbalance of currents that a solve stops at (iteration.CURRENT_BALANCE)."""
NEARLY = 0.01
"""Relative difference from which on solves are as accurate as the plan asks for."""
MOST_SOLVES = 40
"""Halving the logarithm of the bracket alone reaches CURRENT_REACHED from four decades within 40."""

Solve = Callable[[FieldProblem, float, Start | None], Solution]
"""(problem, tolerance, start) -> solution."""


class OutOfReach(Exception):
    """The largest voltage allowed does not drive the current."""

    def __init__(self, voltage_v: float, current_a: float) -> None:
        """Args: current_a: what that voltage drives."""
        super().__init__(f"{voltage_v:g} V drive {current_a:.4g} A")
        self.current_a = current_a


def solve_at_current(
    problem: FieldProblem,
    current_a: float,
    most_voltage_v: float,
    tolerance: float,
    current_of: Callable[[Solution], float],
    solve: Solve,
    near: Continuation,
) -> Solution:
    """Solve a pulse at the voltage that drives a current.

    Args:
        problem: at any voltage; its potentials are scaled.
        tolerance: of the solution.
        current_of: what the generator delivers, A.
        near: solutions to start from; those found here are added.

    Returns:
        The solution; one that did not converge as soon as there is one, OUT_OF_ITERATIONS if the current was not met.

    Raises:
        OutOfReach: `most_voltage_v` drives less than `current_a`.
    """
    search = _Search(current_a, *_first_guess(problem, current_a, current_of, near))
    accurate = False
    solution: Solution | None = None
    for _ in range(MOST_SOLVES):
        voltage_v = min(search.voltage_v, most_voltage_v)
        at_voltage = scaled(problem, voltage_v / span_v(problem))
        wanted = tolerance if accurate else max(tolerance, SEARCH_TOLERANCE)
        solution = solve(at_voltage, wanted, near.start(at_voltage))
        if not solution.converged:
            return solution
        near.add(at_voltage, solution)
        drawn_a = current_of(solution)
        miss = abs(drawn_a / current_a - 1)
        if wanted == tolerance and miss <= CURRENT_REACHED:
            return solution
        if drawn_a <= 0 or (voltage_v == most_voltage_v and drawn_a < current_a):
            raise OutOfReach(voltage_v, drawn_a)
        if miss <= NEARLY and not accurate:
            accurate = True
            search.forget()
        search.take(voltage_v, drawn_a)
    assert solution is not None
    return replace(solution, status=SolveStatus.OUT_OF_ITERATIONS)


def _first_guess(
    problem: FieldProblem, current_a: float, current_of: Callable[[Solution], float], near: Continuation
) -> tuple[float, float]:
    """A voltage (V), and the p of I ~ V^p there."""
    usable = [n for n in near.neighbours if proportion(n.problem, problem) is not None]
    if not usable:
        return span_v(problem), 1.0
    last = usable[-1]
    power = 1.0
    if len(usable) > 1 and same_network(last.problem, problem):
        other = usable[-2]
        power = _power((other.voltage_v, current_of(other.solution)), (last.voltage_v, current_of(last.solution)), 1.0)
    return last.voltage_v * (current_a / current_of(last.solution)) ** (1 / power), power


class _Search:
    """Where to look next.

    Attributes:
        voltage_v: the next voltage.
    """

    def __init__(self, current_a: float, voltage_v: float, power: float) -> None:
        self.current_a, self.voltage_v, self.power = current_a, voltage_v, power
        self.last: tuple[float, float] | None = None
        self.low, self.high = 0.0, math.inf

    def forget(self) -> None:
        """Drop what solves of another accuracy told, but for the slope."""
        self.last, self.low, self.high = None, 0.0, math.inf

    def take(self, voltage_v: float, current_a: float) -> None:
        """Note what a voltage drives (A)."""
        point = (voltage_v, current_a)
        if self.last is not None:
            self.power = _power(self.last, point, self.power)
        self.last = point
        if current_a < self.current_a:
            self.low = max(self.low, voltage_v)
        else:
            self.high = min(self.high, voltage_v)
        secant = voltage_v * (self.current_a / current_a) ** (1 / self.power)
        inside = self.low <= secant <= self.high
        self.voltage_v = secant if inside else math.sqrt(self.low * self.high)


def _power(a: tuple[float, float], b: tuple[float, float], otherwise: float) -> float:
    """p of I ~ V^p through two (voltage, current); `otherwise` where they are too close to tell."""
    (va, ia), (vb, ib) = a, b
    apart = math.log(vb / va)
    # below that the solves' own accuracy shows
    return min(max(math.log(ib / ia) / apart, SLOPES[0]), SLOPES[1]) if abs(apart) > 1e-3 else otherwise
