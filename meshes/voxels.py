"""The voxel grid of a solve and its place in the patient.

The affine maps the index of a voxel centre to patient RAS+ millimetres. Its axes are orthogonal but may be rotated
(an oblique scan). The kernels' local frame runs along the grid's axes in metres, from the first
voxel's low corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..kernels.grid import Grid

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """Shape, spacing and pose of a voxel grid.

    Attributes:
        shape: voxels along the grid's axes.
        spacing_mm: voxel edges, mm.
        axes: unit vectors of the grid's axes as columns, patient RAS, shape (3, 3).
        corner_mm: low corner of voxel (0, 0, 0), patient RAS mm, shape (3,).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axes: Array
    corner_mm: Array

    @cached_property
    def affine(self) -> Array:
        """Index of a voxel centre to patient RAS mm, shape (4, 4)."""
        affine = np.eye(4)
        affine[:3, :3] = self.axes * np.asarray(self.spacing_mm)
        affine[:3, 3] = self.corner_mm + self.axes @ (0.5 * np.asarray(self.spacing_mm))
        return affine

    @property
    def kernel_grid(self) -> Grid:
        sx, sy, sz = self.spacing_mm
        return Grid(self.shape, (sx * 1e-3, sy * 1e-3, sz * 1e-3))

    @property
    def size_mm(self) -> Array:
        """Extent along the grid's axes, mm, shape (3,)."""
        return np.asarray(self.shape) * np.asarray(self.spacing_mm)

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))

    def coarser(self, ratio: float) -> VoxelGrid:
        """The same box in voxels about `ratio` times as large: along each axis as many as fit it exactly."""
        nx, ny, nz = (max(round(n / ratio), 1) for n in self.shape)
        sx, sy, sz = (n * h / m for n, h, m in zip(self.shape, self.spacing_mm, (nx, ny, nz), strict=True))
        return VoxelGrid((nx, ny, nz), (sx, sy, sz), self.axes, self.corner_mm)

    def to_local_m(self, points_mm: Array) -> Array:
        """Patient RAS mm to the kernels' local metres; shape (..., 3)."""
        return self.to_local_mm(points_mm) * 1e-3

    def to_local_mm(self, points_mm: Array) -> Array:
        """Patient RAS mm to millimetres along the grid's axes from its low corner; shape (..., 3)."""
        return (np.asarray(points_mm, float) - self.corner_mm) @ self.axes

    def to_patient_mm(self, points_m: Array) -> Array:
        """The kernels' local metres to patient RAS mm; shape (..., 3)."""
        return np.asarray(points_m, float) * 1e3 @ self.axes.T + self.corner_mm

    def direction_to_local(self, direction: Array) -> Array:
        """A patient RAS direction along the grid's axes; shape (..., 3)."""
        return np.asarray(direction, float) @ self.axes

    def direction_to_patient(self, direction: Array) -> Array:
        """A direction along the grid's axes in patient RAS; shape (..., 3)."""
        return np.asarray(direction, float) @ self.axes.T

    def index_box(self, low_mm: Array, high_mm: Array) -> tuple[slice, slice, slice]:
        """Slices of all voxels that a patient-axis-aligned box can touch, clipped to the grid."""
        corners = np.stack(np.meshgrid(*np.stack([low_mm, high_mm]).T, indexing="ij"), axis=-1).reshape(-1, 3)
        local = self.to_local_mm(corners) / np.asarray(self.spacing_mm)
        start = np.clip(np.floor(local.min(axis=0) - 1), 0, self.shape).astype(int)
        stop = np.clip(np.ceil(local.max(axis=0) + 1), 0, self.shape).astype(int)
        x, y, z = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return x, y, z

    def centres_mm(self, box: tuple[slice, slice, slice] | None = None) -> Array:
        """Voxel centres in patient RAS mm, shape (nx, ny, nz, 3); of the given slices only."""
        ranges = [np.arange(n)[s] for n, s in zip(self.shape, box or (slice(None),) * 3, strict=True)]
        index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
        return ((index + 0.5) * np.asarray(self.spacing_mm)) @ self.axes.T + self.corner_mm
