"""Whether the network's matrix is positive definite although some of its links are negative.

A wire leak is negative where the near field is steeper than the grid can follow: beside nodes that lie on the metal, at
the edges of tips, between needles that are nearer than their reaches. Without any, each voxel's energy is convex, and
so is their sum. With some it is shown anew for each solution, at its own conductivities.

The matrix with conductivities held fixed is a sum of squares: g (x_i - x_j)^2 over edges, g (x_i - u_k)^2 over links.
The nodes that have links to electrode k, with the edges among them and their links to k, are its *patch*; all driven
electrodes share one, where u = 0, and an edge in several patches is shared out among them. What is in no patch is
positive. So the whole is positive definite if every patch is.

A patch's matrix A has no positive entry off its diagonal, so it is positive definite if some vector v > 0 has A v > 0
(Berman and Plemmons, Nonnegative Matrices in the Mathematical Sciences, ch. 6, condition I27). Whatever v is tried, the
multiplication tells. Tried are the steps of Jacobi's iteration for A v = D 1, D the diagonal: v' = D^-1 N v + 1 with
A = D - N. Since A v = D (1 + v - v'), a v will do as soon as no entry rises by 1 in its step.

Newton's matrix adds a positive term for each voxel whose conductivity rises with the field. Laws that fall are not
covered.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .links import Couplings
from .problem import FieldProblem

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

LEAST_EXCESS = 1e-6
"""Of the diagonal, asked of A v: far above rounding."""
MOST_SWEEPS = 500
"""Of Jacobi's iteration; a dozen will do where leaks are mostly positive."""


def shown_definite(problem: FieldProblem, c: Couplings, sigma: Floats, link_s: Floats) -> bool:
    """Whether Newton's matrix is shown to be positive definite, nodes that nothing conducts to left out.

    Args:
        sigma: conductivity of each voxel (S/m). link_s: conductance of each link (S) at it.

    Returns:
        False where it is not shown: it may be definite all the same.
    """
    if not np.any(link_s < 0):
        return True
    if any(law.permeabilised_s_per_m < law.baseline_s_per_m for law in problem.laws):
        return False
    patches = [Patch(problem.grid, c, link_s, own) for own in link_groups(problem, c, link_s)]
    edges, uses = np.unique(np.concatenate([patch.edge for patch in patches]), return_counts=True)
    return all(patch.shown(problem, c, sigma, uses[np.searchsorted(edges, patch.edge)]) for patch in patches)


def link_groups(problem: FieldProblem, c: Couplings, link_s: Floats) -> Iterator[Index]:
    """Links of the driven electrodes together, and of each floating one, where any of them is negative."""
    floating = np.asarray([v is None for v in problem.potentials_v])
    for own in (~floating[c.link_electrode], *(c.link_electrode == k for k in np.flatnonzero(floating))):
        if np.any(link_s[own] < 0):
            yield np.flatnonzero(own)


class Patch:
    """Some links, their nodes and the edges among these.

    Attributes:
        node: flat indices, sorted. link_s: sum of its links' conductances at each node (S).
        edge: 3 x flat index of the lower node + axis. low, high: their ends, as positions among the nodes.
    """

    def __init__(self, grid: Grid, c: Couplings, link_s: Floats, own: Index) -> None:
        self.node, place = np.unique(c.link_node[own].astype(np.int64), return_inverse=True)
        self.link_s = np.bincount(place, weights=link_s[own], minlength=len(self.node))
        where = np.stack(np.unravel_index(self.node, grid.node_shape))
        edges, low, high = [], [], []
        for axis in range(3):
            stride = int(np.prod(grid.node_shape[axis + 1 :], dtype=int))
            at = np.minimum(np.searchsorted(self.node, self.node + stride), len(self.node) - 1)
            i = np.flatnonzero((self.node[at] == self.node + stride) & (where[axis] < grid.shape[axis]))
            edges.append(3 * self.node[i] + axis)
            low.append(i)
            high.append(at[i])
        self.edge, self.low, self.high = (np.concatenate(part) for part in (edges, low, high))

    def shown(self, problem: FieldProblem, c: Couplings, sigma: Floats, uses: NDArray[np.int64]) -> bool:
        """Whether its matrix is shown to be definite; `uses`: how many patches share each edge."""
        g = edge_s(problem, c, sigma, self.edge) / uses
        size = len(self.node)
        diagonal = self.link_s + np.bincount(self.low, g, size) + np.bincount(self.high, g, size)
        # a row of nothing: all in air
        live = (diagonal != 0) | (self.link_s != 0)
        if not np.all(diagonal[live] > 0):
            return False
        inverse = np.where(live, 1 / np.where(live, diagonal, 1), 0)
        to_low, to_high = g * inverse[self.low], g * inverse[self.high]
        v = np.ones(size)
        for _ in range(MOST_SWEEPS):
            near = np.bincount(self.low, to_low * v[self.high], size)
            near += np.bincount(self.high, to_high * v[self.low], size)
            rise, v = near + 1 - v, near + 1
            if np.max(rise) < 1 - LEAST_EXCESS:
                return True
        return False


def edge_s(problem: FieldProblem, c: Couplings, sigma: Floats, edge: Index) -> Floats:
    """Conductances (S) of some edges: the mean of the 4 voxels round each, those outside the grid counting as zero."""
    grid, out = problem.grid, np.zeros(len(edge))
    lower = np.stack(np.unravel_index(edge // 3, grid.node_shape), axis=-1)
    last = np.asarray(grid.shape) - 1
    for axis in range(3):
        own = edge % 3 == axis
        i, b, d = lower[own], *(a for a in range(3) if a != axis)
        total = np.zeros(len(i))
        for back in ((0, 0), (0, 1), (1, 0), (1, 1)):
            cell = i.copy()
            cell[:, b] -= back[0]
            cell[:, d] -= back[1]
            inside = np.all((cell >= 0) & (cell <= last), axis=1)
            x, y, z = np.clip(cell, 0, last).T
            total += inside * sigma[x, y, z] * factor(problem, axis, cell)
        x, y, z = lower[own].T
        whole = grid.voxel_volume_m3 / grid.spacing_m[axis] ** 2
        out[own] = 0.25 * whole * total * c.open_edge[axis][x, y, z]
    return out


def factor(problem: FieldProblem, axis: int, cell: Index) -> Floats | float:
    """Axis factors of voxels (n, 3); anything outside the grid."""
    if problem.axis_factors is None:
        return 1.0
    x, y, z = (np.clip(i, 0, n - 1) for i, n in zip(cell.T, problem.grid.shape, strict=True))
    return np.asarray(problem.axis_factors)[:, axis][problem.tissue[x, y, z]]
