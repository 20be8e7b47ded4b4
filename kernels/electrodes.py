"""Electrode shapes as the kernels see them: exact geometry in metres in the grid's local frame, never voxelised.

Every conductor gives the signed distance to its surface (negative inside the metal). A needle also names its insulated
shaft, where no current enters, and the thin-wire near field used by `coupling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .profiles import Profile, Solid, TipShape

Points = NDArray[np.float64]
"""Points in metres, shape (..., 3)."""
Vector = tuple[float, float, float]


class Electrode(Protocol):
    """A conductor at one potential."""

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        """Signed distance (m) to the metal's surface, negative inside; shape (...)."""
        ...

    def bounds_m(self) -> tuple[Vector, Vector]:
        """Corners (m) of an axis-aligned box that holds metal and insulated shaft."""
        ...


@dataclass(frozen=True)
class Insulation:
    """The insulated parts of one shaft: distances behind the tip between which no current enters.

    Attributes:
        tip_m, direction: as of the needle. profile: of the shaft, in metres. spans_m: (from, to) of each part.
    """

    tip_m: Vector
    direction: Vector
    profile: Profile
    spans_m: tuple[tuple[float, float], ...]

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        """Signed distance (m) to the insulation; +inf everywhere when there is none."""
        nearest = np.full(points.shape[:-1], np.inf)
        if not self.spans_m:
            return nearest
        along, across = along_and_across(points, np.asarray(self.tip_m), np.asarray(self.direction))
        for start, stop in self.spans_m:
            np.minimum(nearest, Solid(self.profile, start, stop).distance(across, along), out=nearest)
        return nearest

    def bounds_m(self) -> tuple[Vector, Vector]:
        """Corners (m) of an axis-aligned box that holds it."""
        span = np.asarray([self.spans_m[0][0], self.spans_m[-1][1]])
        return cylinder_bounds(np.asarray(self.tip_m), np.asarray(self.direction), self.profile.radius, span)


@dataclass(frozen=True)
class Needle:
    """A straight needle of one diameter, or one bare band of such a needle.

    From the tip backwards: insulation over `ahead_m`, bare metal over `exposed_m`, insulation over `shaft_m`. The back
    end is flat.

    Attributes:
        tip_m: foremost point; of a flat tip the middle of its face.
        direction: unit vector from the shaft towards the tip (the way it was pushed in).
        radius_m: of metal and shaft alike.
        tip, cone_m: shape of the tip, and the length of a conical one.
        others_m: bare bands of other electrodes on the same shaft, (from, to) in metres behind the tip.
        medium: factors on the conductivity along the axes of the tissue round it, for its near field; None if
            isotropic.
    """

    tip_m: Vector
    direction: Vector
    radius_m: float
    exposed_m: float
    shaft_m: float = 0.0
    tip: TipShape = "flat"
    cone_m: float = 0.0
    ahead_m: float = 0.0
    others_m: tuple[tuple[float, float], ...] = ()
    medium: Vector | None = None

    @property
    def profile(self) -> Profile:
        """Radius against the distance behind the tip, metres."""
        return Profile(self.radius_m, self.tip, self.cone_m)

    @property
    def bare_m(self) -> tuple[float, float]:
        """Where bare metal begins and ends, behind the tip."""
        return self.ahead_m, self.ahead_m + self.exposed_m

    @property
    def length_m(self) -> float:
        """Of metal and insulation together."""
        return self.ahead_m + self.exposed_m + self.shaft_m

    @property
    def centre_m(self) -> NDArray[np.float64]:
        """Middle of the exposed part's axis."""
        return np.asarray(self.tip_m) - (self.ahead_m + 0.5 * self.exposed_m) * np.asarray(self.direction)

    @property
    def insulation(self) -> Insulation:
        """All of the shaft that is bare metal of no electrode."""
        return self._insulation_between([self.bare_m, *self.others_m])

    @property
    def insulation_alone(self) -> Insulation:
        """All of the shaft but this electrode's own metal."""
        return self._insulation_between([self.bare_m])

    def _insulation_between(self, bare: list[tuple[float, float]]) -> Insulation:
        spans: list[tuple[float, float]] = []
        at = 0.0
        # rounded to far below what matters, so that the bands of a shaft agree on its insulation
        for start, stop in sorted((round(a, 12), round(b, 12)) for a, b in bare):
            if start > at:
                spans.append((at, start))
            at = max(at, stop)
        if round(self.length_m, 12) > at:
            spans.append((at, round(self.length_m, 12)))
        return Insulation(self.tip_m, self.direction, self.profile, tuple(spans))

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        along, across = along_and_across(points, np.asarray(self.tip_m), np.asarray(self.direction))
        return Solid(self.profile, *self.bare_m).distance(across, along)

    def distance_chebyshev_m(self, points: Points) -> NDArray[np.float64]:
        """Larger of the radial and the axial distance (m) to the metal: a cylinder's shape at every level."""
        along, across = along_and_across(points, self.centre_m, np.asarray(self.direction))
        return np.maximum(across - self.radius_m, np.abs(along) - 0.5 * self.exposed_m)

    def shaft_distance_m(self, points: Points) -> NDArray[np.float64]:
        """Signed distance (m) to the insulated shaft; +inf everywhere when there is none."""
        return self.insulation.distance_m(points)

    def bounds_m(self) -> tuple[Vector, Vector]:
        span = np.asarray([0, self.length_m])
        return cylinder_bounds(np.asarray(self.tip_m), np.asarray(self.direction), self.radius_m, span)


@dataclass(frozen=True)
class Plate:
    """A rectangular block of metal.

    Attributes:
        centre_m: middle of the block.
        axes: three orthonormal vectors; size_m is measured along them (by convention width, height, thickness).
    """

    centre_m: Vector
    axes: tuple[Vector, Vector, Vector]
    size_m: Vector

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        local = np.abs((points - np.asarray(self.centre_m)) @ np.asarray(self.axes).T) - 0.5 * np.asarray(self.size_m)
        outside = np.linalg.norm(np.maximum(local, 0), axis=-1)
        return outside + np.minimum(local.max(axis=-1), 0)

    def bounds_m(self) -> tuple[Vector, Vector]:
        reach = 0.5 * np.abs(np.asarray(self.axes)).T @ np.asarray(self.size_m)
        centre = np.asarray(self.centre_m)
        return as_vector(centre - reach), as_vector(centre + reach)


@dataclass(frozen=True)
class Tube:
    """A cylinder with flat ends, bare all round: a solid rod, or hollow with an open bore.

    Attributes:
        centre_m: middle of the axis.
        axis: unit vector.
        inner_radius_m: of the bore; 0 for a solid rod.
        outer_radius_m: of the metal.
        length_m: from end to end.
    """

    centre_m: Vector
    axis: Vector
    inner_radius_m: float
    outer_radius_m: float
    length_m: float

    @property
    def hollow(self) -> bool:
        return self.inner_radius_m > 0

    @property
    def wall_m(self) -> float:
        """Thickness of the wall; a solid rod's diameter."""
        return self.outer_radius_m - self.inner_radius_m if self.hollow else 2 * self.outer_radius_m

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        along, across = along_and_across(points, np.asarray(self.centre_m), np.asarray(self.axis))
        # the wall is a rectangle in the meridian plane, and the nearest point of the metal lies in that plane
        middle = 0.5 * (self.inner_radius_m + self.outer_radius_m) if self.hollow else 0.0
        radial, axial = np.abs(across - middle) - 0.5 * self.wall_m, np.abs(along) - 0.5 * self.length_m
        outside = np.hypot(np.maximum(radial, 0), np.maximum(axial, 0))
        return outside + np.minimum(np.maximum(radial, axial), 0)

    def bounds_m(self) -> tuple[Vector, Vector]:
        axis, centre = np.asarray(self.axis), np.asarray(self.centre_m)
        reach = 0.5 * self.length_m * np.abs(axis) + self.outer_radius_m * np.sqrt(np.maximum(1 - axis**2, 0))
        return as_vector(centre - reach), as_vector(centre + reach)


@dataclass(frozen=True)
class Rod:
    """An endless round bar; `hollow` makes it everything outside the radius instead (the outer conductor of a
    coaxial)."""

    point_m: Vector
    axis: Vector
    radius_m: float
    hollow: bool = False

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        r = along_and_across(points, np.asarray(self.point_m), np.asarray(self.axis))[1]
        return self.radius_m - r if self.hollow else r - self.radius_m

    def bounds_m(self) -> tuple[Vector, Vector]:
        across = np.inf if self.hollow else self.radius_m
        reach = np.where(np.abs(np.asarray(self.axis)) > 1e-9, np.inf, across)
        return as_vector(np.asarray(self.point_m) - reach), as_vector(np.asarray(self.point_m) + reach)


@dataclass(frozen=True)
class Ball:
    """A sphere of metal; `hollow` makes it everything outside the radius instead."""

    centre_m: Vector
    radius_m: float
    hollow: bool = False

    def distance_m(self, points: Points) -> NDArray[np.float64]:
        r = np.linalg.norm(points - np.asarray(self.centre_m), axis=-1)
        return self.radius_m - r if self.hollow else r - self.radius_m

    def bounds_m(self) -> tuple[Vector, Vector]:
        reach = np.inf if self.hollow else self.radius_m
        return as_vector(np.asarray(self.centre_m) - reach), as_vector(np.asarray(self.centre_m) + reach)


def cylinder_bounds(
    tip: NDArray[np.float64], axis: NDArray[np.float64], radius_m: float, span_m: NDArray[np.float64]
) -> tuple[Vector, Vector]:
    """Corners of the box round a cylinder between two distances (2,) behind a tip, against a unit axis."""
    ends = tip - span_m[:, None] * axis
    rim = radius_m * np.sqrt(np.maximum(1 - axis**2, 0))
    return as_vector(ends.min(axis=0) - rim), as_vector(ends.max(axis=0) + rim)


def along_and_across(
    points: Points, origin: NDArray[np.float64], axis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinate along a unit axis through `origin`, and distance from it (m); shape (...)."""
    # one coordinate after the other: several times faster than norms over a last axis of three
    x, y, z = (points[..., i] - origin[i] for i in range(3))
    along = x * axis[0] + y * axis[1] + z * axis[2]
    square = (x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (z - along * axis[2]) ** 2
    return along, np.sqrt(square)


def as_vector(a: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in a)
    return (x, y, z)
