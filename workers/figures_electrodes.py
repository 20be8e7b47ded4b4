"""Electrodes as strokes in a plane: what the plane cuts, what lies near enough to be projected, what is left out."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from .report_data import Drawn, DrawnNeedle, DrawnPlate, DrawnTube
from .report_planes import Plane, Point, crossing_points
from .tube_outlines import cut_tube, rim_mm

NEAR_MM = 15.0
"""Metal up to this far from a plane is drawn, projected and dashed."""

SEEN_ALONG = 0.95
"""Cosine between a tube's axis and the line of sight from which one looks into its bore."""

Part = Literal["exposed", "shaft", "plate", "tube"]


@dataclass(frozen=True)
class Stroke:
    """A line (n, 2) in the rulers' numbers; in_plane False means projected. A closed one is an outline, perhaps with an
    outline (m, 2) of a hole."""

    points: NDArray[np.float64]
    part: Part
    in_plane: bool
    closed: bool = False
    hole: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Sketch:
    """An electrode as it appears in one plane.

    Attributes:
        strokes: lines to draw.
        crossing: outline (n, 2) of the exposed cylinder's cut, when the plane cuts it steeply; else None.
        tip: (2,) the tip, when it is near the plane.
        label: (2,) where the name belongs.
        away: unit vector (to the right, up, as seen) along which the label moves off the metal.
    """

    name: str
    strokes: tuple[Stroke, ...]
    crossing: NDArray[np.float64] | None
    tip: NDArray[np.float64] | None
    tip_in_plane: bool
    label: NDArray[np.float64]
    away: NDArray[np.float64]


def sketch(plane: Plane, electrode: Drawn, near_mm: float = NEAR_MM) -> Sketch | None:
    """How the electrode appears in the plane, or None when it is too far away."""
    if isinstance(electrode, DrawnNeedle):
        return _sketch_needle(plane, electrode, near_mm)
    if isinstance(electrode, DrawnTube):
        return _sketch_tube(plane, electrode, near_mm)
    return _sketch_plate(plane, electrode, near_mm)


def _sketch_needle(plane: Plane, needle: DrawnNeedle, near_mm: float) -> Sketch | None:
    reach = max(0.5 * needle.diameter_mm, 0.5 * min(plane.pixel_mm), 0.6)
    strokes = _strokes(plane, needle, needle.from_mm, needle.to_mm, "exposed", reach, near_mm)
    for start, stop in needle.spans_mm:
        strokes += _strokes(plane, needle, start, stop, "shaft", reach, near_mm)
    crossing = _needle_crossing(plane, needle)
    exposed = [s for s in strokes if s.part == "exposed"]
    if not exposed and crossing is None:
        return None
    shown, distance = plane.project(needle.spine_mm[0])
    rear, _ = plane.project(needle.spine_mm[1])
    drift = rear - shown
    length = float(np.hypot(*drift))
    steep = length < 0.35 * needle.exposed_mm
    if crossing is not None:
        label, away = crossing.mean(axis=0), np.array([1.0, 1.0]) / math.sqrt(2)
    elif steep:
        label, away = shown, np.array([1.0, 1.0]) / math.sqrt(2)
    else:
        label, away = exposed[-1].points[-1], plane.as_seen(drift)
    # a band behind the tip has none to mark
    tip_shown = needle.from_mm == 0 and abs(distance) <= near_mm and (crossing is None or abs(distance) <= reach)
    return Sketch(
        needle.name,
        tuple(strokes),
        crossing,
        shown if tip_shown else None,
        bool(abs(distance) <= reach),
        label,
        away,
    )


def _strokes(
    plane: Plane, needle: DrawnNeedle, start_mm: float, stop_mm: float, part: Part, reach_mm: float, near_mm: float
) -> list[Stroke]:
    """Runs of the needle's axis between two distances behind the tip, split by how far they are from the plane."""
    if stop_mm <= start_mm:
        return []
    count = max(2, math.ceil((stop_mm - start_mm) / 0.25) + 1)
    points = needle.tip_mm - np.linspace(start_mm, stop_mm, count)[:, None] * needle.direction
    shown, distance = plane.project(points)
    rank = np.where(np.abs(distance) <= reach_mm, 0, np.where(np.abs(distance) <= near_mm, 1, 2))
    cuts = [0, *(np.flatnonzero(np.diff(rank)) + 1), count]
    strokes = []
    for first, last in itertools.pairwise(cuts):
        if rank[first] < 2:
            run = shown[first : min(last + 1, count)]
            strokes.append(Stroke(run, part, bool(rank[first] == 0)))
    return strokes


def _needle_crossing(plane: Plane, needle: DrawnNeedle) -> NDArray[np.float64] | None:
    """Ellipse in which the plane cuts the exposed cylinder, for cuts steeper than 30 degrees."""
    slope = float(needle.direction @ plane.normal)
    if abs(slope) < 0.5:
        return None
    _, distance = plane.project(needle.tip_mm)
    behind = float(distance) / slope
    radius = needle.radius_mm(behind) if needle.from_mm <= behind <= needle.to_mm else 0.0
    if radius <= 0:
        return None
    middle = needle.tip_mm - behind * needle.direction
    side = np.cross(needle.direction, np.eye(3)[int(np.argmin(np.abs(needle.direction)))])
    side /= np.linalg.norm(side)
    other = np.cross(needle.direction, side)
    angle = [i * math.tau / 48 for i in range(48)]
    circle = np.array([[math.cos(a), math.sin(a)] for a in angle])
    rim = middle + radius * (circle @ np.stack([side, other]))
    along = (rim - middle) @ plane.normal / slope
    return plane.project(np.asarray(rim - along[:, None] * needle.direction, np.float64))[0]


def _sketch_plate(plane: Plane, plate: DrawnPlate, near_mm: float) -> Sketch | None:
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
    corners = plate.centre_mm + (0.5 * signs * plate.size_mm) @ plate.axes
    cut = crossing_points(corners, plane.corner_mm, plane.normal)
    shown, distance = plane.project(corners)
    in_plane = len(cut) >= 3
    if not in_plane and np.abs(distance).min() > near_mm:
        return None
    outline = _hull(plane.project(cut)[0]) if in_plane else _hull(shown)
    middle = outline.mean(axis=0)
    farthest = outline[int(np.argmax(np.linalg.norm(outline - middle, axis=1)))]
    away = plane.as_seen(farthest - middle)
    return Sketch(plate.name, (Stroke(outline, "plate", in_plane, closed=True),), None, None, False, farthest, away)


def _sketch_tube(plane: Plane, tube: DrawnTube, near_mm: float) -> Sketch | None:
    cuts = cut_tube(tube, plane.corner_mm, plane.normal)
    if cuts:
        strokes = [
            Stroke(plane.project(line)[0], "tube", True, True, None if hole is None else plane.project(hole)[0])
            for line, hole in cuts
        ]
    else:
        rims = np.concatenate([rim_mm(tube, tube.outer_diameter_mm, end) for end in (-1, 1)])
        shown, distance = plane.project(rims)
        if np.abs(distance).min() > near_mm:
            return None
        bore = None
        if tube.inner_diameter_mm > 0 and abs(tube.axis @ plane.normal) > SEEN_ALONG:
            bore = plane.project(rim_mm(tube, tube.inner_diameter_mm, 1))[0]
        strokes = [Stroke(_hull(shown), "tube", False, True, bore)]
    points = np.concatenate([stroke.points for stroke in strokes])
    middle = points.mean(axis=0)
    label = _farthest_in_view(plane, points, middle)
    return Sketch(tube.name, tuple(strokes), None, None, False, label, plane.as_seen(label - middle))


def _farthest_in_view(plane: Plane, points: Point, middle: Point) -> Point:
    """Of the points (n, 2) in the picture, or of all when none is, the one farthest from the middle."""
    left, right, bottom, top = plane.extent
    low, high = np.minimum([left, bottom], [right, top]), np.maximum([left, bottom], [right, top])
    inside = points[np.all((points >= low) & (points <= high), axis=1)]
    seen = inside if len(inside) else points
    return seen[int(np.argmax(np.linalg.norm(seen - middle, axis=1)))]


def _hull(points: Point) -> Point:
    """Convex outline of points (n, 2) in order; the points themselves when they span no area."""
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points
