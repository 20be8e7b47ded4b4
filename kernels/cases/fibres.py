"""Anisotropic tissue, contact resistances and resistive sheets: closed forms that hold with them too."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from ..conductivity import ConductivityLaw
from ..electrodes import Vector
from ..grid import Grid
from ..problem import FieldProblem, Sheet
from .case import Case, Figure, Floats, Measured, Solved, norm, worst
from .current_tubes import current_for_voltage, field_of_current_density
from .laws import LIVER
from .radial import Coaxial
from .slab import LayeredSlab

GROUP = "Fibres, contacts and sheets"
OFFSETS_MM = ((0.13, 0.31), (0.4, -0.2))
SMOOTH = ConductivityLaw.smoothed_step(0.08, 0.32, 10e3, 60e3)
LAWS = {"constant": LIVER["constant"], "smoothed step": SMOOTH}
PROMISED = "a seventh or more above what was measured when it was written"


class SeriesSlabCase(Case):
    """Two layers with factors on their conductivity, a sheet between them, contacts at both plates:
    V = J (contacts + sheet) + the layers' drops, each with J = k sigma(sqrt(k) E) E."""

    group, name = GROUP, "slab with contacts and a sheet"
    title = "two layers, factors 5 and 0.5, contacts of 0.02 and 0.005, a sheet of 0.03 ohm m²; 400 V"
    source = "closed form"
    spacings_mm = (1.0, 0.5, 0.25)
    layers = (
        (2e-3, ConductivityLaw.ramp(0.08, 0.32, 20e3, 60e3)),
        (2e-3, ConductivityLaw.logistic(0.1, 0.4, 50e3, 6e3)),
    )
    along = (5.0, 0.5)
    contacts = (0.02, 0.005)
    sheet = 0.03
    voltage_v = 400.0

    def fields_v_per_m(self, density: float) -> list[float]:
        """With e = sqrt(k) E it is sigma(e) e = J / sqrt(k)."""
        e = [
            field_of_current_density(law, np.asarray(density / k**0.5))
            for (_, law), k in zip(self.layers, self.along, strict=True)
        ]
        return [float(field) / k**0.5 for field, k in zip(e, self.along, strict=True)]

    @functools.cached_property
    def density_a_per_m2(self) -> float:
        def excess(density: float) -> float:
            drops = [d * e for (d, _), e in zip(self.layers, self.fields_v_per_m(density), strict=True)]
            return density * (sum(self.contacts) + self.sheet) + sum(drops) - self.voltage_v

        return current_for_voltage(excess, 1.0)

    def figures(self) -> tuple[Figure, ...]:
        bars, why = (
            dict.fromkeys(self.spacings_mm, 1e-6),
            "voxels lie on the layers: exact up to the solver's tolerance",
        )
        first, second = (e / 100 for e in self.fields_v_per_m(self.density_a_per_m2))
        return (
            Figure("current density", "A/m2", self.density_a_per_m2, bars=bars, why=why),
            Figure("field in the first layer", "V/cm", first, bars=bars, why=why),
            Figure("field in the second", "V/cm", second, bars=bars, why=why),
        )

    def measure(self, spacing_mm: float) -> Measured:
        plain = LayeredSlab(self.layers, self.voltage_v).problem(1e-3 * spacing_mm)
        factors = ((self.along[0], 1.0, 1.0), (self.along[1], 1.0, 2.0))
        problem = replace(plain, contact_ohm_m2=self.contacts, sheets=(Sheet(0, 1, self.sheet),), axis_factors=factors)
        solved = Solved(problem, tolerance=1e-9)
        size, e = problem.grid.size_m, solved.solution.field_v_per_m[:, 0, 0] / 100
        density, first, second = (f.name for f in self.figures())
        current = solved.solution.currents_a[0] / (size[1] * size[2])
        return solved.measured({density: current, first: float(e[1]), second: float(e[-2])})


class ContactCase(Case):
    """Coaxial cylinders of 2 and 12 mm with a resistance on both surfaces; the worse of two positions."""

    group = GROUP
    source = "one quadrature with both resistances in series, exact to 1e-9"
    spacings_mm = (1.0, 0.5, 0.25)
    contacts, voltage_v = (0.01, 0.02), 400.0

    def __init__(self, law: str) -> None:
        self.coaxial = Coaxial(2e-3, 12e-3, LAWS[law], self.voltage_v)
        self.title = f"coaxial with contacts of 0.01 and 0.02 ohm m², {law}"
        self.name = f"coaxial with contacts, {law}"

    @functools.cached_property
    def current_a_per_m(self) -> float:
        radii = (self.coaxial.inner_m, self.coaxial.outer_m)
        series = sum(c / (2 * math.pi * r) for c, r in zip(self.contacts, radii, strict=True))
        return current_for_voltage(
            lambda i: i * series + self.coaxial.drop_v(i) - self.voltage_v, self.coaxial.current_at_rest()
        )

    def figures(self) -> tuple[Figure, ...]:
        bars = {1.0: 0.006, 0.25: 0.0015}
        return (Figure("current", "A/m", self.current_a_per_m, 1e-9, bars=bars, why=PROMISED),)

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(spacing_mm, offset) for offset in OFFSETS_MM))

    def measure_at(self, spacing_mm: float, offset_mm: tuple[float, float]) -> Measured:
        plain = self.coaxial.problem(1e-3 * spacing_mm, offset_m=(1e-3 * offset_mm[0], 1e-3 * offset_mm[1]))
        solved = Solved(replace(plain, contact_ohm_m2=self.contacts))
        return solved.measured({"current": solved.solution.currents_a[0] / plain.grid.size_m[2]})


class SheetCase(Case):
    """A sheet of 0.05 ohm m2 at 7 mm between two tissues and two cylinders, in a staircase of voxel faces: a third of
    the resistance. The worse of two positions."""

    group, name = GROUP, "cylindrical sheet"
    title = "coaxial, 0.1 and 0.2 S/m, a sheet of 0.05 ohm m² between them at 7 mm"
    source = "three resistances in series"
    spacings_mm = (1.0, 0.5, 0.25)
    sheet_ohm_m2, radius_m, conductivities, voltage_v = 0.05, 7e-3, (0.1, 0.2), 400.0

    def __init__(self) -> None:
        self.coaxial = Coaxial(2e-3, 12e-3, ConductivityLaw.constant(self.conductivities[0]), self.voltage_v)

    @property
    def current_a_per_m(self) -> float:
        (inner, outer), r = self.conductivities, self.radius_m
        tissues = math.log(r / self.coaxial.inner_m) / inner + math.log(self.coaxial.outer_m / r) / outer
        return 2 * math.pi * self.voltage_v / (tissues + self.sheet_ohm_m2 / r)

    def figures(self) -> tuple[Figure, ...]:
        return (Figure("current", "A/m", self.current_a_per_m, bars={1.0: 0.025, 0.25: 0.01}, why=PROMISED),)

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(spacing_mm, offset) for offset in OFFSETS_MM))

    def measure_at(self, spacing_mm: float, offset_mm: tuple[float, float]) -> Measured:
        plain = self.coaxial.problem(1e-3 * spacing_mm, offset_m=(1e-3 * offset_mm[0], 1e-3 * offset_mm[1]))
        centres = np.stack(np.meshgrid(*plain.grid.voxel_coordinates_m(), indexing="ij"), axis=-1)
        beyond = plain.electrodes[0].distance_m(centres) + self.coaxial.inner_m > self.radius_m
        laws = tuple(ConductivityLaw.constant(s) for s in self.conductivities)
        sheets = (Sheet(1, 0, self.sheet_ohm_m2),)
        solved = Solved(replace(plain, tissue=beyond.astype(np.uint8), laws=laws, sheets=sheets))
        return solved.measured({"current": solved.solution.currents_a[0] / plain.grid.size_m[2]})


@dataclass(frozen=True)
class Ellipse:
    """An endless bar along z with half axes sqrt(k) r and r; distances to first order, exact at the surface."""

    centre_m: Vector
    radius_m: float
    factor: float
    hollow: bool = False

    def distance_m(self, points: Floats) -> Floats:
        x = (points[..., 0] - self.centre_m[0]) / math.sqrt(self.factor)
        y = points[..., 1] - self.centre_m[1]
        r = np.maximum(np.hypot(x, y), 1e-9)
        slope = np.hypot(x / (r * math.sqrt(self.factor)), y / r)
        return (self.radius_m - r if self.hollow else r - self.radius_m) / slope

    def bounds_m(self) -> tuple[Vector, Vector]:
        return (-math.inf, -math.inf, -math.inf), (math.inf, math.inf, math.inf)


@dataclass(frozen=True)
class StretchedCoaxial:
    """Two ellipses in tissue that conducts k times as well along x: with x = sqrt(k) x' a coaxial of sqrt(k) times the
    current."""

    coaxial: Coaxial
    factor: float = 4.0

    def problem(self, spacing_m: float, offset_m: tuple[float, float]) -> FieldProblem:
        h, k, a, b = spacing_m, self.factor, self.coaxial.inner_m, self.coaxial.outer_m
        grid = Grid((2 * round(math.sqrt(k) * b / h) + 4, 2 * round(b / h) + 4, 2), (h, h, h))
        x, y, _ = grid.size_m
        centre = (0.5 * x + offset_m[0], 0.5 * y + offset_m[1], 0.0)
        metal = (Ellipse(centre, a, k), Ellipse(centre, b, k, hollow=True))
        # both laws in the table, so that one compilation serves linear and nonlinear cases
        laws, tissue = (self.coaxial.law, SMOOTH), np.zeros(grid.shape, np.uint8)
        volts = (self.coaxial.voltage_v, 0.0)
        return FieldProblem(grid, tissue, laws, metal, volts, axis_factors=((k, 1.0, 1.0),) * 2)


class StretchedCoaxialCase(Case):
    """Ellipses of 3 and 9 mm across the fibres and twice that along them; the worse of two positions."""

    group = GROUP
    source = "the coaxial's quadrature, stretched, exact to 1e-9"
    spacings_mm = (1.0, 0.5, 0.25)

    def __init__(self, law: str) -> None:
        self.exact = StretchedCoaxial(Coaxial(3e-3, 9e-3, LAWS[law], 300.0))
        self.title = f"ellipses in tissue four times as conductive along x, {law}"
        self.name = f"stretched coaxial, {law}"

    def figures(self) -> tuple[Figure, ...]:
        current = math.sqrt(self.exact.factor) * self.exact.coaxial.current_a()
        return (Figure("current", "A/m", current, 1e-9, bars={1.0: 0.005}, why=PROMISED), norm("potential, rms over V"))

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(spacing_mm, offset) for offset in OFFSETS_MM))

    def measure_at(self, spacing_mm: float, offset_mm: tuple[float, float]) -> Measured:
        coaxial = self.exact.coaxial
        solved = Solved(self.exact.problem(1e-3 * spacing_mm, (1e-3 * offset_mm[0], 1e-3 * offset_mm[1])))
        inner, grid = solved.problem.electrodes[0], solved.problem.grid
        assert isinstance(inner, Ellipse)
        x, y, _ = np.meshgrid(*grid.node_coordinates_m(), indexing="ij")
        r = np.hypot((x - inner.centre_m[0]) / math.sqrt(self.exact.factor), y - inner.centre_m[1])
        tissue = (r > coaxial.inner_m) & (r < coaxial.outer_m)
        difference = solved.solution.potential_v[tissue] - coaxial.potential_v(r[tissue])
        current, potential = (f.name for f in self.figures())
        return solved.measured(
            {
                current: solved.solution.currents_a[0] / grid.size_m[2],
                potential: float(np.sqrt(np.mean(difference**2))) / coaxial.voltage_v,
            }
        )
