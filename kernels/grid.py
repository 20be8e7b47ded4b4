"""The voxel grid: unknowns at voxel corners (nodes), one conductivity per voxel (cell).

Local frame of all kernels: node (i, j, k) lies at (i hx, j hy, k hz) metres, voxel (i, j, k) is the box between
nodes (i, j, k) and (i+1, j+1, k+1). Axis 0 is x. No rotation and no patient coordinates: meshes/ owns those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Shape (voxels per axis) and spacing (m) of a rectilinear voxel grid.

    Raises:
        ValueError: a shape below 1 voxel or a spacing that is not positive and finite.
    """

    shape: tuple[int, int, int]
    spacing_m: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape: expected three numbers of voxels, each at least 1, got {self.shape}")
        if len(self.spacing_m) != 3 or not all(h > 0 and math.isfinite(h) for h in self.spacing_m):
            raise ValueError(f"spacing_m: expected three positive lengths, got {self.spacing_m}")

    @property
    def node_shape(self) -> tuple[int, int, int]:
        nx, ny, nz = self.shape
        return (nx + 1, ny + 1, nz + 1)

    @property
    def size_m(self) -> tuple[float, float, float]:
        nx, ny, nz = self.shape
        hx, hy, hz = self.spacing_m
        return (nx * hx, ny * hy, nz * hz)

    @property
    def voxel_volume_m3(self) -> float:
        return math.prod(self.spacing_m)

    def node_coordinates_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates (m) of the node planes along each axis: arrays of nx+1, ny+1 and nz+1."""
        x, y, z = (np.arange(n, dtype=np.float64) * h for n, h in zip(self.node_shape, self.spacing_m, strict=True))
        return x, y, z

    def voxel_coordinates_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates (m) of the voxel centres along each axis: arrays of nx, ny and nz."""
        x, y, z = ((np.arange(n, dtype=np.float64) + 0.5) * h for n, h in zip(self.shape, self.spacing_m, strict=True))
        return x, y, z
