"""Insulated shafts in the conductance network, at sub-voxel accuracy.

A long insulating cylinder of radius a in a uniform field along e disturbs it to

    phi = e_p z + (e_t . x) (1 + a^2 / r^2),      e_p and e_t the parts of e along the axis and across it,

(dipole of a cylinder without flow through its surface; Milne-Thomson's circle theorem). An edge along e is left with
the conductance that carries the flow of this field through the edge's own face, outside the shaft, at the field's own
difference between the two nodes. That is right for a shaft much thinner than a voxel, for one many voxels thick, and
between. Nodes inside the shaft take phi = e_p z + 2 e_t . x, which continues it, so the edges that reach out of a thick
shaft are right too. Near the ends of an insulated part a^2 fades out over a voxel.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from .electrodes import Insulation, along_and_across
from .grid import Grid
from .node_boxes import box_of, points_in

SAMPLES = 7
"""Points per axis on an edge's face."""
REACH = 1.5
"""Voxels from the shaft's surface beyond which an edge is left as it is."""

Floats = NDArray[np.float64]


def narrow_by_shaft(grid: Grid, shaft: Insulation, open_edge: list[NDArray[np.float32]]) -> None:
    """Multiply the shares of the edges near a shaft by what it leaves open."""
    if not shaft.spans_m:
        return
    box = box_of(grid, shaft, 2)
    for axis in range(3):
        step = np.eye(3)[axis] * grid.spacing_m[axis]
        lower = points_in(grid, box)
        near = shaft.distance_m(lower + 0.5 * step) <= REACH * max(grid.spacing_m)
        share = np.ones(near.shape)
        share[near] = open_share(grid, shaft, axis, lower[near])
        open_edge[axis][box] *= share.astype(np.float32)


def open_share(grid: Grid, shaft: Insulation, axis: int, lower: Floats) -> Floats:
    """Conductance left to edges along an axis, by the points (n, 3) in m where they start, relative to free edges."""
    step = np.eye(3)[axis] * grid.spacing_m[axis]
    ticks = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    face = np.zeros((SAMPLES**2, 3))
    across = [b for b in range(3) if b != axis]
    face[:, across] = np.asarray(list(product(ticks, repeat=2))) * np.asarray(grid.spacing_m)[across]
    points = (lower + 0.5 * step)[:, None, :] + face
    # a point's own little square is partly inside when the surface runs through it
    outside = np.clip(0.5 + shaft.distance_m(points) * SAMPLES / min(grid.spacing_m), 0, 1)
    move = 1e-3 * step
    slope = (potential(grid, shaft, axis, points + move) - potential(grid, shaft, axis, points - move)) / 2e-3
    flow = (outside * np.maximum(slope, 0)).mean(axis=1)
    return flow / (potential(grid, shaft, axis, lower + step) - potential(grid, shaft, axis, lower))


def potential(grid: Grid, shaft: Insulation, axis: int, points: Floats) -> Floats:
    """phi of a unit field along a grid axis at points (..., 3), in m; inside the shaft its continuation."""
    tip, direction = np.asarray(shaft.tip_m), np.asarray(shaft.direction)
    along, across = along_and_across(points, tip, direction)
    square = np.zeros(along.shape)
    for start, stop in shaft.spans_m:
        depth = np.minimum(-along - start, stop + along) / max(grid.spacing_m)
        square += np.clip(0.5 + depth, 0, 1) * shaft.profile.radius_at(-along) ** 2
    ratio = np.minimum(square / np.maximum(across, 1e-12) ** 2, 1)
    offset = points[..., axis] - tip[axis]
    transverse = offset - along * direction[axis]
    return offset + transverse * ratio
