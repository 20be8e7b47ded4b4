"""|E| between the nodes: point values, and volume-weighted samples of the tissue for coverage measures.

Away from metal each component of E comes from the voxel's 4 edges along it: bilinear across, and linear along with the
slope of the neighbouring voxels of the same tissue (none across an interface, where the normal component jumps).

Within `NEAR` voxels of a conductor's surface the potential is written as phi = V + c F with F the near field that
vanishes on the surface (for needles nearfield.py; otherwise the distance) and c a smooth function
interpolated between the nodes. There |E| of a needle's 1/r field is right to a few per cent at a fraction of a voxel.

Samples: 2 x 2 x 2 points per voxel, 4 x 4 x 4 in voxels near conductors and shafts, those inside metal or
insulation left
out. Each sample knows how much |E| varies over its own little box, so that volumes above a threshold vary smoothly.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from numpy.typing import NDArray

from .coupling import near_shape
from .electrodes import Electrode, Needle
from .grid import Grid
from .problem import FieldProblem
from .sides import half_width_m, on_side, sides
from .solution import Solution

NEAR = 3.0
"""Voxels from a needle's surface within which the near field is used; NEAR_RESOLVED for other conductors."""
NEAR_RESOLVED = 2.0
NEAR_POINTS = 4
"""Points per axis in a voxel near a conductor."""
FURTHEST_EXTRAPOLATION = 3
"""Voxels into the metal that the smooth factor c is continued."""


@dataclass(frozen=True)
class FieldSamples:
    """Volume-weighted points in tissue; all arrays of one length.

    Attributes:
        voxel: flat C-order index of the voxel.
        field_v_per_m: largest |E| over the pulses.
        spread_v_per_m: half of the variation of |E| over the sample's own box.
        volume_m3: tissue volume that the sample stands for.
    """

    voxel: NDArray[np.int32]
    field_v_per_m: NDArray[np.float32]
    spread_v_per_m: NDArray[np.float32]
    volume_m3: NDArray[np.float32]


def sample_field(problems: Sequence[FieldProblem], solutions: Sequence[Solution]) -> FieldSamples:
    """Samples of the largest |E| over several pulses through the same anatomy and electrodes."""
    return SampleGeometry(problems[0]).samples(solutions)


class SampleGeometry:
    """Where a problem's samples lie, worked out once, for any number of solutions with the same tissue and electrodes.

    About 150 bytes for each sample near a conductor are kept.
    """

    def __init__(self, problem: FieldProblem) -> None:
        self.problem, grid = problem, problem.grid
        near = near_voxels(problem)
        self.regular = np.flatnonzero((problem.conducts & ~near).reshape(-1))
        self.near = NearSamples(problem, near & problem.conducts)
        self.voxel = np.concatenate([np.tile(self.regular.astype(np.int32), 8), self.near.voxel])
        eighth = np.full(8 * len(self.regular), grid.voxel_volume_m3 / 8, np.float32)
        self.volume_m3 = np.concatenate([eighth, self.near.volume_m3])

    def fits(self, problem: FieldProblem) -> bool:
        """Whether another problem has its samples at the same places."""
        mine = self.problem
        return (
            mine.grid == problem.grid
            and mine.electrodes == problem.electrodes
            and np.array_equal(mine.tissue, problem.tissue)
            and [law.insulating for law in mine.laws] == [law.insulating for law in problem.laws]
        )

    def samples(self, solutions: Sequence[Solution]) -> FieldSamples:
        """Samples of the largest |E| over the solutions."""
        fields = functools.reduce(np.maximum, (regular_field(self.problem, s)[:, self.regular] for s in solutions))
        near_field, near_spread = self.near.field_and_spread(solutions)
        return FieldSamples(
            voxel=self.voxel,
            field_v_per_m=np.concatenate([fields.reshape(-1), near_field]),
            spread_v_per_m=np.concatenate([np.tile(regular_spread(fields), 8), near_spread]),
            volume_m3=self.volume_m3,
        )


# -- voxels away from conductors ---------------------------------------------------------------------------------------


def regular_field(problem: FieldProblem, solution: Solution) -> NDArray[np.float32]:
    """|E| at the 8 points a quarter of the way into each voxel, shape (8, voxels), V/m."""
    spacing = jnp.asarray(problem.grid.spacing_m, jnp.float32)
    potential = (solution.potential_v - np.mean(solution.electrode_potentials_v)).astype(np.float32)
    return np.asarray(_eight_fields(jnp.asarray(potential), jnp.asarray(problem.tissue), spacing))


@jax.jit
def _eight_fields(
    phi: Float[Array, "nx1 ny1 nz1"], tissue: UInt8[Array, "nx ny nz"], spacing: Float[Array, "3"]
) -> Float[Array, "8 voxels"]:
    edges = [jnp.diff(phi, axis=a) / spacing[a] for a in range(3)]
    squares: list[Array] = [jnp.zeros(tissue.shape, phi.dtype) for _ in range(8)]
    for a in range(3):
        slope = _slope_along(edges[a], tissue, a)
        for i, (sx, sy, sz) in enumerate(product((0, 1), repeat=3)):
            side = (sx, sy, sz)
            e = edges[a]
            for b in range(3):
                if b != a:
                    near, far = (0.75, 0.25) if side[b] == 0 else (0.25, 0.75)
                    e = near * _cut(e, b, None, -1) + far * _cut(e, b, 1, None)
            e = e + (side[a] - 0.5) * 0.5 * slope
            squares[i] = squares[i] + e * e
    return jnp.sqrt(jnp.stack(squares)).reshape(8, -1)


def _slope_along(edges: Array, tissue: Array, axis: int) -> Array:
    """Change per voxel of the component along an axis, from the neighbours of the same tissue."""
    mean = edges
    for b in range(3):
        if b != axis:
            mean = 0.5 * (_cut(mean, b, None, -1) + _cut(mean, b, 1, None))
    change = _cut(mean, axis, 1, None) - _cut(mean, axis, None, -1)
    same = _cut(tissue, axis, 1, None) == _cut(tissue, axis, None, -1)
    change = jnp.where(same, change, 0)
    ends = [(1, 1) if b == axis else (0, 0) for b in range(3)]
    change, same = jnp.pad(change, ends), jnp.pad(same, ends).astype(mean.dtype)
    sides = _cut(same, axis, None, -1) + _cut(same, axis, 1, None)
    return (_cut(change, axis, None, -1) + _cut(change, axis, 1, None)) / jnp.maximum(sides, 1)


def _cut(a: Array, axis: int, start: int | None, stop: int | None) -> Array:
    return a[tuple(slice(start, stop) if b == axis else slice(None) for b in range(3))]


def regular_spread(fields: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the variation of |E| over one of the 8 boxes of a voxel, from the differences between its 8 points.

    A linear function over a cube has the variance of a uniform one of half width |gradient| h / 4.
    """
    cube = fields.reshape(2, 2, 2, -1)
    square = np.zeros(cube.shape[-1], np.float32)
    for axis in range(3):
        # two sample points along an axis are half a voxel apart: twice the half width of a sample's box
        square += (0.5 * np.diff(cube, axis=axis).mean(axis=(0, 1, 2))) ** 2
    return np.sqrt(square)


# -- voxels near conductors --------------------------------------------------------------------------------------------


def near_voxels(problem: FieldProblem) -> NDArray[np.bool_]:
    """Voxels whose centre lies within reach of a conductor or shaft."""
    grid = problem.grid
    near = np.zeros(grid.shape, bool)
    h = max(grid.spacing_m)
    for electrode in problem.electrodes:
        reach = reach_voxels(electrode)
        box, centres = voxel_box(grid, electrode, reach + 1)
        distance = electrode.distance_m(centres)
        if isinstance(electrode, Needle):
            distance = np.minimum(distance, electrode.shaft_distance_m(centres) + (reach - NEAR_RESOLVED) * h)
        near[box] |= distance <= reach * h
    return near


def reach_voxels(electrode: Electrode) -> float:
    return NEAR if isinstance(electrode, Needle) else NEAR_RESOLVED


def voxel_box(
    grid: Grid, electrode: Electrode, margin: float
) -> tuple[tuple[slice, slice, slice], NDArray[np.float64]]:
    """Voxels within `margin` voxels of an electrode's bounding box, and their centres (m)."""
    low, high = electrode.bounds_m()
    slices, axes = [], []
    for lo, hi, h, n in zip(low, high, grid.spacing_m, grid.shape, strict=True):
        start = int(np.clip(np.floor(lo / h - margin), 0, n))
        stop = max(int(np.clip(np.ceil(hi / h + margin), 0, n)), start)
        slices.append(slice(start, stop))
        axes.append((np.arange(start, stop) + 0.5) * h)
    return (slices[0], slices[1], slices[2]), np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


class NearSamples:
    """NEAR_POINTS^3 samples in each chosen voxel, without those in metal or insulation."""

    def __init__(self, problem: FieldProblem, chosen: NDArray[np.bool_]) -> None:
        grid, n = problem.grid, NEAR_POINTS
        voxel = np.argwhere(chosen)
        steps = (np.arange(n) + 0.5) / n
        offsets = np.asarray(list(product(steps, repeat=3)))
        points = (voxel[:, None, :].astype(np.float64) + offsets) * np.asarray(grid.spacing_m)
        self.points = PointSet(problem, points)
        self.outside = np.ones(points.shape[:-1], bool)
        for electrode in problem.electrodes:
            self.outside &= electrode.distance_m(points) > 0
            if isinstance(electrode, Needle):
                self.outside &= electrode.shaft_distance_m(points) > 0
        flat = np.ravel_multi_index((voxel[:, 0], voxel[:, 1], voxel[:, 2]), grid.shape).astype(np.int32)
        self.voxel = np.repeat(flat, n**3).reshape(self.outside.shape)[self.outside]
        self.volume_m3 = np.full(len(self.voxel), grid.voxel_volume_m3 / n**3, np.float32)

    def field_and_spread(self, solutions: Sequence[Solution]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Largest |E| over the solutions at the samples, and half of its variation over a sample's box (V/m)."""
        n = NEAR_POINTS
        fields = functools.reduce(np.maximum, (self.points.field_v_per_m(s) for s in solutions)).astype(np.float32)
        cube = fields.reshape(-1, n, n, n)
        square = np.zeros_like(cube)
        for axis in (1, 2, 3):
            square += (0.5 * np.gradient(cube, axis=axis)) ** 2
        return fields[self.outside], np.sqrt(square).reshape(fields.shape)[self.outside]


class PointSet:
    """Points (m, in the grid) whose geometry is worked out once, to evaluate any number of pulses there.

    Inside metal the values mean nothing.
    """

    def __init__(self, problem: FieldProblem, points: NDArray[np.float64]) -> None:
        self.problem, self.grid = problem, problem.grid
        self.spacing = np.asarray(self.grid.spacing_m)
        self.shape = points.shape[:-1]
        self.points = points.reshape(-1, 3)
        owner = np.full(len(self.points), -1)
        closest = np.full(len(self.points), np.inf)
        for k, electrode in enumerate(problem.electrodes):
            distance = electrode.distance_m(self.points)
            nearer = (distance < closest) & (distance <= reach_voxels(electrode) * self.spacing.max())
            owner[nearer], closest[nearer] = k, distance[nearer]
        self.far = np.flatnonzero(owner < 0)
        self.near = [
            NearField(problem, k, index, self.points, side)
            for k, electrode in enumerate(problem.electrodes)
            for side in sides(electrode)
            if len(index := np.flatnonzero((owner == k) & on_side(electrode, self.points, side)))
        ]

    def field_v_per_m(self, solution: Solution) -> NDArray[np.float64]:
        """|E| (V/m) at the points, of their shape."""
        gradient = np.empty_like(self.points)
        gradient[self.far] = smooth_gradient(self.problem, solution.potential_v, self.points[self.far])
        for near in self.near:
            gradient[near.index] = near.gradient(solution)
        return np.sqrt(np.einsum("ni,ni->n", gradient, gradient)).reshape(self.shape)

    def potential_v(self, solution: Solution) -> NDArray[np.float64]:
        """Potential (V) at the points, of their shape."""
        value = np.empty(len(self.points))
        value[self.far] = trilinear(solution.potential_v, self.points[self.far] / self.spacing)[0]
        for near in self.near:
            value[near.index] = near.value(solution)
        return value.reshape(self.shape)


def smooth_gradient(problem: FieldProblem, phi: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edge differences, bilinear across; linear along from neighbours in the same tissue; points and result (n, 3)."""
    x = p / np.asarray(problem.grid.spacing_m)
    last = np.asarray(problem.grid.shape) - 1
    cell = np.clip(np.floor(x).astype(int), 0, last)
    s = x - cell
    out = np.empty_like(p)
    own = problem.tissue[tuple(cell.T)]
    for a in range(3):
        here = _edge_mean(phi, cell, s, a)
        slope, sides = np.zeros(len(p)), np.zeros(len(p))
        for sign in (-1, 1):
            other = cell.copy()
            other[:, a] = np.clip(other[:, a] + sign, 0, last[a])
            same = (other[:, a] != cell[:, a]) & (problem.tissue[tuple(other.T)] == own)
            slope += np.where(same, sign * (_edge_mean(phi, other, s, a) - here), 0)
            sides += same
        out[:, a] = (here + (s[:, a] - 0.5) * slope / np.maximum(sides, 1)) / problem.grid.spacing_m[a]
    return out


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

    def __init__(
        self, problem: FieldProblem, k: int, index: NDArray[np.int64], points: NDArray[np.float64], side: int = 0
    ) -> None:
        self.k, self.electrode, self.index = k, problem.electrodes[k], index
        self.spacing = np.asarray(problem.grid.spacing_m)
        p = points[index]
        low, high = p.min(axis=0) / self.spacing, p.max(axis=0) / self.spacing
        # an outline of FURTHEST_EXTRAPOLATION nodes round the points lends values to metal nodes among them
        self.start = np.maximum(np.floor(low).astype(int) - FURTHEST_EXTRAPOLATION, 0)
        stop = np.minimum(np.ceil(high).astype(int) + FURTHEST_EXTRAPOLATION + 1, problem.grid.node_shape)
        self.box = tuple(slice(int(i), int(j)) for i, j in zip(self.start, stop, strict=True))
        axes = [np.arange(i.start, i.stop) * h for i, h in zip(self.box, self.spacing, strict=True)]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
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
        rise = solution.potential_v[self.box] - solution.electrode_potentials_v[self.k]
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
        return solution.electrode_potentials_v[self.k] + c * self.value_at_points

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
