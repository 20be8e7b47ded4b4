"""What a plane cuts of a tube: a ring across its axis, two bars along it, and everything between."""

from __future__ import annotations

import math

import numpy as np

from .report_data import DrawnTube
from .report_planes import Point

RIM_POINTS = 72
EDGE_POINTS = 73
"""Along one edge of an outline."""
FLAT = 1e-9
"""Slopes (cosines) and lengths (mm) below this are none."""

Span = tuple[float, float]


def rim_mm(tube: DrawnTube, diameter_mm: float, end: int) -> Point:
    """A circle round the axis at one end (-1 or 1), patient mm, shape (RIM_POINTS, 3)."""
    side = np.cross(tube.axis, np.eye(3)[int(np.argmin(np.abs(tube.axis)))])
    side /= np.linalg.norm(side)
    turn = np.arange(RIM_POINTS) * (math.tau / RIM_POINTS)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1) @ np.stack([side, np.cross(tube.axis, side)])
    middle = tube.centre_mm + 0.5 * end * tube.length_mm * tube.axis
    return np.asarray(middle + 0.5 * diameter_mm * circle, np.float64)


def cut_tube(tube: DrawnTube, through_mm: Point, normal: Point) -> list[tuple[Point, Point | None]]:
    """Outlines (n, 3) of the metal in the plane through a point, patient mm, each with the hole in it.

    In the plane u runs along the tube's axis and v across it. Both the distance along the tube and the height w over
    the plane through its axis are linear in u, and |v| lies between sqrt(r^2 - w^2) of bore and metal.
    """
    frame = _Frame(tube, through_mm, normal)
    outer = frame.span(0.5 * tube.outer_diameter_mm)
    if outer is None:
        return []
    above = frame.edge(0.5 * tube.outer_diameter_mm, outer)
    bore = frame.span(0.5 * tube.inner_diameter_mm) if tube.inner_diameter_mm > 0 else None
    if bore is None:
        return [(frame.points(_round(above)), None)]
    inside = frame.edge(0.5 * tube.inner_diameter_mm, bore)
    opens = bore[0] - outer[0] < FLAT, outer[1] - bore[1] < FLAT
    if all(opens):
        bar = np.concatenate([above, inside[::-1]])
        return [(frame.points(bar), None), (frame.points(_mirrored(bar)), None)]
    if not any(opens):
        return [(frame.points(_round(above)), frame.points(_round(inside)))]
    if opens[1]:
        above, inside = above[::-1], inside[::-1]
    # a horseshoe: round the outside and back along the bore
    line = np.concatenate([above, _mirrored(above)[::-1], _mirrored(inside), inside[::-1]])
    return [(frame.points(line), None)]


class _Frame:
    """Coordinates u, v in a plane through a tube."""

    def __init__(self, tube: DrawnTube, through_mm: Point, normal: Point) -> None:
        slope = float(tube.axis @ normal)
        along = tube.axis - slope * normal
        if np.linalg.norm(along) < 1e-6:
            along = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
        self.along = along / np.linalg.norm(along)
        self.across = np.cross(normal, self.along)
        upwards = np.cross(self.across, tube.axis)
        height = float((tube.centre_mm - through_mm) @ normal)
        self.origin = tube.centre_mm - height * normal
        # distance along the tube, and height over the plane through its axis, as offset + slope * u
        self.s = -height * slope, float(self.along @ tube.axis)
        self.w = -height * float(normal @ upwards), float(self.along @ upwards)
        self.half_length = 0.5 * tube.length_mm

    def span(self, radius: float) -> Span | None:
        """Where u meets the solid cylinder of a radius."""
        one, other = _within(*self.s, self.half_length), _within(*self.w, radius)
        if one is None or other is None:
            return None
        low, high = max(one[0], other[0]), min(one[1], other[1])
        return (low, high) if high - low > FLAT else None

    def edge(self, radius: float, span: Span) -> Point:
        """(u, v) along the upper edge of that cylinder's cut, crowded at its ends, where it is round."""
        u = 0.5 * (span[0] + span[1]) - 0.5 * (span[1] - span[0]) * np.cos(np.linspace(0, math.pi, EDGE_POINTS))
        w = self.w[0] + self.w[1] * u
        return np.stack([u, np.sqrt(np.maximum(radius**2 - w**2, 0))], axis=1)

    def points(self, uv: Point) -> Point:
        return np.asarray(self.origin + uv[:, :1] * self.along + uv[:, 1:] * self.across, np.float64)


def _within(offset: float, slope: float, limit: float) -> Span | None:
    """Where |offset + slope u| <= limit."""
    if abs(slope) < FLAT:
        return (-math.inf, math.inf) if abs(offset) <= limit else None
    low, high = sorted(((-limit - offset) / slope, (limit - offset) / slope))
    return low, high


def _mirrored(uv: Point) -> Point:
    return uv * np.array([1.0, -1.0])


def _round(edge: Point) -> Point:
    return np.concatenate([edge, _mirrored(edge)[::-1]])
