"""Two parallel needles of endless length in endless tissue, and a third that floats.

The linear problem is closed (A4 below); with a law that rises, figures of finite elements on a conformal map stand for
the truth (A5). With c = sqrt(d^2/4 - a^2), u = acosh(d / 2a), and r1, r2 the distances from the points +-c between the
axes,  phi = V / (2 u) ln(r2 / r1),  |E| = V c / (u r1 r2),  I' = pi sigma V / u.  Contours of |E| are Cassini's ovals.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ellipe, ellipk

from ..conductivity import ConductivityLaw
from ..electrodes import Needle, Plate
from ..grid import Grid
from ..problem import FieldProblem
from .case import Case, Figure, Floats, Line, Measured, Solved, worst
from .laws import TUMOUR, with_all_kinds

Z = (0.0, 0.0, 1.0)
ALONG_X = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
LONG_M = 0.2
"""Length of the needles, of which the grid shows a slice half way: hundreds of radii to the ends."""
BOX_MM = (184, 96)
"""The box's ends (x) are plates at the middle potential, its sides (y) insulate: the needles' images are all alike,
and their field at the needles, pi^2 / (3 y^2) - 2 pi / (x y) of one dipole's, vanishes for x / y = 6 / pi. What is left
is of the order of (d / y)^4 = 5e-5, against 0.5 % of a square insulating box of ten distances."""


@dataclass(frozen=True)
class NeedlePair:
    """Needles of radius a at (-d/2, 0) and (d/2, 0), the first at +V/2, the second at -V/2, and perhaps a third.

    Attributes:
        floating_m: axis of a third needle of the same radius that floats, from the middle between the two.
    """

    law: ConductivityLaw
    voltage_v: float = 800.0
    radius_m: float = 0.35e-3
    apart_m: float = 8e-3
    floating_m: tuple[float, float] | None = None

    @property
    def focus_m(self) -> float:
        return math.sqrt(self.apart_m**2 / 4 - self.radius_m**2)

    @property
    def u(self) -> float:
        return math.acosh(self.apart_m / (2 * self.radius_m))

    def current_a_per_m(self) -> float:
        """Linear tissue, no third needle; like all of the closed forms here."""
        return math.pi * self.law.baseline_s_per_m * self.voltage_v / self.u

    def field_v_per_m(self, x: Floats, y: Floats) -> Floats:
        r1, r2 = np.hypot(x + self.focus_m, y), np.hypot(x - self.focus_m, y)
        return self.voltage_v * self.focus_m / (self.u * r1 * r2)

    def area_m2(self, field_v_per_m: float) -> float:
        """Tissue above a field: Cassini's oval r1 r2 = p less the needles, which must lie in it."""
        c2 = self.focus_m**2
        p = self.voltage_v * self.focus_m / (self.u * field_v_per_m)
        if p >= c2:
            oval = 2 * p * ellipe((c2 / p) ** 2)
        else:
            m = (p / c2) ** 2
            oval = 2 * c2 * (ellipe(m) - (1 - m) * ellipk(m))
        return float(oval) - 2 * math.pi * self.radius_m**2

    def problem(self, spacing_m: float, offset_m: tuple[float, float] = (0.0, 0.0)) -> FieldProblem:
        """One voxel thick; the middle between the needles lies off the box's by offset_m."""
        h = spacing_m
        grid = Grid((round(1e-3 * BOX_MM[0] / h), round(1e-3 * BOX_MM[1] / h), 1), (h, h, h))
        x, y = self.middle_m(offset_m)
        places = [(-0.5 * self.apart_m, 0.0), (0.5 * self.apart_m, 0.0)]
        volts: list[float | None] = [0.5 * self.voltage_v, -0.5 * self.voltage_v]
        if self.floating_m is not None:
            places.append(self.floating_m)
            volts.append(None)
        needles = [Needle((x + i, y + j, 0.5 * LONG_M), Z, self.radius_m, LONG_M) for i, j in places]
        ends = [Plate((e, y, 0.0), ALONG_X, (1.0, 1.0, 1e-9)) for e in (0.0, grid.size_m[0])]
        laws = with_all_kinds(self.law)
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, (*needles, *ends), (*volts, 0.0, 0.0))

    def middle_m(self, offset_m: tuple[float, float]) -> tuple[float, float]:
        return 0.5e-3 * BOX_MM[0] + offset_m[0], 0.5e-3 * BOX_MM[1] + offset_m[1]


TABULATED = {
    "ramp": (406.0307, 784.22, {350: 125.7, 400: 108.6, 600: 47.76, 700: 32.56}),
    "smoothed step": (407.0548, 762.451, {350: 123.74, 400: 107.00, 600: 47.45, 700: 30.81}),
    "sigmoid (Sel)": (369.7600, 823.523, {350: 121.29, 400: 104.71, 600: 58.30, 700: 37.23}),
}
"""Current (A/m), field half way (V/cm) and areas (mm2) above fields (V/cm)."""


class NeedlePairCase(Case):
    """Needles of 0.7 mm, 8 mm apart, 800 V: the worst of two positions between the voxels."""

    group = "Two parallel needles"
    spacings_mm = (1.0, 0.5, 0.25)
    offsets_mm = ((0.13, 0.31), (0.4, -0.2))

    def __init__(self, law: str) -> None:
        self.law = law
        self.exact = NeedlePair(TUMOUR[law])
        self.title = law
        self.name = f"needles {law}"
        self.source = (
            "closed form" if law == "constant" else "finite elements on a bipolar map, extrapolated from three meshes"
        )

    def figures(self) -> tuple[Figure, ...]:
        if self.law != "constant":
            current, middle, areas = TABULATED[self.law]
            uncertain = {t: 0.005 if t == 400 else 0.003 for t in areas}
            exact_to = (1e-5, 1e-4)
        else:
            current = self.exact.current_a_per_m()
            middle = float(self.exact.field_v_per_m(np.zeros(1), np.zeros(1))[0]) / 100
            areas = {t: 1e6 * self.exact.area_m2(1e2 * t) for t in (200, 300, 400, 600, 800)}
            uncertain, exact_to = dict.fromkeys(areas, 0.0), (0.0, 0.0)
        return (
            Figure("current", "A/m", current, exact_to[0]),
            Figure("field half way", "V/cm", middle, exact_to[1]),
            *(Figure(f"above {t} V/cm", "mm2", a, uncertain[t]) for t, a in areas.items()),
        )

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(spacing_mm, offset) for offset in self.offsets_mm))

    def measure_at(self, spacing_mm: float, offset_mm: tuple[float, float]) -> Measured:
        offset = (1e-3 * offset_mm[0], 1e-3 * offset_mm[1])
        solved = Solved(self.exact.problem(1e-3 * spacing_mm, offset))
        thick = solved.problem.grid.size_m[2]
        middle = np.asarray([[*self.exact.middle_m(offset), 0.5 * thick]])
        current, half_way, *above = (f.name for f in self.figures())
        values = {
            current: solved.solution.currents_a[0] / thick,
            half_way: float(solved.field_v_per_m(middle)[0]) / 100,
        }
        for name in above:
            values[name] = 1e6 * solved.volume_m3(1e2 * float(name.split()[1])) / thick
        return solved.measured(values)

    def line(self, spacing_mm: float) -> Line | None:
        """Along the line through both axes."""
        if self.law != "constant":
            return None
        solved = Solved(self.exact.problem(1e-3 * spacing_mm, (0.13e-3, 0.31e-3)))
        x = np.linspace(-9e-3, 9e-3, 361)
        x0, y0 = self.exact.middle_m((0.13e-3, 0.31e-3))
        points = np.stack([x0 + x, np.full(x.shape, y0), np.full(x.shape, 0.5e-3 * spacing_mm)], axis=-1)
        tissue = np.abs(np.abs(x) - 0.5 * self.exact.apart_m) > 1.02 * self.exact.radius_m
        ours = np.where(tissue, solved.field_v_per_m(points), np.nan)
        return Line(self.title, 1e3 * x, ours, np.where(tissue, self.exact.field_v_per_m(x, 0 * x), np.nan))


# -- any number of parallel cylinders in linear tissue -----------------------------------------------------------------


@dataclass(frozen=True)
class ParallelCylinders:
    """Endless parallel metal cylinders in endless linear tissue, by multipoles about each axis.

    phi = C + sum_k [ A_k ln|z - z_k| + Re sum_n c_kn (a / (z - z_k))^n ], with the A_k summing to zero, and A_k = 0
    of a cylinder that floats. Coefficients by collocation on the surfaces; eight orders are exact to rounding where
    cylinders are ten radii apart.

    Attributes:
        axes_m: of each cylinder. potentials_v: None for one that floats.
    """

    axes_m: tuple[tuple[float, float], ...]
    radius_m: float
    potentials_v: tuple[float | None, ...]
    orders: int = 8

    @functools.cached_property
    def unknowns(self) -> Floats:
        """C, A_k, Re and Im c_kn, and the potentials of those that float."""
        angle = 2 * math.pi * np.arange(4 * self.orders) / (4 * self.orders)
        rim = self.radius_m * np.exp(1j * angle)
        rows, right = [], []
        n = len(self.axes_m)
        floats = [k for k, v in enumerate(self.potentials_v) if v is None]
        for k, (axis, volt) in enumerate(zip(self.axes_m, self.potentials_v, strict=True)):
            own = np.zeros((len(rim), len(floats)))
            if volt is None:
                own[:, floats.index(k)] = -1
            rows.append(np.concatenate([self.basis(complex(*axis) + rim), own], axis=1))
            right.append(np.full(len(rim), 0.0 if volt is None else volt))
        width = rows[0].shape[1]
        charge = np.zeros((1 + len(floats), width))
        charge[0, 1 : 1 + n] = 1
        for row, k in enumerate(floats):
            charge[1 + row, 1 + k] = 1
        matrix = np.concatenate([*rows, charge])
        found: Any = np.linalg.lstsq(matrix, np.concatenate([*right, np.zeros(len(charge))]), rcond=None)[0]
        return found

    def basis(self, z: NDArray[np.complexfloating[Any, Any]]) -> Floats:
        columns: list[Any] = [np.ones(len(z))]
        away = [(z - complex(*axis)) / self.radius_m for axis in self.axes_m]
        columns += [np.log(np.abs(w)) for w in away]
        for w in away:
            for order in range(1, self.orders + 1):
                columns += [(w**-order).real, (w**-order).imag]
        return np.stack(columns, axis=1).astype(np.float64)

    def current_a_per_m(self, k: int, conductivity_s_per_m: float) -> float:
        """Out of a cylinder."""
        return -2 * math.pi * conductivity_s_per_m * float(self.unknowns[1 + k])

    def floating_v(self) -> float:
        """Potential of the last cylinder that floats."""
        return float(self.unknowns[-1])

    def potential_v(self, x: Floats, y: Floats) -> Floats:
        floats = sum(v is None for v in self.potentials_v)
        return self.basis(x + 1j * y) @ self.unknowns[: len(self.unknowns) - floats]


class FloatingNeedleCase(Case):
    """A third needle that is not driven, near the first of the two and off their line."""

    group = "Floating conductors"
    name = "floating needle"
    title = "needle beside two driven ones"
    source = "parallel cylinders by multipoles, exact to 1e-9"
    spacings_mm = (1.0, 0.5, 0.25)
    offsets_mm = ((0.13, 0.31), (0.4, -0.2))
    place_m = (-2e-3, 1.5e-3)

    def __init__(self) -> None:
        self.pair = NeedlePair(TUMOUR["constant"], floating_m=self.place_m)
        half = 0.5 * self.pair.apart_m
        half_v = 0.5 * self.pair.voltage_v
        self.exact = ParallelCylinders(
            ((-half, 0.0), (half, 0.0), self.place_m), self.pair.radius_m, (half_v, -half_v, None)
        )

    def figures(self) -> tuple[Figure, ...]:
        current = self.exact.current_a_per_m(0, self.pair.law.baseline_s_per_m)
        most = 1e-6
        return (
            Figure("its potential", "V", self.exact.floating_v(), 1e-9, scale=self.pair.voltage_v),
            Figure("current of the driven ones", "A/m", current, 1e-9),
            Figure(
                "its own net current",
                "A/m",
                0.0,
                scale=current,
                bars=dict.fromkeys(self.spacings_mm, most),
                why="the solver balances currents to 5e-7 at its default tolerance",
            ),
        )

    def measure(self, spacing_mm: float) -> Measured:
        return worst(self, (self.measure_at(spacing_mm, offset) for offset in self.offsets_mm))

    def measure_at(self, spacing_mm: float, offset_mm: tuple[float, float]) -> Measured:
        solved = Solved(self.pair.problem(1e-3 * spacing_mm, (1e-3 * offset_mm[0], 1e-3 * offset_mm[1])))
        s, thick = solved.solution, solved.problem.grid.size_m[2]
        potential, current, net = (f.name for f in self.figures())
        return solved.measured(
            {
                potential: s.electrode_potentials_v[2],
                current: s.currents_a[0] / thick,
                net: s.currents_a[2] / thick,
            }
        )
