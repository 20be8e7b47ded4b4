"""Samples of |E| in the voxels near conductors, for one solution after another through the same electrodes.

The points lie at the same places in each voxel, so what is linear in the potential is a small matrix times the values
at a voxel's own nodes or edges: the same field as `points.PointSet` gives there, several times faster.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .electrodes import Needle
from .points import NearField, nearest_conductor
from .problem import FieldProblem
from .sides import on_side, sides
from .solution import Solution

NEAR_POINTS = 4
"""Points per axis in a voxel near a conductor."""
STEPS = (np.arange(NEAR_POINTS) + 0.5) / NEAR_POINTS
"""Where they lie along an axis, in voxels from the lower face."""
CORNERS = np.asarray(list(product((0, 1), repeat=3)))

Floats = NDArray[np.float64]


class NearSamples:
    """NEAR_POINTS^3 samples in each chosen voxel, without those in metal or insulation.

    Attributes:
        voxel: flat C-order index of each sample's voxel. volume_m3: that it stands for.
    """

    def __init__(self, problem: FieldProblem, chosen: NDArray[np.bool_]) -> None:
        grid, n = problem.grid, NEAR_POINTS
        lower = np.argwhere(chosen)
        points = (lower[:, None, :].astype(np.float64) + offsets()) * np.asarray(grid.spacing_m)
        owner = nearest_conductor(problem, points)
        self.far = np.flatnonzero((owner < 0).any(axis=1))
        self.smooth = SmoothInVoxels(problem, lower[self.far])
        self.near = [
            NearInVoxels(problem, k, side, lower, mine, points)
            for k, electrode in enumerate(problem.electrodes)
            for side in sides(electrode)
            if (mine := (owner == k) & on_side(electrode, points, side)).any()
        ]
        self.outside = np.ones(points.shape[:-1], bool)
        for electrode in problem.electrodes:
            self.outside &= electrode.distance_m(points) > 0
            if isinstance(electrode, Needle):
                self.outside &= electrode.shaft_distance_m(points) > 0
        flat = np.ravel_multi_index((lower[:, 0], lower[:, 1], lower[:, 2]), grid.shape).astype(np.int32)
        self.voxel = np.repeat(flat, n**3).reshape(self.outside.shape)[self.outside]
        self.volume_m3 = np.full(len(self.voxel), grid.voxel_volume_m3 / n**3, np.float32)

    def field_and_spread(self, solutions: Sequence[Solution]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Largest |E| over the solutions at the samples, and half of its variation over a sample's box (V/m)."""
        n = NEAR_POINTS
        fields = functools.reduce(np.maximum, (self.field_v_per_m(s) for s in solutions))
        cube = fields.reshape(-1, n, n, n)
        square = np.zeros_like(cube)
        for axis in (1, 2, 3):
            square += (0.5 * np.gradient(cube, axis=axis)) ** 2
        return fields[self.outside], np.sqrt(square).reshape(fields.shape)[self.outside]

    def field_v_per_m(self, solution: Solution) -> NDArray[np.float32]:
        """|E| (V/m) at all points of the voxels, shape (voxels, NEAR_POINTS^3)."""
        square = np.zeros(self.outside.shape)
        square[self.far] = self.smooth.square(solution)
        for near in self.near:
            square[near.voxel, near.place] = near.square(solution)
        return np.sqrt(square).astype(np.float32)


def offsets() -> Floats:
    """The points of a voxel, in voxels from its lower corner; shape (NEAR_POINTS^3, 3)."""
    return np.asarray(list(product(STEPS, repeat=3)))


class SmoothInVoxels:
    """`points.smooth_gradient` at the points of some voxels, given by their lower nodes (n, 3)."""

    def __init__(self, problem: FieldProblem, lower: NDArray[np.int64]) -> None:
        self.spacing_m, self.lower = problem.grid.spacing_m, lower
        self.node = np.ravel_multi_index((lower[:, 0], lower[:, 1], lower[:, 2]), problem.grid.node_shape)
        _, ny, nz = problem.grid.node_shape
        self.strides = (ny * nz, nz, 1)
        # for each axis: does the voxel before, and the one behind, exist and hold the same tissue
        self.same = [[same_tissue(problem, lower, axis, -1), same_tissue(problem, lower, axis, 1)] for axis in range(3)]
        self.weights = [smooth_weights(axis) for axis in range(3)]

    def square(self, solution: Solution) -> Floats:
        """|grad phi|^2 in the tissue, shape (n, NEAR_POINTS^3)."""
        phi = np.ascontiguousarray(solution.potential_v).reshape(-1)
        out = np.zeros((len(self.node), NEAR_POINTS**3))
        for axis, h in enumerate(self.spacing_m):
            before, behind = self.same[axis]
            here = self.differences(phi, axis, 0) * self.share(solution, axis, 0, slice(None))
            slope = np.zeros_like(here)
            earlier = self.differences(phi, axis, -1, before) * self.share(solution, axis, -1, before)
            later = self.differences(phi, axis, 1, behind) * self.share(solution, axis, 1, behind)
            slope[before] += here[before] - earlier
            slope[behind] += later - here[behind]
            slope /= np.maximum(before.astype(float) + behind, 1)[:, None]
            out += (np.concatenate([here, slope], axis=1) @ (self.weights[axis] / h)) ** 2
        return out

    def share(self, solution: Solution, axis: int, step: int, which: NDArray[np.bool_] | slice) -> Floats | float:
        """Of the drop over the voxels `step` further along an axis in their tissue; shape (n, 1)."""
        if solution.tissue_share is None:
            return 1.0
        voxel = self.lower[which].copy()
        voxel[:, axis] += step
        return solution.tissue_share[axis][tuple(voxel.T)][:, None].astype(np.float64)

    def differences(self, phi: Floats, axis: int, step: int, which: NDArray[np.bool_] | slice = slice(None)) -> Floats:
        """Of the 4 edges along an axis of the voxels `step` further along it; shape (n, 4)."""
        b, c = (d for d in range(3) if d != axis)
        along = self.strides[axis]
        edge = np.asarray([i * self.strides[b] + j * self.strides[c] for i, j in product((0, 1), repeat=2)])
        start = self.node[which][:, None] + step * along + edge
        return phi.take(start + along) - phi.take(start)


def same_tissue(problem: FieldProblem, lower: NDArray[np.int64], axis: int, step: int) -> NDArray[np.bool_]:
    other = lower.copy()
    other[:, axis] += step
    inside = (other[:, axis] >= 0) & (other[:, axis] < problem.grid.shape[axis])
    other[~inside] = lower[~inside]
    return inside & (problem.tissue[tuple(other.T)] == problem.tissue[tuple(lower.T)])


def smooth_weights(axis: int) -> Floats:
    """From 4 edge differences and 4 slopes along an axis to a voxel's points: bilinear across, linear along."""
    s = offsets()
    b, c = (d for d in range(3) if d != axis)
    across = [(s[:, b] if i else 1 - s[:, b]) * (s[:, c] if j else 1 - s[:, c]) for i, j in product((0, 1), repeat=2)]
    return np.stack(across + [(s[:, axis] - 0.5) * w for w in across])


class NearInVoxels:
    """`points.NearField` of one conductor at its points among those of some voxels.

    Attributes:
        voxel, place: of each point, its row among the voxels and its number in the voxel.
    """

    def __init__(
        self,
        problem: FieldProblem,
        k: int,
        side: int,
        lower: NDArray[np.int64],
        mine: NDArray[np.bool_],
        points: Floats,
    ) -> None:
        self.voxel, self.place = np.nonzero(mine)
        self.field = NearField(problem, k, points[mine], side)
        self.spacing = np.asarray(problem.grid.spacing_m)
        rows = np.flatnonzero(mine.any(axis=1))
        row_of = np.full(len(lower), -1)
        row_of[rows] = np.arange(len(rows))
        self.point = row_of[self.voxel] * NEAR_POINTS**3 + self.place
        node = lower[rows][:, None, :] + CORNERS - self.field.start
        self.corner = np.ravel_multi_index(tuple(np.moveaxis(node, -1, 0)), self.field.shape)
        self.weights = trilinear_weights()

    def square(self, solution: Solution) -> Floats:
        """|grad phi|^2 = |F grad c + c grad F|^2 at the points."""
        factor = self.field.smooth_factor(solution).reshape(-1).take(self.corner)
        value, shape = self.field.value_at_points, self.field.gradient_at_points
        c = (factor @ self.weights[0]).reshape(-1).take(self.point)
        out = np.zeros(len(value))
        for axis, h in enumerate(self.spacing):
            slope = (factor @ (self.weights[1 + axis] / h)).reshape(-1).take(self.point)
            out += (slope * value + c * shape[:, axis]) ** 2
        return out


def trilinear_weights() -> list[Floats]:
    """From a voxel's 8 nodes to its points: the value, and the slopes along the axes per voxel; each (8, points)."""
    s = offsets()
    ramps = [np.stack([1 - s[:, a], s[:, a]]) for a in range(3)]
    rises = [np.stack([-np.ones(len(s)), np.ones(len(s))]) for _ in range(3)]

    def combine(factors: list[Floats]) -> Floats:
        return np.stack([factors[0][i] * factors[1][j] * factors[2][k] for i, j, k in product((0, 1), repeat=3)])

    slopes = [combine([rises[b] if b == a else ramps[b] for b in range(3)]) for a in range(3)]
    return [combine(ramps), *slopes]
