"""Plane layers between two plates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..conductivity import ConductivityLaw
from ..electrodes import Plate
from ..grid import Grid
from ..problem import FieldProblem
from .current_tubes import Floats, current_for_voltage, field_of_current_density


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
