"""The anatomy on the solve grid: the source's codes with the added shapes painted over, and tissues from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError
from .legend import Legend
from .plan import Plan
from .tissues import Tissue
from .voxels import VoxelGrid

Codes = NDArray[np.uint16]

MAX_TISSUES = 250
"""Of one grid: a voxel's tissue is one byte."""


def paint(plan: Plan, source_codes: Codes, legend: Legend, grid: VoxelGrid) -> Codes:
    """The source's codes with the added shapes over them; a voxel is in a shape when its centre is."""
    codes = source_codes.copy()
    for code, added in zip(legend.added, plan.anatomy.add, strict=True):
        box = grid.index_box(*added.shape.bounds_mm())
        codes[box][added.shape.contains(grid.centres_mm(box))] = code
    return codes


def index_tissues(
    codes: Codes, legend: Legend, tissues: Mapping[str, Tissue]
) -> tuple[NDArray[np.uint8], tuple[Tissue, ...]]:
    """Tissue index of each voxel, uint8, and the tissues that occur.

    Raises:
        PlanError: more tissues than an index can tell apart.
    """
    present = np.flatnonzero(np.bincount(codes.ravel(), minlength=len(legend.entries)))
    names = list(dict.fromkeys(legend.entries[code].tissue for code in present))
    if len(names) > MAX_TISSUES:
        raise PlanError.of("anatomy", f"at most {MAX_TISSUES} tissues in the solved region", str(len(names)))
    lookup = np.zeros(len(legend.entries), np.uint8)
    for code in present:
        lookup[code] = names.index(legend.entries[code].tissue)
    return lookup[codes], tuple(tissues[name] for name in names)
