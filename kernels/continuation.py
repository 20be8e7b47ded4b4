"""Where to start a solve from the solutions of its neighbours.

Along the voltage, phi / V changes slowly: it is continued as a polynomial through the last solutions. With other tissue
values on the same electrodes the last potential is taken as it is. Needles that moved take the field round them along
(transport.py), up to `FURTHEST_CARRIED`; for any other electrode that moved by more than `FURTHEST_MOVE` there is no
start to offer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Needle
from .grid import Grid
from .iteration import Start
from .problem import FieldProblem
from .solution import Solution
from .transport import carry_along

FURTHEST_MOVE = 0.25
"""Voxels that an electrode may have moved for the potential to be taken as it is."""
FURTHEST_CARRIED = 0.15
"""Of the least distance between needles, that one may have moved for the potential to be carried along."""
MOST_POINTS = 3
"""Solutions that the continuation along the voltage runs through."""


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A solved problem."""

    problem: FieldProblem
    solution: Solution
    voltage_v: float


@dataclass
class Continuation:
    """The last solutions of one pulse, and what they say of the next; solutions that did not converge are forgotten."""

    neighbours: list[Neighbour] = field(default_factory=list)

    def add(self, problem: FieldProblem, solution: Solution) -> None:
        """Remember a solution."""
        if not solution.converged:
            return
        if self.neighbours and not same_network(self.neighbours[-1].problem, problem):
            self.neighbours.clear()
        voltage_v = span_v(problem)
        self.neighbours = [n for n in self.neighbours if n.voltage_v != voltage_v][1 - MOST_POINTS :]
        self.neighbours.append(Neighbour(problem, solution, voltage_v))

    def known(self, problem: FieldProblem) -> Solution | None:
        """The solution itself, where this very problem was solved."""
        for near in self.neighbours:
            if same_problem(near.problem, problem):
                return near.solution
        return None

    def start(self, problem: FieldProblem) -> Start | None:
        """What to start from; None to start from tissue at rest."""
        if not self.neighbours:
            return None
        last = self.neighbours[-1]
        ratio = proportion(last.problem, problem)
        if ratio is None:
            return None
        if same_network(last.problem, problem):
            return extrapolate(self.neighbours, last.voltage_v * ratio)
        potential_v = near_potential(last, problem)
        if potential_v is None:
            return None
        return Start(potential_v * ratio, np.asarray(last.solution.electrode_potentials_v) * ratio)


def extrapolate(neighbours: list[Neighbour], voltage_v: float) -> Start:
    """phi / V as the polynomial in V through the neighbours (Lagrange), at another voltage."""
    known = np.asarray([n.voltage_v for n in neighbours])
    nodes, electrodes = 0.0, 0.0
    for i, n in enumerate(neighbours):
        others = np.delete(known, i)
        weight = float(np.prod((voltage_v - others) / (known[i] - others))) * voltage_v / n.voltage_v
        nodes = nodes + weight * n.solution.potential_v
        electrodes = electrodes + weight * np.asarray(n.solution.electrode_potentials_v)
    return Start(np.asarray(nodes), np.asarray(electrodes))


def near_potential(last: Neighbour, problem: FieldProblem) -> NDArray[np.float64] | None:
    """A neighbour's potential at its own voltage, as far as it tells of a problem; None where it does not."""
    if same_place(last.problem, problem):
        return last.solution.potential_v
    before, now = needles_of(last.problem), needles_of(problem)
    if last.problem.grid != problem.grid or not may_follow(before, now, problem.grid):
        return None
    return carry_along(problem.grid, last.solution.potential_v, before, now)


def needles_of(problem: FieldProblem) -> list[Needle]:
    """All electrodes where all are needles, else none."""
    needles = [e for e in problem.electrodes if isinstance(e, Needle)]
    return needles if len(needles) == len(problem.electrodes) else []


def may_follow(before: list[Needle], now: list[Needle], grid: Grid) -> bool:
    """Whether needles only moved, and by little beside the distances between them."""
    if not before or len(before) != len(now):
        return False
    apart_m = min((middles_apart_m(a, b) for i, a in enumerate(now) for b in now[:i]), default=np.inf)
    moves = [moved_m(a, b, grid) for a, b in zip(before, now, strict=True)]
    return all(move <= FURTHEST_CARRIED * apart_m for move in moves)


def middles_apart_m(a: Needle, b: Needle) -> float:
    """Distance (m) between the middles of two needles' bare metal."""
    return float(np.linalg.norm(a.centre_m - b.centre_m))


def span_v(problem: FieldProblem) -> float:
    """Largest potential less the smallest (V)."""
    driven = [v for v in problem.potentials_v if v is not None]
    return max(driven) - min(driven)


def proportion(one: FieldProblem, other: FieldProblem) -> float | None:
    """The factor from one problem's potentials to the other's; None where there is no such factor."""
    if span_v(one) == 0 or len(one.potentials_v) != len(other.potentials_v):
        return None
    ratio = span_v(other) / span_v(one)
    for a, b in zip(one.potentials_v, other.potentials_v, strict=True):
        if (a is None) != (b is None):
            return None
        if a is not None and b is not None and abs(a * ratio - b) > 1e-9 * span_v(other):
            return None
    return ratio if ratio > 0 else None


def same_network(one: FieldProblem, other: FieldProblem) -> bool:
    """Whether two problems differ in their potentials at most."""
    return (
        one.laws == other.laws
        and one.axis_factors == other.axis_factors
        and one.contact_ohm_m2 == other.contact_ohm_m2
        and one.sheets == other.sheets
        and one.electrodes == other.electrodes
        and _same_voxels(one, other)
        and _same_array(one.warmth, other.warmth)
    )


def same_problem(one: FieldProblem, other: FieldProblem) -> bool:
    """Whether two problems have the same solution."""
    return one.potentials_v == other.potentials_v and same_network(one, other)


def same_place(one: FieldProblem, other: FieldProblem) -> bool:
    """Whether the electrodes are where they were, within FURTHEST_MOVE voxels; tissue may differ."""
    if one.grid != other.grid or len(one.electrodes) != len(other.electrodes):
        return False
    limit_m = FURTHEST_MOVE * min(one.grid.spacing_m)
    moves = (moved_m(a, b, one.grid) for a, b in zip(one.electrodes, other.electrodes, strict=True))
    return all(move <= limit_m for move in moves)


def moved_m(one: Electrode, other: Electrode, grid: Grid) -> float:
    """How far (m) the ends of an electrode's metal moved; infinite for another kind or size."""
    if one == other:
        return 0.0
    if isinstance(one, Needle) and isinstance(other, Needle):
        if (one.radius_m, one.exposed_m, one.shaft_m) != (other.radius_m, other.exposed_m, other.shaft_m):
            return np.inf
        return max(float(np.linalg.norm(a - b)) for a, b in zip(_ends(one), _ends(other), strict=True))
    return np.inf


def _ends(needle: Needle) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tip = np.asarray(needle.tip_m)
    return tip, tip - (needle.exposed_m + needle.shaft_m) * np.asarray(needle.direction)


def _same_voxels(one: FieldProblem, other: FieldProblem) -> bool:
    return one.grid == other.grid and np.array_equal(one.tissue, other.tissue)


def _same_array(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
