"""Where the anatomy comes from: a phantom or a segmented scan (scan.py), both as codes on a solve grid.

A code is an index into the source's legend, which names structure and tissue.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .labels import Entry
from .notes import Note
from .plan_anatomy import Phantom
from .region import Frame
from .voxels import VoxelGrid

Codes = NDArray[np.uint16]
Array = NDArray[np.float64]


class Source(Protocol):
    """An anatomy before shapes are added."""

    @property
    def frame(self) -> Frame: ...
    @property
    def legend(self) -> tuple[Entry, ...]: ...
    @property
    def names(self) -> Collection[str]:
        """Structures that it may have, whether or not they have voxels."""
        ...

    @property
    def notes(self) -> tuple[Note, ...]: ...
    @property
    def provenance(self) -> dict[str, Any]: ...
    def bounds_mm(self, codes: Collection[int]) -> tuple[Array, Array] | None:
        """Corners (mm along the frame's axes) of the box round these codes; None when they have no voxels."""
        ...

    def on_grid(self, grid: VoxelGrid, method: Literal["majority", "nearest"]) -> Codes:
        """Codes of the grid's voxels, shape grid.shape."""
        ...

    def ct_on_grid(self, grid: VoxelGrid) -> NDArray[np.int16] | None:
        """HU at the grid's voxel centres, shape grid.shape; None where the anatomy has no CT."""
        ...


@dataclass(frozen=True, eq=False)
class PhantomSource:
    """A block of one tissue with air outside."""

    frame: Frame
    legend: tuple[Entry, ...]
    provenance: dict[str, Any]
    notes: tuple[Note, ...] = ()

    @property
    def names(self) -> Collection[str]:
        return [self.legend[0].tissue]

    def bounds_mm(self, codes: Collection[int]) -> tuple[Array, Array] | None:
        return (np.zeros(3), self.frame.extent_mm) if 0 in codes else None

    def on_grid(self, grid: VoxelGrid, method: Literal["majority", "nearest"]) -> Codes:
        start = self.frame.to_local_mm(grid.corner_mm)
        codes = np.zeros(grid.shape, np.uint16)
        for axis, (n, h, s, length) in enumerate(
            zip(grid.shape, grid.spacing_mm, start, self.frame.extent_mm, strict=True)
        ):
            outside = s + (np.arange(n) + 0.5) * h > length + 1e-6
            codes[(slice(None),) * axis + (outside,)] = 1
        return codes

    def ct_on_grid(self, grid: VoxelGrid) -> NDArray[np.int16] | None:
        return None


def open_phantom(phantom: Phantom) -> PhantomSource:
    """The phantom of a plan."""
    frame = Frame(np.eye(3), np.asarray(phantom.origin_mm, float), np.asarray(phantom.size_mm, float), padded=True)
    legend = (Entry(phantom.tissue, phantom.tissue), Entry(None, "air"))
    return PhantomSource(frame, legend, {"phantom": phantom.model_dump(mode="json")})
