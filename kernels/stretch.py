"""A needle in tissue whose conductivity depends on direction, as a needle in isotropic tissue.

With x' = x / sqrt(k) along each axis, div(k sigma grad phi) = 0 becomes isotropic, its weighted field q the usual one.
A needle's round cross-section becomes an ellipse with half axes a >= b; of the plane z = x' + i y' across it,

    w = (z + sqrt(z^2 - a^2 + b^2)) / 2

takes the outside of the ellipse to the outside of a circle of radius (a + b) / 2 (Joukowski), so that the round
needle's near field at |w| is the elliptical one's: exactly along a long barrel, nearly so at its ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .electrodes import Needle, as_vector

Floats = NDArray[np.float64]


def stretch(needle: Needle, points: Floats) -> tuple[Needle, Floats, Floats]:
    """The equivalent round needle, and the places of points (..., 3) along and across it (m); the tip is at 0."""
    assert needle.medium is not None
    scale = 1 / np.sqrt(np.asarray(needle.medium))
    axis = scale * np.asarray(needle.direction)
    longer = float(np.linalg.norm(axis))
    axis /= longer
    frame, halves = cross_section(scale, np.asarray(needle.direction), axis)
    moved = (points - np.asarray(needle.tip_m)) * scale
    z = needle.radius_m * halves
    plane = moved @ frame[0] + 1j * (moved @ frame[1])
    focus = np.sqrt(max(z[0] ** 2 - z[1] ** 2, 0))
    across = np.abs(plane + np.sqrt(plane - focus) * np.sqrt(plane + focus)) / 2
    lengths = {name: longer * getattr(needle, name) for name in ("exposed_m", "shaft_m", "ahead_m", "cone_m")}
    round_needle = replace(
        needle,
        tip_m=(0.0, 0.0, 0.0),
        direction=as_vector(axis),
        radius_m=float(z.mean()),
        others_m=tuple((longer * a, longer * b) for a, b in needle.others_m),
        medium=None,
        **lengths,
    )
    return round_needle, moved @ axis, across


def cross_section(scale: Floats, direction: Floats, axis: Floats) -> tuple[Floats, Floats]:
    """Directions (2, 3) and lengths (2), the larger first, of the half axes of a unit circle across `direction` after
    scaling, seen along `axis`."""
    start = np.eye(3)[np.argmin(np.abs(direction))]
    first = np.cross(direction, start)
    first /= np.linalg.norm(first)
    circle = np.stack([first, np.cross(direction, first)], axis=1) * scale[:, None]
    seen = circle - np.outer(axis, axis @ circle)
    frame, halves, _ = np.linalg.svd(seen, full_matrices=False)
    return frame.T, halves
