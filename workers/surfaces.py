"""Isosurfaces of a result: of |E| at a field, of the zones, of targets and avoided structures.

Surfaces are closed: what reaches the edge of the solved region is cut flat there. Over metal and insulated shafts,
where there is no field, that of the nearest tissue is carried on, so that needles leave no tunnels. Needs
`porefield[surfaces]`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..meshes.errors import one_of
from ..meshes.writers import Space, ply_bytes, stl_bytes
from .dataset import ZONES
from .export import ExportError
from .store.run_store import open_maps

Zone = Literal["reversible", "irreversible"]
Array = NDArray[np.float64]
Surface = tuple[Array, NDArray[np.int64]]
"""Points (n, 3) in patient RAS mm, and triangles (m, 3) that look outwards."""

HALF = 0.5
"""Of a voxel's tissue: a zone ends where half of it is covered, as in the map `zone`."""


def field_surface(store: Path, above_v_per_cm: float, pulse: int | None = None) -> Surface:
    """Round all that sees at least this field: the largest of all pulses, or that of one pulse.

    Raises:
        ExportError: nothing does, or no such pulse.
    """
    with open_maps(store) as maps:
        if pulse is not None and not pulse < maps.sizes["pulse"]:
            raise ExportError.of("pulse", f"a pulse from 0 to {maps.sizes['pulse'] - 1}", str(pulse))
        variable = maps["field_max_v_per_m"] if pulse is None else maps["field_v_per_m"].isel(pulse=pulse)
        field = _over_metal(maps, variable.transpose("x", "y", "z").to_numpy()) * 0.01
        return _isosurface(field, above_v_per_cm, _affine(maps), "above", f"{above_v_per_cm:g} V/cm")


def zone_surface(store: Path, zone: Zone) -> Surface:
    """Round the tissue at or above its reversible, or its irreversible, threshold.

    Raises:
        ExportError: there is none.
    """
    with open_maps(store) as maps:
        share = _over_metal(maps, maps[f"coverage_{zone}"].transpose("x", "y", "z").to_numpy())
        return _isosurface(share, HALF, _affine(maps), "zone", zone)


def structure_surface(store: Path, name: str) -> Surface:
    """Round a target or an avoided structure; it has the steps of its voxels, rounded off.

    Raises:
        ExportError: no such structure in the store.
    """
    with open_maps(store) as maps:
        names = [str(n) for n in maps["structure"].to_numpy()]
        if name not in names:
            raise ExportError.of("structure", f"a target or avoided structure, {one_of(names, name)}", name)
        mask = maps["structures"].isel(structure=names.index(name)).transpose("x", "y", "z").to_numpy()
        return _isosurface(mask.astype(np.float32), HALF, _affine(maps), "structure", name)


WRITERS: dict[str, Callable[[Array, NDArray[np.int64], Space, str], bytes]] = {".stl": stl_bytes, ".ply": ply_bytes}
"""How surfaces are written, by the ending of the file's name."""


def surface_bytes(surface: Surface, to: str, space: Space, description: str) -> bytes:
    """A surface as the file whose name ends as `to` does, in LPS or RAS millimetres as its header states."""
    ending = next(end for end in WRITERS if to.lower().endswith(end))
    return WRITERS[ending](*surface, space, description)


def _affine(maps: xr.Dataset) -> Array:
    return np.asarray(maps.attrs.get("porefield", maps.attrs)["affine"], float)


def _over_metal(maps: xr.Dataset, values: NDArray[Any]) -> NDArray[np.float32]:
    """The values with those of the nearest tissue in voxels of metal and shafts."""
    from scipy.ndimage import distance_transform_edt

    metal = maps["zone"].transpose("x", "y", "z").to_numpy() == ZONES.index("electrode")
    if not metal.any() or metal.all():
        return values.astype(np.float32)
    spacing = np.linalg.norm(_affine(maps)[:3, :3], axis=0)
    nearest: Any = distance_transform_edt(metal, sampling=spacing, return_distances=False, return_indices=True)
    return np.where(metal, values[tuple(nearest)], values).astype(np.float32)


def _isosurface(values: NDArray[np.float32], level: float, affine: Array, field: str, asked: str) -> Surface:
    """The surface at `level` round what is above it."""
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        raise ExportError.of("to", "porefield[surfaces] installed, to make surfaces", "no scikit-image") from None
    if not values.max() >= level > 0:
        raise ExportError.of(field, f"something that reaches it; the most is {values.max():.4g}", asked)
    # voxels at exactly the level are inside
    below = float(np.nextafter(np.float32(level), np.float32(0)))
    points, triangles, *_ = marching_cubes(_closed(values, below), below, allow_degenerate=False)
    points_mm = (points.astype(float) - 1) @ affine[:3, :3].T + affine[:3, 3]
    if np.linalg.det(affine[:3, :3]) > 0:
        triangles = triangles[:, ::-1]
    return points_mm, triangles.astype(np.int64)


def _closed(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """The values with a rim of a voxel, such that what is above the level ends on the face between."""
    padded = np.pad(values, 1, mode="edge")
    rim = np.ones(padded.shape, bool)
    rim[1:-1, 1:-1, 1:-1] = False
    padded[rim] = np.minimum(padded[rim], np.float32(2 * level) - padded[rim])
    return padded
