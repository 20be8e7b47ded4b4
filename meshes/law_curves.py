"""A tissue's conductivity against the field, as it is drawn: in letters (service/) and as a picture (workers/)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.conductivity import conductivity
from .plan_tissues import V_PER_M
from .tissues import Tissue

REACH = 1.2
"""Of a plot, over the highest field that matters."""
WITHOUT_RISE_V_PER_CM = 1000.0


def law_curve(tissue: Tissue, points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fields (V/cm) from 0 to beyond the law's rise and the thresholds' ranges, and the conductivity there (S/m)."""
    field = np.linspace(0, _top_v_per_cm(tissue), points)
    return field, conductivity(tissue.law, field * V_PER_M)


def _top_v_per_cm(tissue: Tissue) -> float:
    fields = [v.value for v in tissue.conductivity if v.quantity in ("end_v_per_cm", "midpoint_v_per_cm")]
    fields += [v.value if v.range is None else v.range.high for v in tissue.thresholds]
    known = [field for field in fields if field]
    return REACH * max(known) if known else WITHOUT_RISE_V_PER_CM
