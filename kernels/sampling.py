"""Volume-weighted samples of |E| in the tissue, for coverage measures.

2 x 2 x 2 points per voxel, 4 x 4 x 4 in voxels near conductors and shafts (near_samples.py), those inside metal or
insulation left out; how |E| is found between the nodes says points.py. Each sample knows how much |E| varies over its
own little box, so that volumes above a threshold vary smoothly.
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

from .electrodes import Electrode, Needle
from .grid import Grid
from .near_samples import NearSamples
from .points import NEAR_RESOLVED, reach_voxels
from .problem import FieldProblem
from .program_cache import keep_programs_whole
from .solution import Solution


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
    regular: NDArray[np.int64] | None = None
    """Voxels whose 8 samples come first: all of the first samples, then all of the second, and so on."""

    def in_voxels(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which samples lie in some voxels (a mask over the grid)."""
        flat = mask.reshape(-1)
        if self.regular is None:
            return flat[self.voxel]
        return np.concatenate([np.tile(flat[self.regular], 8), flat[self.voxel[8 * len(self.regular) :]]])


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
        fields = functools.reduce(jnp.maximum, (regular_field(self.problem, s) for s in solutions))
        spread = np.asarray(regular_spread(fields)).take(self.regular)
        near_field, near_spread = self.near.field_and_spread(solutions)
        # take, not [:, regular]: that lays its result out voxel by voxel, and what follows takes twice as long
        return FieldSamples(
            voxel=self.voxel,
            field_v_per_m=np.concatenate([np.asarray(fields).take(self.regular, 1).reshape(-1), near_field]),
            spread_v_per_m=np.concatenate([np.tile(spread, 8), near_spread]),
            volume_m3=self.volume_m3,
            regular=self.regular,
        )


# -- voxels away from conductors ---------------------------------------------------------------------------------------


def regular_field(problem: FieldProblem, solution: Solution) -> Float[Array, "8 voxels"]:
    """|E| at the 8 points a quarter of the way into each voxel, shape (8, voxels), V/m."""
    keep_programs_whole()
    spacing = np.asarray(problem.grid.spacing_m, np.float32)
    potential = (solution.potential_v - np.mean(solution.electrode_potentials_v)).astype(np.float32)
    share = solution.tissue_share
    return _eight_fields(potential, problem.tissue, spacing, share)


@jax.jit
def _eight_fields(
    phi: Float[Array, "nx1 ny1 nz1"],
    tissue: UInt8[Array, "nx ny nz"],
    spacing: Float[Array, "3"],
    share: Float[Array, "3 nx ny nz"] | None,
) -> Float[Array, "8 voxels"]:
    edges = [jnp.diff(phi, axis=a) / spacing[a] for a in range(3)]
    squares: list[Array] = [jnp.zeros(tissue.shape, phi.dtype) for _ in range(8)]
    for a in range(3):
        slope = _slope_along(edges[a], tissue, a, None if share is None else share[a])
        for i, (sx, sy, sz) in enumerate(product((0, 1), repeat=3)):
            side = (sx, sy, sz)
            e = edges[a]
            for b in range(3):
                if b != a:
                    near, far = (0.75, 0.25) if side[b] == 0 else (0.25, 0.75)
                    e = near * _cut(e, b, None, -1) + far * _cut(e, b, 1, None)
            if share is not None:
                e = e * share[a]
            e = e + (side[a] - 0.5) * 0.5 * slope
            squares[i] = squares[i] + e * e
    return jnp.sqrt(jnp.stack(squares)).reshape(8, -1)


def _slope_along(edges: Array, tissue: Array, axis: int, share: Array | None) -> Array:
    """Change per voxel of the component along an axis, from the neighbours of the same tissue."""
    mean = edges
    for b in range(3):
        if b != axis:
            mean = 0.5 * (_cut(mean, b, None, -1) + _cut(mean, b, 1, None))
    if share is not None:
        mean = mean * share
    change = _cut(mean, axis, 1, None) - _cut(mean, axis, None, -1)
    same = _cut(tissue, axis, 1, None) == _cut(tissue, axis, None, -1)
    change = jnp.where(same, change, 0)
    ends = [(1, 1) if b == axis else (0, 0) for b in range(3)]
    change, same = jnp.pad(change, ends), jnp.pad(same, ends).astype(mean.dtype)
    sides = _cut(same, axis, None, -1) + _cut(same, axis, 1, None)
    return (_cut(change, axis, None, -1) + _cut(change, axis, 1, None)) / jnp.maximum(sides, 1)


def _cut(a: Array, axis: int, start: int | None, stop: int | None) -> Array:
    return a[tuple(slice(start, stop) if b == axis else slice(None) for b in range(3))]


@jax.jit
def regular_spread(fields: Float[Array, "8 voxels"]) -> Float[Array, " voxels"]:
    """Half the variation of |E| over one of the 8 boxes of a voxel, from the differences between its 8 points.

    A linear function over a cube has the variance of a uniform one of half width |gradient| h / 4.
    """
    # two sample points along an axis are half a voxel apart: twice the half width of a sample's box
    square = jnp.zeros(fields.shape[1], fields.dtype)
    for axis in range(3):
        ahead = [corner[axis] for corner in product((0, 1), repeat=3)]
        rise = sum(fields[i] if far else -fields[i] for i, far in enumerate(ahead))
        square = square + (0.5 * rise / 4) ** 2
    return jnp.sqrt(square)


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
