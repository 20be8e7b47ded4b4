"""The generator's limits: does a pulse fit, and if its current is too large, which voltage would.

Tissue conducts better the higher the field, so current grows faster than voltage and scaling the voltage down in
proportion gives away more than needed. The voltage at the limit is found by solving the pulse again, warm, with the
secant method on log I over log V (I ~ V^p over a short range).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

from ..kernels.problem import FieldProblem
from ..kernels.solution import Solution
from ..meshes.generators import Generator
from ..meshes.scene import PulseSetup

CURRENT_ACCURACY = 0.01
"""How far below the current limit the search may end: what it finds has to fit."""
MOST_SOLVES = 5
SEARCH_TOLERANCE = 1e-4
"""Relative residual of the search's solves: far finer than CURRENT_ACCURACY."""

SLOPES = (0.5, 8.0)
"""Bounds on p of I ~ V^p, which is at least 1 for tissue: a guess far off the curve must not run away."""

Resolve = Callable[[FieldProblem, Solution, float], Solution]
"""(problem, a nearby solution, the voltage ratio between the two) -> solution, to SEARCH_TOLERANCE."""


def generator_current_a(pulse: PulseSetup, currents_a: Mapping[str, float]) -> float:
    """What the generator delivers: the sum over the anodes (A)."""
    return sum(currents_a[name] for name in pulse.anodes)


def within_limits(generator: Generator | None, voltage_v: float, current_a: float) -> bool | None:
    """Whether both limits hold; None without a generator."""
    if generator is None:
        return None
    return voltage_v <= generator.max_voltage_v and current_a <= generator.max_current_a


def voltage_at_current_limit(
    problem: FieldProblem,
    solution: Solution,
    voltage_v: float,
    generator: Generator,
    current_of: Callable[[Solution], float],
    resolve: Resolve,
) -> float | None:
    """Voltage (V) at which the pulse draws the generator's largest current or up to 1 % less; at most its largest
    voltage.

    None when the search does not end (a solve that does not converge, a current that does not follow the voltage).
    """
    limit_a = generator.max_current_a
    points = [(voltage_v, current_of(solution))]
    guess_v = voltage_v * limit_a / points[0][1]
    for _ in range(MOST_SOLVES):
        ratio = guess_v / points[-1][0]
        problem = scaled(problem, ratio)
        solution = resolve(problem, solution, ratio)
        current_a = current_of(solution)
        if not solution.converged or current_a <= 0:
            return None
        points.append((guess_v, current_a))
        if -CURRENT_ACCURACY <= current_a / limit_a - 1 <= SEARCH_TOLERANCE:
            return min(guess_v, generator.max_voltage_v)
        guess_v = _log_secant(points[-2], points[-1], limit_a * (1 - 0.5 * CURRENT_ACCURACY))
    return None


def scaled(problem: FieldProblem, factor: float) -> FieldProblem:
    """A problem with all potentials times a factor."""
    potentials = tuple(None if v is None else v * factor for v in problem.potentials_v)
    return dataclasses.replace(problem, potentials_v=potentials)


def _log_secant(a: tuple[float, float], b: tuple[float, float], current_a: float) -> float:
    (va, ia), (vb, ib) = a, b
    slope = min(max(math.log(ib / ia) / math.log(vb / va), SLOPES[0]), SLOPES[1]) if va != vb else 1.0
    return vb * math.exp(math.log(current_a / ib) / slope)
