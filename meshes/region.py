"""Which voxels are solved: the whole phantom, or a box of the scan round electrodes and targets.

A frame is the lattice of the anatomy: its axes, its low corner and its extent. Solve grids start at whole multiples
of the solve spacing from that corner, so that neighbouring regions share their voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .voxels import VoxelGrid

Array = NDArray[np.float64]

SLACK = 1e-3
"""Part of a voxel by which a bound may miss a lattice plane and still count as on it."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the anatomy is defined.

    Attributes:
        axes: unit vectors as columns, patient RAS, shape (3, 3).
        corner_mm: low corner, patient RAS mm.
        extent_mm: length along each axis, mm.
        padded: whether the last voxel may stick out (a phantom, with air there) or may not (a scan).
    """

    axes: Array
    corner_mm: Array
    extent_mm: Array
    padded: bool

    def to_local_mm(self, points_mm: Array) -> Array:
        """Patient RAS mm to mm along the axes from the low corner; shape (..., 3)."""
        return (np.asarray(points_mm, float) - self.corner_mm) @ self.axes

    def box_to_local_mm(self, low_mm: Array, high_mm: Array) -> tuple[Array, Array]:
        """The frame-aligned box (local mm) round a patient-aligned one (RAS mm)."""
        corners = np.stack(np.meshgrid(*np.stack([low_mm, high_mm]).T, indexing="ij"), axis=-1).reshape(-1, 3)
        local = self.to_local_mm(corners)
        return local.min(axis=0), local.max(axis=0)

    def whole(self, spacing_mm: tuple[float, float, float]) -> VoxelGrid:
        """The grid over the whole extent."""
        return self.crop(spacing_mm, np.zeros(3), self.extent_mm)

    def crop(self, spacing_mm: tuple[float, float, float], low_mm: Array, high_mm: Array) -> VoxelGrid:
        """The grid whose voxels hold the box (local mm), clipped to the extent; it may be empty: see its shape."""
        h = np.asarray(spacing_mm)
        start = np.maximum(np.floor(np.asarray(low_mm) / h + SLACK), 0)
        stop = np.minimum(np.ceil(np.asarray(high_mm) / h - SLACK), self._voxels(h))
        nx, ny, nz = (max(int(n), 0) for n in stop - start)
        return VoxelGrid((nx, ny, nz), spacing_mm, self.axes, self.corner_mm + self.axes @ (start * h))

    def _voxels(self, h: Array) -> Array:
        if self.padded:
            return np.ceil(self.extent_mm / h - SLACK)
        return np.maximum(np.floor(self.extent_mm / h + 0.5 + SLACK), 1)

    def fits(self, spacing_mm: tuple[float, float, float]) -> bool:
        """Whether the extent is a whole number of voxels."""
        ratio = self.extent_mm / np.asarray(spacing_mm)
        return all(math.isclose(r, round(r), abs_tol=SLACK) for r in ratio)
