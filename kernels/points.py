"""The potential and |E| at any points, between the nodes.

Away from metal each component of E comes from the voxel's 4 edges along it: bilinear across, and linear along with the
slope of the neighbouring voxels of the same tissue (none across an interface, where the normal component jumps).

Within `NEAR` voxels of a conductor's surface the potential is written as phi = V + c F with F the near field that
vanishes on the surface and V the metal's potential, behind a contact resistance the tissue's mean one there (for
needles nearfield.py; otherwise the distance) and c a smooth function interpolated between the nodes. There |E| of a
needle's 1/r field is right to a few per cent at a fraction of a voxel.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Needle
from .fills import near_shape
from .problem import FieldProblem
from .sides import half_width_m, on_side, sides
from .solution import Solution

NEAR = 3.0
"""Voxels from a needle's surface within which the near field is used; NEAR_RESOLVED for other conductors."""
NEAR_RESOLVED = 2.0
FURTHEST_EXTRAPOLATION = 3
"""Voxels into the metal that the smooth factor c is continued."""


def reach_voxels(electrode: Electrode) -> float:
    return NEAR if isinstance(electrode, Needle) else NEAR_RESOLVED


def nearest_conductor(problem: FieldProblem, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """For points (..., 3) in m the index of the nearest conductor whose near field reaches there, or -1."""
    owner = np.full(points.shape[:-1], -1)
    closest = np.full(points.shape[:-1], np.inf)
    for k, electrode in enumerate(problem.electrodes):
        distance = electrode.distance_m(points)
        nearer = (distance < closest) & (distance <= reach_voxels(electrode) * max(problem.grid.spacing_m))
        owner[nearer], closest[nearer] = k, distance[nearer]
    return owner


class PointSet:
    """Points (m, in the grid) whose geometry is worked out once, to evaluate any number of pulses there.

    Inside metal the values mean nothing.
    """

    def __init__(self, problem: FieldProblem, points: NDArray[np.float64]) -> None:
        self.problem, self.grid = problem, problem.grid
        self.spacing = np.asarray(self.grid.spacing_m)
        self.shape = points.shape[:-1]
        self.points = points.reshape(-1, 3)
        owner = nearest_conductor(problem, self.points)
        self.far = np.flatnonzero(owner < 0)
        self.near: list[tuple[NDArray[np.int64], NearField]] = []
        for k, electrode in enumerate(problem.electrodes):
            for side in sides(electrode):
                index = np.flatnonzero((owner == k) & on_side(electrode, self.points, side))
                if len(index):
                    self.near.append((index, NearField(problem, k, self.points[index], side)))

    def field_v_per_m(self, solution: Solution) -> NDArray[np.float64]:
        """|E| (V/m) at the points, of their shape."""
        gradient = np.empty_like(self.points)
        far = self.points[self.far]
        gradient[self.far] = smooth_gradient(self.problem, solution.potential_v, far, solution.tissue_share)
        for index, near in self.near:
            gradient[index] = near.gradient(solution)
        return np.sqrt(np.einsum("ni,ni->n", gradient, gradient)).reshape(self.shape)

    def potential_v(self, solution: Solution) -> NDArray[np.float64]:
        """Potential (V) at the points, of their shape."""
        value = np.empty(len(self.points))
        value[self.far] = trilinear(solution.potential_v, self.points[self.far] / self.spacing)[0]
        for index, near in self.near:
            value[index] = near.value(solution)
        return value.reshape(self.shape)


def smooth_gradient(
    problem: FieldProblem,
    phi: NDArray[np.float64],
    p: NDArray[np.float64],
    share: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Edge differences, bilinear across; linear along from neighbours in the same tissue; points and result (n, 3).

    Args:
        share: of each voxel's drop along each axis in its tissue (Solution.tissue_share).
    """
    x = p / np.asarray(problem.grid.spacing_m)
    last = np.asarray(problem.grid.shape) - 1
    cell = np.clip(np.floor(x).astype(int), 0, last)
    s = x - cell
    out = np.empty_like(p)
    own = problem.tissue[tuple(cell.T)]
    for a in range(3):
        here = _edge_mean(phi, cell, s, a) * _in_tissue(share, a, cell)
        slope, sides = np.zeros(len(p)), np.zeros(len(p))
        for sign in (-1, 1):
            other = cell.copy()
            other[:, a] = np.clip(other[:, a] + sign, 0, last[a])
            same = (other[:, a] != cell[:, a]) & (problem.tissue[tuple(other.T)] == own)
            there = _edge_mean(phi, other, s, a) * _in_tissue(share, a, other)
            slope += np.where(same, sign * (there - here), 0)
            sides += same
        out[:, a] = (here + (s[:, a] - 0.5) * slope / np.maximum(sides, 1)) / problem.grid.spacing_m[a]
    return out


def _in_tissue(share: NDArray[np.float32] | None, a: int, cell: NDArray[np.int64]) -> NDArray[np.float32] | float:
    return 1.0 if share is None else share[a][tuple(cell.T)]


def _edge_mean(
    phi: NDArray[np.float64], cell: NDArray[np.int64], s: NDArray[np.float64], a: int
) -> NDArray[np.float64]:
    """Difference of phi over a voxel along axis a, bilinear between its 4 edges."""
    b, c = (d for d in range(3) if d != a)
    total = np.zeros(len(cell))
    for ub, uc in product((0, 1), repeat=2):
        low = cell.copy()
        low[:, b] += ub
        low[:, c] += uc
        high = low.copy()
        high[:, a] += 1
        weight = (s[:, b] if ub else 1 - s[:, b]) * (s[:, c] if uc else 1 - s[:, c])
        total += weight * (phi[tuple(high.T)] - phi[tuple(low.T)])
    return total


class NearField:
    """phi = V + c F round one conductor: F at the points once, c for each solution.

    c is known at the nodes outside the metal and continued a little into it.
    """

    def __init__(self, problem: FieldProblem, k: int, points: NDArray[np.float64], side: int = 0) -> None:
        """Args: points: (n, 3) in m. side: of the conductor, see sides.py."""
        self.k, self.electrode, p = k, problem.electrodes[k], points
        self.spacing = np.asarray(problem.grid.spacing_m)
        low, high = p.min(axis=0) / self.spacing, p.max(axis=0) / self.spacing
        # an outline of FURTHEST_EXTRAPOLATION nodes round the points lends values to metal nodes among them
        self.start = np.maximum(np.floor(low).astype(int) - FURTHEST_EXTRAPOLATION, 0)
        stop = np.minimum(np.ceil(high).astype(int) + FURTHEST_EXTRAPOLATION + 1, problem.grid.node_shape)
        self.box = tuple(slice(int(i), int(j)) for i, j in zip(self.start, stop, strict=True))
        axes = [np.arange(i.start, i.stop) * h for i, h in zip(self.box, self.spacing, strict=True)]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        self.shape = nodes.shape[:-1]
        self.node_shape_value = near_shape(self.electrode, nodes)
        self.known = self.electrode.distance_m(nodes) > 0.2 * self.spacing.min()
        self.known &= on_side(self.electrode, nodes, side)
        if isinstance(self.electrode, Needle):
            self.known &= self.electrode.shaft_distance_m(nodes) > 0
        self.x = p / self.spacing - self.start
        self.value_at_points = near_shape(self.electrode, p)
        self.gradient_at_points = self._shape_gradient(p)

    def _shape_gradient(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """grad F by central differences over a fiftieth of a voxel."""
        step = 0.01 * self.spacing.min()
        out = np.empty_like(p)
        for a in range(3):
            move = np.zeros(3)
            move[a] = step
            out[:, a] = (near_shape(self.electrode, p + move) - near_shape(self.electrode, p - move)) / (2 * step)
        return out

    def smooth_factor(self, solution: Solution) -> NDArray[np.float64]:
        """c at the nodes of the box."""
        known = self.known
        rise = solution.potential_v[self.box] - solution.surface_potential_v(self.k)
        c = np.where(known, rise / np.where(known, self.node_shape_value, 1), 0)
        for _ in range(FURTHEST_EXTRAPOLATION + int(np.ceil(half_width_m(self.electrode) / self.spacing.min()))):
            total, count = np.zeros_like(c), np.zeros_like(c)
            for axis, shift in product(range(3), (-1, 1)):
                total += _shifted(np.where(known, c, 0), axis, shift)
                count += _shifted(known.astype(float), axis, shift)
            new = ~known & (count > 0)
            c = np.where(new, total / np.maximum(count, 1), c)
            known = known | new
        return c

    def value(self, solution: Solution) -> NDArray[np.float64]:
        c, _ = trilinear(self.smooth_factor(solution), self.x)
        return solution.surface_potential_v(self.k) + c * self.value_at_points

    def gradient(self, solution: Solution) -> NDArray[np.float64]:
        """grad phi = F grad c + c grad F."""
        c, grad_c = trilinear(self.smooth_factor(solution), self.x)
        return grad_c / self.spacing * self.value_at_points[:, None] + c[:, None] * self.gradient_at_points


def _shifted(a: NDArray[np.float64], axis: int, shift: int) -> NDArray[np.float64]:
    """Neighbour's value, zero beyond the box."""
    out = np.zeros_like(a)
    source, target = [slice(None)] * 3, [slice(None)] * 3
    source[axis], target[axis] = (slice(1, None), slice(None, -1)) if shift < 0 else (slice(None, -1), slice(1, None))
    out[tuple(target)] = a[tuple(source)]
    return out


def trilinear(nodes: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Value (n) and gradient per node step (n, 3) of a nodal field at points x (n, 3) in node steps."""
    last = np.asarray(nodes.shape) - 1
    cell = np.clip(np.floor(x).astype(int), 0, np.maximum(last - 1, 0))
    low = cell.T
    high = np.minimum(low + 1, last[:, None])
    strides = (nodes.shape[1] * nodes.shape[2], nodes.shape[2], 1)
    flat = np.ascontiguousarray(nodes).reshape(-1)
    at = [[end[a] * strides[a] for end in (low, high)] for a in range(3)]
    v = [[[flat.take(at[0][i] + at[1][j] + at[2][k]) for k in (0, 1)] for j in (0, 1)] for i in (0, 1)]
    sx, sy, sz = (x - cell).T
    # collapsed along z, then y, then x; differences give the gradient
    z = [[v[i][j][0] + sz * (v[i][j][1] - v[i][j][0]) for j in (0, 1)] for i in (0, 1)]
    dz = [[v[i][j][1] - v[i][j][0] for j in (0, 1)] for i in (0, 1)]
    y = [z[i][0] + sy * (z[i][1] - z[i][0]) for i in (0, 1)]
    gradient = np.empty((len(x), 3))
    gradient[:, 0] = y[1] - y[0]
    gradient[:, 1] = (1 - sx) * (z[0][1] - z[0][0]) + sx * (z[1][1] - z[1][0])
    gradient[:, 2] = (1 - sx) * (dz[0][0] + sy * (dz[0][1] - dz[0][0])) + sx * (dz[1][0] + sy * (dz[1][1] - dz[1][0]))
    return y[0] + sx * (y[1] - y[0]), gradient
