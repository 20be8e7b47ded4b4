"""How far two conductors are apart, as clinicians measure it: between the axes of needles, between faces of plates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .conductors import Conductor, Wire
from .plan_electrodes import PlateSettings

Array = NDArray[np.float64]

STEPS = 21
"""Points along a needle: its distance from another one is linear or smooth along it."""
PARALLEL = 0.985
"""Cosine of 10 degrees, from which on plates face one another."""


def spacing_mm(anodes: Sequence[Conductor], cathodes: Sequence[Conductor]) -> float | None:
    """Between two groups: the smallest of their pairs, mm. None where it is not defined (tubes, a plate and a needle).

    Of two needles: the distance of one's bare axis from the other's, the mean over both; of parallel needles at one
    depth their spacing.
    """
    found = [_between(one, other) for one in anodes for other in cathodes]
    known = [distance for distance in found if distance is not None]
    return min(known) if known and len(known) == len(found) else None


def _between(one: Conductor, other: Conductor) -> float | None:
    if isinstance(one.solid, Wire) and isinstance(other.solid, Wire):
        a, b = _axis(one.solid), _axis(other.solid)
        if one.field == other.field and one.solid.others_mm:  # bands of one shaft: the insulation between them
            return float(min(np.linalg.norm(p - q) for p in (a[0], a[-1]) for q in (b[0], b[-1])))
        return float(0.5 * (_from_segment(a, b[0], b[-1]).mean() + _from_segment(b, a[0], a[-1]).mean()))
    if isinstance(one.solid, PlateSettings) and isinstance(other.solid, PlateSettings):
        a, b = _unit(one.solid.normal), _unit(other.solid.normal)
        if abs(float(a @ b)) < PARALLEL:
            return None
        apart = abs(float(np.subtract(other.solid.centre_mm, one.solid.centre_mm) @ a))
        gap = apart - 0.5 * (one.solid.thickness_mm + other.solid.thickness_mm)
        return gap if gap > 0 else None
    return None


def _axis(wire: Wire) -> Array:
    """Points along the bare axis, shape (STEPS, 3)."""
    behind = np.linspace(wire.from_mm, wire.to_mm, STEPS)
    return np.asarray(wire.pose.tip_mm) - behind[:, None] * np.asarray(wire.pose.unit_direction)


def _from_segment(points: Array, start: Array, stop: Array) -> Array:
    """Distances of points from a segment."""
    way = stop - start
    along = np.clip((points - start) @ way / (way @ way), 0.0, 1.0)
    return np.linalg.norm(points - start - along[:, None] * way, axis=1)


def _unit(vector: Sequence[float]) -> Array:
    a = np.asarray(vector, float)
    return a / np.linalg.norm(a)
