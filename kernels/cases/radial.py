"""Coaxial cylinders and concentric spheres, any law."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..conductivity import ConductivityLaw, conductivity
from ..electrodes import Ball, Rod
from ..grid import Grid
from ..problem import FieldProblem
from .current_tubes import Floats, current_for_voltage, field_of_current_density

QUADRATURE_POINTS = 40_000


@dataclass(frozen=True)
class Radial:
    """Common to the coaxial and the spherical problem: inner radius a at `voltage_v`, outer radius b at 0, one law."""

    inner_m: float
    outer_m: float
    law: ConductivityLaw
    voltage_v: float

    power = 1

    def area_m2(self, r: Floats) -> Floats:
        """Cross-section of the field lines: per metre of length for the coaxial."""
        raise NotImplementedError

    def current_a(self) -> float:
        """Current (A); per metre of length for the coaxial (A/m)."""
        # midpoint rule in log r: smooth but for the laws' kinks, 1e-9 with this many points
        edges = np.linspace(math.log(self.inner_m), math.log(self.outer_m), QUADRATURE_POINTS + 1)
        r = np.exp(0.5 * (edges[1:] + edges[:-1]))
        step = (edges[1] - edges[0]) * r

        def excess(current: float) -> float:
            e = field_of_current_density(self.law, current / self.area_m2(r))
            return float(np.sum(e * step)) - self.voltage_v

        guess = self.voltage_v / float(np.sum(step / (self.law.baseline_s_per_m * self.area_m2(r))))
        return current_for_voltage(excess, guess)

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
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), (self.law,), metal, (self.voltage_v, 0.0))


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
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), (self.law,), metal, (self.voltage_v, 0.0))
