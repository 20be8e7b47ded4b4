"""One pulse to solve: which tissue is where, how it conducts, which metal is at which potential."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conductivity import ConductivityLaw
from .electrodes import Electrode
from .grid import Grid


@dataclass(frozen=True)
class FieldProblem:
    """div( sigma(|E|) grad phi ) = 0 with phi given on the electrodes and no current through the grid's outer faces.

    Attributes:
        grid: voxels and spacing.
        tissue: index into `laws` for each voxel, uint8, shape grid.shape. A voxel of a law of 0 S/m (air) is left out.
        laws: conductivity laws.
        electrodes: metal shapes in metres in the grid's frame.
        potentials_v: of each electrode, V; None for a conductor that floats (unknown potential, zero net current).
        warmth: optional factor 1 + alpha dT on the conductivity of each voxel, shape grid.shape.

    Raises:
        ValueError: shapes that do not match, a tissue index without a law, no driven electrodes at all.
    """

    grid: Grid
    tissue: NDArray[np.uint8]
    laws: tuple[ConductivityLaw, ...]
    electrodes: tuple[Electrode, ...]
    potentials_v: tuple[float | None, ...]
    warmth: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.tissue.shape != self.grid.shape or self.tissue.dtype != np.uint8:
            got = f"{self.tissue.dtype} {self.tissue.shape}"
            raise ValueError(f"tissue: expected uint8 of shape {self.grid.shape}, got {got}")
        if not self.laws or int(self.tissue.max()) >= len(self.laws):
            raise ValueError(f"tissue: expected indices below {len(self.laws)}, got {int(self.tissue.max())}")
        if len(self.potentials_v) != len(self.electrodes):
            got = len(self.potentials_v)
            raise ValueError(f"potentials_v: expected one for each of {len(self.electrodes)} electrodes, got {got}")
        driven = [v for v in self.potentials_v if v is not None]
        if not driven or not all(math.isfinite(v) for v in driven):
            raise ValueError(
                f"potentials_v: expected at least one driven electrode at a finite potential, got {driven}"
            )
        if self.warmth is not None and self.warmth.shape != self.grid.shape:
            raise ValueError(f"warmth: expected shape {self.grid.shape}, got {self.warmth.shape}")

    @property
    def conducts(self) -> NDArray[np.bool_]:
        """Voxels that are tissue, not air; shape grid.shape."""
        return ~np.asarray([law.insulating for law in self.laws])[self.tissue]
