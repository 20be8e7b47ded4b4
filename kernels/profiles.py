"""Solids of revolution that needles are made of: a barrel of one radius with a flat, conical or rounded front end.

Everything lies in the meridian half plane: r from the axis, and z along it, 0 at the foremost point and positive ahead
of it. Lengths have any one unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TipShape = Literal["flat", "conical", "rounded"]


@dataclass(frozen=True)
class Profile:
    """Radius of a needle against the distance behind its foremost point.

    Attributes:
        radius: of the barrel.
        tip: flat, a cone, or half a ball.
        cone: length of a conical tip; 0 for the others.
    """

    radius: float
    tip: TipShape = "flat"
    cone: float = 0.0

    @property
    def tip_length(self) -> float:
        """Distance from the foremost point to the barrel."""
        return {"flat": 0.0, "conical": self.cone, "rounded": self.radius}[self.tip]

    def radius_at(self, behind: Floats) -> Floats:
        """Radius at distances behind the foremost point; ahead of it that of the front face: 0 unless it is flat."""
        if self.tip == "flat":
            return np.full(np.shape(behind), self.radius)
        x = np.clip(behind, 0, self.tip_length)
        if self.tip == "conical":
            return self.radius * x / self.cone
        return np.sqrt(x * (2 * self.radius - x))


@dataclass(frozen=True)
class Solid:
    """What lies of a profile between two distances behind its foremost point."""

    profile: Profile
    start: float
    stop: float

    def distance(self, r: Floats, z: Floats) -> Floats:
        """Signed distance to the surface, negative inside; shape of r and z."""
        shape, begin = self.profile, self.profile.tip_length
        if self.start >= begin:
            half = 0.5 * (self.stop - self.start)
            radial, axial = r - shape.radius, np.abs(z + self.start + half) - half
            return np.hypot(np.maximum(radial, 0), np.maximum(axial, 0)) + np.minimum(np.maximum(radial, axial), 0)
        end = min(begin, self.stop)
        first, last, back = (float(shape.radius_at(np.asarray(x))) for x in (self.start, end, self.stop))
        nearest = to_segment(r, z, (0.0, -self.stop), (back, -self.stop))
        if shape.tip == "rounded":
            nearest = np.minimum(nearest, to_arc(r, z, shape.radius, self.start, end))
        else:
            nearest = np.minimum(nearest, to_segment(r, z, (first, -self.start), (last, -end)))
        if first > 0:
            nearest = np.minimum(nearest, to_segment(r, z, (0.0, -self.start), (first, -self.start)))
        if self.stop > begin:
            nearest = np.minimum(nearest, to_segment(r, z, (shape.radius, -begin), (shape.radius, -self.stop)))
        return np.where(self.holds(r, z), -nearest, nearest)

    def holds(self, r: Floats, z: Floats) -> NDArray[np.bool_]:
        """Which points lie inside."""
        return (z < -self.start) & (z > -self.stop) & (r < self.profile.radius_at(-z))


def to_segment(r: Floats, z: Floats, a: tuple[float, float], b: tuple[float, float]) -> Floats:
    """Distance to a straight line between two points (r, z)."""
    dr, dz = b[0] - a[0], b[1] - a[1]
    square = dr**2 + dz**2
    t = np.clip(((r - a[0]) * dr + (z - a[1]) * dz) / square, 0, 1) if square > 0 else np.zeros(np.shape(r))
    return np.hypot(r - a[0] - t * dr, z - a[1] - t * dz)


def to_arc(r: Floats, z: Floats, radius: float, start: float, stop: float) -> Floats:
    """Distance to the part of a half ball's meridian between two distances behind its foremost point."""
    low, high = (float(np.arccos(np.clip(1 - x / radius, -1, 1))) for x in (start, stop))
    angle = np.clip(np.arctan2(r, z + radius), low, high)
    return np.hypot(r - radius * np.sin(angle), z + radius - radius * np.cos(angle))
