"""Images on another lattice: masks by the voxel that a centre lies in, a scan linearly between centres.

Lattices may be turned against each other. Work is done plane by plane, so that little more memory is taken than the
images themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .readers import Array, Image

SAME_AXES = 1e-3
"""As much as the directions and spacings (mm) of two files may differ and still be one lattice's."""
SAME_CORNER_MM = 1e-2


@dataclass(frozen=True, eq=False)
class Lattice:
    """Voxels in the patient: shape, edges (mm), axes as columns (RAS) and the low corner of the first (RAS mm)."""

    shape: tuple[int, int, int]
    spacing_mm: Array
    axes: Array
    corner_mm: Array

    @staticmethod
    def of(image: Image) -> Lattice:
        return Lattice(image.shape, image.spacing_mm, image.axes, image.corner_mm)

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))


def same_voxels(image: Image, lattice: Lattice) -> bool:
    """Whether an image lies on exactly these voxels."""
    same = image.shape == lattice.shape and np.allclose(image.axes, lattice.axes, atol=SAME_AXES)
    same = same and np.allclose(image.spacing_mm, lattice.spacing_mm, atol=SAME_AXES)
    return bool(same and np.allclose(image.corner_mm, lattice.corner_mm, atol=SAME_CORNER_MM))


def share_within(image: Image, lattice: Lattice) -> float:
    """Share of an image's non-zero voxels whose centres lie within the lattice's box; 1 where it has none."""
    size = np.asarray(lattice.shape) * lattice.spacing_mm
    found, within = 0, 0
    for i, plane in enumerate(image.data):
        index = np.argwhere(plane)
        points = np.column_stack([np.full(len(index), i), index]) + 0.5
        local = (points * image.spacing_mm @ image.axes.T + image.corner_mm - lattice.corner_mm) @ lattice.axes
        inside = np.all((local > -SAME_CORNER_MM) & (local < size + SAME_CORNER_MM), axis=1)
        found, within = found + len(index), within + int(np.count_nonzero(inside))
    return within / found if found else 1.0


def nearest(image: Image, lattice: Lattice, outside: int = 0) -> NDArray[Any]:
    """The image's value at each centre of the lattice; `outside` of it elsewhere. Shape lattice.shape."""
    if same_voxels(image, lattice):
        return image.data
    result = np.full(lattice.shape, outside, image.data.dtype)
    for plane, index in _planes(image, lattice):
        # a centre on a face belongs to the voxel before it or after, as rounding has it: the same one for all
        cell = np.floor(index + 0.5 + 1e-6).astype(int)
        inside = np.all((cell >= 0) & (cell < image.shape), axis=-1)
        result[plane][inside] = image.data[tuple(cell[inside].T)]
    return result


def covers(image: Image, lattice: Lattice) -> bool:
    """Whether every centre of the lattice lies within the image; its corners decide."""
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in lattice.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    index = _index_of(image, lattice, corners)
    return bool(np.all((index > -0.5 - 1e-3) & (index < np.asarray(image.shape) - 0.5 + 1e-3)))


def linear(image: Image, lattice: Lattice, outside: float) -> NDArray[np.float32]:
    """A scan between its centres, at each centre of the lattice; shape lattice.shape."""
    from scipy.ndimage import map_coordinates

    result = np.full(lattice.shape, outside, np.float32)
    for plane, index in _planes(image, lattice):
        inside = np.all((index > -0.5 - 1e-3) & (index < np.asarray(image.shape) - 0.5 + 1e-3), axis=-1)
        if not inside.any():
            continue
        at = index[inside]
        low = np.clip(np.floor(at.min(axis=0)).astype(int), 0, None)
        box = tuple(slice(a, int(b) + 2) for a, b in zip(low, at.max(axis=0), strict=True))
        part = image.data[box].astype(np.float32)
        result[plane][inside] = map_coordinates(part, (at - low).T, order=1, mode="nearest")
    return result


def _planes(image: Image, lattice: Lattice) -> Iterator[tuple[int, Array]]:
    """Each plane of the lattice along its first axis, and the image's fractional indices of its centres."""
    _, ny, nz = lattice.shape
    rest = np.stack(np.meshgrid(np.arange(ny), np.arange(nz), indexing="ij"), axis=-1)
    for plane in range(lattice.shape[0]):
        here = np.concatenate([np.full((ny, nz, 1), plane), rest], axis=-1)
        yield plane, _index_of(image, lattice, here)


def _index_of(image: Image, lattice: Lattice, index: NDArray[Any]) -> Array:
    """Fractional index in the image (its centres at whole numbers) of the lattice's centres; shape (..., 3)."""
    turn = image.axes.T @ lattice.axes
    offset = image.axes.T @ (lattice.corner_mm - image.corner_mm)
    return ((index + 0.5) * lattice.spacing_mm @ turn.T + offset) / image.spacing_mm - 0.5
