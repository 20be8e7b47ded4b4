"""Boxes of nodes round electrodes: their indices and where they lie."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .electrodes import Vector
from .grid import Grid

Box = tuple[slice, slice, slice]


class Bounded(Protocol):
    """Anything that knows the box it lies in."""

    def bounds_m(self) -> tuple[Vector, Vector]:
        """Corners (m) of an axis-aligned box that holds it."""
        ...


def at(axis: int, s: slice) -> Box:
    """Index that applies `s` to one axis and takes all of the others."""
    full = slice(None)
    return (s if axis == 0 else full, s if axis == 1 else full, s if axis == 2 else full)


def box_of(grid: Grid, electrode: Bounded, margin: float) -> Box:
    """Nodes within `margin` of the largest voxel edge of an electrode's bounding box."""
    low, high = electrode.bounds_m()
    reach = margin * max(grid.spacing_m)
    slices = []
    for lo, hi, h, n in zip(low, high, grid.spacing_m, grid.node_shape, strict=True):
        start = int(np.clip(np.floor((lo - reach) / h), 0, n))
        slices.append(slice(start, max(int(np.clip(np.ceil((hi + reach) / h) + 1, 0, n)), start)))
    return (slices[0], slices[1], slices[2])


def points_in(grid: Grid, box: Box, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> NDArray[np.float64]:
    """Coordinates (m) of a box of nodes, moved by `shift` voxels; shape (..., 3)."""
    axes = [(np.arange(s.start, s.stop) + d) * h for s, d, h in zip(box, shift, grid.spacing_m, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
