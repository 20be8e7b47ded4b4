"""A potential carried along with needles that moved, for a solve at their new places to start from.

Each needle takes the field round it along; between needles the displacements are weighed by 1 / distance to each
(Shepard's interpolation), so that the field at a needle that stays, stays. phi_new(x) = phi_old(x + displacement(x)).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from .electrodes import Needle
from .grid import Grid
from .program_cache import keep_programs_whole

NEAREST = 1e-3
"""Of a voxel: distances below count as this."""


class Axes(NamedTuple):
    """Needles' axes in voxels: tips and unit directions (k, 3), where their bare metal begins and ends behind the tip,
    and their radii (k)."""

    tip: Float[Array, "k 3"]
    direction: Float[Array, "k 3"]
    start: Float[Array, " k"]
    stop: Float[Array, " k"]
    radius: Float[Array, " k"]


def carry_along(
    grid: Grid, potential_v: NDArray[np.float64], before: Sequence[Needle], now: Sequence[Needle]
) -> NDArray[np.float64]:
    """The potential (V, shape grid.node_shape) of needles at their places before, carried to those now.

    On grids whose voxels are no cubes distances are measured in voxels, which makes other weights, and as good a start.
    """
    keep_programs_whole()
    with jax.enable_x64(True):
        moved = _carried(potential_v, axes_of(grid, before), axes_of(grid, now))
        return np.asarray(moved)


def axes_of(grid: Grid, needles: Sequence[Needle]) -> Axes:
    h = np.asarray(grid.spacing_m)
    tip = np.asarray([needle.tip_m for needle in needles]) / h
    direction = np.asarray([needle.direction for needle in needles]) / h
    longer = np.linalg.norm(direction, axis=1)
    bare = np.asarray([needle.bare_m for needle in needles]) * longer[:, None]
    radius = np.asarray([needle.radius_m for needle in needles]) / h.min()
    single: Any = partial(np.asarray, dtype=np.float32)
    return Axes(
        single(tip), single(direction / longer[:, None]), single(bare[:, 0]), single(bare[:, 1]), single(radius)
    )


@jax.jit
def _carried(phi: Float[Array, "nx1 ny1 nz1"], before: Axes, now: Axes) -> Float[Array, "nx1 ny1 nz1"]:
    x = [jax.lax.broadcasted_iota(jnp.float32, phi.shape, axis) for axis in range(3)]
    total, shift = jnp.zeros(phi.shape, jnp.float32), [jnp.zeros(phi.shape, jnp.float32)] * 3
    for k in range(len(now.radius)):
        away = [x[a] - now.tip[k, a] for a in range(3)]
        along = sum(away[a] * now.direction[k, a] for a in range(3))
        along = jnp.clip(along, -now.stop[k], -now.start[k])
        beside = [away[a] - along * now.direction[k, a] for a in range(3)]
        distance = jnp.sqrt(beside[0] ** 2 + beside[1] ** 2 + beside[2] ** 2) - now.radius[k]
        weight = 1 / jnp.maximum(distance, NEAREST)
        total = total + weight
        for a in range(3):
            was = before.tip[k, a] - now.tip[k, a] + along * (before.direction[k, a] - now.direction[k, a])
            shift[a] = shift[a] + weight * was
    return trilinear(phi, [x[a] + shift[a] / total for a in range(3)])


def trilinear(phi: Float[Array, "nx1 ny1 nz1"], at: list[Array]) -> Float[Array, "nx1 ny1 nz1"]:
    """A nodal field at other places, given in voxels; beyond the grid its nearest point."""
    place = [jnp.clip(x, 0, n - 1) for x, n in zip(at, phi.shape, strict=True)]
    low = [jnp.clip(x.astype(jnp.int32), 0, n - 2) for x, n in zip(place, phi.shape, strict=True)]
    sx, sy, sz = ((x - i).astype(phi.dtype) for x, i in zip(place, low, strict=True))
    _, ny, nz = phi.shape
    first, flat = (low[0] * ny + low[1]) * nz + low[2], phi.reshape(-1)

    def along_z(i: int, j: int) -> Array:
        near, far = flat[first + (i * ny + j) * nz], flat[first + (i * ny + j) * nz + 1]
        return near + sz * (far - near)

    low_x = along_z(0, 0) + sy * (along_z(0, 1) - along_z(0, 0))
    high_x = along_z(1, 0) + sy * (along_z(1, 1) - along_z(1, 0))
    return low_x + sx * (high_x - low_x)
