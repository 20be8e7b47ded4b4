"""What contacts, sheets and anisotropic tissue need of surfaces and edges: areas, normals, factors, crossed edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Needle
from .grid import Grid

Factors = NDArray[np.float64]
"""On the conductivity of each voxel along the axes, shape (3, nx, ny, nz)."""
Floats = NDArray[np.float64]

OUTLINE_POINTS = 2001
"""Along a needle's outline, for its surface."""
LEAST_SLANT = 0.05
"""Of the cosine between an edge and a surface's normal, where it divides; such edges carry next to nothing."""


@dataclass
class CrossedEdges:
    """Edges that cross a sheet.

    Attributes:
        low, high: flat indices of their nodes. axis: along which they lie.
        g_m: geometric conductance with the open share, m.
        cell, weight, ohm_m: of their voxels, shape (n, 8), as of links in links.Couplings; axis factors are in both.
    """

    low: NDArray[np.int32]
    high: NDArray[np.int32]
    axis: NDArray[np.int8]
    g_m: NDArray[np.float64]
    cell: NDArray[np.int32]
    weight: NDArray[np.float32]
    ohm_m: NDArray[np.float64]

    @staticmethod
    def none() -> CrossedEdges:
        """Where there are no sheets."""
        index, parts = np.zeros(0, np.int32), np.zeros((0, 8))
        axis, weight = np.zeros(0, np.int8), parts.astype(np.float32)
        return CrossedEdges(index, index, axis, np.zeros(0), parts.astype(np.int32), weight, parts)


# -- axis factors ------------------------------------------------------------------------------------------------------


def factors_at(factors: Factors | None, grid: Grid, cells: NDArray[np.int64]) -> Floats | None:
    """Factors of voxels given by flat indices over the node shape, shape (..., 3)."""
    if factors is None:
        return None
    where = np.unravel_index(cells, grid.node_shape)
    x, y, z = (np.minimum(i, n - 1) for i, n in zip(where, grid.shape, strict=True))
    return np.moveaxis(factors[:, x, y, z], 0, -1)


def edge_factor(factors: Factors, axis: int) -> Floats:
    """Mean factor of the voxels round each edge along an axis, shape of the nodes."""
    out = factors[axis]
    for b in range(3):
        if b == axis:
            out = np.pad(out, [(0, 1) if c == b else (0, 0) for c in range(3)], mode="edge")
            continue
        padded = np.pad(out, [(1, 1) if c == b else (0, 0) for c in range(3)], mode="edge")
        n = padded.shape[b] - 1
        out = 0.5 * (np.take(padded, range(n), b) + np.take(padded, range(1, n + 1), b))
    return out


def weighted_edges(
    factors: Factors | None, axis: int, g_m: Floats, cells: NDArray[np.int64], weights: NDArray[np.float32]
) -> tuple[Floats, NDArray[np.float32]]:
    """Conductances of edges along an axis, and their weights in their voxels (n, 8), given as (n, 8, 3), with
    factors."""
    if factors is None:
        return g_m, weights
    safe = np.where(weights[..., None] > 0, cells, 0)
    parts = weights * factors[axis][safe[..., 0], safe[..., 1], safe[..., 2]]
    before, after = weights.sum(axis=1), parts.sum(axis=1)
    mean = after / np.where(before > 0, before, 1)
    return g_m * mean, (parts / np.where(mean > 0, mean, 1)[:, None]).astype(np.float32)


# -- contacts ----------------------------------------------------------------------------------------------------------


def contact_length_m(electrode: Electrode, surface: Floats, axis: int, grid: Grid, g_m: Floats) -> Floats:
    """Couplings.link_length_m of links along an axis that meet a surface at points (n, 3).

    Each has its face's area times |n_a| of the surface: summed up, the surface's area.
    """
    slant = np.maximum(np.abs(normals(electrode, surface, grid)[:, axis]), LEAST_SLANT)
    return grid.voxel_volume_m3 / grid.spacing_m[axis] * slant / g_m


def wire_length_m(needle: Needle, grid: Grid, g_m: Floats, f: Floats) -> Floats:
    """Couplings.link_length_m of a needle's links, by their conductances and the near field at their nodes.

    They share its surface in proportion to their currents in the near field, so that the same drop is over the contact
    at all of them.
    """
    drawn = float(np.sum(g_m * f))
    return metal_area_m2(needle, grid) * f / drawn if drawn > 0 else np.full(len(f), np.inf)


def metal_area_m2(needle: Needle, grid: Grid) -> float:
    """Bare surface of a needle or band in the grid: its side and tip, and what faces of it no insulation covers."""
    start, stop = needle.bare_m
    for at_tip, way, far in zip(needle.tip_m, needle.direction, grid.size_m, strict=True):
        if abs(way) > 1e-12:  # the part whose axis lies between two faces
            one, other = sorted((at_tip / way, (at_tip - far) / way))
            start, stop = max(start, one), min(stop, other)
        elif not 0 <= at_tip <= far:
            return 0.0
    if stop <= start:
        return 0.0
    behind = np.linspace(start, stop, OUTLINE_POINTS)
    r = needle.profile.radius_at(behind)
    rings = np.pi * (r[1:] + r[:-1]) * np.hypot(np.diff(r), np.diff(behind))
    front = np.pi * r[0] ** 2 if needle.ahead_m <= 0 and start == 0 else 0.0
    back = np.pi * r[-1] ** 2 if needle.shaft_m <= 0 and stop == needle.bare_m[1] else 0.0
    return float(rings.sum() + front + back)


def normals(electrode: Electrode, points: Floats, grid: Grid) -> Floats:
    """Unit gradients of the distance to an electrode at points (n, 3); shape (n, 3)."""
    out = np.empty_like(points)
    for axis in range(3):
        move = np.zeros(3)
        move[axis] = 0.01 * grid.spacing_m[axis]
        out[:, axis] = (electrode.distance_m(points + move) - electrode.distance_m(points - move)) / (2 * move[axis])
    length = np.linalg.norm(out, axis=1, keepdims=True)
    # on a ridge between two surfaces there is no gradient: all directions alike
    return np.where(length > 1e-6, out / np.maximum(length, 1e-6), 1 / np.sqrt(3))
