"""Links between nodes and electrodes, and all that electrodes do to a grid's network; how links come about is in
cut_edges.py and wire_leaks.py."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .node_boxes import Box, at
from .surfaces import CrossedEdges, Factors

SHORTEST_CUT = 0.01
"""A node nearer than this fraction of an edge to a surface counts as metal."""


@dataclass(frozen=True)
class NearField:
    """A needle's near field F round it.

    Attributes:
        box: of nodes that it is known at. f: F there, zero on the metal, in any unit.
        share: how far a potential there is one of this near field, from 1 to 0 away from the needle and inside shafts.
    """

    electrode: int
    box: Box
    f: NDArray[np.float32]
    share: NDArray[np.float32]


@dataclass
class Couplings:
    """What electrodes do to the network of one grid. Arrays over nodes have shape grid.node_shape.

    Attributes:
        metal: index of the electrode a node lies in, -1 for free nodes.
        open_edge: for each axis the share of an edge's conductance that is left (0 to 1), edge i going from node i
            to i + 1.
        link_node: flat node index of each link. link_electrode: its electrode. link_g_m: its geometric conductance, m.
        link_cell, link_weight: (links, 8) voxel indices flat over the *node* shape, and weights (0 where unused).
        part_cell, part_fill: voxels (same indices) with a fill other than 1, and that fill.
        link_length_m: a contact of r ohm m2 is in series with a link as r / link_length_m is with the resistivity of
            its tissue; None where nobody asked.
        part_isotropy: in tissue with axis factors, the mean of |E|^2 over the weighted one in those voxels, else None.
        near: of each needle.
        link_ohm_m, crossed, split_cell: what is in series with tissue (directions.py), or None.
    """

    metal: NDArray[np.int16]
    open_edge: list[NDArray[np.float32]]
    link_node: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    link_electrode: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    link_g_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    link_cell: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 8), np.int32))
    link_weight: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 8), np.float32))
    part_cell: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    part_fill: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    near: list[NearField] = field(default_factory=list)
    link_length_m: NDArray[np.float64] | None = None
    part_isotropy: NDArray[np.float64] | None = None
    link_ohm_m: NDArray[np.float64] | None = None
    crossed: CrossedEdges | None = None
    split_cell: NDArray[np.int32] | None = None
    factors: Factors | None = None

    @functools.cached_property
    def metal_nodes(self) -> NDArray[np.int64]:
        """Flat indices; to be asked for when `metal` no longer changes."""
        return np.flatnonzero(self.metal >= 0)

    @functools.cached_property
    def open_planes(self) -> list[NDArray[np.bool_]]:
        """For each axis, in which planes of nodes (along x) all edges are open; as `metal_nodes`."""
        shares = self.open_edge[0][:-1], self.open_edge[1][:, :-1], self.open_edge[2][:, :, :-1]
        return [np.all(share == 1, axis=(1, 2)) for share in shares]


def no_metal(grid: Grid) -> list[NDArray[np.float32]]:
    """Open shares of a grid without electrodes."""
    shares = [np.ones(grid.node_shape, np.float32) for _ in range(3)]
    for a in range(3):
        shares[a][at(a, slice(-1, None))] = 0
    return shares


def edge_conductance_m(grid: Grid, axis: int, box: Box) -> NDArray[np.float64]:
    """Geometric conductance (face area / length, m) of the edges that start in a box of nodes, with the part of their
    face that lies outside the grid taken off: one half on an outer face, one quarter on an outer edge."""
    hx, hy, hz = grid.spacing_m
    whole = hx * hy * hz / grid.spacing_m[axis] ** 2
    share = np.ones(tuple(s.stop - s.start for s in box))
    for b in range(3):
        i = np.arange(box[b].start, box[b].stop)
        last = grid.shape[b]
        factor = (i < last) * 1.0 if b == axis else 0.5 * ((i > 0) * 1.0 + (i < last) * 1.0)
        share *= factor.reshape([-1 if c == b else 1 for c in range(3)])
    return whole * share


def voxels_round_node(grid: Grid, node: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The 8 voxels round each node (n, 3) -> indices (n, 8, 3) and weights (n, 8) that sum to 1 over those in the
    grid."""
    corner = np.asarray(list(product((-1, 0), repeat=3)))
    cells = node[:, None, :] + corner
    inside = np.all((cells >= 0) & (cells < np.asarray(grid.shape)), axis=-1)
    return cells, (inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)).astype(np.float32)


def voxels_round_edge(grid: Grid, axis: int, lower: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The 4 voxels round each edge, padded to 8 with weight 0; each of the 4 weighs 1/4 if it is in the grid, else
    0."""
    corner = np.asarray([s for s in product((-1, 0), repeat=3) if s[axis] == 0])
    cells = np.concatenate([lower[:, None, :] + corner, lower[:, None, :] + 0 * corner], axis=1)
    inside = np.all((cells >= 0) & (cells < np.asarray(grid.shape)), axis=-1)
    inside[:, 4:] = False
    return cells, (0.25 * inside).astype(np.float32)


def append_links(
    c: Couplings,
    grid: Grid,
    node: NDArray[np.int64],
    k: int,
    g_m: NDArray[np.float64],
    cells: NDArray[np.int64],
    weights: NDArray[np.float32],
    length_m: NDArray[np.float64] | None = None,
) -> None:
    shape = grid.node_shape
    safe = np.where(weights[..., None] > 0, cells, 0)
    flat_cells = np.ravel_multi_index((safe[..., 0], safe[..., 1], safe[..., 2]), shape)
    flat_node = np.ravel_multi_index((node[:, 0], node[:, 1], node[:, 2]), shape)
    c.link_node = np.concatenate([c.link_node, flat_node.astype(np.int32)])
    c.link_electrode = np.concatenate([c.link_electrode, np.full(len(flat_node), k, np.int32)])
    c.link_g_m = np.concatenate([c.link_g_m, g_m])
    c.link_cell = np.concatenate([c.link_cell, flat_cells.astype(np.int32)])
    c.link_weight = np.concatenate([c.link_weight, weights])
    if c.link_length_m is not None and length_m is not None:
        c.link_length_m = np.concatenate([c.link_length_m, length_m])
