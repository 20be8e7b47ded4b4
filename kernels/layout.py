"""The flat node layout that all stencils run on, and the padding that makes a grid halve evenly.

A field over the nodes (m0, m1, m2) is one contiguous vector of n = m0 m1 m2; voxels live in the same layout, voxel i at
its lower node. The neighbour along an axis is the slice at offset +- stride of the vector extended by a zero halo. Rows
wrap round in that layout: harmless, because the edge that would join the last node of one row to the first of the
next is open to no current (no voxels there), so every stencil multiplies it by a conductance of zero.
Three-dimensional pads and rolls of the same stencil run several times slower on the CPU; on a GPU both coalesce.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped

COARSEST_VOXELS = (5, 14)
"""Wanted voxels per axis on the coarsest multigrid level: least and most."""


@dataclass(frozen=True)
class Layout:
    """Static shape of the nodes; hashable, part of what is compiled."""

    nodes: tuple[int, int, int]

    @property
    def n(self) -> int:
        return math.prod(self.nodes)

    @property
    def strides(self) -> tuple[int, int, int]:
        return (self.nodes[1] * self.nodes[2], self.nodes[2], 1)

    @property
    def halo(self) -> int:
        """Two planes; stencils reach a little over one."""
        return 2 * self.strides[0]

    @cached_property
    def face_offsets(self) -> tuple[tuple[int, int, int, int], ...]:
        """For each axis, offsets from a voxel to the starts of its 4 edges along that axis."""
        sx, sy, sz = self.strides
        return ((0, sy, sz, sy + sz), (0, sx, sz, sx + sz), (0, sx, sy, sx + sy))

    def extend(self, x: Shaped[Array, " n"]) -> Shaped[Array, " n_and_halos"]:
        """With the halo, behind a barrier: it is stored, and nothing that it is computed from is computed anew."""
        return jax.lax.optimization_barrier(jnp.pad(self.planes(x), ((2, 2), (0, 0)))).reshape(-1)

    def keep(self, x: Shaped[Array, " n"]) -> Shaped[Array, " n"]:
        """The field itself, stored as by `extend`."""
        return jax.lax.optimization_barrier(self.planes(x)).reshape(-1)

    def planes(self, x: Shaped[Array, " m"]) -> Shaped[Array, "planes nodes"]:
        """A field, extended or not, as its planes.

        Whether an entry belongs to the halo, or to another thread's share, is then decided outside of the innermost
        loop. In one long vector that masks every load: a stencil takes 1.6 times as long, and two threads as long as
        one.
        """
        return x.reshape(-1, self.strides[0])

    def take(self, extended: Shaped[Array, " n_and_halos"], offset: int) -> Shaped[Array, " n"]:
        """The field moved by `offset`, from its extended form."""
        return extended[self.halo + offset : self.halo + offset + self.n]

    def pick(self, extended: Shaped[Array, " n_and_halos"], index: Int[Array, "..."]) -> Shaped[Array, "..."]:
        """Single entries of the field, by their flat indices, from its extended form."""
        return extended[self.halo + index]

    def voxel_sum(self, edge: Callable[[int], Shaped[Array, " n"]], axis: int) -> Shaped[Array, " n"]:
        """For each voxel the sum over its 4 edges along an axis; edge(o): that of the edges moved by o."""
        return sum_of([edge(o) for o in self.face_offsets[axis]])

    def edge_sum(self, extended: Shaped[Array, " n_and_halos"], axis: int, at: int = 0) -> Shaped[Array, " n"]:
        """For each edge along an axis (moved by `at`) the sum over the 4 voxels round it, from their extended form."""
        return sum_of([self.take(extended, at - o) for o in self.face_offsets[axis]])

    def outflow(self, flow: Callable[[int, int], Shaped[Array, " n"]]) -> Shaped[Array, " n"]:
        """For each node the flow of the edges that arrive minus that of those that leave; flow(axis, o): of the edges
        moved by o."""
        x, y, z = (flow(a, -s) - flow(a, 0) for a, s in enumerate(self.strides))
        return x + y + z


def sum_of(parts: list[Shaped[Array, " n"]]) -> Shaped[Array, " n"]:
    a, b, c, d = parts
    return (a + b) + (c + d)


def padded_voxels(voxels: int) -> tuple[int, int]:
    """Voxels along an axis after padding, and how often they halve.

    Fewest voxels win; among equals the most halvings.
    """
    least, most = COARSEST_VOXELS
    best = (voxels, 0)
    for halvings in range(1, 12):
        coarsest = math.ceil(voxels / 2**halvings)
        if coarsest < least:
            break
        candidate = (coarsest * 2**halvings, halvings)
        small_enough = best[0] // 2 ** best[1] <= most
        if not small_enough or candidate[0] <= best[0]:
            best = candidate
    return best


def level_layouts(voxels: tuple[int, int, int]) -> tuple[tuple[Layout, tuple[int, int, int]], ...]:
    """Multigrid levels of a grid, finest first: layout, and the factor (1 or 2) by which each axis of it coarsens next.

    The last level's factors are all 1. Axes that are short stop halving before the others do.
    """
    padded = [padded_voxels(v) for v in voxels]
    cells = [p for p, _ in padded]
    left = [halvings for _, halvings in padded]
    levels = []
    while True:
        factors = tuple(2 if k > 0 else 1 for k in left)
        levels.append((Layout((cells[0] + 1, cells[1] + 1, cells[2] + 1)), (factors[0], factors[1], factors[2])))
        if max(factors) == 1:
            return tuple(levels)
        cells = [c // f for c, f in zip(cells, factors, strict=True)]
        left = [k - 1 if k > 0 else 0 for k in left]
