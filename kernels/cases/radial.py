"""Coaxial cylinders and concentric spheres, any law."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ..conductivity import ConductivityLaw, conductivity
from ..electrodes import Ball, Rod
from ..grid import Grid
from ..problem import FieldProblem
from .case import Case, Figure, Floats, Line, Measured, Solved, norm, worst
from .current_tubes import current_for_voltage, field_of_current_density
from .laws import LIVER, with_all_kinds

QUADRATURE_POINTS = 40_000
POTENTIAL = "potential, rms over V"


@dataclass(frozen=True)
class Radial:
    """Common to the coaxial and the spherical problem: inner radius a at `voltage_v`, outer radius b at 0, one law."""

    inner_m: float
    outer_m: float
    law: ConductivityLaw
    voltage_v: float

    power = 1

    def enclosed(self, r: float) -> float:
        """Volume (m3) between the inner radius and r; per metre of length for the coaxial (m2)."""
        a = self.inner_m
        return math.pi * (r**2 - a**2) if self.power == 1 else 4 / 3 * math.pi * (r**3 - a**3)

    def area_m2(self, r: Floats) -> Floats:
        """Cross-section of the field lines: per metre of length for the coaxial."""
        raise NotImplementedError

    def line_m(self) -> tuple[Floats, Floats]:
        """Radii and steps of a midpoint rule in log r: smooth but for the laws' kinks, 1e-9 with this many points."""
        edges = np.linspace(math.log(self.inner_m), math.log(self.outer_m), QUADRATURE_POINTS + 1)
        r = np.exp(0.5 * (edges[1:] + edges[:-1]))
        return r, (edges[1] - edges[0]) * r

    def drop_v(self, current: float) -> float:
        """Voltage that drives a current (A, or A/m for the coaxial)."""
        r, step = self.line_m()
        return float(np.sum(field_of_current_density(self.law, current / self.area_m2(r)) * step))

    def current_at_rest(self) -> float:
        """What would flow if the tissue stayed at its baseline."""
        r, step = self.line_m()
        return self.voltage_v / float(np.sum(step / (self.law.baseline_s_per_m * self.area_m2(r))))

    def current_a(self) -> float:
        """Current (A); per metre of length for the coaxial (A/m)."""
        return current_of(self)

    def field_v_per_m(self, r: Floats) -> Floats:
        return field_of_current_density(self.law, self.current_a() / self.area_m2(r))

    def potential_v(self, r: Floats) -> Floats:
        """Potential at radii between inner and outer, by the trapezium rule on a fine line."""
        line = np.geomspace(self.inner_m, self.outer_m, QUADRATURE_POINTS)
        e = self.field_v_per_m(line)
        drop = np.concatenate([[0.0], np.cumsum(0.5 * (e[1:] + e[:-1]) * np.diff(line))])
        return self.voltage_v - np.interp(r, line, drop)

    def contour_m(self, field_v_per_m: float) -> float:
        """Radius at which |E| has a value; nan where it does so nowhere between the electrodes."""
        density = field_v_per_m * float(conductivity(self.law, field_v_per_m))
        area = self.current_a() / density
        r = area / (2 * math.pi) if self.power == 1 else math.sqrt(area / (4 * math.pi))
        return r if self.inner_m < r < self.outer_m else math.nan


@functools.lru_cache(maxsize=64)
def current_of(radial: Radial) -> float:
    return current_for_voltage(lambda i: radial.drop_v(i) - radial.voltage_v, radial.current_at_rest())


@dataclass(frozen=True)
class Coaxial(Radial):
    """Two coaxial cylinders, axis along z."""

    def area_m2(self, r: Floats) -> Floats:
        return 2 * math.pi * r

    def problem(self, spacing_m: float, slices: int = 2, offset_m: tuple[float, float] = (0.0, 0.0)) -> FieldProblem:
        """A few slices across the cylinders, whose axis lies off the grid's middle by offset_m."""
        h = spacing_m
        n = 2 * math.ceil(self.outer_m / h) + 4
        grid = Grid((n, n, slices), (h, h, h))
        axis_at = (0.5 * n * h + offset_m[0], 0.5 * n * h + offset_m[1], 0.0)
        z = (0.0, 0.0, 1.0)
        metal = (Rod(axis_at, z, self.inner_m), Rod(axis_at, z, self.outer_m, hollow=True))
        laws = with_all_kinds(self.law)
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, metal, (self.voltage_v, 0.0))


@dataclass(frozen=True)
class Spherical(Radial):
    """Two concentric spheres."""

    power = 2

    def area_m2(self, r: Floats) -> Floats:
        return 4 * math.pi * r**2

    def problem(self, spacing_m: float, offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> FieldProblem:
        h = spacing_m
        n = 2 * math.ceil(self.outer_m / h) + 4
        grid = Grid((n, n, n), (h, h, h))
        x, y, z = (0.5 * n * h + d for d in offset_m)
        metal = (Ball((x, y, z), self.inner_m), Ball((x, y, z), self.outer_m, hollow=True))
        laws = with_all_kinds(self.law)
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, metal, (self.voltage_v, 0.0))


class RadialCase(Case):
    """Current, potential and the volume above a field, the worst of two positions between the voxels."""

    source = "one quadrature of E sigma(E) = J, exact to 1e-9"
    current_unit, volume_unit, volume_scale = "A/m", "mm2", 1e6
    offsets_mm: tuple[tuple[float, ...], ...] = ((0.13, 0.31), (0.4, -0.2))

    def __init__(self, law: str, voltage_v: float, thresholds_v_per_cm: tuple[float, ...]) -> None:
        self.exact = self.build(law, voltage_v)
        self.thresholds = {f"above {t:.0f} V/cm": 1e2 * t for t in thresholds_v_per_cm}
        self.title = f"{law}, {voltage_v:.0f} V"
        self.name = f"{self.stem} {self.title}"

    @staticmethod
    def build(law: str, voltage_v: float) -> Radial:
        raise NotImplementedError

    stem = ""

    def solve(self, spacing_mm: float, offset_mm: tuple[float, ...]) -> Solved:
        raise NotImplementedError

    def per_length(self, solved: Solved) -> float:
        """What current and volume are divided by (m)."""
        return 1.0

    def figures(self) -> tuple[Figure, ...]:
        above = {name: self.exact.enclosed(self.exact.contour_m(t)) for name, t in self.thresholds.items()}
        return (
            Figure("current", self.current_unit, self.exact.current_a(), 1e-9),
            *(Figure(name, self.volume_unit, self.volume_scale * v, 1e-9) for name, v in above.items()),
            norm(POTENTIAL),
        )

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(self.solve(spacing_mm, offset)) for offset in self.offsets_mm))

    def measure_at(self, solved: Solved) -> Measured:
        exact, s, length = self.exact, solved.solution, self.per_length(solved)
        r = self.radii_m(solved)
        tissue = (r > exact.inner_m) & (r < exact.outer_m)
        difference = s.potential_v[tissue] - exact.potential_v(r[tissue])
        values = {
            "current": s.currents_a[0] / length,
            POTENTIAL: float(np.sqrt(np.mean(difference**2))) / exact.voltage_v,
        }
        for name, threshold in self.thresholds.items():
            values[name] = self.volume_scale * solved.volume_m3(threshold) / length
        return solved.measured(values)

    def radii_m(self, solved: Solved) -> Floats:
        """Of the nodes."""
        axes = solved.problem.grid.node_coordinates_m()
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.exact.inner_m + solved.problem.electrodes[0].distance_m(points)

    def line(self, spacing_mm: float) -> Line:
        """Outwards along a diagonal that no grid line follows."""
        solved = self.solve(spacing_mm, self.offsets_mm[0])
        grid = solved.problem.grid
        centre = 0.5 * np.asarray(grid.size_m)
        centre[: len(self.offsets_mm[0])] += 1e-3 * np.asarray(self.offsets_mm[0])
        r = np.linspace(1.02 * self.exact.inner_m, 0.99 * self.exact.outer_m, 160)
        direction = np.asarray([math.cos(0.6), math.sin(0.6), 0.0])
        ours = solved.field_v_per_m(centre + r[:, None] * direction)
        return Line(self.title, 1e3 * r, ours, self.exact.field_v_per_m(r))


class CoaxialCase(RadialCase):
    """Cylinders of 2 and 12 mm radius."""

    stem, group = "coaxial", "Coaxial cylinders"
    spacings_mm = (1.0, 0.5, 0.25)

    @staticmethod
    def build(law: str, voltage_v: float) -> Coaxial:
        return Coaxial(2e-3, 12e-3, LIVER[law], voltage_v)

    def solve(self, spacing_mm: float, offset_mm: tuple[float, ...]) -> Solved:
        assert isinstance(self.exact, Coaxial)
        x, y = (1e-3 * d for d in offset_mm)
        return Solved(self.exact.problem(1e-3 * spacing_mm, offset_m=(x, y)))

    def per_length(self, solved: Solved) -> float:
        return solved.problem.grid.size_m[2]


class SphericalCase(RadialCase):
    """Spheres of 3 and 12 mm radius."""

    stem, group = "spheres", "Concentric spheres"
    spacings_mm = (1.5, 1.0, 0.6)
    current_unit, volume_unit, volume_scale = "A", "mm3", 1e9
    offsets_mm = ((0.2, 0.1, -0.3),)

    @staticmethod
    def build(law: str, voltage_v: float) -> Spherical:
        return Spherical(3e-3, 12e-3, LIVER[law], voltage_v)

    def solve(self, spacing_mm: float, offset_mm: tuple[float, ...]) -> Solved:
        assert isinstance(self.exact, Spherical)
        x, y, z = (1e-3 * d for d in offset_mm)
        return Solved(self.exact.problem(1e-3 * spacing_mm, offset_m=(x, y, z)))
