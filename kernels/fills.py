"""How the mean square field of the network answers to the true one in voxels near an electrode.

Two numbers come from the near field F of the electrode alone:

* The *fill* w of a voxel: the network's q of F in it, divided by the true mean square of grad F over its tissue. Its
  conductivity is taken at q / w.
* In which of a wire leak's 8 voxels it lies: in proportion to what their edges lack of the energy of F. Spread evenly,
  much of a leak lay in voxels whose edges were right by themselves, and a needle in tissue near its threshold came out
  up to 3 % too low at 1 mm.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Needle
from .grid import Grid
from .nearfield import shape_function
from .surfaces import normals

SAMPLES = 3
"""Points per axis that measure the mean square of a voxel's near field."""
LEAST_FILL, MOST_FILL = 1e-4, 4.0
LEAST_SHARE = 1e-9
"""Of the largest energy that a voxel lacks: what keeps the shares of a leak defined whose voxels lack none."""

Floats = NDArray[np.float64]
Shares = list[NDArray[np.float32]]
"""For each axis the open share of every edge, shape grid.node_shape."""


class NearVoxels:
    """Some voxels near an electrode, and F in them.

    With axis factors k (n, 3), squares of grad F are sums of k_a times its components' squares.

    Attributes:
        cells: sorted indices, flat over the node shape. true: mean square of grad F over the part of each outside metal
            and shaft. share: how large that part is. edges: the network's mean square of grad F over its open edges.
        isotropy: the mean of |grad F|^2 over `true`.
    """

    def __init__(
        self,
        grid: Grid,
        electrode: Electrode,
        cells: NDArray[np.int64],
        open_edge: Shares,
        factors: Floats | None = None,
    ) -> None:
        self.grid, self.electrode, self.cells = grid, electrode, cells
        lower = np.stack(np.unravel_index(cells, grid.node_shape), axis=-1)
        self.true, self.share = mean_square_gradient(grid, electrode, lower, factors)
        self.edges = edge_square(grid, electrode, lower, open_edge, factors)
        self.isotropy = np.ones(len(cells))
        if factors is not None:
            plain = mean_square_gradient(grid, electrode, lower, None)[0]
            self.isotropy = np.where(self.true > 0, plain / np.where(self.true > 0, self.true, 1), 1)

    def spread(self, g_m: Floats, cell: NDArray[np.int32], weight: Floats) -> Floats:
        """Weights (n, 8) of links of conductance g_m in their voxels, from even ones."""
        lack = np.maximum(self.true * self.share - self.edges, 0)
        where = self.find(cell)
        # A negative link takes energy out, where edges have some: no mean square may turn negative. (Taken from where
        # edges have too much, one did, and Newton's method went round in circles.)
        wanted = np.where(g_m[:, None] > 0, lack[where], self.edges[where])
        shares = weight * (wanted + LEAST_SHARE * max(lack.max(), self.edges.max()))
        total = shares.sum(axis=1, keepdims=True)
        return np.where(total > 0, shares / np.where(total > 0, total, 1), weight)

    def fill(self, node: NDArray[np.int64], g_m: Floats, cell: NDArray[np.int32], weight: Floats) -> Floats:
        """Fill of each voxel with these links of the electrode, which are at flat nodes."""
        grid = self.grid
        place = np.stack(np.unravel_index(node, grid.node_shape), axis=-1).astype(np.float64)
        energy = g_m * near_shape(self.electrode, place * np.asarray(grid.spacing_m)) ** 2 / grid.voxel_volume_m3
        where = self.find(cell)
        mine = (self.cells[where] == cell) & (weight > 0)
        square = self.edges.copy()
        np.add.at(square, where[mine], (weight * energy[:, None])[mine])
        # a voxel whose leaks leave the network next to no field of its own has nothing to scale by
        known = (self.true > 0) & (square > LEAST_FILL * self.true)
        return np.minimum(np.where(known, square / np.where(known, self.true, 1), 1), MOST_FILL)

    def find(self, cell: NDArray[np.int32]) -> NDArray[np.int64]:
        """Where voxels stand among `cells`; anything for those that do not."""
        return np.minimum(np.searchsorted(self.cells, cell), len(self.cells) - 1)


def near_shape(electrode: Electrode, points: Floats) -> Floats:
    """F of any electrode at points (..., 3) in m, zero in the metal: a needle's near field, otherwise the distance."""
    if isinstance(electrode, Needle):
        return shape_function(electrode, points)
    return np.maximum(electrode.distance_m(points), 0)


def edge_square(
    grid: Grid, electrode: Electrode, lower: NDArray[np.int64], open_edge: Shares, factors: Floats | None
) -> Floats:
    """The network's mean square of grad F over the edges of voxels given by their lower nodes (n, 3)."""
    spacing = np.asarray(grid.spacing_m)
    corner = np.asarray(list(product((0, 1), repeat=3)))
    f = near_shape(electrode, (lower[:, None, :] + corner).astype(np.float64) * spacing)
    square = np.zeros(len(lower))
    for i, j in product(range(8), repeat=2):
        step = corner[j] - corner[i]
        if step.sum() == 1 and np.abs(step).sum() == 1:
            axis = int(np.argmax(step))
            start = lower + corner[i]
            share = open_edge[axis][start[:, 0], start[:, 1], start[:, 2]]
            share = share if factors is None else share * factors[:, axis]
            square += 0.25 * share * (f[:, j] - f[:, i]) ** 2 / spacing[axis] ** 2
    return square


def mean_square_gradient(
    grid: Grid, electrode: Electrode, lower: NDArray[np.int64], factors: Floats | None
) -> tuple[Floats, Floats]:
    """Mean square of grad F over the part of each voxel outside metal and shaft (0 where there is none), and the share
    of the voxel that this part is."""
    spacing = np.asarray(grid.spacing_m)
    if not isinstance(electrode, Needle):  # F is a distance
        if factors is None:
            return np.ones(len(lower)), np.ones(len(lower))
        middles: Floats = (lower.astype(np.float64) + 0.5) * spacing
        return np.sum(factors * normals(electrode, middles, grid) ** 2, axis=1), np.ones(len(lower))
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    # where the metal leaves too little of a voxel for the samples inside, the corners speak for it
    inner, corners = (np.asarray(list(product(t, repeat=3))) for t in (steps, (0.02, 0.98)))
    total, count, share = np.zeros(len(lower)), np.zeros(len(lower)), np.zeros(len(lower))
    for offsets in (inner, corners):
        left = np.flatnonzero(count == 0)
        points: Floats = (lower[left, None, :].astype(np.float64) + offsets) * spacing
        outside = (electrode.distance_m(points) > 0) & (electrode.shaft_distance_m(points) > 0)
        square = np.zeros(points.shape[:-1])
        for axis in range(3):
            move = np.zeros(3)
            move[axis] = 0.01 * spacing[axis]
            ahead, behind = shape_function(electrode, points + move), shape_function(electrode, points - move)
            part = ((ahead - behind) / (2 * move[axis])) ** 2
            square += part if factors is None else part * factors[left, axis, None]
        total[left] = np.sum(square * outside, axis=1)
        count[left] = outside.sum(axis=1)
        if offsets is inner:
            share = count / len(inner)
    return total / np.maximum(count, 1), share
