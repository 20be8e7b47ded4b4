"""A sphere in a linear host under a uniform far field: tissue whose conductivity rises, or metal that floats.

The box is a cube, six radii wide, between two plates and insulating walls, which mirror the sphere into a cubic
lattice of volume share f: each sphere sits in the mean field divided by 1 - f (s - 1) / (s + 2), s the contrast
(Maxwell Garnett; the next term is of order f^(10/3), 2e-6 here).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..conductivity import ConductivityLaw, conductivity
from ..electrodes import Ball, Plate
from ..grid import Grid
from ..problem import FieldProblem
from .case import Case, Figure, Floats, Line, Measured, Solved
from .current_tubes import root
from .laws import TUMOUR, with_all_kinds

BOX_RADII = 6
SHARE = 4 / 3 * math.pi / BOX_RADII**3
ALONG_X = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))


def sphere_interior_field(law: ConductivityLaw, host_s_per_m: float, far_v_per_m: float) -> float:
    """Uniform |E| in a nonlinear sphere in a linear host under a uniform far field:
    E_in [1 + (sigma(E_in) / sigma_h - 1) / 3] = E_far."""

    def excess(e: float) -> float:
        return e * (1 + (float(conductivity(law, e)) / host_s_per_m - 1) / 3) - far_v_per_m

    return root(excess, 3 * far_v_per_m)


def plates(size_m: float) -> tuple[Plate, Plate]:
    """At the two ends of a cube, as thin as nothing."""
    first, second = (
        Plate((x, 0.5 * size_m, 0.5 * size_m), ALONG_X, (4 * size_m, 4 * size_m, 1e-9)) for x in (0.0, size_m)
    )
    return first, second


def images(x: Floats, pitch: float, shells: int = 4) -> Floats:
    """Field at (x, 0, 0) of unit dipoles along x at the other points of a cubic lattice, less that at the middle, which
    the far field holds already: the differences' sum converges as 1 / shells^3."""
    out = np.zeros(np.shape(x))
    for i, j, k in product(range(-shells, shells + 1), repeat=3):
        if (i, j, k) != (0, 0, 0):
            across = pitch**2 * (j**2 + k**2)
            for at, sign in ((x, 1), (0.0, -1)):
                along = at - pitch * i
                square = along**2 + across
                out += sign * (3 * along**2 / square - 1) / square**1.5
    return out


@dataclass(frozen=True)
class NonlinearSphere:
    """An eighth of the cube: the sphere's middle is a corner, where the plane x = 0 is a plate at 0 V by symmetry."""

    law: ConductivityLaw
    host_s_per_m: float = 0.135
    mean_v_per_m: float = 1e5
    radius_m: float = 10e-3

    def far_v_per_m(self) -> float:
        """Field that each sphere of the lattice sits in."""
        far = self.mean_v_per_m
        for _ in range(30):
            inside = sphere_interior_field(self.law, self.host_s_per_m, far)
            s = float(conductivity(self.law, inside)) / self.host_s_per_m
            far = self.mean_v_per_m / (1 - SHARE * (s - 1) / (s + 2))
        return far

    def inside_v_per_m(self) -> float:
        return sphere_interior_field(self.law, self.host_s_per_m, self.far_v_per_m())

    def axis_v_per_m(self, x: Floats) -> Floats:
        """|E| on the axis along the field: inside uniform, outside with the sphere's dipole and its images'."""
        far, s = self.far_v_per_m(), float(conductivity(self.law, self.inside_v_per_m())) / self.host_s_per_m
        dipole = far * (s - 1) / (s + 2) * self.radius_m**3
        outside = far + dipole * (2 / x**3 + images(x, BOX_RADII * self.radius_m))
        return np.where(x < self.radius_m, self.inside_v_per_m(), outside)

    def problem(self, spacing_m: float) -> FieldProblem:
        size = 0.5 * BOX_RADII * self.radius_m
        n = round(size / spacing_m)
        grid = Grid((n, n, n), (spacing_m, spacing_m, spacing_m))
        tissue = (self.radii_m(grid) < self.radius_m).astype(np.uint8)
        laws = with_all_kinds(ConductivityLaw.constant(self.host_s_per_m), self.law)
        return FieldProblem(grid, tissue, laws, plates(size), (0.0, self.mean_v_per_m * size))

    @staticmethod
    def radii_m(grid: Grid) -> Floats:
        """Of the voxels' middles, from the corner."""
        return np.linalg.norm(np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1), axis=-1)


class NonlinearSphereCase(Case):
    """A tumour of 10 mm radius, conductivity rising, in a host of 0.135 S/m under 1000 V/cm."""

    group = "Nonlinear sphere in a uniform field"
    source = "closed form (uniform inside), with the walls' images to 2e-6"
    spacings_mm = (2.0, 1.0, 0.5)
    deep = 0.8
    """Share of the radius up to which voxels count as the interior: the surface is a staircase of voxels."""

    def __init__(self, law: str) -> None:
        self.exact = NonlinearSphere(TUMOUR[law])
        self.title = law
        self.name = f"sphere in a field, {law}"

    @property
    def quick_mm(self) -> tuple[float, ...]:
        return (2.0, 1.0)

    def figures(self) -> tuple[Figure, ...]:
        inside = self.exact.inside_v_per_m() / 100
        why = "asked of the solver before it was written: 1 % in the interior at ten voxels per radius"
        return (
            Figure("mean field up to 0.8 radii", "V/cm", inside, 2e-6, bars={1.0: 0.01, 0.5: 0.01}, why=why),
            Figure("mean field in all of it", "V/cm", inside, 2e-6),
        )

    def measure(self, spacing_mm: float) -> Measured:
        solved = Solved(self.exact.problem(1e-3 * spacing_mm))
        r, e = self.exact.radii_m(solved.problem.grid), solved.solution.field_v_per_m
        deep, whole = (f.name for f in self.figures())
        return solved.measured(
            {
                deep: float(np.mean(e[r < self.deep * self.exact.radius_m])) / 100,
                whole: float(np.mean(e[r < self.exact.radius_m])) / 100,
            }
        )

    def line(self, spacing_mm: float) -> Line:
        """Along the field, half a voxel off the axis."""
        solved = Solved(self.exact.problem(1e-3 * spacing_mm))
        x = np.linspace(0.2e-3, 22e-3, 220)
        points = np.stack([x, np.full(x.shape, 1e-4), np.full(x.shape, 1e-4)], axis=-1)
        return Line(self.title, 1e3 * x, solved.field_v_per_m(points), self.exact.axis_v_per_m(x))


@dataclass(frozen=True)
class FloatingSphere:
    """Metal of 10 mm radius in the middle of the whole cube, not driven: a dipole of moment 4 pi eps R^3 E."""

    conductivity_s_per_m: float = 0.2
    mean_v_per_m: float = 2e4
    radius_m: float = 10e-3

    @property
    def size_m(self) -> float:
        return BOX_RADII * self.radius_m

    @property
    def voltage_v(self) -> float:
        return self.mean_v_per_m * self.size_m

    def current_a(self) -> float:
        """Between the plates: Maxwell Garnett for spheres that conduct without end."""
        area = self.size_m**2
        return self.conductivity_s_per_m * self.mean_v_per_m * area * (1 + 3 * SHARE / (1 - SHARE))

    def axis_v_per_m(self, r: Floats) -> Floats:
        return self.mean_v_per_m / (1 - SHARE) * (1 + 2 * (self.radius_m / r) ** 3)

    def problem(self, spacing_m: float) -> FieldProblem:
        n = round(self.size_m / spacing_m)
        grid = Grid((n, n, n), (spacing_m, spacing_m, spacing_m))
        middle = 0.5 * self.size_m
        metal = (*plates(self.size_m), Ball((middle, middle, middle), self.radius_m))
        laws = (ConductivityLaw.constant(self.conductivity_s_per_m),)
        return FieldProblem(grid, np.zeros(grid.shape, np.uint8), laws, metal, (self.voltage_v, 0.0, None))


class FloatingSphereCase(Case):
    """What a ball of metal that nobody drives does to a uniform field."""

    group = "Floating conductors"
    name = "floating sphere"
    title = "ball of 10 mm radius in a uniform field"
    source = "its dipole, with the walls' images to 2e-6 (field: 1e-3)"
    spacings_mm = (2.5, 1.25, 0.625)

    def __init__(self) -> None:
        self.exact = FloatingSphere()

    def figures(self) -> tuple[Figure, ...]:
        e, current = self.exact, self.exact.current_a()
        field = float(e.axis_v_per_m(np.asarray(1.25 * e.radius_m))) / 100
        balance = dict.fromkeys(self.spacings_mm, 1e-6)
        return (
            Figure("its potential", "V", 0.5 * e.voltage_v, scale=e.voltage_v),
            Figure("current between the plates", "A", current, 2e-6),
            Figure("field 2.5 mm ahead of it", "V/cm", field, 1e-3),
            Figure(
                "its own net current",
                "A",
                0.0,
                scale=current,
                bars=balance,
                why="the solver balances currents to 5e-7 at its default tolerance",
            ),
        )

    def measure(self, spacing_mm: float) -> Measured:
        solved = Solved(self.exact.problem(1e-3 * spacing_mm))
        s, middle = solved.solution, 0.5 * self.exact.size_m
        ahead = np.asarray([[middle + 1.25 * self.exact.radius_m, middle + 1e-4, middle + 1e-4]])
        potential, current, field, net = (f.name for f in self.figures())
        return solved.measured(
            {
                potential: s.electrode_potentials_v[2],
                current: s.currents_a[0],
                field: float(solved.field_v_per_m(ahead)[0]) / 100,
                net: s.currents_a[2],
            }
        )
