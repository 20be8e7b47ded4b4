"""Plane layers between two plates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..conductivity import ConductivityLaw
from ..electrodes import Plate
from ..grid import Grid
from ..problem import FieldProblem
from .case import Case, Figure, Floats, Measured, Solved
from .current_tubes import current_for_voltage, field_of_current_density
from .laws import TUMOUR


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


SKIN = ConductivityLaw.ramp(0.008, 0.8, 40e3, 90e3)
FAT = ConductivityLaw.ramp(0.02, 0.08, 10e3, 40e3)
FOLD = LayeredSlab(((1e-3, SKIN), (1e-3, FAT), (4e-3, TUMOUR["ramp"]), (1e-3, FAT), (1e-3, SKIN)), 1040.0)
"""A tumour under skin and fat between two plates: kinked laws, contrast 100."""


class SlabCase(Case):
    """A fold of skin, fat and tumour between plates."""

    group = "Layers between plates"
    name = "layers"
    title = "skin, fat, tumour, fat, skin; 1040 V over 8 mm"
    source = "closed form; agrees with J = 26797.22791 A/m2 of an independent evaluation"
    spacings_mm = (1.0, 0.5, 0.25)
    why = "voxels lie on the layers: exact up to the solver's tolerance of 1e-9"

    def figures(self) -> tuple[Figure, ...]:
        bars = dict.fromkeys(self.spacings_mm, 1e-6)
        skin, fat, tumour = FOLD.fields_v_per_m()[:3] / 100
        return (
            Figure("current density", "A/m2", FOLD.current_density_a_per_m2(), bars=bars, why=self.why),
            *(
                Figure(f"field in {tissue}", "V/cm", float(e), bars=dict.fromkeys(self.spacings_mm, 1e-5), why=self.why)
                for tissue, e in (("skin", skin), ("fat", fat), ("tumour", tumour))
            ),
        )

    def solve(self, spacing_mm: float) -> Solved:
        return Solved(FOLD.problem(1e-3 * spacing_mm), tolerance=1e-9)

    def measure(self, spacing_mm: float) -> Measured:
        solved = self.solve(spacing_mm)
        grid, e = solved.problem.grid, solved.solution.field_v_per_m[:, 0, 0] / 100
        area = grid.size_m[1] * grid.size_m[2]
        layer = {name: 1 + round(d / spacing_mm) for name, d in (("skin", 0.0), ("fat", 1.0), ("tumour", 2.0))}
        values = {f"field in {name}": float(e[i]) for name, i in layer.items()}
        return solved.measured({"current density": solved.solution.currents_a[0] / area, **values})
