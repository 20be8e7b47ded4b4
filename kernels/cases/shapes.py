"""Tips, insulated shafts, two bands on one shaft and needles close together, against finite elements.

Currents of curved tetrahedra of order 3 (NGSolve) that `benchmarks/references/` makes; cubes or boxes of 32 mm with
insulating walls. Uncertainties are the differences between the last two meshes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..conductivity import ConductivityLaw
from ..electrodes import Needle
from ..grid import Grid
from ..problem import FieldProblem
from ..profiles import TipShape
from .case import Case, Figure, Measured, Solved

LAWS = {"linear": ConductivityLaw.constant(0.2), "logistic": ConductivityLaw.logistic(0.1, 0.4, 58e3, 6e3)}
DOWN = (0.0, 0.0, -1.0)
SIDE_MM = 32.0


@dataclass(frozen=True)
class ShapedPair:
    """Two equal needles along z in the middle of a cube; lengths in mm.

    Attributes:
        tip_z_mm: of the foremost points. bare_mm, shaft_mm: of metal from the tip, and of insulation behind it.
    """

    apart_mm: float
    tip_z_mm: float
    diameter_mm: float
    bare_mm: float
    voltage_v: float
    shaft_mm: float = 0.0
    tip: TipShape = "flat"
    cone_mm: float = 0.0

    height_mm = SIDE_MM

    @property
    def close(self) -> bool:
        """Nearer than three voxels of 1 mm."""
        return self.apart_mm - self.diameter_mm < 3.0

    def electrodes(self) -> tuple[Needle, Needle]:
        first, second = (
            Needle(
                (1e-3 * (0.5 * SIDE_MM + side * 0.5 * self.apart_mm), 0.5e-3 * SIDE_MM, 1e-3 * self.tip_z_mm),
                DOWN,
                0.5e-3 * self.diameter_mm,
                1e-3 * self.bare_mm,
                shaft_m=1e-3 * self.shaft_mm,
                tip=self.tip,
                cone_m=1e-3 * self.cone_mm,
            )
            for side in (-1, 1)
        )
        return first, second


@dataclass(frozen=True)
class BipolarProbe:
    """One shaft of 1.65 mm from the top of a box, a cone of 2.5 mm at its tip, bare over 0 to 7 and 12 to 19 mm."""

    voltage_v: float

    height_mm = 40.0

    def electrodes(self) -> tuple[Needle, Needle]:
        bands = ((0.0, 7e-3), (12e-3, 19e-3))
        first, second = (
            Needle(
                (0.5e-3 * SIDE_MM, 0.5e-3 * SIDE_MM, 9e-3),
                DOWN,
                0.825e-3,
                stop - start,
                shaft_m=1e-3 * self.height_mm - stop,
                tip="conical",
                cone_m=2.5e-3,
                ahead_m=start,
                others_m=tuple(band for band in bands if band != (start, stop)),
            )
            for start, stop in bands
        )
        return first, second


Shape = ShapedPair | BipolarProbe
CONICAL = ShapedPair(9.4, 10.2, 1.2, 12.0, 900.0, tip="conical", cone_mm=2.4)
ROUNDED = ShapedPair(9.4, 10.2, 1.8, 12.0, 900.0, tip="rounded")
SHAFTS = ShapedPair(9.4, 10.2, 1.2, 10.0, 900.0, shaft_mm=30.0)
SHAPES: dict[str, tuple[Shape, dict[str, tuple[float, float]]]] = {
    "conical tips": (CONICAL, {"linear": (2.933377, 7e-5), "logistic": (4.091593, 7e-5)}),
    "rounded tips": (ROUNDED, {"linear": (3.769983, 2e-5), "logistic": (5.309409, 2e-5)}),
    "insulated shafts": (SHAFTS, {"linear": (2.729277, 6e-5), "logistic": (3.808915, 6e-5)}),
    "two bands on one shaft": (BipolarProbe(1200.0), {"linear": (2.933538, 3e-5), "logistic": (4.280377, 5e-4)}),
    "1.2 mm, 2 mm apart": (ShapedPair(2.0, 11.0, 1.2, 10.0, 400.0), {"linear": (2.606469, 8e-5)}),
    "1.2 mm, 3 mm apart": (ShapedPair(3.0, 11.0, 1.2, 10.0, 400.0), {"linear": (1.913725, 7e-5)}),
    "1.2 mm, 4 mm apart": (ShapedPair(4.0, 11.0, 1.2, 10.0, 400.0), {"linear": (1.651616, 6e-5)}),
}
"""Each with its currents (A) and their relative uncertainties."""


def problem_of(shape: Shape, law: str, spacing_m: float) -> FieldProblem:
    across, high = (round(1e-3 * size / spacing_m) for size in (SIDE_MM, shape.height_mm))
    grid = Grid((across, across, high), (spacing_m, spacing_m, spacing_m))
    # both laws in the table, so that one compilation serves linear and nonlinear cases
    laws = (LAWS[law], LAWS["logistic"])
    return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, shape.electrodes(), (shape.voltage_v, 0.0))


class ShapeCase(Case):
    """The current of needles of one shape."""

    group = "Shapes of needles"
    source = "finite elements of order 3, NGSolve, made by `benchmarks/references/`"
    spacings_mm = (2.0, 1.0, 0.5)

    def __init__(self, shape: str, law: str) -> None:
        self.shape, currents = SHAPES[shape]
        self.law, self.current_a = law, currents[law]
        self.title = self.name = f"{shape}, {law}"

    @property
    def quick_mm(self) -> tuple[float, ...]:
        return (1.0,)

    def figures(self) -> tuple[Figure, ...]:
        if isinstance(self.shape, ShapedPair) and self.shape.close:
            return (Figure("current", "A", *self.current_a),)
        why = "asked of the solver before it was written: current 1 % at 1 mm, 0.5 % at 0.5 mm, but for close needles"
        return (Figure("current", "A", *self.current_a, bars={1.0: 0.01, 0.5: 0.005}, why=why),)

    def measure(self, spacing_mm: float) -> Measured:
        solved = Solved(problem_of(self.shape, self.law, 1e-3 * spacing_mm))
        return solved.measured({"current": solved.solution.currents_a[0]})


def shape_cases() -> Iterator[ShapeCase]:
    for shape, (_, currents) in SHAPES.items():
        for law in currents:
            yield ShapeCase(shape, law)
