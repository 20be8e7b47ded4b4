"""Metal too thin to hold nodes: the field on one face of it says nothing about the field on the other.

Near a conductor the potential is V + c F with c interpolated between nodes (sampling.py). A plate's two faces, and the
bore and the outside of a tube's wall, each have a c of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Needle, Plate, Tube, along_and_across


def sides(electrode: Electrode) -> tuple[int, ...]:
    """The faces of a conductor that have fields of their own; (0,) for one surface all round."""
    two = isinstance(electrode, Plate) or (isinstance(electrode, Tube) and electrode.hollow)
    return (-1, 1) if two else (0,)


def on_side(electrode: Electrode, points: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    """Which points (..., 3) in m lie on one side of a plate's or wall's middle (-1: the bore's); all for side 0."""
    if side == 0:
        return np.ones(points.shape[:-1], bool)
    if isinstance(electrode, Plate):
        thin = int(np.argmin(electrode.size_m))
        offset = (points - np.asarray(electrode.centre_m)) @ np.asarray(electrode.axes[thin])
    elif isinstance(electrode, Tube):
        across = along_and_across(points, np.asarray(electrode.centre_m), np.asarray(electrode.axis))[1]
        offset = across - 0.5 * (electrode.inner_radius_m + electrode.outer_radius_m)
    else:
        raise TypeError(f"side {side}: expected a Plate or a Tube, got {type(electrode).__name__}")
    return (offset >= 0) == (side > 0)


def half_width_m(electrode: Electrode) -> float:
    """How far (m) the deepest metal lies under the surface, at most."""
    if isinstance(electrode, Needle):
        return electrode.radius_m
    if isinstance(electrode, Tube):
        return 0.5 * electrode.wall_m
    low, high = electrode.bounds_m()
    thickness = float(np.min(np.asarray(high) - np.asarray(low)))
    return 0.5 * thickness if np.isfinite(thickness) else 0.0
