"""What every verification case states: its figures, where they come from, how exact they are, and the bars.

A case solves itself at a spacing. Its figures are numbers that someone else worked out (a closed form, a published
table, finite elements) or norms of an error, whose reference is 0. Tests run cases at their quick spacings, `make
verify` at all of them, and docs/verification.md is written from that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .. import coverage
from ..field import solve_field
from ..points import PointSet
from ..problem import FieldProblem
from ..sampling import FieldSamples, sample_field
from ..solution import Solution

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One number of a case.

    Attributes:
        name, unit: as the page prints them; a `norm` of an error is a share and has no unit.
        reference: what it should be, in that unit.
        uncertainty: of the reference, over the scale.
        scale: what errors are divided by; the reference itself where None.
        bars: largest |error| at a spacing (mm): promises, beside what the committed figures ask.
        why: of the bars.
        norm: the figure is itself an error: its reference is 0 and its scale 1.
    """

    name: str
    unit: str
    reference: float
    uncertainty: float = 0.0
    scale: float | None = None
    bars: Mapping[float, float] = field(default_factory=dict)
    why: str = ""
    norm: bool = False

    def error(self, value: float) -> float:
        """(value - reference) / scale."""
        return (value - self.reference) / (abs(self.reference) if self.scale is None else self.scale)


def norm(name: str, bars: Mapping[float, float] | None = None, why: str = "") -> Figure:
    """A figure that is the norm of an error."""
    return Figure(name, "", 0.0, scale=1.0, bars=bars or {}, why=why, norm=True)


@dataclass(frozen=True)
class Measured:
    """A case's figures at one spacing, by name, and what the solver said of itself.

    Attributes:
        values: in the figures' units.
        converged: all solves did. residual: the largest relative one.
        voxels: of the grid.
    """

    values: dict[str, float]
    converged: bool
    residual: float
    voxels: int


@dataclass(frozen=True)
class Line:
    """|E| along a line: ours at some points, the closed form at the same points; for the page's pictures."""

    label: str
    along_mm: Floats
    ours_v_per_m: Floats
    exact_v_per_m: Floats


class Case(ABC):
    """A problem with known figures.

    Attributes:
        name: short, unique; the key of its committed figures.
        title: its row on the page. group: its section.
        source: of the reference figures.
        spacings_mm: coarse, medium and fine.
        quick_mm: those that the test suite runs.
    """

    name: str
    title: str
    group: str
    source: str
    spacings_mm: tuple[float, ...]

    @property
    def quick_mm(self) -> tuple[float, ...]:
        return self.spacings_mm[:1]

    @abstractmethod
    def figures(self) -> tuple[Figure, ...]: ...

    @abstractmethod
    def measure(self, spacing_mm: float) -> Measured: ...

    def line(self, spacing_mm: float) -> Line | None:
        """|E| along a line of interest, where there is one."""
        return None


class Solved:
    """A solved problem and what cases ask of it."""

    def __init__(self, problem: FieldProblem, tolerance: float = 1e-7) -> None:
        self.problem = problem
        self.solution: Solution = solve_field(problem, tolerance=tolerance)
        self._samples: FieldSamples | None = None

    @property
    def samples(self) -> FieldSamples:
        if self._samples is None:
            self._samples = sample_field([self.problem], [self.solution])
        return self._samples

    def volume_m3(self, field_v_per_m: float, select: NDArray[np.bool_] | None = None) -> float:
        """Tissue at or above a field, of all samples or of some."""
        return coverage.volume_at_or_above_m3(self.samples, field_v_per_m, select)

    def field_v_per_m(self, points_m: Floats) -> Floats:
        return PointSet(self.problem, points_m).field_v_per_m(self.solution)

    def measured(self, values: dict[str, float]) -> Measured:
        s = self.solution
        return Measured(values, s.converged, s.relative_residual, math.prod(self.problem.grid.shape))


def worst(case: Case, runs: Iterable[Measured]) -> Measured:
    """Of several positions between the voxels, each figure where its error is largest."""
    runs = list(runs)
    values = {f.name: max((r.values[f.name] for r in runs), key=lambda v, f=f: abs(f.error(v))) for f in case.figures()}
    return Measured(values, all(r.converged for r in runs), max(r.residual for r in runs), max(r.voxels for r in runs))


def fitted_order(spacings_mm: Iterable[float], errors: Iterable[float]) -> float:
    """Slope of log |error| over log spacing by least squares; nan where an error is zero."""
    h, e = np.asarray(list(spacings_mm)), np.abs(np.asarray(list(errors)))
    if len(h) < 2 or not np.all(e > 0):
        return math.nan
    return float(np.polyfit(np.log(h), np.log(e), 1)[0])
