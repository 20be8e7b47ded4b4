"""Links of conductors that the grid resolves (plates, tubes, spheres): every edge that their surface cuts.

An edge of conductance g0 whose free part has the fraction theta gets g0 / theta, in the edge's own 4 voxels. Gibou et
al. 2002, J Comput Phys 176:205.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode
from .grid import Grid
from .links import SHORTEST_CUT, Couplings, append_links, edge_conductance_m, voxels_round_edge
from .node_boxes import box_of, points_in
from .surfaces import contact_length_m, weighted_edges


def link_cut_edges(grid: Grid, electrode: Electrode, k: int, c: Couplings) -> None:
    """Replace every edge that the surface of a resolved electrode cuts by links from its free ends."""
    box = box_of(grid, electrode, 2)
    for axis in range(3):
        step = tuple(1 if b == axis else 0 for b in range(3))
        start = points_in(grid, box)
        along = np.asarray(step) * grid.spacing_m[axis]
        first, last = crossing_fractions(electrode, start, along)
        lower = np.moveaxis(np.indices(first.shape), 0, -1) + [s.start for s in box]
        # a node that counts as metal may lie a hair outside of it, and its edge miss the surface
        for end, fraction in ((lower, 0.0), (np.minimum(lower + step, grid.shape), 1.0)):
            grazed = np.isnan(first) & (c.metal[end[..., 0], end[..., 1], end[..., 2]] == k)
            first, last = np.where(grazed, fraction, first), np.where(grazed, fraction, last)
        cut = np.isfinite(first) & (edge_conductance_m(grid, axis, box) > 0)
        for i, theta in ((lower, first), (lower + step, 1 - last)):
            node = np.minimum(i, np.asarray(grid.shape))
            free = cut & (c.metal[node[..., 0], node[..., 1], node[..., 2]] < 0)
            whole = grid.voxel_volume_m3 / grid.spacing_m[axis] ** 2
            cells, weights = voxels_round_edge(grid, axis, lower[free])
            part = np.maximum(theta[free], SHORTEST_CUT)
            g, weights = weighted_edges(c.factors, axis, whole / part, cells, weights)
            length = None
            if c.link_length_m is not None:
                way = np.asarray(step) * (1.0 if i is lower else -1.0)
                surface = (node[free] + part[:, None] * way) * np.asarray(grid.spacing_m)
                length = contact_length_m(electrode, surface, axis, grid, g)
            append_links(c, grid, node[free], k, g, cells, weights, length)
        c.open_edge[axis][box][cut] = 0


def crossing_fractions(
    electrode: Electrode, start: NDArray[np.float64], along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the segment start + t along, t in 0..1, is inside metal: smallest and largest such t (nan: nowhere).

    The point deepest in the metal is found by sampling the distance at 9 points and refining round the smallest, the
    crossings by bisection from there; so metal thinner than the voxels is found too.
    """
    t = np.linspace(0, 1, 9)
    d = np.stack([electrode.distance_m(start + s * along) for s in t])
    lowest = np.argmin(d, axis=0)
    deepest = _refine_minimum(electrode, start, along, np.clip(lowest - 1, 0, 7) / 8, np.clip(lowest + 1, 1, 8) / 8)
    touches = electrode.distance_m(start + deepest[..., None] * along) <= 0
    first = _bisect(electrode, start, along, outside=np.zeros_like(deepest), inside=deepest)
    last = _bisect(electrode, start, along, outside=np.ones_like(deepest), inside=deepest)
    return np.where(touches, first, np.nan), np.where(touches, last, np.nan)


def _refine_minimum(
    electrode: Electrode,
    start: NDArray[np.float64],
    along: NDArray[np.float64],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
) -> NDArray[np.float64]:
    for _ in range(20):
        third = (hi - lo) / 3
        left = electrode.distance_m(start + (lo + third)[..., None] * along)
        right = electrode.distance_m(start + (hi - third)[..., None] * along)
        smaller_left = left < right
        lo, hi = np.where(smaller_left, lo, lo + third), np.where(smaller_left, hi - third, hi)
    return 0.5 * (lo + hi)


def _bisect(
    electrode: Electrode,
    start: NDArray[np.float64],
    along: NDArray[np.float64],
    outside: NDArray[np.float64],
    inside: NDArray[np.float64],
) -> NDArray[np.float64]:
    already = electrode.distance_m(start + outside[..., None] * along) <= 0
    lo, hi = outside.copy(), inside.copy()
    for _ in range(30):
        middle = 0.5 * (lo + hi)
        metal = electrode.distance_m(start + middle[..., None] * along) <= 0
        lo, hi = np.where(metal, lo, middle), np.where(metal, middle, hi)
    return np.where(already, outside, hi)
