"""Maps of a result as files that other programs load."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..meshes.writers import nifti_bytes
from .store.run_store import open_maps

NIFTI_MAPS = (
    "zone",
    "tissue",
    "field_max_v_per_m",
    "field_v_per_m",
    "coverage_reversible",
    "coverage_irreversible",
    "probability_reversible",
    "probability_irreversible",
)


def nifti_of(store: Path, name: str, pulse: int | None = None) -> bytes | None:
    """A map of a result's store as .nii.gz; None where the store has no such map, or not for this pulse.

    Args:
        pulse: of maps that have one for each pulse; the first where none is named.
    """
    with open_maps(store) as maps:
        if name not in maps:
            return None
        variable = maps[name]
        if "pulse" in variable.dims:
            index = pulse or 0
            if index >= maps.sizes["pulse"]:
                return None
            variable = variable.isel(pulse=index)
        about = maps.attrs.get("porefield", maps.attrs)
        affine = np.asarray(about["affine"], float)
        data = variable.transpose("x", "y", "z").to_numpy()
    return nifti_bytes(data, affine, f"porefield {name}; research software, not a medical device")
