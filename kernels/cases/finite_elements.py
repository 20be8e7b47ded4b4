"""Two needles in a block, against body-fitted finite elements: figures that no one tuned.

Inputs and results of curved tetrahedra of order 3 (NGSolve 6.2), Newton residual below 1e-10, in a cube of 60 mm with
insulating walls. Needles are cylinders with flat ends, 30 mm long, wholly in tissue, their inside left out. Laws are
logistic. Uncertainties are differences between discretisations, volumes with 1e-3 of quadrature added.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..conductivity import ConductivityLaw
from ..electrodes import Needle, Vector
from ..grid import Grid
from ..problem import FieldProblem
from .case import Case, Figure, Measured, Solved

SOURCE = "finite elements of order 3, NGSolve, residual 1e-10"
UP = (0.0, 0.0, 1.0)
LIVER = ConductivityLaw.logistic(0.1, 0.4, 58e3, 6e3)
TUMOUR = ConductivityLaw.logistic(0.2, 0.6, 60e3, 6e3)


@dataclass(frozen=True)
class NeedlesInABlock:
    """A cube of tissue with insulating walls, and two needles in it.

    Attributes:
        centres_mm, axes: of the two needles, from the cube's corner; unit vectors. The first is at voltage_v, the
            second at 0.
        tumour: law of a sphere of 10 mm radius round the cube's middle, or None.
    """

    tissue: ConductivityLaw
    diameter_mm: float
    centres_mm: tuple[Vector, Vector]
    voltage_v: float
    axes: tuple[Vector, Vector] = (UP, UP)
    tumour: ConductivityLaw | None = None
    length_mm: float = 30.0
    box_mm: float = 60.0

    def problem(self, spacing_m: float) -> FieldProblem:
        n = round(1e-3 * self.box_mm / spacing_m)
        grid = Grid((n, n, n), (spacing_m, spacing_m, spacing_m))
        tissue, laws = np.zeros(grid.shape, np.uint8), (self.tissue,)
        if self.tumour is not None:
            centres = np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1)
            tissue[np.linalg.norm(centres - 0.5e-3 * self.box_mm, axis=-1) < 10e-3] = 1
            laws = (self.tissue, self.tumour)
        needles = []
        for centre, axis in zip(self.centres_mm, self.axes, strict=True):
            x, y, z = (1e-3 * (c + 0.5 * self.length_mm * a) for c, a in zip(centre, axis, strict=True))
            needles.append(Needle((x, y, z), axis, 0.5e-3 * self.diameter_mm, 1e-3 * self.length_mm))
        return FieldProblem(grid, tissue, laws, tuple(needles), (self.voltage_v, 0.0))


@dataclass(frozen=True)
class FiniteElements:
    """A problem and its results.

    Attributes:
        current_a: and its relative uncertainty. volumes_mm3: at or above fields in V/cm, likewise.
        tumour_mm3: of the tumour alone.
    """

    block: NeedlesInABlock
    current_a: tuple[float, float]
    volumes_mm3: Mapping[int, tuple[float, float]]
    tumour_mm3: Mapping[int, tuple[float, float]] = field(default_factory=dict)


NEEDLES_IN_A_BLOCK = {
    "C1 1.2 mm, 10 mm apart, linear": FiniteElements(
        NeedlesInABlock(ConductivityLaw.constant(0.2), 1.2, ((25.0, 30.0, 30.0), (35.0, 30.0, 30.0)), 1000.0),
        current_a=(7.589022, 1e-4),
        volumes_mm3={400: (3917.51, 1.2e-3), 600: (2156.85, 1.4e-3), 800: (1080.91, 1.0e-3), 1000: (647.974, 2.6e-3)},
    ),
    "C2 1.2 mm, 15 mm apart": FiniteElements(
        NeedlesInABlock(LIVER, 1.2, ((22.5, 30.0, 30.0), (37.5, 30.0, 30.0)), 1500.0),
        current_a=(14.403852, 1e-4),
        volumes_mm3={400: (12860.39, 1.3e-3), 600: (5020.13, 1.3e-3), 800: (1502.94, 1.0e-3), 1000: (729.347, 1.6e-3)},
    ),
    "C3 1.8 mm, 20 mm apart, tumour between": FiniteElements(
        NeedlesInABlock(LIVER, 1.8, ((20.0, 30.0, 30.0), (40.0, 30.0, 30.0)), 1500.0, tumour=TUMOUR),
        current_a=(14.364832, 1e-4),
        volumes_mm3={400: (16184.20, 1.0e-3), 600: (4643.07, 1.5e-3), 800: (903.448, 1.0e-3), 1000: (463.960, 1.0e-3)},
        tumour_mm3={400: (4040.53, 1.0e-3), 600: (2000.35, 3.0e-3)},
    ),
    "C6 1.2 mm, both oblique": FiniteElements(
        NeedlesInABlock(
            LIVER,
            1.2,
            ((24.0, 30.0, 30.0), (37.0, 31.0, 29.0)),
            1300.0,
            axes=((0.3420201433256687, 0.0, 0.9396926207859084), (0.0, -0.5, 0.8660254037844387)),
        ),
        current_a=(12.860878, 5e-4),
        volumes_mm3={400: (10157.99, 1.2e-3), 600: (3614.37, 2.1e-3), 800: (1354.32, 1.0e-3), 1000: (618.853, 1.5e-3)},
    ),
}


class FiniteElementCase(Case):
    """Current and volumes of two needles in a block."""

    group = "Two needles in a block"
    source = SOURCE
    spacings_mm = (2.0, 1.0, 0.5)
    why = "asked of the solver before it was written: current 1 % at 1 mm, 0.5 % at 0.5 mm, volumes 3 % at 0.5 mm"

    def __init__(self, title: str) -> None:
        self.reference = NEEDLES_IN_A_BLOCK[title]
        self.title = title
        self.name = title.split()[0]

    @property
    def quick_mm(self) -> tuple[float, ...]:
        return self.spacings_mm

    def figures(self) -> tuple[Figure, ...]:
        r = self.reference
        volume = functools.partial(Figure, unit="mm3", bars={0.5: 0.03}, why=self.why)
        return (
            Figure("current", "A", *r.current_a, bars={1.0: 0.01, 0.5: 0.005}, why=self.why),
            *(volume(f"above {t} V/cm", reference=v, uncertainty=u) for t, (v, u) in r.volumes_mm3.items()),
            *(volume(f"tumour above {t} V/cm", reference=v, uncertainty=u) for t, (v, u) in r.tumour_mm3.items()),
        )

    def measure(self, spacing_mm: float) -> Measured:
        solved = Solved(self.reference.block.problem(1e-3 * spacing_mm))
        values = {"current": solved.solution.currents_a[0]}
        for t in self.reference.volumes_mm3:
            values[f"above {t} V/cm"] = 1e9 * solved.volume_m3(1e2 * t)
        inside = solved.problem.tissue.reshape(-1) == 1
        for t in self.reference.tumour_mm3:
            values[f"tumour above {t} V/cm"] = 1e9 * solved.volume_m3(1e2 * t, inside[solved.samples.voxel])
        return solved.measured(values)
