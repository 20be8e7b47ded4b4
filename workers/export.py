"""Results as files that other programs load: maps on the scan's own voxels, surfaces in patient millimetres.

On the scan's voxels each has the value of the solved voxel in which its centre lies; nothing is blended. Outside of the
solved region maps are 0, but for those of OUTSIDE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..meshes.errors import PorefieldError, ResourceError, one_of
from ..meshes.memory import available_bytes, in_words
from ..meshes.writers import nifti_bytes, nrrd_bytes
from .store.run_store import open_maps

NIFTI_MAPS = (
    "zone",
    "tissue",
    "field_max_v_per_m",
    "field_max_v_per_cm",
    "field_v_per_m",
    "field_v_per_cm",
    "coverage_reversible",
    "coverage_irreversible",
    "probability_reversible",
    "probability_irreversible",
    "ct_hu",
)
OUTSIDE = {"tissue": 255, "ct_hu": -1024}
"""Of maps for which 0 means something."""
ALIGNED = 1e-3
"""Part of the grid by which the scan's axes may leave its own from end to end: affines are single precision."""

Frame = Literal["scan", "grid"]
Array = NDArray[np.float64]


class ExportError(PorefieldError):
    """The result does not hold what was asked for."""


@dataclass(frozen=True, eq=False)
class Map:
    """Values on voxels: data of shape (nx, ny, nz); affine, voxel centre index -> patient RAS mm."""

    name: str
    data: NDArray[Any]
    affine: Array
    converged: bool

    @property
    def description(self) -> str:
        return described(self.name, self.converged)


def described(what: str, converged: bool) -> str:
    """What a file says of itself."""
    return f"porefield {what}; {'' if converged else 'NOT CONVERGED; '}research software, not a medical device"


def is_converged(store: Path) -> bool:
    """Whether a result is to be relied on, as its store says."""
    with open_maps(store) as maps:
        return _is_converged(maps.attrs.get("porefield", maps.attrs))


def _is_converged(about: Mapping[str, Any]) -> bool:
    """A study's maps have no status of their own: points that did not converge are no part of them."""
    return about.get("status", "converged") == "converged"


def read_map(store: Path, name: str, pulse: int | None = None, frame: Frame | None = None) -> Map | None:
    """A map of a result's store; None where the store has no such map, or not for this pulse.

    Args:
        name: one of NIFTI_MAPS; fields are V/m as they are stored, or V/cm.
        pulse: of maps that have one for each pulse; the first where none is named.
        frame: the voxels of the scan as its file has them, or those of the solve; the scan's where there is one.

    Raises:
        ExportError: the scan's voxels, where the anatomy is a phantom.
        ResourceError: too large for the memory that is free.
    """
    stored = name.replace("_v_per_cm", "_v_per_m")
    with open_maps(store) as maps:
        if name not in NIFTI_MAPS or stored not in maps:
            return None
        variable = maps[stored]
        if "pulse" in variable.dims:
            index = pulse or 0
            if index >= maps.sizes["pulse"]:
                return None
            variable = variable.isel(pulse=index)
        about = maps.attrs.get("porefield", maps.attrs)
        scan = None if frame == "grid" else scan_frame(about)
        if frame == "scan" and scan is None:
            raise ExportError.of("frame", "grid: this result has no scan", "scan")
        data = variable.transpose("x", "y", "z").to_numpy()
    affine = np.asarray(about["affine"], float)
    if stored != name:
        data = data * np.float32(0.01)
    if scan is not None:
        data, affine = on_scan(data, affine, *scan, OUTSIDE.get(name, 0)), scan[1]
    return Map(name, data, affine, _is_converged(about))


def scan_frame(about: Mapping[str, Any]) -> tuple[tuple[int, int, int], Array] | None:
    """Shape and affine of the scan that a result lies on, as its file has them; None for a phantom."""
    provenance = about.get("provenance") or {}
    found = provenance.get("frame") or provenance.get("label_map")
    if not found or "affine" not in found:
        return None
    nx, ny, nz = (int(n) for n in found["shape"])
    return (nx, ny, nz), np.asarray(found["affine"], float)


def on_scan(
    data: NDArray[Any], grid_affine: Array, shape: tuple[int, int, int], affine: Array, outside: float
) -> NDArray[Any]:
    """A map of the solve's grid on the scan's voxels; `outside` beyond the grid.

    Raises:
        ExportError: the scan's axes are not the grid's.
        ResourceError: too large for the memory that is free.
    """
    needed = 3 * prod(shape) * data.itemsize  # the map, its bytes, and those compressed
    if needed > available_bytes():
        expected = f"maps that fit into {in_words(available_bytes())} of free memory"
        raise ResourceError.of("frame", expected, f"{' x '.join(map(str, shape))} voxels, {in_words(needed)}")
    to_grid = np.linalg.inv(grid_affine) @ affine
    axes = np.abs(to_grid[:3, :3]).argmax(axis=0)  # of the grid, for each of the scan's
    astray = to_grid[:3, :3].copy()
    astray[axes, range(3)] = 0
    if sorted(axes) != [0, 1, 2] or (np.abs(astray) * shape).max() > ALIGNED * max(data.shape):
        raise ExportError.of("frame", "a scan along the axes of the solved region", "one that is turned against them")
    cells, inside = [], []
    for axis, own in enumerate(axes):
        # a centre on a face between two solved voxels goes to the same side everywhere
        place = np.floor(to_grid[own, axis] * np.arange(shape[axis]) + to_grid[own, 3] + 0.5 + ALIGNED).astype(int)
        within = (place >= 0) & (place < data.shape[own])
        cells.append(place[within])
        inside.append(within)
    result = np.full(shape, outside, data.dtype)
    result[np.ix_(*inside)] = np.transpose(data, axes)[np.ix_(*cells)]
    return result


def nifti_of(store: Path, name: str, pulse: int | None = None, frame: Frame | None = None) -> bytes | None:
    """A map as .nii.gz; None where the store has none. Arguments and errors as `read_map`."""
    found = read_map(store, name, pulse, frame)
    return None if found is None else nifti_bytes(found.data, found.affine, found.description)


VOLUMES: dict[str, Callable[[Map], bytes]] = {
    ".nii.gz": lambda m: nifti_bytes(m.data, m.affine, m.description),
    ".nii": lambda m: nifti_bytes(m.data, m.affine, m.description, compressed=False),
    ".nrrd": lambda m: nrrd_bytes(m.data, m.affine, m.description),
}
"""How maps are written, by the ending of the file's name."""


def volume_bytes(store: Path, to: str, name: str, pulse: int | None = None, frame: Frame | None = None) -> bytes:
    """A map as the file whose name ends as `to` does.

    Raises:
        ExportError: no such map in the store. And as `read_map`.
    """
    found = read_map(store, name, pulse, frame)
    if found is None:
        with open_maps(store) as maps:
            here = [n for n in NIFTI_MAPS if n.replace("_v_per_cm", "_v_per_m") in maps]
            pulses = maps.sizes.get("pulse", 0)
        if name in here:
            raise ExportError.of("pulse", f"a pulse from 0 to {pulses - 1}", str(pulse))
        raise ExportError.of("map", f"a map of this result, {one_of(here, name)}", name)
    ending = next(end for end in VOLUMES if to.lower().endswith(end))
    return VOLUMES[ending](found)
