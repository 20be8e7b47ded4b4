"""The probability of coverage of each voxel: the share of draws in which most of its tissue reaches the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..dataset import SPACE, ZONES

_REVERSIBLE, _IRREVERSIBLE, _METAL = (ZONES.index(name) for name in ("reversible", "irreversible", "electrode"))


def probability_maps(zones: xr.DataArray, points: NDArray[np.int64], attrs: dict[str, Any]) -> xr.Dataset:
    """Maps over the voxels of a study.

    Args:
        zones: zone of every point, dims (point, x, y, z), read one point at a time. points: the draws to count.
        attrs: of the dataset.

    Returns:
        probability_reversible and probability_irreversible (float32; of the draws in which the voxel is tissue, nan
        where it never is), draws (int32).
    """
    shape = tuple(zones.sizes[axis] for axis in SPACE)
    reversible, irreversible, tissue = (np.zeros(shape, np.int32) for _ in range(3))
    for point in points:
        zone = zones.isel(point=int(point)).to_numpy()
        reversible += (zone == _REVERSIBLE) | (zone == _IRREVERSIBLE)
        irreversible += zone == _IRREVERSIBLE
        tissue += zone != _METAL
    with np.errstate(invalid="ignore"):
        shares = [np.asarray(count / tissue, np.float32) for count in (reversible, irreversible)]
    names = ("reversible", "irreversible")
    words = "share of the draws in which most of the voxel's tissue is at or above its {} threshold"
    variables: dict[str, Any] = {
        f"probability_{name}": (SPACE, share, {"units": "1", "long_name": words.format(name)})
        for name, share in zip(names, shares, strict=True)
    }
    variables["draws"] = (SPACE, tissue, {"long_name": "draws in which the voxel is not metal or shaft", "units": "1"})
    return xr.Dataset(variables, {axis: zones[axis] for axis in SPACE}, attrs)


def covered_volume_mm3(probability: NDArray[np.float32], voxel_mm3: float, levels: Sequence[float]) -> list[float]:
    """Volume (mm3) covered with at least each probability."""
    return [float(np.count_nonzero(probability >= level)) * voxel_mm3 for level in levels]
