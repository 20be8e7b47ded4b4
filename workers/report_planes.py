"""Planes through the patient: which samples of a map make a picture, which way round, and where a point falls in it.

A picture's first row is its top and its first column its left, as one sees it. Axial and coronal planes are shown as in
radiology: the patient's right is on the picture's left. Sagittal planes are seen from the patient's left: the front is
on the left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .report_data import Drawn, Result, Volume

Point = NDArray[np.float64]

OBLIQUE_DEGREES = 1.0
"""Grids turned further than this from the patient's axes are labelled with their own axes."""
_AXIS_NAMES = "xyz"
_PLANE_OF_AXIS = ("sagittal", "coronal", "axial")
_ACROSS = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
"""Normal axis -> (axis along the rows, axis along the columns) of the picture."""
_LETTERS = ("RL", "AP", "SI")


class Edges(NamedTuple):
    """Which way the patient lies at each edge of a picture."""

    left: str
    right: str
    bottom: str
    top: str


class Ruler(NamedTuple):
    """The numbers along one side of a picture: value at pixel p is start + step * p."""

    label: str
    start: float
    step: float

    def centres(self, count: int) -> NDArray[np.float64]:
        return (self.start + self.step * np.arange(count)).astype(np.float64)

    def refined(self, factor: int) -> Ruler:
        step = self.step / factor
        return Ruler(self.label, self.start + 0.5 * (step - self.step), step)

    def limits(self, count: int) -> tuple[float, float]:
        """Outer edges of the first and of the last pixel."""
        return self.start - 0.5 * self.step, self.start + self.step * (count - 0.5)


@dataclass(frozen=True)
class Plane:
    """A rectangle of pixels in patient space.

    Attributes:
        kind: 'axial', 'coronal', 'sagittal' or 'oblique'.
        place: where it lies, for a title: 'z = 12.5 mm'.
        corner_mm: patient position of the middle of the top left pixel.
        right, down: unit vectors in patient space along rows and columns.
        pixel_mm: size of a pixel along a row and along a column.
        shape: rows, columns.
        across, along: the numbers shown below the picture (left to right) and beside it (top to bottom).
        edges: letters of the patient's directions.
        section: (axis, index) of the voxel layer for a plane of the grid, None for an oblique one.
    """

    kind: str
    place: str
    corner_mm: Point
    right: Point
    down: Point
    pixel_mm: tuple[float, float]
    shape: tuple[int, int]
    across: Ruler
    along: Ruler
    edges: Edges
    section: tuple[int, int] | None = None

    @property
    def normal(self) -> Point:
        return np.cross(self.right, self.down)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in the numbers of the rulers, as imshow(origin='upper') wants them."""
        left, right = self.across.limits(self.shape[1])
        top, bottom = self.along.limits(self.shape[0])
        return left, right, bottom, top

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width, height."""
        return self.shape[1] * self.pixel_mm[0], self.shape[0] * self.pixel_mm[1]

    def refined(self, factor: int) -> Plane:
        """The same rectangle in pixels `factor` times finer; maps are interpolated in it, as in an oblique plane."""
        if factor <= 1:
            return self
        width, height = self.pixel_mm
        fine = (width / factor, height / factor)
        shift = (0.5 * (fine[0] - width), 0.5 * (fine[1] - height))
        return replace(
            self,
            corner_mm=self.corner_mm + shift[0] * self.right + shift[1] * self.down,
            pixel_mm=fine,
            shape=(self.shape[0] * factor, self.shape[1] * factor),
            across=self.across.refined(factor),
            along=self.along.refined(factor),
            section=None,
        )

    def as_seen(self, step: Point) -> Point:
        """A step in the rulers' numbers as a unit vector, to the right and up on the picture."""
        seen = step * np.array([math.copysign(1.0, self.across.step), -math.copysign(1.0, self.along.step)])
        return seen / max(float(np.linalg.norm(seen)), 1e-9)

    def project(self, points_mm: Point) -> tuple[Point, Point]:
        """Ruler coordinates (..., 2) of patient points (..., 3), and their signed distance (...) from the plane, mm."""
        offset = np.asarray(points_mm, float) - self.corner_mm
        column, row = offset @ self.right / self.pixel_mm[0], offset @ self.down / self.pixel_mm[1]
        shown = np.stack(
            [self.across.start + self.across.step * column, self.along.start + self.along.step * row], axis=-1
        )
        return shown, offset @ self.normal


def edge_letters(right: Point, up: Point) -> Edges:
    """Letters of the patient's directions at the edges; a turned grid gets all that matter, the strongest first."""
    return Edges(direction_letters(-right), direction_letters(right), direction_letters(-up), direction_letters(up))


def direction_letters(direction: Point) -> str:
    """'L' for a direction to the patient's left, 'AR' for one to the front and less to the right."""
    unit = np.asarray(direction, float) / np.linalg.norm(direction)
    strongest = sorted(range(3), key=lambda a: -abs(unit[a]))
    return "".join(_LETTERS[a][0 if unit[a] > 0 else 1] for a in strongest if abs(unit[a]) > 0.2)


def is_oblique(result: Result) -> bool:
    """Whether the grid's axes leave the patient's by more than OBLIQUE_DEGREES."""
    cosines = result.affine[:3, :3] / result.spacing_mm
    return bool(np.min(np.diag(cosines)) < math.cos(math.radians(OBLIQUE_DEGREES)))


def orthogonal_plane(result: Result, axis: int, index: int) -> Plane:
    """The voxel layer `index` along grid axis `axis`: 0 sagittal, 1 coronal, 2 axial."""
    horizontal, vertical = _ACROSS[axis]
    unit = result.affine[:3, :3] / result.spacing_mm
    last = [0.0, 0.0, 0.0]
    last[axis], last[horizontal], last[vertical] = index, result.shape[horizontal] - 1, result.shape[vertical] - 1
    right, up = -unit[:, horizontal], unit[:, vertical]
    at = grid_coordinates_mm(result)
    name = "grid " if is_oblique(result) else ""
    rulers = [Ruler(f"{name}{_AXIS_NAMES[a]} (mm)", at[a][-1], -result.spacing_mm[a]) for a in (horizontal, vertical)]
    return Plane(
        _PLANE_OF_AXIS[axis],
        f"{name}{_AXIS_NAMES[axis]} = {at[axis][index]:.1f} mm".replace("-", "\N{MINUS SIGN}"),
        result.position_mm(tuple(last)),
        right,
        -up,
        (float(result.spacing_mm[horizontal]), float(result.spacing_mm[vertical])),
        (result.shape[vertical], result.shape[horizontal]),
        rulers[0],
        rulers[1],
        edge_letters(right, up),
        (axis, index),
    )


def grid_coordinates_mm(result: Result) -> list[NDArray[np.float64]]:
    """Numbers to show along each grid axis: patient mm, or on an oblique grid mm from the grid's first voxel."""
    oblique = is_oblique(result)
    centre = result.position_mm(result.centre_index)
    steps = [np.arange(n) * h for n, h in zip(result.shape, result.spacing_mm, strict=True)]
    if oblique:
        return steps
    return [s - s[result.centre_index[a]] + centre[a] for a, s in enumerate(steps)]


def oblique_plane(
    result: Result,
    through_mm: Point,
    normal: Point,
    place: str,
    *,
    window_mm: tuple[float, float] | None = None,
    pixel_mm: float | None = None,
) -> Plane:
    """The plane through a point, turned the way a radiologist would hold the nearest of the three standard views.

    It is cut to the rectangle that holds all of the grid's cross-section, and with `window_mm` (width, height)
    to a window of that size about the target's centre, moved so that it shows as much of the grid as it can.
    """
    normal = np.asarray(normal, float) / np.linalg.norm(normal)
    nearest = int(np.argmax(np.abs(normal)))
    horizontal, vertical = _ACROSS[nearest]
    up = np.eye(3)[vertical] - normal * normal[vertical]
    up /= np.linalg.norm(up)
    right = np.cross(up, normal)
    right *= -math.copysign(1.0, right[horizontal])
    centre = result.position_mm(result.centre_index)
    origin = centre - normal * ((centre - through_mm) @ normal)
    pixel = pixel_mm or min(0.4, 0.5 * float(result.spacing_mm.min()))
    offsets = box_crossing_mm(result, origin, normal) - origin
    wanted = window_mm or (math.inf, math.inf)
    left, columns = _window(offsets @ right, wanted[0], pixel)
    low, rows = _window(offsets @ up, wanted[1], pixel)
    high = low + (rows - 1) * pixel
    return Plane(
        "oblique",
        place,
        origin + left * right + high * up,
        right,
        -up,
        (pixel, pixel),
        (rows, columns),
        Ruler("from the target's centre, in the plane (mm)", left, pixel),
        Ruler("in the plane (mm)", high, -pixel),
        edge_letters(right, up),
    )


def _window(offsets: Point, wanted_mm: float, pixel_mm: float) -> tuple[float, int]:
    """First pixel centre and number of pixels along one direction: at most `wanted_mm` about 0, within the offsets."""
    first, last = float(offsets.min()), float(offsets.max())
    length = min(wanted_mm, last - first)
    start = min(max(-0.5 * length, first), last - length)
    return start + 0.5 * pixel_mm, max(1, math.floor(length / pixel_mm + 1e-6))


def box_crossing_mm(result: Result, through_mm: Point, normal: Point) -> Point:
    """Where the plane crosses the edges of the grid's box, shape (n, 3); the box's corners when it misses the box."""
    corners = np.array(list(itertools.product(*((-0.5, n - 0.5) for n in result.shape))))
    corners = corners @ result.affine[:3, :3].T + result.affine[:3, 3]
    points = crossing_points(corners, through_mm, normal)
    return points if len(points) >= 3 else corners


def crossing_points(corners: Point, through_mm: Point, normal: Point) -> Point:
    """Crossings of a plane with the 12 edges of a box given by its corners (8, 3) in itertools.product order."""
    height = (corners - through_mm) @ normal
    points: list[Point] = []
    for a, b in itertools.combinations(range(8), 2):
        if (a ^ b).bit_count() == 1 and min(height[a], height[b]) <= 0 <= max(height[a], height[b]):
            span = height[a] - height[b]
            t = height[a] / span if span else 0.0
            points.append(corners[a] + t * (corners[b] - corners[a]))
    return np.array(points).reshape(-1, 3)


def take(result: Result, plane: Plane, volume: Volume) -> Volume:
    """The map's values in the plane, nearest voxel, row 0 at the top; shape plane.shape. Outside the grid: 0."""
    if plane.section is not None:
        axis, index = plane.section
        return np.take(volume, index, axis=axis).T[::-1, ::-1]
    # mode "constant" would lose the outer half of the outermost voxels
    nearest = map_coordinates(volume, pixel_indices(result, plane), order=0, mode="nearest")
    return np.where(inside_grid(result, plane), nearest, 0)


def inside_grid(result: Result, plane: Plane) -> NDArray[np.bool_]:
    """Which pixels lie in the grid's box."""
    if plane.section is not None:
        return np.ones(plane.shape, bool)
    index = pixel_indices(result, plane)
    limits = np.array(result.shape).reshape(3, 1, 1) - 0.5
    return np.all((index >= -0.5) & (index <= limits), axis=0)


def take_field(result: Result, plane: Plane, volume: Volume) -> NDArray[np.float64]:
    """A field's values in the plane, NaN where nothing conducts; linear between conducting voxels when oblique."""
    conducting = result.conducting
    if plane.section is not None:
        return np.where(take(result, plane, conducting), take(result, plane, volume), np.nan).astype(np.float64)
    index = pixel_indices(result, plane)
    weight = conducting.astype(np.float32)
    share = map_coordinates(weight, index, order=1, mode="nearest")
    total = map_coordinates(weight * np.nan_to_num(volume), index, order=1, mode="nearest")
    valid = (share > 0.25) & inside_grid(result, plane)
    return np.where(valid, total / np.maximum(share, 1e-6), np.nan)


def pixel_indices(result: Result, plane: Plane) -> NDArray[np.float64]:
    """Voxel index coordinates of every pixel, shape (3, rows, columns)."""
    rows, columns = plane.shape
    inverse = np.linalg.inv(result.affine[:3, :3])
    start = inverse @ (plane.corner_mm - result.affine[:3, 3])
    along_row, along_column = inverse @ plane.right * plane.pixel_mm[0], inverse @ plane.down * plane.pixel_mm[1]
    return (
        start[:, None, None]
        + along_row[:, None, None] * np.arange(columns)[None, None, :]
        + along_column[:, None, None] * np.arange(rows)[None, :, None]
    )


def electrode_plane(result: Result, window_mm: tuple[float, float] | None = None) -> Plane | None:
    """The plane in which the electrodes lie: best fit through all exposed parts, or through the pair that says most.

    None with fewer than two electrodes. Where a common plane would miss the metal by more than 1.5 mm, as with
    four needles in a square, it goes through the flattest pair that passes nearest to the target's centre.
    """
    electrodes = result.electrodes
    if len(electrodes) < 2:
        return None
    through, normal, miss = fit_plane([e.spine_mm for e in electrodes])
    names = [e.name for e in electrodes]
    if len(electrodes) > 2 and miss > 1.5:
        centre = result.position_mm(result.centre_index)
        pair = min(itertools.combinations(electrodes, 2), key=lambda p: _pair_badness(p, centre))
        names = [e.name for e in pair]
        through, normal, _ = fit_plane([e.spine_mm for e in pair])
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return oblique_plane(result, through, normal, f"plane of {listed}", window_mm=window_mm)


def fit_plane(segments: Sequence[Point]) -> tuple[Point, Point, float]:
    """Least-squares plane of segments (each (2, 3)): a point on it, its unit normal, the largest distance of an end.

    Moments are those of the segments as lines, not of their ends. When everything lies on one line
    the plane is the one nearest to vertical.
    """
    ends = np.array(segments, float)
    lengths = np.maximum(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1), 1e-9)
    middles, spans = ends.mean(axis=1), ends[:, 1] - ends[:, 0]
    centre = np.average(middles, axis=0, weights=lengths)
    offsets = middles - centre
    moments = np.einsum("s,si,sj->ij", lengths, offsets, offsets) + np.einsum("s,si,sj->ij", lengths, spans, spans) / 12
    variances, axes = np.linalg.eigh(moments)
    normal = axes[:, 0]
    if variances[1] < 1e-6 * variances[2]:
        line = axes[:, 2]
        normal = np.cross(line, np.eye(3)[2] if abs(line[2]) < 0.9 else np.eye(3)[0])
        normal /= np.linalg.norm(normal)
    return centre, normal, float(np.abs((ends - centre) @ normal).max())


def _pair_badness(pair: Sequence[Drawn], centre_mm: Point) -> tuple[float, float]:
    """Out-of-plane miss plus distance of the target's centre (to the mm), then the smaller the wider apart."""
    through, normal, miss = fit_plane([e.spine_mm for e in pair])
    apart = np.linalg.norm(pair[0].spine_mm.mean(axis=0) - pair[1].spine_mm.mean(axis=0))
    return round(miss + abs(float((centre_mm - through) @ normal))), -float(apart)
