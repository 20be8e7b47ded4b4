"""A ring that floats between two coaxial cylinders: one current through two layers, any law."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..conductivity import ConductivityLaw
from ..electrodes import Rod, Tube
from ..grid import Grid
from ..problem import FieldProblem
from .case import Case, Figure, Measured, Solved, worst
from .current_tubes import current_for_voltage
from .laws import LIVER, with_all_kinds
from .radial import Coaxial

Z = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class FloatingShell:
    """Radii (m): driven rod, ring's inner and outer face, grounded cylinder."""

    law: ConductivityLaw
    voltage_v: float = 400.0
    radii_m: tuple[float, float, float, float] = (2e-3, 5e-3, 8e-3, 12e-3)

    @property
    def layers(self) -> tuple[Coaxial, Coaxial]:
        a, b, c, d = self.radii_m
        return Coaxial(a, b, self.law, self.voltage_v), Coaxial(c, d, self.law, self.voltage_v)

    @functools.cached_property
    def current_a_per_m(self) -> float:
        inner, outer = self.layers
        return current_for_voltage(
            lambda i: inner.drop_v(i) + outer.drop_v(i) - self.voltage_v, inner.current_at_rest()
        )

    def ring_v(self) -> float:
        return self.layers[1].drop_v(self.current_a_per_m)

    def problem(self, spacing_m: float, offset_m: tuple[float, float], slices: int = 2) -> FieldProblem:
        h, (a, b, c, d) = spacing_m, self.radii_m
        n = 2 * round(d / h) + 4
        grid = Grid((n, n, slices), (h, h, h))
        axis = (0.5 * n * h + offset_m[0], 0.5 * n * h + offset_m[1], 0.0)
        metal = (Rod(axis, Z, a), Tube(axis, Z, b, c, 0.2), Rod(axis, Z, d, hollow=True))
        laws = with_all_kinds(self.law)
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, metal, (self.voltage_v, None, 0.0))


class FloatingShellCase(Case):
    """Rod of 2 mm, ring from 5 to 8 mm, cylinder of 12 mm radius, 400 V: the worst of two positions."""

    group = "Floating conductors"
    source = "one quadrature through both layers, exact to 1e-9"
    spacings_mm = (1.0, 0.5, 0.25)
    offsets_mm = ((0.13, 0.31), (0.4, -0.2))

    def __init__(self, law: str) -> None:
        self.exact = FloatingShell(LIVER[law])
        self.title = f"ring between cylinders, {law}"
        self.name = f"floating {self.title}"

    def figures(self) -> tuple[Figure, ...]:
        exact, current = self.exact, self.exact.current_a_per_m
        balance = dict.fromkeys(self.spacings_mm, 1e-6)
        return (
            Figure("its potential", "V", exact.ring_v(), 1e-9, scale=exact.voltage_v),
            Figure("current of the driven ones", "A/m", current, 1e-9),
            Figure(
                "its own net current",
                "A/m",
                0.0,
                scale=current,
                bars=balance,
                why="the solver balances currents to 5e-7 at its default tolerance",
            ),
        )

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(spacing_mm, offset) for offset in self.offsets_mm))

    def measure_at(self, spacing_mm: float, offset_mm: tuple[float, float]) -> Measured:
        solved = Solved(self.exact.problem(1e-3 * spacing_mm, (1e-3 * offset_mm[0], 1e-3 * offset_mm[1])))
        s, thick = solved.solution, solved.problem.grid.size_m[2]
        potential, current, net = (f.name for f in self.figures())
        return solved.measured(
            {
                potential: s.electrode_potentials_v[1],
                current: s.currents_a[0] / thick,
                net: s.currents_a[1] / thick,
            }
        )
