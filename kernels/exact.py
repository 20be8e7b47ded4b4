"""Problems with known solutions, as classes that tests, benchmarks and the verification figures share.

Where the field lines' cross-section A(s) is known beforehand, the current density is I / A(s) whatever the law, and
with
g(E) = E sigma(E) the voltage is  V = int g^-1( I / A(s) ) ds:  one unknown, I, and V rises with I.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .conductivity import ConductivityLaw, LawKind, conductivity
from .electrodes import Ball, Plate, Rod
from .grid import Grid
from .problem import FieldProblem

Floats = NDArray[np.float64]
QUADRATURE_POINTS = 40_000


def field_of_current_density(law: ConductivityLaw, density_a_per_m2: Floats) -> Floats:
    """The E (V/m) with E sigma(E) = J, by bisection to rounding."""
    j = np.asarray(density_a_per_m2, np.float64)
    least, most = sorted((law.baseline_s_per_m, law.permeabilised_s_per_m))
    lo, hi = j / most, j / least
    if law.kind is LawKind.CONSTANT:
        return hi
    for _ in range(60):
        middle = 0.5 * (lo + hi)
        above = middle * conductivity(law, middle) > j
        lo, hi = np.where(above, lo, middle), np.where(above, middle, hi)
    return 0.5 * (lo + hi)


def root(rising: Callable[[float], float], high: float) -> float:
    """Where a rising function passes zero between 0 and high."""
    found: Any = brentq(rising, 0.0, high, xtol=1e-14 * high, rtol=np.float64(1e-13))
    return float(found)


def current_for_voltage(voltage: Callable[[float], float], largest_guess: float) -> float:
    """Invert a voltage that rises with the current."""
    high = largest_guess
    while voltage(high) < 0:
        high *= 2
    return root(voltage, high)


@dataclass(frozen=True)
class LayeredSlab:
    """Plane layers between two plates, field along x.

    Attributes:
        layers: (thickness_m, law) from the anode's side.
    """

    layers: tuple[tuple[float, ConductivityLaw], ...]
    voltage_v: float

    def current_density_a_per_m2(self) -> float:
        def excess(j: float) -> float:
            drops = [d * float(field_of_current_density(law, np.asarray(j))) for d, law in self.layers]
            return sum(drops) - self.voltage_v

        return current_for_voltage(excess, 1.0)

    def fields_v_per_m(self) -> Floats:
        j = np.asarray(self.current_density_a_per_m2())
        return np.asarray([float(field_of_current_density(law, j)) for _, law in self.layers])

    def problem(self, spacing_m: float, across: int = 2) -> FieldProblem:
        """A bar of `across` x `across` voxels; the layers lie on voxel faces, the plates fill one voxel at each end."""
        h = spacing_m
        counts = [round(d / h) for d, _ in self.layers]
        column = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
        column = np.concatenate([column[:1], column, column[-1:]])
        grid = Grid((len(column), across, across), (h, h, h))
        tissue = np.ascontiguousarray(np.broadcast_to(column[:, None, None], grid.shape))
        width = across * h
        axes = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
        plates = tuple(
            Plate((x, 0.5 * width, 0.5 * width), axes, (3 * width, 3 * width, 2 * h)) for x in (0.0, len(column) * h)
        )
        return FieldProblem(grid, tissue, tuple(law for _, law in self.layers), plates, (self.voltage_v, 0.0))


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


def sphere_interior_field(law: ConductivityLaw, host_s_per_m: float, far_v_per_m: float) -> float:
    """Uniform |E| in a nonlinear sphere in a linear host under a uniform far field:
    E_in [1 + (sigma(E_in) / sigma_h - 1) / 3] = E_far."""

    def excess(e: float) -> float:
        return e * (1 + (float(conductivity(law, e)) / host_s_per_m - 1) / 3) - far_v_per_m

    return root(excess, 3 * far_v_per_m)
